"""A comparison on disk: its terms, the prediction, a row for each run, and last the result.

The files are `settings.json`, `prediction.json`, `rows.jsonl` and `compare.json`; folders beside them contain whole
runs. A folder with a result is finished. A folder without one resumes on the same terms, or is refused. Score
differences are taken per seed: what two strategies share in a seed, such as new weights, cancels out.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.errors import ConfigError
from tdbs.fields import Count, Digits, InnerPath
from tdbs.files import write_json, write_text
from tdbs.numerics import t_quantile
from tdbs.records import Form, read_fields, read_json, record_of
from tdbs.records import read_rows as read_rows_of
from tdbs.removal import refuse_link
from tdbs.settings import TrainSettings, changed_fields

SETTINGS_NAME, PREDICTION_NAME, ROWS_NAME, RESULT_NAME = (
    "settings.json",
    "prediction.json",
    "rows.jsonl",
    "compare.json",
)
FORM = Form(
    what="a comparison of tdbs",
    error=ConfigError,
    next_step="Pass a folder that tdbs compare wrote, or run tdbs compare again.",
)
_ON_DISK = ("model", "seeds", "epochs", "lr", "dropout", "precision", "attention", "part_steps", "energy")
CONFIDENCE = 0.95  # of intervals of score differences
Seconds = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms(TrainSettings):
    """What all strategies of a comparison share, each default resolved; dropout None: the paper's rule for each."""

    model: str
    lr: float
    seeds: tuple[int, ...]
    part_steps: int | None = None  # steps of each strategy that are timed; None: whole runs

    def on_disk(self) -> dict[str, Any]:
        """Return the terms as records have them: some always, other settings if they are not at their default."""
        return {name: getattr(self, name) for name in _ON_DISK} | changed_fields(self, TrainSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One strategy with one seed; the fields are JSON keys of `tdbs compare`."""

    strategy: str
    seed: int
    seconds: Seconds  # time of training the run, planning included; projected if only a part was timed
    predicted_seconds: float | None
    speedup: float | None  # ratio to the baseline with the same seed; None until that is measured
    predicted_speedup: float | None
    padding_fraction: float
    tokens: Count
    steps: Count
    score: float | None
    evaluate_seconds: float | None
    plan_seconds: float | None
    peak_memory_bytes: int | None
    run: InnerPath | None  # folder inside the comparison's
    energy_kwh: float | None = None  # energy of training and evaluation, if measured
    co2e_kg: float | None = None
    power: str | None = None  # source of the power figure (train/energy.py)
    predicted_peak_memory_bytes: int | None = None  # None: the sizes of the model are not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One strategy over all seeds: means, the standard deviation of the score, speedups as ratios of mean seconds."""

    strategy: str
    seeds: Count
    seconds: Seconds
    predicted_seconds: float | None
    speedup: float
    predicted_speedup: float | None
    padding_fraction: float
    tokens: float
    score_mean: float | None
    score_std: float | None  # None with one seed
    peak_memory_bytes: int | None  # the largest
    energy_kwh: float | None = None  # mean over the seeds
    co2e_kg: float | None = None
    score_difference: float | None = None  # difference to the baseline's, mean over shared seeds; None for itself
    score_difference_low: float | None = None  # its 95 % t interval; None with one seed
    score_difference_high: float | None = None
    predicted_peak_memory_bytes: int | None = None  # the largest


class SettingsFields(TypedDict):
    """What is read of settings.json: the terms that resuming compares."""

    strategies: Sequence[Mapping[str, Any]]
    terms: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What is read of prediction.json."""

    pace: float | None
    seeds: Mapping[Digits, tuple[StrategyEstimate, ...]]


class ResultFields(TypedDict):
    """What a finished comparison has for certain."""

    rows: Sequence[Row]
    summary: Sequence[Summary]
    baseline: str


def check_comparison(folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse a folder with other files, and a comparison that is not resumed or was started with other settings."""
    refuse_link(folder)
    place = folder / SETTINGS_NAME
    if place.exists():
        if not resume:
            raise ConfigError(
                f"{folder} contains a comparison.", next_step="Pass --resume to continue, or another --out."
            )
        begun = read_fields(place, SettingsFields, FORM)
        different = _different(begun, settings)
        if different:
            raise ConfigError(
                f"The comparison in {folder} was started with other settings: {', '.join(different)}.",
                next_step="Repeat the command that started it, or pass another --out.",
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} contains other files.", next_step="Pass another --out.")


def begin_comparison(folder: Path, settings: Mapping[str, Any], prediction: Mapping[str, Any]) -> None:
    """Make the folder of a comparison, with its terms and what is predicted."""
    write_json(folder / SETTINGS_NAME, dict(settings))
    write_json(folder / PREDICTION_NAME, dict(prediction))


def read_prediction(folder: Path) -> dict[str, Any] | None:
    """Return the stored prediction; None if it is still to be made."""
    place = folder / PREDICTION_NAME
    found: Any = read_json(place, FORM) if place.exists() else None
    return found


def estimates_of(
    prediction: Mapping[str, Any], folder: Path, *, seeds: Sequence[int], strategies: Sequence[str]
) -> dict[int, dict[str, StrategyEstimate]]:
    """Return what was predicted of each seed and strategy. Raises ConfigError if one of them is missing."""
    named = str(folder / PREDICTION_NAME)
    found = record_of(prediction, Prediction, FORM, named=named).seeds
    estimates = {int(seed): {row.strategy: row for row in of_seed} for seed, of_seed in found.items()}
    for seed in seeds:
        lacking = [name for name in strategies if name not in estimates.get(seed, {})]
        if lacking:
            raise FORM.misfit(named, f"seeds.{seed}: lacks {lacking[0]}")
    return estimates


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return the result of a finished comparison; None if it is not finished."""
    place = folder / RESULT_NAME
    found: Any = read_fields(place, ResultFields, FORM) if place.exists() else None
    return found


def read_rows(folder: Path) -> list[Row]:
    """Return the rows measured so far, without a last one that was cut off."""
    return read_rows_of(folder / ROWS_NAME, Row, FORM)


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Write all rows measured so far."""
    write_text(folder / ROWS_NAME, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


def with_speedups(rows: Sequence[Row], baseline: str) -> list[Row]:
    """Return rows with their speedups over the baseline of the same seed."""
    seconds = {row.seed: row.seconds for row in rows if row.strategy == baseline}
    return [replace(row, speedup=seconds[row.seed] / row.seconds) for row in rows]


def summaries(rows: Sequence[Row], baseline: str) -> list[Summary]:
    """Return a summary for each strategy, in the order of the rows; speedups are ratios of mean seconds."""
    of_baseline = [row for row in rows if row.strategy == baseline]
    names = list(dict.fromkeys(row.strategy for row in rows))
    return [_summary(name, [row for row in rows if row.strategy == name], of_baseline) for name in names]


def prediction_errors(summarized: Sequence[Summary]) -> dict[str, float | None]:
    """Return median and worst of |predicted / measured - 1| over strategies; None if nothing was predicted."""
    errors = [
        abs(summary.predicted_seconds / summary.seconds - 1)
        for summary in summarized
        if summary.predicted_seconds is not None
    ]
    return {
        "median_error": statistics.median(errors) if errors else None,
        "worst_error": max(errors) if errors else None,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Mean of the differences, and its t interval over seeds; bounds are None with one seed."""

    seeds: int
    mean: float
    low: float | None
    high: float | None


def paired_difference(scores: Mapping[int, float], base: Mapping[int, float]) -> PairedDifference | None:
    """Return how far scores are above the base's over the seeds that both have; None if there are none."""
    return mean_difference([scores[seed] - base[seed] for seed in sorted(scores.keys() & base.keys())])


def mean_difference(differences: Sequence[float]) -> PairedDifference | None:
    """Return the mean of differences, one for each seed, with its t interval; None if there is none."""
    if not differences:
        return None
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return PairedDifference(seeds=1, mean=mean, low=None, high=None)
    half = t_quantile(CONFIDENCE, len(differences) - 1) * statistics.stdev(differences) / math.sqrt(len(differences))
    return PairedDifference(seeds=len(differences), mean=mean, low=mean - half, high=mean + half)


def _different(begun: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that differ; for the terms, the names of their fields."""
    names = [name for name, value in settings.items() if begun.get(name) != value]
    if "terms" not in names:
        return names
    old, new = begun.get("terms", {}), settings["terms"]
    return [name for name in names if name != "terms"] + [name for name in new if old.get(name) != new[name]]


def _summary(name: str, rows: Sequence[Row], of_baseline: Sequence[Row]) -> Summary:
    scores = [row.score for row in rows if row.score is not None]
    seconds, base = (statistics.mean(row.seconds for row in some) for some in (rows, of_baseline))
    found = None if rows == of_baseline else paired_difference(_scores(rows), _scores(of_baseline))
    predicted, predicted_base = (_mean([row.predicted_seconds for row in some]) for some in (rows, of_baseline))
    return Summary(
        strategy=name,
        seeds=len(rows),
        seconds=seconds,
        predicted_seconds=predicted,
        speedup=base / seconds,
        predicted_speedup=predicted_base / predicted if predicted and predicted_base else None,
        padding_fraction=statistics.mean(row.padding_fraction for row in rows),
        tokens=statistics.mean(row.tokens for row in rows),
        score_mean=_mean(scores),
        score_std=statistics.stdev(scores) if len(scores) > 1 else None,
        peak_memory_bytes=_largest([row.peak_memory_bytes for row in rows]),
        predicted_peak_memory_bytes=_largest([row.predicted_peak_memory_bytes for row in rows]),
        energy_kwh=_mean([row.energy_kwh for row in rows]),
        co2e_kg=_mean([row.co2e_kg for row in rows]),
        score_difference=None if found is None else found.mean,
        score_difference_low=None if found is None else found.low,
        score_difference_high=None if found is None else found.high,
    )


def _scores(rows: Sequence[Row]) -> dict[int, float]:
    return {row.seed: row.score for row in rows if row.score is not None}


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
