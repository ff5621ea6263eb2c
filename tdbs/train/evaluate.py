"""Score a model on a split: batches in length order, nothing dropped, the task's metrics over all samples."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import Split
from tdbs.train.batches import epoch_batches
from tdbs.train.metrics import score_predictions
from tdbs.train.plan import EpochPlan
from tdbs.train.step import forward

BATCH_SIZE = 64


def length_order_plan(lengths_N: IntArray, batch_size: int = BATCH_SIZE) -> EpochPlan:
    """Return a plan that goes through a split from short to long."""
    order_N = np.argsort(lengths_N, kind="stable")
    offsets_B1 = np.append(np.arange(0, len(order_N), batch_size), len(order_N))
    longest_B = np.maximum(lengths_N[order_N][offsets_B1[1:] - 1], 1)
    return EpochPlan(
        epoch=0,
        sample_ids_N=order_N,
        kept_N=lengths_N[order_N],
        batch_offsets_B1=offsets_B1,
        padded_lengths_B=longest_B,
    )


def evaluate_split(
    accelerator: Accelerator, model: Any, split: Split, task: Task, *, pad_id: int, segment_ids: bool
) -> dict[str, float]:
    """Return the task's metrics on a split. Raises DatasetError where it has no labels."""
    if split.labels_N is None:
        raise DatasetError(f"The split {split.name} has no labels.", next_step="Evaluate on a labelled split.")
    plan = length_order_plan(split.lengths_N)
    model.eval()
    with torch.inference_mode(), accelerator.autocast():
        logits_NC = torch.cat(
            [
                forward(model, batch, device=accelerator.device, segment_ids=segment_ids)
                for batch in epoch_batches(split, plan, None, pad_id=pad_id)
            ]
        )
    model.train()
    labels_N = torch.from_numpy(split.labels_N[plan.sample_ids_N])
    return score_predictions(task, logits_NC.cpu(), labels_N)
