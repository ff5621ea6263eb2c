"""The objective of a run on samples of several sequences: its loss with every default resolved.

Other kinds of tasks have one loss each (models/heads.py), and no objective.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.objective_settings import EmbeddingLoss, ObjectiveSettings, RankingLoss
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.shard_checks import read_shard
from tdbs.settings import changed_fields

DEFAULT_TEMPERATURE = 0.05  # similarities times 20, as sentence-transformers has it
DEFAULT_MARGIN = 5.0
JOINT = ("negatives", "symmetric")  # the loss of a sample depends on the other samples of its update
_TRAIN = "train"
_OF_LOSS = {"temperature": JOINT, "margin": ("triplet",), "keep_repeats": JOINT}  # options that only these take


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What a run learns from the sequences of a sample."""

    loss: str
    temperature: float = DEFAULT_TEMPERATURE
    margin: float = DEFAULT_MARGIN
    sizes: tuple[int, ...] = ()  # Matryoshka: numbers of first entries that are embeddings, too
    keep_repeats: bool = False  # a positive of the same query may be a negative
    largest_score: float = 1.0  # cosine: scores are divided by it

    @property
    def is_joint(self) -> bool:
        """Whether the loss of a sample depends on the other samples of its update."""
        return self.loss in JOINT


def objective_of(settings: ObjectiveSettings, dataset: PreparedDataset) -> Objective | None:
    """Return the objective of settings that fit the task (check_objective); None for kinds of tasks that have one loss.

    Scores beyond 1, such as those of STS-B from 0 to 5, are divided by the largest of train: a cosine is at most 1.
    """
    task = dataset.manifest.task
    if not task.is_grouped:
        return None
    loss = settings.loss or default_loss(task)
    return Objective(
        loss=loss,
        temperature=settings.temperature or DEFAULT_TEMPERATURE,
        margin=settings.margin or DEFAULT_MARGIN,
        sizes=settings.sizes,
        keep_repeats=settings.keep_repeats,
        largest_score=_largest_score(dataset) if loss == "cosine" else 1.0,
    )


def resolved_options(settings: ObjectiveSettings, task: Task) -> dict[str, float | str]:
    """Return the options of a run's loss with their defaults, as `config.toml` has them; none for other tasks."""
    if not task.is_grouped:
        return {}
    loss = settings.loss or default_loss(task)
    numbers = {
        "temperature": settings.temperature or DEFAULT_TEMPERATURE,
        "margin": settings.margin or DEFAULT_MARGIN,
    }
    return {"loss": loss} | {name: value for name, value in numbers.items() if loss in _OF_LOSS[name]}


def default_loss(task: Task) -> str:
    """Return the loss of a run that names none."""
    if task.kind == "ranking":
        return "binary"
    return "cosine" if task.columns.labels else "negatives"


def is_joint(loss: str | None, task: Task) -> bool:
    """Return whether a loss of a task, or its default, joins the samples of an update; None: no loss is named."""
    return task.is_grouped and (loss or default_loss(task)) in JOINT


def check_objective(settings: ObjectiveSettings, task: Task) -> None:
    """Refuse settings of an objective that the task, or its loss, does not have."""
    given = changed_fields(settings, ObjectiveSettings)
    if not task.is_grouped:
        for name in given:
            raise ConfigError(
                f"{_flag(name)} is for embeddings and rerankers; this task is {task.kind.replace('_', ' ')}.",
                next_step="Leave it out, or prepare with --columns query,positive.",
            )
        return
    loss = settings.loss or default_loss(task)
    _check_loss(loss, task)
    for name in given:
        if loss not in _OF_LOSS.get(name, (loss,)):
            raise ConfigError(f"{_flag(name)} has no effect with --loss {loss}.", next_step="Leave it out.")
        if name in ("pooling", "normalize", "dimensions") and task.kind == "ranking":
            raise ConfigError(f"{_flag(name)} is for embeddings; a reranker has none.", next_step="Leave it out.")


def check_sizes(objective: Objective, *, width: int) -> None:
    """Refuse numbers of first entries beyond those that a model's embeddings have."""
    if objective.sizes and objective.sizes[0] > width:
        raise ConfigError(
            f"--dimensions has {objective.sizes[0]}, but the model's embeddings have {width} entries.",
            next_step="Pass smaller numbers.",
        )


def _check_loss(loss: str, task: Task) -> None:
    losses = get_args(RankingLoss if task.kind == "ranking" else EmbeddingLoss)
    if loss not in losses:
        raise ConfigError(
            f"--loss {loss} is not for a task of {task.kind}.", next_step=f"Pass one of: {', '.join(losses)}."
        )
    if task.kind == "ranking":
        return
    if (loss == "cosine") != bool(task.columns.labels):
        has = "scores" if task.columns.labels else "no scores"
        unfit = ("cosine",) if task.columns.negatives else ("cosine", "triplet")
        fitting = ("cosine",) if task.columns.labels else tuple(each for each in losses if each not in unfit)
        raise ConfigError(
            f"--loss {loss} does not fit pairs with {has}.", next_step=f"Pass --loss {' or '.join(fitting)}."
        )
    if loss == "triplet" and not task.columns.negatives:
        raise ConfigError(
            "--loss triplet needs a negative in each row.",
            next_step="Prepare with --columns query,positive,negative, or pass --loss negatives.",
        )


def _largest_score(dataset: PreparedDataset) -> float:
    """Return the largest absolute score of train, 1 at least; only their column is read."""
    info = split_info(dataset, _TRAIN)
    largest = 1.0
    for shard in info.shards:
        table = read_shard(
            dataset.path,
            shard,
            dataset.manifest,
            labelled=info.labelled,
            columns=(schema.SAMPLE_ID, schema.LENGTH, schema.LABEL),
        )
        largest = max(largest, float(np.abs(table[schema.LABEL].to_numpy()).max()))
    return largest


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
