"""Read the files of `tdbs compare`: terms, prediction, a row for each run, a summary for each strategy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tdbs.analysis.compare.record import RESULT_NAME, SETTINGS_NAME, Row, Summary
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.errors import DatasetError
from tdbs.fields import Count, PlainText
from tdbs.records import Form, read_record
from tdbs.train.planning.profile_file import Overhead
from tdbs.train.run_folder import CONFIG_NAME, Run, read_run

_CHANCE = 0.005  # of a score, where the deviation over seeds is less or not known
_FORM = Form(
    what="a comparison of tdbs",
    error=DatasetError,
    next_step="Pass a folder that tdbs compare wrote, or run tdbs compare again.",
)
_SAME = (  # fields that a comparison has as its file has them
    *("dataset", "dataset_key", "model", "epochs", "part_steps", "baseline", "attention", "precision", "device"),
    *("median_error", "worst_error", "energy"),
)


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
    overhead: tuple[Mapping[str, Any], ...]  # framework's share of some steps, from the profile
    profiled_on: str | None  # kind of device
    strategies: tuple[Mapping[str, Any], ...]  # every part of each, as it was run
    runs: Mapping[str, Run]  # runs of the first seed whose folders exist, by strategy
    energy: str | None = None  # country of the electricity; None: energy was not measured
    terms: Mapping[str, Any] = field(default_factory=dict)  # settings that all strategies share; none in older ones
    is_profiled: bool = False  # whether a profile predicted the seconds

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
        """Return whether a score is the baseline's but for chance: its deviation over seeds, half a point at least."""
        base = self.summary_of(self.baseline)
        if base.score_mean is None:
            return True
        least = base.score_mean - max(base.score_std or 0.0, _CHANCE)
        return summary.score_mean is not None and summary.score_mean >= least

    def summary_of(self, strategy: str) -> Summary:
        """Return the summary of a strategy that was compared."""
        return next(summary for summary in self.summaries if summary.strategy == strategy)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prediction:
    """`prediction` of compare.json."""

    strategies: tuple[StrategyEstimate, ...]
    profile: Mapping[str, Any] | None
    overhead: tuple[Overhead, ...] = ()  # missing in older comparisons


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    """What is read of compare.json."""

    dataset: PlainText
    dataset_key: str
    model: str
    epochs: Count
    part_steps: Count | None
    baseline: str
    attention: str
    precision: str
    device: str
    prediction: _Prediction
    rows: tuple[Row, ...]
    summary: tuple[Summary, ...]
    median_error: float | None
    worst_error: float | None
    energy: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Settings:
    """What is read of settings.json."""

    strategies: tuple[Mapping[str, Any], ...]
    terms: Mapping[str, Any] = field(default_factory=dict)


def is_comparison(folder: Path) -> bool:
    """Return whether a folder is of a comparison rather than of a run."""
    return any((folder / name).is_file() for name in (SETTINGS_NAME, RESULT_NAME))


def error_of(summary: Summary) -> float | None:
    """Return predicted / measured - 1: below 0 the run took longer than predicted."""
    return None if summary.predicted_seconds is None else summary.predicted_seconds / summary.seconds - 1


def read_comparison(folder: Path) -> Comparison:
    """Read a comparison and its runs. Raises DatasetError if it is not finished, or something else."""
    path = folder / RESULT_NAME
    found = read_record(path, _Result, _FORM) if path.exists() else None
    settings = read_record(folder / SETTINGS_NAME, _Settings, _FORM)
    if found is None:
        raise DatasetError(f"The comparison in {folder} is not finished.", next_step="Run tdbs compare with --resume.")
    if not found.rows:
        raise _FORM.misfit(str(path), "rows: expected one or more")
    if found.baseline not in [summary.strategy for summary in found.summary]:
        raise _FORM.misfit(str(path), f"summary: lacks the baseline, {found.baseline!r}")
    return Comparison(
        path=folder,
        **{name: getattr(found, name) for name in _SAME},
        estimates=found.prediction.strategies,
        overhead=found.prediction.overhead,
        profiled_on=(found.prediction.profile or {}).get("kind"),
        rows=found.rows,
        summaries=found.summary,
        strategies=settings.strategies,
        terms=settings.terms,
        is_profiled=found.prediction.profile is not None,
        runs=_first_runs(folder, found.rows),
    )


def _first_runs(folder: Path, rows: tuple[Row, ...]) -> dict[str, Run]:
    """Return the run of the first seed of each strategy; a comparison may have been copied without them."""
    runs: dict[str, Run] = {}
    for row in rows:
        if row.run is not None and row.strategy not in runs and (folder / row.run / CONFIG_NAME).is_file():
            runs[row.strategy] = read_run(folder / row.run)
    return runs
