"""One batch through a model: tensors, logits, loss, and the update of a training step."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.device import dense_gradients, to_device
from tdbs.train.models.heads import HEADS, Head
from tdbs.train.models.inputs import InputRules, last_absent, model_inputs, row_inputs, rows_by_ends
from tdbs.train.processes import sum_up
from tdbs.train.rows.attention import rows_of_several
from tdbs.train.rows.models import first_tokens_to_head, position_ids
from tdbs.train.rows.sequences import Sequences, rows_of_samples, sequences_of
from tdbs.train.targets import predicted_count

# Shapes: B samples of the batch, L its padded length, M its longest target, R rows of W tokens, R x W = F.

MAX_GRADIENT_NORM = 1.0  # as in transformers' Trainer


def forward(model: Any, batch: Batch, kind: TaskKind, rules: InputRules, *, device: torch.device) -> torch.Tensor:
    """Return the logits of a batch in float32, in the shape of the kind of task (heads.py)."""
    head = HEADS[kind]
    if batch.starts_B is None:
        logits = _logits_of_samples(model, batch, kind, rules, device=device)
    else:
        sequences = sequences_of(batch, device=device)
        inputs = row_inputs(batch, rules, sequences, device=device)
        inputs["position_ids"] = position_ids(_unwrapped(model), sequences, inputs["input_ids"])
        with _ending(model, head, sequences), rows_of_several():
            logits = head.logits(model(**inputs, sequences=sequences))
        logits = rows_of_samples(logits, batch) if head.of_tokens else logits
    if head.hides_padding:
        rank_L = torch.arange(logits.shape[1], device=device)
        padding_BL = rank_L >= to_device(batch.lengths_B, device)[:, None]
        logits = logits.masked_fill(padding_BL[..., None], float("-inf"))
    return logits


def _logits_of_samples(
    model: Any, batch: Batch, kind: TaskKind, rules: InputRules, *, device: torch.device
) -> torch.Tensor:
    """Return the logits of a batch with a row for each sample."""
    head = HEADS[kind]
    if rules.pad_id is None:
        _unwrapped(model).config.pad_token_id = last_absent(batch)  # that model_inputs fills up with
    inputs = model_inputs(batch, rules, device=device)
    if kind == "seq2seq":  # the decoder sees the target shifted by one; its loss is ours
        target_BM = to_device(np.asarray(batch.labels), device)
        inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=target_BM)
    groups = rows_by_ends(batch, rules)
    with _ending(model, head, None):
        if groups is None:
            logits = head.logits(model(**inputs))
        else:
            parts = [
                head.logits(model(**{name: values[to_device(rows, device)] for name, values in inputs.items()}))
                for rows in groups
            ]
            logits = torch.cat(parts)[to_device(np.argsort(np.concatenate(groups)), device)]
    return logits


def _ending(model: Any, head: Head, sequences: Sequences | None) -> AbstractContextManager[None]:
    """Return how a call of the model ends: with all tokens for the head, or with those that it reads."""
    return nullcontext() if head.of_tokens else first_tokens_to_head(_unwrapped(model), sequences)


def _unwrapped(model: Any) -> Any:
    return getattr(model, "module", model)  # accelerate may have wrapped it


def predicted_by(kind: TaskKind, batch: Batch) -> int:
    """Return what a batch's loss is a mean over."""
    return 0 if batch.labels is None else predicted_count(kind, batch.labels)


def batch_loss(kind: TaskKind, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the loss of a batch: a mean over what is predicted (heads.py)."""
    return HEADS[kind].loss(logits, to_device(np.asarray(batch.labels), logits.device))


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEnd:
    """What a step came to; all processes have the same."""

    loss: float
    finite: bool  # loss and gradients: else no update was made
    stopping: bool  # some process was asked to stop


def train_step(
    accelerator: Accelerator,
    model: Any,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    kind: TaskKind,
    *,
    rate: float,
    rules: InputRules,
    predicted: int | None = None,
    stopping: bool = False,
) -> StepEnd:
    """Update the model once, by the batches of a step, or by one process's share of them.

    The loss is a mean over all that the step predicts, however it is split over batches and processes; a share of it
    has to be told how much that is (`predicted`).
    Where it or a gradient is not finite, the weights stay as they were. `stopping`: this process was asked to stop.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    if predicted is None:
        predicted = sum(predicted_by(kind, batch) for batch in batches)
    total = 0.0
    for batch in batches:
        with accelerator.autocast():
            logits = forward(model, batch, kind, rules, device=accelerator.device)
        loss = batch_loss(kind, logits, batch)
        if len(batches) > 1 or accelerator.num_processes > 1:
            loss = loss * (predicted_by(kind, batch) / max(predicted, 1))
        accelerator.backward(loss)
        total += float(loss.detach())
    with dense_gradients(model):
        total, stops = sum_up(accelerator, model, (total, float(stopping)))
        norm = accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        finite = bool(torch.isfinite(norm)) and math.isfinite(total)
        if finite:
            optimizer.step()
    optimizer.zero_grad()
    return StepEnd(loss=total, finite=finite, stopping=stops > 0)
