"""Runs for the studies of inference: with and without TokenDrop, by seed, each trained once with its model kept.

Their names contain all that decides them, so table3, fig4 and resilience share them. A finished run is reused, and an
interrupted one resumes; the same holds for its evaluations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tdbs.analysis.compare.record import Terms
from tdbs.analysis.compare.runs import Run, run_key
from tdbs.analysis.conditions.asked import ConditionRow, Question
from tdbs.analysis.conditions.evaluate import evaluate_runs, evaluation_path, kept_rows
from tdbs.analysis.environment import device_name
from tdbs.analysis.studies.study import Progress, StudyTerms
from tdbs.data.tasks import Task
from tdbs.errors import choose
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.manifest import Manifest
from tdbs.settings import options_of
from tdbs.train.feed import TRAIN
from tdbs.train.models.load import model_to_train
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy, resolve_strategy
from tdbs.train.resolved import resolve_settings
from tdbs.train.trainer import train

TRAINED_FOLDER = "trained"
RANDOM_DROP = "random_drop"  # random batches as without TokenDrop, and nothing else changed
DROPPING = (*(name for name, strategy in STRATEGIES.items() if strategy.drop != "none"), RANDOM_DROP)
_DROP_RATE = 0.3  # the paper's Table 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One way to train the models of a study, and what is found of them by task and seed."""

    name: str
    title: str
    drops: bool
    dropouts: Mapping[str, float]  # by task
    rows: Mapping[str, Mapping[int, Sequence[ConditionRow]]]


def check_dropping(names: Sequence[str]) -> None:
    """Refuse strategies that do not train with TokenDrop."""
    for name in names:
        choose("--strategy", name, DROPPING)


def shared_terms(manifest: Manifest, terms: StudyTerms) -> Terms:
    """Return what all runs of a study share, each default resolved."""
    return Terms(**options_of(terms) | resolve_settings(terms, manifest).options, seeds=terms.seeds)


def trainings(
    datasets: Mapping[str, PreparedDataset], terms: StudyTerms, asked: Question, *, runs: Path, progress: Progress
) -> list[Training]:
    """Train what is missing, without TokenDrop and with it, ask each run, and return what was found, by training."""
    names = ("", *terms.dropping)
    found: dict[str, dict[str, Mapping[int, Sequence[ConditionRow]]]] = {name: {} for name in names}
    dropouts: dict[str, dict[str, float]] = {name: {} for name in names}
    titles: dict[str, str] = {}
    for task, dataset in datasets.items():
        in_rows = model_to_train(terms.model, dataset.manifest).in_rows
        for name in names:
            strategy = _strategy(name, dataset.manifest.task, in_rows=in_rows)
            titles.setdefault(name, f"with TokenDrop ({name})" if name else f"without TokenDrop ({strategy.name})")
            dropouts[name][task] = resolve_dropout(terms.dropout, strategy, split_info(dataset, TRAIN).rows)
            folders = {
                seed: _trained_run(dataset, task, strategy, terms, seed=seed, runs=runs, progress=progress)
                for seed in terms.seeds
            }
            found[name][task] = _found(dataset, folders, asked, mirror=terms.mirror, progress=progress)
    return [
        Training(name=name or "without", title=titles[name], drops=bool(name), dropouts=dropouts[name], rows=rows)
        for name, rows in found.items()
    ]


def _strategy(name: str, task: Task, *, in_rows: bool) -> Strategy:
    """Return the strategy of a training; no name: random batches, no drop, unpadded if the model supports it."""
    if not name:
        return resolve_strategy(DEFAULT_STRATEGY, task, in_rows=in_rows)
    if name != RANDOM_DROP:
        return resolve_strategy(name, task, in_rows=in_rows)
    parts = {} if task.drop_forbidden else {"drop": "rate", "drop_rate": _DROP_RATE}
    return replace(resolve_strategy(DEFAULT_STRATEGY, task, parts, in_rows=in_rows), name=RANDOM_DROP)


def _trained_run(
    dataset: PreparedDataset,
    task: str,
    strategy: Strategy,
    terms: StudyTerms,
    *,
    seed: int,
    runs: Path,
    progress: Progress,
) -> Path:
    """Train a run, unless it is finished, and return its folder."""
    run = Run(dataset=dataset, strategy=strategy, terms=shared_terms(dataset.manifest, terms), seed=seed)
    name = f"{strategy.name}-seed{seed}"
    folder = runs / TRAINED_FOLDER / task / f"{name}-{run_key(run, device=device_name())[:8]}"
    progress(f"{task}: {name}")
    train(
        dataset,
        strategy=strategy,
        **options_of(run.terms),
        seed=seed,
        out=folder,
        resume=True,
        progress=lambda record, steps: progress(f"{task}: {name}: step {record.step + 1:,} of {steps:,}"),
    )
    return folder


def _found(
    dataset: PreparedDataset, folders: Mapping[int, Path], asked: Question, *, mirror: Path | None, progress: Progress
) -> dict[int, Sequence[ConditionRow]]:
    """Return by seed what is found of runs; those that were asked before are not asked again."""
    split = dataset.manifest.task.scored_split
    places = {seed: evaluation_path(folder, dataset, split, asked) for seed, folder in folders.items()}
    missing = [folder for seed, folder in folders.items() if not places[seed].exists()]
    if missing:
        evaluate_runs(missing, asked, dataset=dataset, mirror=mirror, progress=progress)
    return {seed: kept_rows(place) or [] for seed, place in places.items()}
