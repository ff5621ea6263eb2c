"""What a page says first about its run or comparison: its numbers, its origin, commands to repeat it and continue."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tdbs.pipeline.manifest import Manifest
from tdbs.reports.commands import compare_command, next_of_comparison, next_of_run, next_of_unfinished, run_command
from tdbs.reports.comparison import Comparison
from tdbs.reports.headline import NextBest, next_best, next_best_text, run_numbers
from tdbs.reports.number_format import NOTHING, epochs_in_words
from tdbs.reports.origin import comparison_origin, run_origin
from tdbs.reports.report import Report
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.run_folder import Run

_NOTHING: dict[str, Any] = {
    "about": None,
    "headline": None,
    "saving": None,
    "origin": [],
    "again": None,
    "next_steps": [],
}


def opening_of(report: Report) -> dict[str, Any]:
    """Return these parts by the names that the templates have for them; what does not apply is None or empty."""
    if report.comparison:
        return _NOTHING | _of_comparison(report, report.comparison)
    return _NOTHING | (_of_run(report, report.run) if report.run else {})


def best_choices(report: Report) -> NextBest | None:
    """Return what the next best choices would have saved a report's run; None where that is not known."""
    run = report.run
    if run is None or report.comparison or is_foreign(run, report.dataset.manifest):
        return None
    return next_best(run, report.estimates)


def is_foreign(run: Run, manifest: Manifest) -> bool:
    """Return whether a run was trained on another prepared dataset."""
    return run.config.get("dataset", {}).get("key") not in (None, manifest.key)


def strategy_name(run: Run) -> str:
    """Return the name of a run's strategy, a dash if it is not recorded."""
    strategy = run.config.get("strategy", {})
    name: str = strategy.get("name", NOTHING) if isinstance(strategy, Mapping) else strategy
    return name


def is_not_finite(run: Run) -> bool:
    """Return whether the last logged loss is not a finite number."""
    loss = run.steps[-1]["loss"] if run.steps else 0.0
    return loss is None or not math.isfinite(loss)


def _of_comparison(report: Report, comparison: Comparison) -> dict[str, Any]:
    seeds = tuple(dict.fromkeys(row.seed for row in comparison.rows))
    named = f"{len(comparison.summaries)} strategies compared with {comparison.model}"
    return {
        "about": f"{named}, {epochs_in_words(comparison.epochs)}, {_seeds(seeds)}",
        "origin": [*_dated("Finished", report.date), *comparison_origin(comparison)],
        "again": compare_command(comparison, report.dataset),
        "next_steps": next_of_comparison(comparison, report.dataset),
    }


def _of_run(report: Report, run: Run) -> dict[str, Any]:
    dataset = report.dataset
    origin = [*_dated("Finished" if run.result else "Started", report.date), *run_origin(run)]
    made = {"about": _about_run(run), "origin": origin, "again": run_command(run, dataset)}
    if run.result is None:
        return made | {"next_steps": next_of_unfinished(run, dataset, not_finite=is_not_finite(run))}
    found = best_choices(report)
    better = found.strategies if found else []
    return made | {
        "headline": run_numbers(run, dataset.manifest.task.metrics[0], found),
        "saving": found and next_best_text(found),
        "next_steps": next_of_run(run, dataset, better, has_model=report.has_model),
    }


def _about_run(run: Run) -> str:
    """Return which run a page is about: its strategy, model, epochs and seed, as far as they are recorded."""
    config = run.config
    parts = [f"A run of {strategy_name(run)}"]
    parts[0] += f" with {shown_model(config['model'])}" if "model" in config else ""
    parts += [epochs_in_words(config["epochs"])] if "epochs" in config else []
    parts += [_seeds([config["seed"]])] if "seed" in config else []
    return ", ".join(parts)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _dated(what: str, date: str | None) -> list[str]:
    return [] if date is None else [f"{what} {date}"]
