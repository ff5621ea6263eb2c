"""Score runs side by side under conditions: scores over draws, differences to the first condition, speedups.

Every run sees the same texts and loses the same words. A run's folder keeps its results in
`evaluations/<split>-<hash>.json`. The hash covers the question and the dataset, so the same question replaces only its
own file. Training the run again removes these files, since they belong to the old model.
"""

import datetime
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tdbs.analysis.conditions.asked import Condition, ConditionRow, Question
from tdbs.analysis.conditions.conditions import Given, check_conditions, give
from tdbs.analysis.conditions.times import Trained, batched_seconds, open_trained, single_seconds
from tdbs.analysis.environment import device_name
from tdbs.errors import ConfigError, TrainingError
from tdbs.files import make_folder, name_in_folder, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.edits import TextEdit
from tdbs.records import Form, read_record
from tdbs.removal import refuse_link
from tdbs.train.evaluate import own_dataset
from tdbs.train.run_folder import EVALUATIONS_FOLDER, read_run

Progress = Callable[[str], None]
_FORM = Form(what="an evaluation of tdbs", error=TrainingError, next_step="Remove it, and evaluate again.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A question to runs and its answers; the fields are JSON keys of `tdbs evaluate` with runs or conditions."""

    split: str
    draws: int
    seed: int
    device: str
    scored: tuple[str, ...]  # metric and dataset of the scores, each once: of several, scores do not compare
    rows: tuple[ConditionRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evaluation:
    """What is read of an evaluation."""

    date: str
    rows: tuple[ConditionRow, ...]


def evaluate_runs(
    runs: Sequence[str | Path],
    asked: Question,
    *,
    split: str | None = None,
    dataset: PreparedDataset | None = None,
    mirror: Path | None = None,
    progress: Progress = lambda _message: None,
) -> Evaluation:
    """Score the models of runs under conditions, each on its own dataset unless one is given, and keep what is found.

    Raises a TdbsError if a run, a dataset or a condition does not fit; conditions are looked at before any model is.
    """
    opened = [read_run(Path(run)) for run in runs]
    datasets = [own_dataset(run) if dataset is None else dataset for run in opened]
    for run in opened:
        check_kept(run.path)
    for each in datasets:
        check_conditions(asked.conditions, each.manifest.task)
    names = {split or each.manifest.task.scored_split for each in datasets}
    if len(names) > 1:
        raise ConfigError(
            f"The runs are scored on different splits: {', '.join(sorted(names))}.", next_step="Pass --split."
        )
    name = names.pop()
    given: dict[str, list[list[Given]]] = {}
    rows: list[ConditionRow] = []
    for run, of_run in zip(opened, datasets, strict=True):
        key = of_run.manifest.key
        if key not in given:
            progress(f"texts of {of_run.manifest.source}")
            given[key] = [
                give(of_run, name, condition, draws=asked.draws, seed=asked.seed, mirror=mirror)
                for condition in asked.conditions
            ]
        progress(str(run.path))
        trained = open_trained(run.path, of_run)
        found = _rows_of_run(trained, of_run.manifest.task.metrics[0], given[key], asked)
        keep_evaluation(run.path, of_run, name, asked, found)
        rows += found
    scored = {each.manifest.key: f"{each.manifest.task.metrics[0]} on {each.manifest.source}" for each in datasets}
    return Evaluation(
        split=name,
        draws=asked.draws,
        seed=asked.seed,
        device=device_name(),
        scored=tuple(scored.values()),
        rows=tuple(rows),
    )


def evaluation_path(run: Path, dataset: PreparedDataset, split: str, asked: Question) -> Path:
    """Return the file of a run's results: the same question has the same file."""
    question = json.dumps([dataset.manifest.key, split, _plain(asked)], sort_keys=True)
    return run / EVALUATIONS_FOLDER / f"{name_in_folder(split)}-{sha256_of(question.encode())[:12]}.json"


def check_kept(run: Path) -> None:
    """Refuse a run whose folder of evaluations is a link, because nothing is written through links."""
    refuse_link(run / EVALUATIONS_FOLDER, next_step="Remove the link.")


def keep_evaluation(
    run: Path, dataset: PreparedDataset, split: str, asked: Question, rows: Sequence[ConditionRow]
) -> None:
    """Write the results of a run into its folder."""
    make_folder(run / EVALUATIONS_FOLDER)
    write_json(
        evaluation_path(run, dataset, split, asked),
        {
            "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds"),
            "device": device_name(),
            "dataset": {"key": dataset.manifest.key, "source": dataset.manifest.source},
            "split": split,
            "asked": _plain(asked),
            "rows": [{name: value for name, value in asdict(row).items() if name != "run"} for row in rows],
        },
    )


def kept_rows(path: Path) -> list[ConditionRow] | None:
    """Return the stored results of a run; None if there are none."""
    if not path.exists():
        return None
    return _rows(path, read_record(path, _Evaluation, _FORM))


def newest_over_rates(run: Path) -> list[ConditionRow]:
    """Return the latest results of a run with two or more drop rates; nothing if no evaluation has them."""
    newest: tuple[str, list[ConditionRow]] = ("", [])
    for path in sorted((run / EVALUATIONS_FOLDER).glob("*.json")):
        found = read_record(path, _Evaluation, _FORM)
        rows = [row for row in _rows(path, found) if row.drop_rate is not None]
        if len(rows) > 1 and found.date >= newest[0]:
            newest = (found.date, rows)
    return newest[1]


def _rows_of_run(
    trained: Trained, metric: str, given: Sequence[Sequence[Given]], asked: Question
) -> list[ConditionRow]:
    first_tokens = len(given[0][0].held_out.split.input_ids_T)
    seconds = _seconds(trained, given, asked.conditions) if asked.timed else [None] * len(given)
    rows: list[ConditionRow] = []
    for condition, draws, took in zip(asked.conditions, given, seconds, strict=True):
        scores = [trained.metrics(each.held_out, each.plan)[metric] for each in draws]
        known = [score for score in scores if score is not None]
        score = statistics.mean(known) if len(known) == len(scores) else None
        first = rows[0].score if rows else score
        tokens = statistics.mean(len(each.held_out.split.input_ids_T) for each in draws)
        paddings = [each.plan.padding_fraction for each in draws if each.plan is not None]
        rows.append(
            ConditionRow(
                run=str(trained.run.path),
                strategy=trained.run.config["strategy"]["name"],
                condition=condition.name,
                drop_rate=condition.drop_rate,
                draws=len(draws),
                score=score,
                score_std=statistics.stdev(known) if score is not None and len(known) > 1 else None,
                difference=None if score is None or first is None else score - first,
                kept=tokens / first_tokens,
                padding_fraction=statistics.mean(paddings) if paddings else None,
                seconds=took,
                speedup=None if took is None or seconds[0] is None else seconds[0] / took,
            )
        )
    return rows


def _seconds(trained: Trained, given: Sequence[Sequence[Given]], conditions: Sequence[Condition]) -> list[float | None]:
    """Return what each condition takes in its first draw: of a sample, or of the split if it has batches of its own.

    Edited texts are not timed: they are other samples.
    """
    timed = [place for place, condition in enumerate(conditions) if condition.edit is None]
    first = [given[place][0] for place in timed]
    plans = [each.plan for each in first if each.plan is not None]
    if plans:
        found = batched_seconds(trained, [(each.held_out, plan) for each, plan in zip(first, plans, strict=True)])
    else:
        found = single_seconds(trained, [each.held_out for each in first])
    by_place = dict(zip(timed, found, strict=True))
    return [by_place.get(place) for place in range(len(given))]


def _rows(path: Path, found: _Evaluation) -> list[ConditionRow]:
    return [replace(row, run=str(path.parents[1])) for row in found.rows]


def _plain(asked: Question) -> dict[str, Any]:
    """Return a question as values for JSON."""
    return {
        "conditions": [
            {
                "name": condition.name,
                "drop_rate": condition.drop_rate,
                "batches": condition.batches,
                "rules": [] if condition.edit is None else _rules(condition.edit),
            }
            for condition in asked.conditions
        ],
        "draws": asked.draws,
        "seed": asked.seed,
        "timed": asked.timed,
    }


def _rules(edit: TextEdit) -> list[list[str]]:
    """Return the patterns of the user's edits; a removal needs only its name."""
    return [[pattern.pattern, by] for pattern, by in edit.rules if isinstance(by, str)]
