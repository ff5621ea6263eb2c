"""A study of the paper's claims: how its runs are made, what it found, and how numbers are shown in its tables."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tdbs.analysis.paper import Study
from tdbs.train.defaults import DEFAULT_EPOCHS

Cell = str | float | None
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
    caption: str  # what differs from the paper
    tables: tuple[StudyTable, ...]
    findings: tuple[str, ...]  # where our numbers and the paper's agree and contradict
    comparisons: Mapping[str, Path] = field(default_factory=dict)  # by task
    points: tuple[tuple[str, float, float], ...] = ()  # fig8: task, padding_fraction_est, speedup


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTerms:
    """How the runs of a study are made."""

    seeds: tuple[int, ...]
    model: str | None = None
    epochs: int = DEFAULT_EPOCHS
    lr: float | None = None
    precision: str = "auto"
    attention: str = "auto"
    part_steps: int | None = None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of values; None where one of them is missing."""
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
