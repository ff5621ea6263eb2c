"""Runs side by side under conditions: scores over draws, what they lose against the whole texts, and speedups.

Every run sees the same texts and loses the same words. What was found of a run is kept in its folder, in a file named
for what was asked, so asking again replaces it and nothing else.
"""

import datetime
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tdbs.analysis.conditions import DEFAULT_DRAWS, WHOLE, Condition, check_conditions, shortened_draws
from tdbs.analysis.environment import device_name
from tdbs.analysis.inference_times import batched_seconds, single_seconds
from tdbs.analysis.trained import Trained, open_trained
from tdbs.errors import ConfigError
from tdbs.files import sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.pipeline.edited import edited_split
from tdbs.train.batches import plan_split, words_of_split
from tdbs.train.plan import EpochPlan
from tdbs.train.run_folder import EVALUATIONS_FOLDER, Run, read_run
from tdbs.train.scoring import HeldOut, read_held_out
from tdbs.train.strategies import resolve_strategy

Timing = Literal["one", "buckets"]
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionRow:
    """A run under a condition; the fields are JSON keys of `tdbs evaluate`, below `rows[]`."""

    run: str
    strategy: str  # that it was trained with
    condition: str
    drop_rate: float | None  # None: of edited texts
    draws: int
    score: float | None  # mean over draws
    score_std: float | None  # over draws
    difference: float | None  # to the score on whole texts
    kept: float  # tokens / tokens of the whole texts
    seconds: float | None  # of a sample in a call of its own, or of the split in buckets
    speedup: float | None  # over the whole texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What runs are asked: decides, with the model and the dataset, all that is found."""

    conditions: Sequence[Condition]
    draws: int = DEFAULT_DRAWS
    seed: int = 0
    timing: Timing | None = None

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ConfigError(f"--draws must be 1 or more, got {self.draws}.", next_step="Pass --draws 3.")
        if self.timing not in (None, *get_args(Timing)):
            raise ConfigError(
                f"--time has no choice {self.timing}.", next_step=f"Choose one of: {', '.join(get_args(Timing))}."
            )
        if self.conditions[:1] != [WHOLE]:
            raise ConfigError("The whole texts come first.", next_step="Choose conditions with choose_conditions.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What is asked of runs and found; the fields are JSON keys of `tdbs evaluate` with several runs or conditions."""

    split: str
    draws: int
    seed: int
    time: Timing | None
    device: str
    rows: tuple[ConditionRow, ...]


def evaluate_runs(
    runs: Sequence[str | Path],
    asked: Asked,
    *,
    split: str | None = None,
    dataset: PreparedDataset | None = None,
    mirror: Path | None = None,
    progress: Progress = lambda _message: None,
) -> Evaluation:
    """Score the models of runs under conditions, each on its own dataset unless one is given, and keep what is found.

    Raises a TdbsError, before the first model is loaded, where a run, a dataset or a condition does not fit.
    """
    opened = [read_run(Path(run)) for run in runs]
    datasets = [dataset or load(run.config["dataset"]["path"]) for run in opened]
    for each in datasets:
        check_conditions(asked.conditions, each.manifest.task)
    names = {split or each.manifest.task.scored_split for each in datasets}
    if len(names) > 1:
        raise ConfigError("The runs are scored on different splits.", next_step="Pass --split.")
    name = names.pop()
    given: dict[str, list[list[HeldOut]]] = {}
    rows: list[ConditionRow] = []
    for run, of_run in zip(opened, datasets, strict=True):
        key = of_run.manifest.key
        if key not in given:
            progress(f"texts of {of_run.manifest.source}")
            given[key] = [_draws(of_run, name, condition, asked, mirror=mirror) for condition in asked.conditions]
        progress(str(run.path))
        trained = open_trained(run.path, of_run.manifest)
        found = _rows_of_run(trained, of_run, given[key], asked)
        keep_evaluation(run, of_run, name, asked, found)
        rows += found
    return Evaluation(
        split=name, draws=asked.draws, seed=asked.seed, time=asked.timing, device=device_name(), rows=tuple(rows)
    )


def _draws(
    dataset: PreparedDataset, split: str, condition: Condition, asked: Asked, *, mirror: Path | None
) -> list[HeldOut]:
    """Return the split as a condition has it, once for each draw."""
    if condition.edit is not None:
        with tempfile.TemporaryDirectory() as folder:
            edited = edited_split(dataset, split, condition.edit, folder=Path(folder), mirror=mirror)
            return [read_held_out(edited, split)]
    held_out = read_held_out(dataset, split)
    if not condition.drop_rate:
        return [held_out]
    draws = asked.draws if condition.is_random else 1
    return shortened_draws(held_out, dataset.manifest, condition.drop_rate, draws=draws, seed=asked.seed)


def _rows_of_run(
    trained: Trained, dataset: PreparedDataset, given: Sequence[Sequence[HeldOut]], asked: Asked
) -> list[ConditionRow]:
    metric = dataset.manifest.task.metrics[0]
    whole_tokens = len(given[0][0].split.input_ids_T)
    seconds = _seconds(trained, dataset, given, asked)
    rows: list[ConditionRow] = []
    for condition, draws, took in zip(asked.conditions, given, seconds, strict=True):
        scores = [trained.metrics(held_out)[metric] for held_out in draws]
        known = [score for score in scores if score is not None]
        score = statistics.mean(known) if len(known) == len(scores) else None
        whole = rows[0].score if rows else score
        tokens = statistics.mean(len(held_out.split.input_ids_T) for held_out in draws)
        rows.append(
            ConditionRow(
                run=str(trained.run.path),
                strategy=trained.run.config["strategy"]["name"],
                condition=condition.name,
                drop_rate=condition.drop_rate,
                draws=len(draws),
                score=score,
                score_std=statistics.stdev(known) if score is not None and len(known) > 1 else None,
                difference=None if score is None or whole is None else score - whole,
                kept=tokens / whole_tokens,
                seconds=took,
                speedup=None if took is None or seconds[0] is None else seconds[0] / took,
            )
        )
    return rows


def _seconds(
    trained: Trained, dataset: PreparedDataset, given: Sequence[Sequence[HeldOut]], asked: Asked
) -> list[float | None]:
    """Return what each condition takes in its first draw; edited texts, which are other samples, are not timed."""
    timed = [place for place, condition in enumerate(asked.conditions) if condition.drop_rate is not None]
    ways = [given[place][0] for place in timed]
    if asked.timing is None:
        return [None] * len(given)
    if asked.timing == "one":
        found = single_seconds(trained, ways)
    else:
        found = batched_seconds(trained, [(way, _in_buckets(way, dataset, seed=asked.seed)) for way in ways])
    by_place = dict(zip(timed, found, strict=True))
    return [by_place.get(place) for place in range(len(given))]


def _in_buckets(held_out: HeldOut, dataset: PreparedDataset, *, seed: int) -> EpochPlan:
    """Return the batches of BucketSampler with BatchCap = HWCap (paper, section 3.2)."""
    manifest = dataset.manifest
    strategy = resolve_strategy("bucket", manifest.task, {"batch_cap": False, "caps": "paper"})
    words = words_of_split(held_out.split, strategy, manifest.tokenizer)
    return plan_split(held_out.split, words, manifest, strategy, seed=seed, epochs=1)[0]


def evaluation_path(run: Run, dataset: PreparedDataset, split: str, asked: Asked) -> Path:
    """Return where what is found of a run is kept: the same question, the same file."""
    question = json.dumps([dataset.manifest.key, split, _plain(asked)], sort_keys=True)
    return run.path / EVALUATIONS_FOLDER / f"{split}-{sha256_of(question.encode())[:12]}.json"


def keep_evaluation(run: Run, dataset: PreparedDataset, split: str, asked: Asked, rows: Sequence[ConditionRow]) -> None:
    """Write what was found of a run into its folder."""
    write_json(
        evaluation_path(run, dataset, split, asked),
        {
            "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
            "device": device_name(),
            "dataset": {"key": dataset.manifest.key, "source": dataset.manifest.source},
            "split": split,
            "asked": _plain(asked),
            "rows": [{name: value for name, value in asdict(row).items() if name != "run"} for row in rows],
        },
    )


def _plain(asked: Asked) -> dict[str, Any]:
    """Return a question as values for JSON."""
    return {
        "conditions": [
            {
                "name": condition.name,
                "drop_rate": condition.drop_rate,
                "rules": [
                    [pattern.pattern, replacement if isinstance(replacement, str) else None]
                    for pattern, replacement in condition.edit.rules
                ]
                if condition.edit and not condition.is_removal
                else [],
            }
            for condition in asked.conditions
        ],
        "draws": asked.draws,
        "seed": asked.seed,
        "time": asked.timing,
    }


def kept_rows(path: Path, run: Path) -> list[ConditionRow] | None:
    """Return what was found of a run before; None where nothing was."""
    if not path.exists():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return [ConditionRow(**{**row, "run": str(run)}) for row in found["rows"]]
