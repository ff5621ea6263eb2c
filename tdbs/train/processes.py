"""Several processes train as one: each takes its share of every update, and their gradients are added up.

torchrun or `accelerate launch` starts them, and accelerate's handle has the number of each and of all. All of them make
the same plan and the same batches. So no sampler has to be split, no process ends an epoch before another, and the
samples of an update do not depend on the number of processes. Gradients are summed after the last backward pass of an
update, in one message, rather than by wrapping the model: a share may be empty, or split into micro-batches.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator

from tdbs.arrays import IntArray
from tdbs.data.tasks import TaskKind
from tdbs.train.batches import Batch
from tdbs.train.micro_batches import part_of_batch
from tdbs.train.sample_records import Scores

# Shapes: B samples of the batch, R rows of W tokens.


def own_share(batches: Sequence[Batch], kind: TaskKind, *, process: int, processes: int) -> list[Batch]:
    """Return one process's share of each of an update's batches, in similar shape; it may have none of the smallest.

    Samples are dealt out by length, so all shares of a batch mix short and long samples alike. Packed rows are dealt
    out whole. Over all processes, each sample is there once.
    """
    if processes == 1:
        return list(batches)
    shares = (_share(batch, kind, process=process, processes=processes) for batch in batches)
    return [share for share in shares if share is not None]


def dealt_out(lengths_B: IntArray, processes: int) -> IntArray:
    """Return the process of each sample of a batch (B): from long to short, to the first, the last, and back again."""
    rank_B = np.arange(len(lengths_B)) % (2 * processes)
    process_B = np.empty_like(rank_B)
    process_B[np.argsort(-lengths_B, kind="stable")] = np.minimum(rank_B, 2 * processes - 1 - rank_B)
    return process_B


def sum_up(
    accelerator: Accelerator, model: torch.nn.Module, numbers: Sequence[float], table: Scores | None
) -> tuple[Sequence[float], Scores | None]:
    """Add up the gradients of all processes, in place; return the sums of some numbers and of a table, in one message.

    A parameter that has no gradient here may have one elsewhere, so every one takes part.
    """
    if accelerator.num_processes == 1:
        return numbers, table
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    others = [*numbers, *(() if table is None else table.ravel().tolist())]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor(others)])
    summed = accelerator.reduce(flat, reduction="sum")
    *parts, sums = summed.split([*(gradient.numel() for gradient in gradients), len(others)])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    found = np.array(sums.tolist())
    summed_table = None if table is None else found[len(numbers) :].astype(table.dtype).reshape(table.shape)
    return found[: len(numbers)].tolist(), summed_table


def _share(batch: Batch, kind: TaskKind, *, process: int, processes: int) -> Batch | None:
    if batch.execution == "packed" and batch.starts_B is not None:
        rows = np.arange(len(batch.input_ids_RW))[process::processes]
        samples = np.flatnonzero(np.isin(batch.starts_B // batch.input_ids_RW.shape[1], rows))
    else:
        samples = rows = np.flatnonzero(dealt_out(batch.sample_lengths_B, processes) == process)
    if not len(samples):
        return None
    if len(samples) == len(batch.sample_ids_B):
        return batch
    share = part_of_batch(batch, samples, rows, kind)
    return _narrowed(share, kind) if batch.execution == "padded" else share


def _narrowed(batch: Batch, kind: TaskKind) -> Batch:
    """Return a padded batch without the columns that only other shares need."""
    width = max(int(batch.lengths_B.max()), 1)
    labels = batch.labels
    if labels is not None and kind == "token_classification":
        labels = labels[:, :width]
    return replace(batch, input_ids_RW=batch.input_ids_RW[:, :width], labels=labels)
