"""One batch through a model: tensors, logits or embeddings, loss."""

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.models.heads import HEADS, Head, in_full
from tdbs.train.models.inputs import InputRules, last_absent, model_inputs, row_inputs, rows_by_ends
from tdbs.train.models.pooling import pool_padded, pool_rows
from tdbs.train.objectives.losses import embedding_loss, ranking_loss, terms_of
from tdbs.train.objectives.objective import Objective
from tdbs.train.rows.heads import body_on_rows, ends_on_first_tokens
from tdbs.train.rows.models import inputs_of_rows, on_rows
from tdbs.train.rows.sequences import pair_of, rows_of_samples, sequences_of, target_lengths
from tdbs.train.rows.writers import flat_targets
from tdbs.train.targets import predicted_count

# Shapes: B samples of the batch, Q their sequences, L its padded length, M its longest target, R rows of W tokens,
# R x W = F.


def forward(model: Any, batch: Batch, kind: TaskKind, rules: InputRules, *, device: torch.device) -> torch.Tensor:
    """Return the logits of a batch in float32, in the shape of the kind of task (models/heads.py)."""
    head = HEADS[kind]
    if batch.starts_B is None:
        logits = _logits_of_samples(model, batch, kind, rules, device=device)
    else:
        of_rows = _logits_of_pairs if kind == "seq2seq" else _logits_of_rows
        logits = of_rows(model, batch, head, rules, device=device)
    if head.hides_padding:
        rank_L = torch.arange(logits.shape[1], device=device)
        padding_BL = rank_L >= to_device(batch.lengths_B, device)[:, None]
        logits = logits.masked_fill(padding_BL[..., None], float("-inf"))
    return logits


def predicted_by(kind: TaskKind, batch: Batch, objective: Objective | None = None) -> int:
    """Return the number of predictions in a batch's loss."""
    if objective is not None:
        return terms_of(objective, sizes_of_samples(batch, torch.device("cpu")))
    return 0 if batch.labels is None else predicted_count(kind, batch.labels)


def batch_loss(kind: TaskKind, logits: torch.Tensor, batch: Batch, objective: Objective | None = None) -> torch.Tensor:
    """Return the loss of a batch: a mean over what is predicted (models/heads.py, objectives/losses.py)."""
    of_logits = HEADS[kind].loss
    if objective is not None:
        sizes_B, labels_Q = sizes_of_samples(batch, logits.device), labels_of_sequences(batch, logits.device)
        if kind == "ranking":
            return ranking_loss(objective, logits[:, 0], sizes_B, labels_Q)
        return embedding_loss(objective, logits, sizes_B, labels_Q)
    if of_logits is None:
        raise ValueError(f"the loss of a task of {kind} needs an objective")
    labels = to_device(np.asarray(batch.labels), logits.device)
    if kind == "seq2seq" and batch.starts_B is not None:
        labels = labels[to_device(np.arange(labels.shape[1]) < target_lengths(batch)[:, None], labels.device)][None]
    return of_logits(logits, labels)


def sizes_of_samples(batch: Batch, device: torch.device) -> torch.Tensor:
    """Return how many sequences each sample of a batch has (B)."""
    return to_device(np.ones_like(batch.lengths_B) if batch.sequences_B is None else batch.sequences_B, device)


def labels_of_sequences(batch: Batch, device: torch.device) -> torch.Tensor:
    """Return the label of each sequence of a batch (Q; targets.py)."""
    return to_device(np.asarray(batch.labels), device)


def _logits_of_rows(model: Any, batch: Batch, head: Head, rules: InputRules, *, device: torch.device) -> torch.Tensor:
    """Return the logits of a batch whose rows hold several samples."""
    own = unwrapped(model)
    if rules.pad_id is None:
        own.config.pad_token_id = last_absent(batch)  # heads that look for padding find none
    sequences = sequences_of(batch, device=device)
    inputs: dict[str, Any] = row_inputs(batch, rules, sequences, device=device)
    inputs |= inputs_of_rows(own, sequences, inputs["input_ids"])
    with on_rows(own, sequences):
        if rules.pooling is not None:
            return pool_rows(head.logits(_called(model)(**inputs)), sequences, rules.pooling)
        if head.of_tokens:
            return rows_of_samples(head.logits(_called(model)(**inputs)), batch)
        with body_on_rows(own, sequences, inputs) as tokens_read:
            return head.logits(_called(model)(**tokens_read))


def _logits_of_pairs(model: Any, batch: Batch, _head: Head, rules: InputRules, *, device: torch.device) -> torch.Tensor:
    """Return the logits of all targets' tokens, one target after another, without padding (1 x K x V)."""
    own = unwrapped(model)
    pair = pair_of(batch, device=device)
    inputs = row_inputs(batch, rules, pair.source, device=device)
    written_BM = own.prepare_decoder_input_ids_from_labels(labels=to_device(np.asarray(batch.labels), device))
    with on_rows(own, pair):
        inputs["decoder_input_ids"] = flat_targets(written_BM, pair)[None]
        logits_1TV = _called(model)(**inputs, sequences=pair).logits
    return in_full(logits_1TV[:, pair.target.sample_F >= 0])


def _logits_of_samples(
    model: Any, batch: Batch, kind: TaskKind, rules: InputRules, *, device: torch.device
) -> torch.Tensor:
    """Return the logits of a batch with a row for each sample."""
    head = HEADS[kind]
    if rules.pad_id is None:
        unwrapped(model).config.pad_token_id = last_absent(batch)  # the filler of model_inputs
    inputs = model_inputs(batch, rules, device=device)
    if kind == "seq2seq":  # the decoder sees the target shifted by one; tdbs computes the loss
        target_BM = to_device(np.asarray(batch.labels), device)
        inputs["decoder_input_ids"] = unwrapped(model).prepare_decoder_input_ids_from_labels(labels=target_BM)
    groups, call = rows_by_ends(batch, rules), _called(model)
    if rules.pooling is not None:
        return pool_padded(head.logits(call(**inputs)), batch, rules.pooling, pads_left=rules.pads_left)
    with nullcontext() if head.of_tokens else ends_on_first_tokens(unwrapped(model)):
        if groups is None:
            logits = head.logits(call(**inputs))
        else:
            parts = [
                head.logits(call(**{name: values[to_device(rows, device)] for name, values in inputs.items()}))
                for rows in groups
            ]
            logits = torch.cat(parts)[to_device(np.argsort(np.concatenate(groups)), device)]
    return logits


def _called(model: Any) -> Callable[..., Any]:
    """Return how a model is called: a decoder keeps no keys and values for tokens to come."""
    return functools.partial(model, use_cache=False) if _has_cache(type(unwrapped(model)).forward) else model


@functools.cache
def _has_cache(forward: Callable[..., Any]) -> bool:
    return "use_cache" in inspect.signature(forward).parameters


def unwrapped(model: Any) -> Any:
    """Return a model of transformers, without what accelerate or peft put around it."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model
