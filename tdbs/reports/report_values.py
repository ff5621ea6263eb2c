"""Values of a report, ready for the templates: opening numbers, tables, figures, and facts of a run."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import tdbs
from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.analysis.statistics import split_statistics
from tdbs.pipeline.manifest import Manifest
from tdbs.reports import number_format, tables
from tdbs.reports.comparison import Comparison, error_of
from tdbs.reports.figures.bars import (
    StrategyError,
    StrategyTime,
    errors_svg,
    overheads_svg,
    padding_by_strategy_svg,
    time_by_strategy_svg,
    tokens_svg,
)
from tdbs.reports.figures.canvas import NARROW, WIDE
from tdbs.reports.figures.curves import losses_svg, run_svgs
from tdbs.reports.figures.inference import drop_rates_svg
from tdbs.reports.figures.lengths import length_histogram_svg
from tdbs.reports.headline import token_bars
from tdbs.reports.number_format import NOTHING, overhead_notes
from tdbs.reports.opening import best_choices, is_foreign, is_not_finite, opening_of, strategy_name
from tdbs.reports.report import Report
from tdbs.train.run_folder import Run

_BASE_BATCH_SIZE = 64  # of the exact padding if no estimate has the planned one

FIGURES = (
    "choices",
    "lengths",
    "padding",
    "time",
    "prediction",
    "losses",
    "overheads",
    "loss",
    "batch_size",
    "lr",
    "drop_rates",
)

Facts = dict[str, Any]


def facts_of(report: Report) -> Facts:
    """Return the values of the templates by their names. Same report, same values."""
    manifest, comparison, estimates = report.dataset.manifest, report.comparison, report.estimates
    splits = [
        (name, split_statistics(info, batch_size=_BASE_BATCH_SIZE))
        for name, info in manifest.splits.items()
        if info.rows
    ]
    summary = _summary(manifest, estimates)
    own = strategy_name(report.run) if report.run else None
    return {
        "version": tdbs.__version__,
        "path": str(report.dataset.path),
        "manifest": manifest,
        "splits": splits,
        "summary": summary,
        "estimates": estimates,
        "row_targets": any(estimate.target_tokens for estimate in estimates),
        "comparison": comparison,
        **opening_of(report),
        "overhead": overhead_notes(comparison.overhead, comparison.profiled_on) if comparison else [],
        "energy_note": _energy_note(comparison),
        "caps": report.caps,
        "drops": report.drops,
        "overheads": report.overheads,
        "run": _run_parts(report.run, manifest) if report.run else None,
        "prepared": list(_flat({"key": manifest.key, "key of": manifest.key_parts, "seconds": manifest.seconds})),
        "tables": {
            "splits": tables.splits_table(splits),
            "estimates": tables.estimates_table(estimates, summary["best"], own=own),
            "measured": comparison and tables.measured_table(comparison),
            "prediction": comparison and tables.prediction_table(comparison),
            "rows": comparison and tables.rows_table(comparison),
            "overheads": report.overheads and tables.overheads_table(report.overheads),
            "drop_rates": tables.drop_rates_table(report.over_rates) if report.over_rates else None,
        },
        "figures": dict.fromkeys(FIGURES) | figures_of(report),
    }


def figures_of(report: Report) -> dict[str, tuple[str, str]]:
    """Return the figures that the report's data make, each for a screen and for a phone, as SVG."""
    manifest, comparison, estimates = report.dataset.manifest, report.comparison, report.estimates
    train = manifest.splits.get("train")
    drawn: dict[str, Callable[[int], str]] = {}
    if train and train.rows:
        edges, caps = np.array(manifest.bucket_edges), report.caps
        drawn["lengths"] = lambda width: length_histogram_svg(train.lengths_L1, edges, caps=caps, width=width)
    found = best_choices(report)
    bars = token_bars(found, report.run, estimates) if found and report.run else []
    if len(bars) > 1:
        drawn["choices"] = lambda width: tokens_svg(bars, name="choices", width=width)
    if estimates:
        drawn["padding"] = lambda width: padding_by_strategy_svg(estimates, width=width)
    if comparison:
        times, errors = _times(comparison), _errors(comparison)
        is_projected = comparison.part_steps is not None
        drawn["time"] = lambda width: time_by_strategy_svg(times, is_projected=is_projected, width=width)
        if errors:
            drawn["prediction"] = lambda width: errors_svg(errors, width=width)
        logs = {name: run.steps for name, run in comparison.runs.items() if run.steps}
        if logs:
            drawn["losses"] = lambda width: losses_svg(logs, width=width)
    overheads = report.overheads
    if overheads and overheads.prepare:
        drawn["overheads"] = lambda width: overheads_svg(overheads, width=width)
    if report.over_rates:
        rates, panels = [row.drop_rate or 0.0 for row in report.over_rates], _rate_panels(report.over_rates)
        drawn["drop_rates"] = lambda width: drop_rates_svg(rates, panels, width=width)
    figures = {name: (draw(WIDE), draw(NARROW)) for name, draw in drawn.items()}
    run = comparison.runs.get(comparison.best.strategy) if comparison else report.run
    if run and run.steps:
        wide, narrow = (run_svgs(run.steps, width=width) for width in (WIDE, NARROW))
        shown = ("batch_size", "lr") if comparison else tuple(wide)  # there its loss is among the others'
        figures |= {name: (wide[name], narrow[name]) for name in shown}
    return figures


def _rate_panels(rows: Sequence[ConditionRow]) -> list[tuple[str, list[float]]]:
    """Return the values over the drop rate: the score, and the speedup if it was timed."""
    scores = [math.nan if row.score is None else row.score for row in rows]
    speedups = [row.speedup for row in rows if row.speedup is not None]
    return [("score", scores), *([("speedup, one sample a call", speedups)] if len(speedups) == len(rows) else [])]


def _times(comparison: Comparison) -> list[StrategyTime]:
    ranges = {estimate.strategy: (estimate.seconds_low, estimate.seconds_high) for estimate in comparison.estimates}
    rows = []
    for summary in comparison.summaries:
        low, high = ranges.get(summary.strategy, (None, None))
        rows.append(
            StrategyTime(
                strategy=summary.strategy,
                measured=summary.seconds,
                predicted=summary.predicted_seconds,
                low=low,
                high=high,
                speedup=summary.speedup,
                deviation=_deviation([row.seconds for row in comparison.rows if row.strategy == summary.strategy]),
            )
        )
    return rows


def _deviation(seconds: Sequence[float]) -> float | None:
    return statistics.stdev(seconds) if len(seconds) > 1 else None


def _errors(comparison: Comparison) -> list[StrategyError]:
    """Return what the prediction of each strategy was off by, if there was one."""
    errors = []
    for summary in comparison.summaries:
        rows = [row for row in comparison.rows if row.strategy == summary.strategy]
        runs = [row.predicted_seconds / row.seconds - 1 for row in rows if row.predicted_seconds is not None]
        mean = error_of(summary)
        if runs and mean is not None:
            errors.append(StrategyError(strategy=summary.strategy, runs=tuple(runs), mean=mean))
    return errors


def _energy_note(comparison: Comparison | None) -> str | None:
    if comparison is None or comparison.energy is None:
        return None
    return number_format.energy_note(comparison.energy, (row.power for row in comparison.rows))


def _summary(manifest: Manifest, estimates: Sequence[StrategyEstimate]) -> dict[str, Any]:
    """Return the numbers that the page opens with: padding of random batches, and the strategy of fewest tokens."""
    random = next((estimate for estimate in estimates if estimate.strategy == "random"), None)
    train = manifest.splits.get("train")
    expected = split_statistics(train, batch_size=_BASE_BATCH_SIZE) if train and train.rows else None
    exactly_one = [e for e in estimates if e.speedup == e.speedup_low == e.speedup_high == 1.0]
    baseline = random if random in exactly_one else next(iter(exactly_one), None)
    return {
        "planned": random is not None,
        "batch_size": _BASE_BATCH_SIZE,
        "random_padding": random.padding_fraction if random else expected and expected.expected_random_padding,
        "baseline": baseline,
        "best": max(estimates, key=lambda estimate: estimate.speedup, default=None),
        "train": train,
        "droppable": expected and expected.droppable_fraction,
    }


def _run_parts(run: Run, manifest: Manifest) -> dict[str, Any]:
    """Return the facts of a run; for an unfinished one, from its logged steps."""
    config, result, last = run.config, run.result, run.steps[-1] if run.steps else None
    metric = manifest.task.metrics[0]
    return {
        "path": str(run.path),
        "facts": [
            ("strategy", strategy_name(run)),
            *((name, config.get(name, NOTHING)) for name in ("model", "seed", "epochs")),
            *(_result_facts(result, metric) if result else [("steps logged", number_format.count(len(run.steps)))]),
        ],
        "foreign": is_foreign(run, manifest),
        "result": result,
        "stopped_at": last,
        "not_finite": is_not_finite(run),
        "history": tables.epochs_table(result["epochs"] if result else _logged_epochs(run.steps), metric),
        "config": list(_flat(config)),
    }


def _result_facts(result: Mapping[str, Any], metric: str) -> list[tuple[str, str]]:
    seconds, used = result["seconds"], result.get("energy")
    return [
        (f"score ({metric})", number_format.figure(result["score"])),
        *((name, number_format.figure(value)) for name, value in result["metrics"].items() if name != metric),
        ("training", number_format.duration(seconds["train"])),
        ("evaluation", number_format.duration(seconds["evaluate"])),
        ("in all", number_format.duration(seconds["total"])),
        ("steps", number_format.count(result["steps"])),
        ("tokens", number_format.count(result["tokens"])),
        ("padding", number_format.percent(result["padding_fraction"])),
        *(_energy_facts(used) if used else []),
    ]


def _energy_facts(used: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("energy of the machine", number_format.energy(used["kwh"])),
        ("power", used["power"]),
        ("CO2e", number_format.co2e(used["co2e_kg"])),
        ("electricity of", used["country"]),
    ]


def _logged_epochs(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, float | int | None]]:
    """Return the mean finite loss of each epoch so far, over all it predicts, as the trainer reports it."""
    epochs = []
    for epoch in sorted({step["epoch"] for step in steps}):
        logged = [(_loss(step), step["predicted"]) for step in steps if step["epoch"] == epoch]
        finite = [(loss, predicted) for loss, predicted in logged if math.isfinite(loss)]
        in_all = sum(predicted for _, predicted in finite)
        mean = sum(loss * predicted for loss, predicted in finite) / in_all if in_all else None
        epochs.append({"epoch": epoch, "loss": mean, "score": None})
    return epochs


def _loss(step: Mapping[str, Any]) -> float:
    """Return a step's loss; the log has None if it was not finite, JSON having no NaN."""
    return math.nan if step["loss"] is None else float(step["loss"])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value of nested tables with its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)
