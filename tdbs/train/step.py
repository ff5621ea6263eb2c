"""One batch through a model: tensors, logits, loss, and the update of a training step."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.heads import HEADS

# Shapes: B samples of the batch, L its padded length, M its longest target.

MAX_GRADIENT_NORM = 1.0  # as in transformers' Trainer


def takes_segment_ids(model: PreTrainedModel) -> bool:
    """Tell whether the model tells the two texts of a pair apart by segment ids (BERT, ELECTRA; not RoBERTa)."""
    accepted = inspect.signature(model.forward).parameters
    return "token_type_ids" in accepted and getattr(model.config, "type_vocab_size", 0) > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInputs:
    """A batch as tensors on the model's device."""

    tensors: dict[str, torch.Tensor]  # by the names that the models of transformers give them

    @property
    def mask_BL(self) -> torch.Tensor:
        """1 at tokens, 0 at padding."""
        return self.tensors["attention_mask"]


def model_inputs(batch: Batch, *, device: torch.device, segment_ids: bool) -> ModelInputs:
    """Return what an encoder is given for a batch."""
    lengths_B = torch.from_numpy(batch.lengths_B).to(device)
    input_ids_BL = torch.from_numpy(batch.input_ids_BL).to(device)
    positions_L = torch.arange(input_ids_BL.shape[1], device=device)
    attention_mask_BL = positions_L < lengths_B[:, None]
    tensors = {"input_ids": input_ids_BL, "attention_mask": attention_mask_BL.long()}
    if segment_ids and batch.segment_starts_B is not None:
        second_BL = positions_L >= torch.from_numpy(batch.segment_starts_B).to(device)[:, None]
        tensors["token_type_ids"] = (second_BL & attention_mask_BL).long()
    return ModelInputs(tensors=tensors)


def forward(model: Any, batch: Batch, kind: TaskKind, *, device: torch.device, segment_ids: bool) -> torch.Tensor:
    """Return the logits of a batch in float32, in the shape of the kind of task (heads.py)."""
    inputs = model_inputs(batch, device=device, segment_ids=segment_ids)
    if kind == "seq2seq":  # the decoder sees the target shifted by one; its loss is ours
        target_BM = torch.from_numpy(batch.labels).to(device)
        inputs.tensors["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=target_BM)
    return HEADS[kind].logits(model(**inputs.tensors), inputs.mask_BL)


def batch_loss(kind: TaskKind, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the loss of a batch: a mean over what is predicted (heads.py)."""
    return HEADS[kind].loss(logits, torch.from_numpy(batch.labels).to(logits.device))


def train_step(
    accelerator: Accelerator,
    model: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    kind: TaskKind,
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
        logits = forward(model, batch, kind, device=accelerator.device, segment_ids=segment_ids)
    loss = batch_loss(kind, logits, batch)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    finite = bool(torch.isfinite(norm)) and bool(torch.isfinite(loss))
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach()), finite
