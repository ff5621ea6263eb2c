"""Every table of a report as rows of words: the page and its Markdown print the same ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.analysis.statistics import SplitStatistics
from tdbs.reports.comparison import Comparison, error_of
from tdbs.reports.figures.bars import Overheads
from tdbs.reports.number_format import co2e, count, duration, energy, figure, mebibytes, percent, signed_percent, times


class Ranged(NamedTuple):
    """A cell with the range of its value."""

    value: str
    spread: str


Cell = str | Ranged


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A head and rows; the first cell of a row is its name."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    best: str | None = None  # the name of the row to point out
    own: str | None = None  # and of the run's own


def splits_table(splits: Sequence[tuple[str, SplitStatistics]]) -> Table:
    """Return rows, tokens and lengths of each split."""
    return Table(
        head=("split", "rows", "tokens", "L_avg", "L_87.5"),
        rows=tuple(
            (name, count(split.rows), count(split.tokens), f"{split.average_length:.1f}", str(split.percentile_length))
            for name, split in splits
        ),
    )


def estimates_table(
    estimates: Sequence[StrategyEstimate], best: StrategyEstimate | None, *, own: str | None = None
) -> Table:
    """Return steps, tokens, padding and speedup in tokens of each strategy; of targets too if there are some."""
    targets = any(estimate.target_tokens for estimate in estimates)
    rows: list[tuple[Cell, ...]] = []
    for estimate in estimates:
        of_targets = (percent(estimate.target_padding_fraction or 0),) if targets else ()
        numbers = (count(estimate.steps), count(estimate.tokens), percent(estimate.padding_fraction), *of_targets)
        is_range = estimate.speedup_low < estimate.speedup_high
        spread = f"{estimate.speedup_low:.2f}–{estimate.speedup_high:.2f}" if is_range else ""
        rows.append((estimate.strategy, *numbers, Ranged(times(estimate.speedup), spread)))
    head = ("strategy", "steps", "tokens", "padding", *(("padding of targets",) if targets else ()))
    return Table(head=(*head, "speedup in tokens"), rows=tuple(rows), best=best.strategy if best else None, own=own)


def drop_rates_table(rows: Sequence[ConditionRow]) -> Table:
    """Return what a run's model keeps with words dropped at inference, and how much faster a call is if timed."""
    is_timed = all(row.speedup is not None for row in rows)
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        spread = "" if row.score_std is None else f"± {row.score_std:.4f}"
        timed = (duration(row.seconds), times(row.speedup)) if is_timed else ()
        cells.append((percent(row.drop_rate), Ranged(figure(row.score), spread), percent(row.kept), *timed))
    return Table(
        head=("words dropped", "score", "tokens kept", *(("time", "speedup") if is_timed else ())), rows=tuple(cells)
    )


def measured_table(comparison: Comparison) -> Table:
    """Return the measurements of each strategy: means over its seeds, with the standard deviation of its score."""
    scored = any(summary.score_mean is not None for summary in comparison.summaries)
    rows: list[tuple[Cell, ...]] = []
    for summary in comparison.summaries:
        cells: list[Cell] = [summary.strategy, duration(summary.seconds), times(summary.speedup)]
        if scored:
            deviation = "" if summary.score_std is None else f"± {figure(summary.score_std)}"
            cells.append(Ranged(figure(summary.score_mean), deviation))
        if comparison.energy is not None:
            cells += [energy(summary.energy_kwh), co2e(summary.co2e_kg)]
        rows.append(tuple(cells))
    head = ("strategy", "time", "speedup", *(("score",) if scored else ()), *_energy_head(comparison))
    return Table(head=head, rows=tuple(rows), best=comparison.best.strategy)


def prediction_table(comparison: Comparison) -> Table | None:
    """Return predicted beside measured for each strategy; None if nothing was predicted in seconds."""
    if all(summary.predicted_seconds is None for summary in comparison.summaries):
        return None
    return Table(
        head=("strategy", "measured", "predicted", "error"),
        rows=tuple(
            (
                summary.strategy,
                duration(summary.seconds),
                duration(summary.predicted_seconds),
                signed_percent(error_of(summary)),
            )
            for summary in comparison.summaries
        ),
    )


def rows_table(comparison: Comparison) -> Table:
    """Return every run that was measured."""
    return Table(
        head=(
            *("strategy", "seed", "time", "plan", "evaluate", "steps", "tokens", "padding", "score", "peak memory"),
            *_energy_head(comparison),
        ),
        rows=tuple(
            (
                row.strategy,
                str(row.seed),
                duration(row.seconds),
                duration(row.plan_seconds),
                duration(row.evaluate_seconds),
                count(row.steps),
                count(row.tokens),
                percent(row.padding_fraction),
                figure(row.score),
                mebibytes(row.peak_memory_bytes),
                *(() if comparison.energy is None else (energy(row.energy_kwh), co2e(row.co2e_kg))),
            )
            for row in comparison.rows
        ),
    )


def epochs_table(history: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return loss and score of each epoch of a run."""
    rows = tuple((str(row["epoch"]), figure(row["loss"]), figure(row["score"])) for row in history)
    return Table(head=("epoch", "mean loss", metric), rows=rows)


def overheads_table(overheads: Overheads) -> Table:
    """Return each stage with its seconds and how often they are paid."""
    stages = [(f"prepare: {stage}", duration(spent), "in prepare") for stage, spent in overheads.stages.items()]
    run = [(stage, duration(spent), "each run") for stage, spent in overheads.run.items()]
    return Table(head=("stage", "time", "paid"), rows=(("prepare", duration(overheads.prepare), "once"), *stages, *run))


def _energy_head(comparison: Comparison) -> tuple[str, ...]:
    return () if comparison.energy is None else ("energy", "CO2e")
