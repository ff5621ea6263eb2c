"""What a page says first about its run or comparison: its numbers, its origin, commands to repeat it and continue."""

import math
from typing import Any

from tdbs.pipeline.manifest import Manifest
from tdbs.reports.commands import compare_command, next_of_comparison, next_of_run, next_of_unfinished, run_command
from tdbs.reports.comparison import Comparison
from tdbs.reports.headline import next_best, next_best_sentence, run_numbers
from tdbs.reports.origin import comparison_origin, run_origin
from tdbs.reports.report import Report
from tdbs.train.run_folder import Run

_NOTHING: dict[str, Any] = {"headline": None, "saving": None, "origin": [], "again": None, "next_steps": []}


def opening_of(report: Report) -> dict[str, Any]:
    """Return these parts by the names that the templates have for them; what does not apply is None or empty."""
    if report.comparison:
        return _NOTHING | _of_comparison(report, report.comparison)
    return _NOTHING | (_of_run(report, report.run) if report.run else {})


def is_foreign(run: Run, manifest: Manifest) -> bool:
    """Return whether a run was trained on another prepared dataset."""
    return run.config.get("dataset", {}).get("key") not in (None, manifest.key)


def is_not_finite(run: Run) -> bool:
    """Return whether the last logged loss is not a finite number."""
    loss = run.steps[-1]["loss"] if run.steps else 0.0
    return loss is None or not math.isfinite(loss)


def _of_comparison(report: Report, comparison: Comparison) -> dict[str, Any]:
    return {
        "origin": [*_dated("Finished", report.date), *comparison_origin(comparison)],
        "again": compare_command(comparison, report.dataset),
        "next_steps": next_of_comparison(comparison, report.dataset),
    }


def _of_run(report: Report, run: Run) -> dict[str, Any]:
    dataset = report.dataset
    origin = [*_dated("Finished" if run.result else "Started", report.date), *run_origin(run)]
    made = {"origin": origin, "again": run_command(run, dataset)}
    if run.result is None:
        return made | {"next_steps": next_of_unfinished(run, dataset, not_finite=is_not_finite(run))}
    found = None if is_foreign(run, dataset.manifest) else next_best(run, report.estimates)
    better = found.strategies if found else []
    return made | {
        "headline": run_numbers(run, dataset.manifest.task.metrics[0]),
        "saving": found and next_best_sentence(found),
        "next_steps": next_of_run(run, dataset, better, has_model=report.has_model),
    }


def _dated(what: str, date: str | None) -> list[str]:
    return [] if date is None else [f"{what} {date}"]
