"""Scores of single samples, from the logits of a batch: loss, EL2N and margin.

The training loop has these logits anyway, so scores of every sample in every epoch cost some small tensor operations a
step. They are of the model before the step's update, in training mode: with dropout, and without the dropped words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.sample_records import SCORE_NAMES, Scores

# Shapes: B samples of the batch or of the update, C outputs of the model, K scores of a sample, P samples of this
# process.


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleScores:
    """The scores of some samples; `SCORE_NAMES` has the columns."""

    sample_ids_B: IntArray
    values_BK: Scores


def batch_scores(kind: TaskKind, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the scores of a batch's samples (B x K), in the order of `SCORE_NAMES`; the kind must have some."""
    labels = to_device(np.asarray(batch.labels), logits.device)
    with torch.no_grad():
        return _SCORES[kind](logits.float(), labels)


def scores_of_update(
    step_ids_B: IntArray, batches: Sequence[Batch], parts: Sequence[torch.Tensor], kind: TaskKind
) -> Scores:
    """Return the scores of an update's samples in their order (B x K), those of other processes as 0.

    `parts` are the scores of this process's batches; the sum over all processes has every sample's.
    """
    values_BK = np.zeros((len(step_ids_B), len(SCORE_NAMES[kind])), dtype=np.float32)
    if parts:
        ids_P = np.concatenate([batch.sample_ids_B for batch in batches])
        ascending_B = np.argsort(step_ids_B)
        places_P = ascending_B[np.searchsorted(step_ids_B, ids_P, sorter=ascending_B)]
        values_BK[places_P] = torch.cat(list(parts)).cpu().numpy()
    return values_BK


def _of_classes(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    """Return loss, EL2N (Paul et al. 2021), margin of the logits (Pleiss et al. 2020), and the predicted class."""
    chosen_B1 = labels_B[:, None]
    log_shares_BC = functional.log_softmax(logits_BC, dim=-1)
    loss_B = -log_shares_BC.gather(1, chosen_B1)[:, 0]
    error_BC = log_shares_BC.exp().scatter_add(1, chosen_B1, logits_BC.new_full(chosen_B1.shape, -1.0))
    others_BC = logits_BC.scatter(1, chosen_B1, float("-inf"))
    margin_B = logits_BC.gather(1, chosen_B1)[:, 0] - others_BC.amax(dim=1)
    predicted_B = logits_BC.argmax(dim=1).to(logits_BC.dtype)
    return torch.stack([loss_B, error_BC.norm(dim=1), margin_B, predicted_B], dim=1)


def _of_numbers(logits_BC: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the squared error, a mean over the numbers of a sample (B x 1)."""
    return (logits_BC - labels.to(logits_BC.dtype).reshape(logits_BC.shape)).square().mean(dim=1, keepdim=True)


def _of_flags(logits_BC: torch.Tensor, labels_BC: torch.Tensor) -> torch.Tensor:
    """Return the loss, a mean over the classes (B x 1)."""
    return functional.binary_cross_entropy_with_logits(logits_BC, labels_BC, reduction="none").mean(dim=1, keepdim=True)


_SCORES: dict[TaskKind, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "classification": _of_classes,
    "regression": _of_numbers,
    "multi_label": _of_flags,
}
