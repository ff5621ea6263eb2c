"""Read what `tdbs compare` wrote: terms, the prediction made before, a row a run, a summary a strategy."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from tdbs.analysis.comparison import RESULT_NAME, SETTINGS_NAME, Row, Summary
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.errors import DatasetError, reason_of
from tdbs.train.profile_file import read_overhead
from tdbs.train.run_folder import CONFIG_NAME, Run, read_run

T = TypeVar("T")

_CHANCE = 0.005  # of a score, where the deviation over seeds is less or not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A finished comparison of strategies on one dataset."""

    path: Path
    dataset: str
    dataset_key: str
    model: str
    epochs: int
    part_steps: int | None  # steps of each strategy that were timed; None: whole runs
    baseline: str
    attention: str
    precision: str
    device: str
    estimates: tuple[StrategyEstimate, ...]  # the prediction
    rows: tuple[Row, ...]
    summaries: tuple[Summary, ...]
    median_error: float | None
    worst_error: float | None
    overhead: tuple[Mapping[str, Any], ...]  # of the profile: the framework's share of some steps
    profiled_on: str | None  # kind of device
    strategies: tuple[Mapping[str, Any], ...]  # every part of each, as it was run
    runs: Mapping[str, Run]  # by strategy, of the first seed: those whose folders are there
    energy: str | None = None  # whose electricity counts; None: energy was not measured

    @property
    def best(self) -> Summary:
        """The strategy that took least time, of those that keep the baseline's score."""
        return min(self.summaries, key=self.rank)

    @property
    def too_low(self) -> list[Summary]:
        """The strategies that are faster than the best, at a lower score."""
        best = self.best
        return [summary for summary in self.summaries if summary.seconds < best.seconds]

    def rank(self, summary: Summary) -> tuple[bool, float]:
        """Return what strategies are sorted by: first those that keep the baseline's score, then by time."""
        return not self.keeps_score(summary), summary.seconds

    def keeps_score(self, summary: Summary) -> bool:
        """Tell whether a score is the baseline's but for chance: its deviation over seeds, half a point at least."""
        base = self.summary_of(self.baseline)
        if base.score_mean is None:
            return True
        least = base.score_mean - max(base.score_std or 0.0, _CHANCE)
        return summary.score_mean is not None and summary.score_mean >= least

    def summary_of(self, strategy: str) -> Summary:
        """Return the summary of a strategy that was compared."""
        return next(summary for summary in self.summaries if summary.strategy == strategy)


def is_comparison(folder: Path) -> bool:
    """Tell whether a folder is of a comparison rather than of a run."""
    return any((folder / name).is_file() for name in (SETTINGS_NAME, RESULT_NAME))


def error_of(summary: Summary) -> float | None:
    """Return predicted / measured - 1: below 0 the run took longer than predicted."""
    return None if summary.predicted_seconds is None else summary.predicted_seconds / summary.seconds - 1


def read_comparison(folder: Path) -> Comparison:
    """Read a comparison and its runs. Raises DatasetError where it is not finished, or something else."""
    path = folder / RESULT_NAME
    if not path.exists():
        raise DatasetError(f"The comparison in {folder} is not finished.", next_step="Run tdbs compare with --resume.")
    again = "Name a folder that tdbs compare wrote, or compare again."
    try:
        return _parse(folder, _read(path), _read(folder / SETTINGS_NAME))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {reason_of(error)}.", next_step=again) from error
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DatasetError(f"{path} is not a comparison of tdbs: {error!r}.", next_step=again) from error


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _parse(folder: Path, found: Mapping[str, Any], settings: Mapping[str, Any]) -> Comparison:
    rows, prediction = tuple(_typed(Row, row) for row in found["rows"]), found["prediction"]
    comparison = _typed(
        Comparison,
        {
            **found,
            "path": folder,
            "estimates": tuple(_typed(StrategyEstimate, row) for row in prediction["strategies"]),
            "overhead": read_overhead(prediction.get("overhead", ())),  # comparisons of before have none
            "profiled_on": (prediction["profile"] or {}).get("kind"),
            "rows": rows,
            "summaries": tuple(_typed(Summary, row) for row in found["summary"]),
            "strategies": tuple(settings["strategies"]),
            "runs": _first_runs(folder, rows),
        },
    )
    comparison.summary_of(comparison.baseline)
    return comparison


def _first_runs(folder: Path, rows: tuple[Row, ...]) -> dict[str, Run]:
    """Return the run of the first seed of each strategy; a comparison may have been copied without them."""
    runs: dict[str, Run] = {}
    for row in rows:
        if row.run is None or row.strategy in runs:
            continue
        name = PurePosixPath(row.run)
        if name.is_absolute() or ".." in name.parts:
            raise KeyError(row.run)  # a comparison from elsewhere must not reach outside its folder
        if (folder / name / CONFIG_NAME).is_file():
            runs[row.strategy] = read_run(folder / name)
    return runs


def _typed(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass of the values that are its fields. Raises TypeError where one is missing or does not fit."""
    hints = typing.get_type_hints(kind)
    known = {field.name: values[field.name] for field in fields(kind) if field.name in values}  # type: ignore[arg-type]
    for name, value in known.items():
        if not _fits(value, hints[name]):
            raise TypeError(f"{name} is {value!r}")
    return kind(**known)


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value read from JSON is what a field of plain type holds; other fields are made here."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)
