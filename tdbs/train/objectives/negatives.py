"""What losses and scores need of samples: some learn nothing without negatives, and a reranker's score ranks them."""

from collections.abc import Iterator

import numpy as np

from tdbs.errors import ConfigError
from tdbs.objective_settings import ObjectiveSettings
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.negative_counts import count_negatives, sequences_without_negatives
from tdbs.pipeline.split_index import SplitIndex
from tdbs.train.objectives.objective import Objective, default_loss
from tdbs.train.planning.epoch_plan import EpochPlan

_TRAIN = "train"
_NEEDING = ("triplet", "binary", "listwise")  # losses that teach nothing if no sample has a negative
_COMPARING = ("triplet", "listwise")  # losses of a sample that are 0 if it has none
_FEW_ALONE = 0.05  # of the updates; fewer hardly matter


def check_negatives(settings: ObjectiveSettings, manifest: Manifest) -> None:
    """Refuse a loss that needs negatives if no sample of train has one. Raises ConfigError."""
    task, info = manifest.task, manifest.splits.get(_TRAIN)
    if not task.is_grouped or info is None or not info.rows or count_negatives(info, task):
        return
    loss = settings.loss or default_loss(task)
    if loss in _NEEDING:
        raise ConfigError(
            f"--loss {loss} needs negatives, and no sample of train has one.",
            next_step="Prepare rows with negatives"
            + (", or pass --loss negatives." if task.kind == "embedding" else ", or with --task embedding."),
        )


def is_unranked(manifest: Manifest) -> bool:
    """Return whether the score of a reranker is undefined: no sample of the scored split has a negative."""
    task = manifest.task
    info = manifest.splits.get(task.scored_split)
    return task.kind == "ranking" and info is not None and not count_negatives(info, task)


def objective_notes(
    objective: Objective | None, manifest: Manifest, index: SplitIndex, plan: EpochPlan
) -> Iterator[str]:
    """Yield notes on what a run learns, and on a score that it cannot have; the plan is of the first epoch of train."""
    if objective is None or index.sequences_N is None:
        return
    task = manifest.task
    lacking = int(np.count_nonzero(index.sequences_N == sequences_without_negatives(task)))
    if objective.loss in _COMPARING and lacking:
        samples = f"{lacking:,} of {len(index.sequences_N):,} samples of train"
        yield f"{samples} have no negative: --loss {objective.loss} learns nothing from them."
    alone = int(np.count_nonzero(plan.step_sizes_S == 1))
    if objective.is_joint and lacking and alone > _FEW_ALONE * plan.steps:
        yield (
            f"{alone:,} of {plan.steps:,} updates have one sample: without negatives of its own it teaches nothing, "
            "since negatives are those of the update."
        )
    if objective.largest_score > 1:
        largest = f"{objective.largest_score:g}"
        yield f"Scores are divided by {largest}, the largest absolute one of train: a cosine is at most 1."
    if is_unranked(manifest):
        yield f"{task.metrics[0]} will be undefined: no sample of {task.scored_split} has a negative to rank."
