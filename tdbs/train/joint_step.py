"""The backward pass of a loss over all sequences of an update: in-batch negatives, whatever number of calls they take.

A query's negatives are the texts of the whole update. If it is one call of the model, its loss is computed as any
other. If it is several, embeddings come first without a graph, then the loss and its gradient by embedding; then each
call runs again, with the same dropout, and takes its part of that gradient back (Gao et al. 2021, GradCache). The
result is that of one call. With several processes, each has the embeddings of all, and gradients through its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object

from tdbs.train.allocator import give_back_freed_memory
from tdbs.train.batches import Batch
from tdbs.train.dropout_masks import dropout_masks
from tdbs.train.gradients import add_rows
from tdbs.train.learner import Learner
from tdbs.train.objectives.losses import embedding_loss
from tdbs.train.objectives.objective import Objective
from tdbs.train.step import forward, labels_of_sequences, sizes_of_samples

# Shapes: Q sequences, G samples, E entries of an embedding.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sequences:
    """Embeddings of some samples' sequences, and what the loss needs to know of them."""

    embeddings_QE: torch.Tensor
    sizes_G: torch.Tensor
    labels_Q: torch.Tensor


def joint_backward(learner: Learner, batches: Sequence[Batch], objective: Objective) -> float:
    """Add the gradients of an update's loss to the model's; `batches` are this process's share. Returns the loss.

    The share may be empty. Every process returns the same loss.
    """
    graph = len(batches) == 1
    parts, states = [], []
    with learner.accelerator.autocast():
        for batch in batches:
            states.append(_random_state(learner))
            with torch.set_grad_enabled(graph):
                parts.append(_embeddings(learner, batch))
    own = _own(learner, batches, parts)
    leaf = own if graph or own is None else replace(own, embeddings_QE=own.embeddings_QE.detach().requires_grad_())
    with torch.autocast(learner.accelerator.device.type, enabled=False):
        every = _of_all_processes(learner, leaf)
        loss = embedding_loss(objective, every.embeddings_QE, every.sizes_G, every.labels_Q)
        if leaf is None:
            return float(loss)
        if graph:
            learner.accelerator.backward(loss)
            return float(loss.detach())
        [gradient_QE] = torch.autograd.grad(loss, leaf.embeddings_QE)
    sizes = [len(part) for part in parts]
    del parts, own, every
    # a cast of weights that was made without a graph would be taken again, so the autocast is a new one
    with learner.accelerator.autocast():
        for batch, state, part_QE in zip(batches, states, torch.split(gradient_QE, sizes), strict=True):
            _set_random_state(learner, state)
            torch.autograd.backward(_embeddings(learner, batch), part_QE)
            add_rows(learner.prepared)
            if learner.gives_back:
                give_back_freed_memory()
    return float(loss.detach())


def _embeddings(learner: Learner, batch: Batch) -> torch.Tensor:
    with dropout_masks(learner.accelerator.device, compiled=learner.compiled):
        return forward(learner.prepared, batch, learner.kind, learner.rules, device=learner.accelerator.device)


def _own(learner: Learner, batches: Sequence[Batch], parts: Sequence[torch.Tensor]) -> _Sequences | None:
    """Return the sequences of this process's share; None if it is empty."""
    if not batches:
        return None
    device = learner.accelerator.device
    return _Sequences(
        embeddings_QE=torch.cat(list(parts)),
        sizes_G=torch.cat([sizes_of_samples(batch, device) for batch in batches]),
        labels_Q=torch.cat([labels_of_sequences(batch, device) for batch in batches]),
    )


def _of_all_processes(learner: Learner, own: _Sequences | None) -> _Sequences:
    """Return the sequences of all processes in their order; only those of this one have a graph."""
    accelerator = learner.accelerator
    if accelerator.num_processes == 1:
        if own is None:
            raise ValueError("an update has no samples")
        return own
    sent = None if own is None else [np.asarray(each.detach().cpu()) for each in _values(own)]
    found: list[Any] = gather_object([(accelerator.process_index, sent)])
    parts = []
    for process, arrays in found:
        if process == accelerator.process_index and own is not None:
            parts.append(own)
        elif arrays is not None:
            tensors = [torch.from_numpy(each).to(accelerator.device) for each in arrays]
            parts.append(_Sequences(embeddings_QE=tensors[0], sizes_G=tensors[1], labels_Q=tensors[2]))
    joined = [torch.cat(each) for each in zip(*map(_values, parts), strict=True)]
    return _Sequences(embeddings_QE=joined[0], sizes_G=joined[1], labels_Q=joined[2])


def _values(sequences: _Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return sequences.embeddings_QE, sequences.sizes_G, sequences.labels_Q


def _random_state(learner: Learner) -> torch.Tensor:
    """Return the state of the generator that dropout draws from."""
    if learner.accelerator.device.type == "cuda":
        return torch.cuda.get_rng_state(learner.accelerator.device)
    return torch.get_rng_state()


def _set_random_state(learner: Learner, state: torch.Tensor) -> None:
    if learner.accelerator.device.type == "cuda":
        torch.cuda.set_rng_state(state, learner.accelerator.device)
    else:
        torch.set_rng_state(state)
