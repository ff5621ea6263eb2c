"""One batch through a model: tensors, logits, loss, and the update of a training step."""

import inspect
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from tdbs.data.tasks import Task
from tdbs.train.batches import Batch

# Shapes: B samples of the batch, L its padded length, C outputs.

MAX_GRADIENT_NORM = 1.0  # as in transformers' Trainer


def takes_segment_ids(model: PreTrainedModel) -> bool:
    """Tell whether the model tells the two texts of a pair apart by segment ids (BERT, ELECTRA; not RoBERTa)."""
    accepted = inspect.signature(model.forward).parameters
    return "token_type_ids" in accepted and getattr(model.config, "type_vocab_size", 0) > 1


def forward(model: Any, batch: Batch, *, device: torch.device, segment_ids: bool) -> torch.Tensor:
    """Return the logits of a batch, B x C, in float32."""
    lengths_B = torch.from_numpy(batch.lengths_B).to(device)
    input_ids_BL = torch.from_numpy(batch.input_ids_BL).to(device)
    positions_L = torch.arange(input_ids_BL.shape[1], device=device)
    attention_mask_BL = positions_L < lengths_B[:, None]
    inputs = {"input_ids": input_ids_BL, "attention_mask": attention_mask_BL.long()}
    if segment_ids and batch.segment_starts_B is not None:
        second_BL = positions_L >= torch.from_numpy(batch.segment_starts_B).to(device)[:, None]
        inputs["token_type_ids"] = (second_BL & attention_mask_BL).long()
    logits_BC: torch.Tensor = model(**inputs).logits
    return logits_BC.float()


def batch_loss(task: Task, logits_BC: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the loss, mean over the samples of the batch: cross entropy, or squared error for regression."""
    labels_B = torch.from_numpy(batch.labels_B).to(logits_BC.device)
    if task.kind == "regression":
        return torch.nn.functional.mse_loss(logits_BC[:, 0], labels_B.float())
    return torch.nn.functional.cross_entropy(logits_BC, labels_B)


def train_step(
    accelerator: Accelerator,
    model: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    task: Task,
    *,
    rate: float,
    segment_ids: bool,
) -> tuple[float, bool]:
    """Update the model once; returns the loss, and whether it and all gradients were finite.

    Where they were not, the weights stay as they were.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    with accelerator.autocast():
        logits_BC = forward(model, batch, device=accelerator.device, segment_ids=segment_ids)
    loss = batch_loss(task, logits_BC, batch)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    finite = bool(torch.isfinite(norm)) and bool(torch.isfinite(loss))
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach()), finite
