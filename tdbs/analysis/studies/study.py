"""A study of the paper's claims: how its runs are made, what it found, and how numbers are shown in its tables."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tdbs.analysis.studies.paper import Study
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings

Cell = str | float | None
Datasets = Mapping[str, PreparedDataset]  # by task
Progress = Callable[[str], None]
DEFAULT_DROPPING = ("tdbs_paper",)  # the paper's way to train with TokenDrop
_NOTHING = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTable:
    """A table: the first column names its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResult:
    """What a study found."""

    study: Study
    title: str
    caption: str  # differences to the paper's setting
    tables: tuple[StudyTable, ...]
    findings: tuple[str, ...]  # results that agree with the paper, and those that contradict it
    comparisons: Mapping[str, Path] = field(default_factory=dict)  # by task
    points: tuple[tuple[str, float, float], ...] = ()  # fig8: task, padding_fraction_est, speedup
    over_rates: Mapping[str, tuple["AtRate", ...]] = field(default_factory=dict)  # fig4: by training
    bars: tuple["LossBar", ...] = ()  # resilience


@dataclass(frozen=True, kw_only=True, slots=True)
class AtRate:
    """Models with words dropped at a rate: means over tasks and seeds."""

    rate: float
    difference: float  # points, difference to the score on whole texts
    difference_std: float | None  # deviation over seeds
    speedup: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LossBar:
    """What models lose, in points, and what the paper has for it."""

    title: str
    here: float
    here_std: float | None  # deviation over seeds
    paper: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTerms(TrainSettings):
    """How the runs of a study are made."""

    seeds: tuple[int, ...]
    part_steps: int | None = None
    dropping: tuple[str, ...] = DEFAULT_DROPPING  # table3, fig4, resilience: how models are trained with TokenDrop
    mirror: Path | None = None  # resilience: where texts are read from again


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of values; None if one of them is missing."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if len(known) == len(values) else None


def shown_score(summary: Mapping[str, Any]) -> str:
    """Return a strategy's score in percent, with its standard deviation over seeds."""
    if summary["score_mean"] is None:
        return _NOTHING
    spread = "" if summary["score_std"] is None else f" ± {100 * summary['score_std']:.1f}"
    return f"{100 * summary['score_mean']:.1f}{spread}"


def shown_percent(share: float | None) -> str:
    """Return 0.698 as 69.8."""
    return _NOTHING if share is None else f"{100 * share:.1f}"


def shown_times(ratio: float | None) -> str:
    """Return 3.627 as 3.63x."""
    return _NOTHING if ratio is None else f"{ratio:.2f}x"


def describe_terms(terms: Mapping[str, Any], seeds: Sequence[int], tasks: Sequence[str]) -> str:
    """Say how runs were made: `terms` has model, precision, attention, device, epochs and lr."""
    counted = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
    return (
        f"Here: {terms['model']}, {terms['precision']}, {terms['attention']} attention, {terms['device']}, {counted}, "
        f"{terms['epochs']} epochs, rate {terms['lr']:g}, {', '.join(tasks)}."
    )


def describe_dropouts(titles: Sequence[str], of_tasks: Mapping[str, Sequence[float]]) -> str:
    """Say the dropout of each row: rows of different dropout differ in more than their batches."""
    lines = []
    for row, title in enumerate(titles):
        by_rate: dict[float, list[str]] = {}
        for task, rates in of_tasks.items():
            by_rate.setdefault(rates[row], []).append(task)
        if len(by_rate) == 1:
            lines.append((title, f"{next(iter(by_rate)):g}"))
        else:
            lines.append((title, ", ".join(f"{rate:g} on {' and '.join(tasks)}" for rate, tasks in by_rate.items())))
    if len({rates for _, rates in lines}) == 1:
        return f"Dropout: {lines[0][1]} in all rows."
    return f"Dropout goes with the batches: {'; '.join(f'{title} {rates}' for title, rates in lines)}."
