"""Means over the runs of a study of inference: over tasks first, so that deviations are over seeds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from tdbs.analysis.compare.record import mean_difference
from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.analysis.studies.study import Cell, StudyTable, mean_of
from tdbs.analysis.studies.trained import Training

NO_LOSS = 0.3  # points; what the paper calls none, and loses itself in its resilience test
NOTHING = ""
_VERDICTS = {True: "Holds", False: "Does not hold", None: "Not decided by these seeds"}


def over_tasks(training: Training, place: int, value: Callable[[ConditionRow], float | None]) -> list[float]:
    """Return of each seed the mean over tasks of a condition's value; nothing if one of them is missing."""
    seeds = sorted({seed for of_task in training.rows.values() for seed in of_task})
    means = [mean_of([value(of_task[seed][place]) for of_task in training.rows.values()]) for seed in seeds]
    return [mean for mean in means if mean is not None] if None not in means else []


def points_lost(training: Training, place: int) -> list[float]:
    """Return of each seed what a condition changes, in points, as a mean over tasks."""
    return over_tasks(training, place, lambda row: None if row.difference is None else 100 * row.difference)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of values; None if there are none."""
    return statistics.mean(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of values; None of a single one."""
    return statistics.stdev(values) if len(values) > 1 else None


def shown(values: Sequence[float], *, sign: bool = False) -> str:
    """Return the mean of values with their deviation."""
    if not values:
        return NOTHING
    average, spread = f"{statistics.mean(values):{'+' if sign else ''}.2f}", deviation(values)
    return average if spread is None else f"{average} ± {spread:.2f}"


def scores(training: Training, place: int) -> list[float]:
    """Return of each seed the score under a condition, in percent, as a mean over tasks."""
    return over_tasks(training, place, lambda row: None if row.score is None else 100 * row.score)


def speedup(training: Training, place: int) -> float | None:
    """Return how much faster a condition is than the first, as a mean over tasks and seeds."""
    return mean(over_tasks(training, place, lambda row: row.speedup))


def by_task(title: str, found: Sequence[Training], names: Sequence[str]) -> StudyTable:
    """Return what each condition but the first changes on each task, in points."""
    tasks = list(found[0].rows)
    rows: list[tuple[Cell, ...]] = []
    for training in found:
        for place, name in enumerate(names[1:], start=1):
            alone = (replace(training, rows={task: training.rows[task]}) for task in tasks)
            cells = [shown(points_lost(of_task, place), sign=True) for of_task in alone]
            rows.append((f"{training.title}, {name}", *cells))
    return StudyTable(title=title, columns=("", *tasks), rows=tuple(rows))


def is_significant(values: Sequence[float], *, at_least: float) -> bool | None:
    """Return whether the mean of values, one per seed, reaches a bound; None: its 95 % interval includes the bound."""
    found = mean_difference(values)
    if found is None or found.low is None or found.high is None:
        return found is not None and found.mean >= at_least
    return None if found.low < at_least <= found.high else found.low >= at_least


def loses_less(
    dropping: Sequence[float], plain: Sequence[float], *, of_paper: float | None = None
) -> tuple[bool | None, str]:
    """Return whether models trained with TokenDrop lose less than those without, per seed, and show the numbers.

    `of_paper` is how much less they lose there.
    """
    differences = [ours - others for ours, others in zip(dropping, plain, strict=True)]
    shown_means = f"{statistics.mean(plain):+.2f} points without, {statistics.mean(dropping):+.2f}"
    found = mean_difference(differences)
    if found is not None and found.low is not None and found.high is not None:
        shown_means += f" (difference {found.mean:+.2f}, 95 % {found.low:+.2f} to {found.high:+.2f}"
        if of_paper is not None:
            inside = found.low <= of_paper <= found.high
            shown_means += f"; the paper's {of_paper:+.2f} is {'in' if inside else 'outside of'} it"
        shown_means += ")"
    return is_significant(differences, at_least=0.0), shown_means


def verdict(holds: bool | None, text: str) -> str:
    """Return a claim with the verdict first."""
    return f"{_VERDICTS[holds]}: {text}"
