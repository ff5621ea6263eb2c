"""Score samples of a split by a trained model, in evaluation mode: nothing is dropped, there is no dropout."""

from dataclasses import replace

import numpy as np
import torch

from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import Split
from tdbs.train.batches import epoch_batches
from tdbs.train.evaluate import length_order_plan
from tdbs.train.models.load import LoadedModel
from tdbs.train.sample_records import SCORE_NAMES, EpochRecord
from tdbs.train.sample_scores import batch_scores
from tdbs.train.step import forward

# Shapes: N samples of the split, S those that are scored, K scores of a sample.


def scores_by_model(
    loaded: LoadedModel, split: Split, kind: TaskKind, *, pad_id: int, sample_ids_S: IntArray | None = None
) -> EpochRecord:
    """Return the scores of some samples of a split that has labels, ascending; None: of all."""
    ids_S = np.arange(len(split.lengths_N)) if sample_ids_S is None else sample_ids_S
    plan = length_order_plan(split.lengths_N[ids_S])
    plan = replace(plan, sample_ids_N=ids_S[plan.sample_ids_N])
    names = SCORE_NAMES[kind]
    values_NK = np.empty((len(split.lengths_N), len(names)), dtype=np.float32)
    device = loaded.accelerator.device
    loaded.prepared.eval()
    with torch.inference_mode(), loaded.accelerator.autocast():
        for batch in epoch_batches(split, plan, None, pad_id=pad_id):
            logits = forward(loaded.prepared, batch, kind, loaded.rules, device=device)
            with torch.autocast(device.type, enabled=False):
                values_NK[batch.sample_ids_B] = batch_scores(kind, logits, batch).cpu().numpy()
    return EpochRecord(sample_ids_S=ids_S, values_SK=values_NK[ids_S], names=names)
