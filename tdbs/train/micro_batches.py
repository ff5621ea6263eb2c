"""Cut batches that are too large for the device: above HWCap, or after CUDA ran out of memory.

If memory runs out, the cap of the bucket is halved and training continues. The update stays what was planned: a batch
above its cap is split into micro-batches whose gradients are added up, each weighted by what its loss is a mean over.
Plan, steps and rates do not change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch

from tdbs.arrays import IntArray, ragged_positions
from tdbs.data.tasks import TaskKind
from tdbs.errors import TrainingError
from tdbs.pipeline.lengths import bucket_name, bucket_of
from tdbs.train.batches import Batch

Outcome = TypeVar("Outcome")

# Shapes: B samples of the batch, R rows of W tokens, E bucket edges.


@dataclass(frozen=True, kw_only=True, slots=True)
class HalvedCap:
    """A cap that was halved, as a run's result records it."""

    bucket: str
    cap: int
    step: int


@dataclass(kw_only=True, slots=True)
class MemoryCaps:
    """Caps of a batch in training: HWCap, and those found when memory ran out."""

    edges_E: IntArray
    kind: TaskKind
    hardware_L1: IntArray | None = None  # HWCap by length, if a share of an update may exceed it
    by_bucket: dict[int, int] = field(default_factory=dict)
    halved: list[HalvedCap] = field(default_factory=list)

    def take(self, caps: Mapping[str, int], halved: Sequence[HalvedCap]) -> None:
        """Restore the caps of a checkpoint."""
        self.by_bucket = {int(bucket): cap for bucket, cap in caps.items()}
        self.halved = list(halved)

    def within(self, batches: Sequence[Batch]) -> list[Batch]:
        """Return the batches, those above their cap cut into equal parts; a cap holds for longer buckets, too."""
        return [part for batch in batches for part in split_batch(batch, self._cap(batch), self.kind)]

    def halve(self, batches: Sequence[Batch], *, step: int) -> None:
        """Halve the cap of the bucket of the largest of some batches. Raises TrainingError if it is one sample."""
        largest = max(self.within(batches), key=lambda batch: batch.input_ids_RW.size)
        bucket = self._bucket(largest)
        name = bucket_name(self.edges_E, bucket)
        cap = min(len(largest.sample_ids_B), self._cap(largest) or len(largest.sample_ids_B)) // 2
        if not cap:
            raise TrainingError(
                f"One sample of bucket {name} does not fit the device's memory.",
                next_step="Pass a smaller --model, or prepare with a smaller --max-length.",
            )
        self.by_bucket[bucket] = cap
        self.halved.append(HalvedCap(bucket=name, cap=cap, step=step))

    def _bucket(self, batch: Batch) -> int:
        return int(bucket_of(np.array([batch.sample_lengths_B.max()]), self.edges_E)[0])

    def _cap(self, batch: Batch) -> int | None:
        caps = [] if self.hardware_L1 is None else [int(self.hardware_L1[batch.sample_lengths_B.max()])]
        if self.by_bucket:  # rare: other steps skip this work
            own = self._bucket(batch)
            caps += [cap for bucket, cap in self.by_bucket.items() if bucket <= own]
        return min(caps, default=None)


def within_memory(
    run: Callable[[Sequence[Batch]], Outcome],
    batches: Sequence[Batch],
    caps: MemoryCaps,
    *,
    step: int,
    clear: Callable[[], None],
) -> Outcome:
    """Run a step, again with halved caps if memory runs out; `clear` removes what a failed try left."""
    while True:
        try:
            return run(caps.within(batches))
        except torch.OutOfMemoryError:
            clear()
        caps.halve(batches, step=step)  # after the except block: the error holds the step's tensors


def split_batch(batch: Batch, cap: int | None, kind: TaskKind) -> list[Batch]:
    """Return a batch as micro-batches of `cap` samples at most; packed rows are cut between rows."""
    count = len(batch.sample_ids_B)
    if cap is None or count <= cap:
        return [batch]
    if batch.execution == "packed" and batch.starts_B is not None:
        row_B = batch.starts_B // batch.input_ids_RW.shape[1]
        rows = np.array_split(np.arange(len(batch.input_ids_RW)), min(-(-count // cap), len(batch.input_ids_RW)))
        return [part_of_batch(batch, np.flatnonzero(np.isin(row_B, part)), part, kind) for part in rows]
    parts = np.array_split(np.arange(count), -(-count // cap))
    return [part_of_batch(batch, part, part, kind) for part in parts]


def part_of_batch(batch: Batch, samples: IntArray, rows: IntArray, kind: TaskKind) -> Batch:
    """Return some samples of a batch as a batch; `rows` are their rows, if the batch has more than one."""
    sequences_B = None
    ids_B = batch.sample_ids_B[samples]
    if batch.sequences_B is not None:  # a sample is cut with its sequences
        sequences_B = batch.sequences_B[samples]
        firsts_B = np.cumsum(batch.sequences_B) - batch.sequences_B
        samples = rows = ragged_positions(firsts_B[samples], sequences_B)
    lengths_B = batch.lengths_B[samples]
    input_ids_RW, starts_B = batch.input_ids_RW[rows] if len(batch.input_ids_RW) > 1 else batch.input_ids_RW, None
    labels = None if batch.labels is None else batch.labels[samples]
    if batch.starts_B is not None:
        if batch.execution == "unpadded":
            input_ids_RW = batch.input_ids_RW[:, ragged_positions(batch.starts_B[samples], lengths_B)]
            starts_B = np.cumsum(lengths_B) - lengths_B
        else:
            starts_B = batch.starts_B[samples] - rows[0] * batch.input_ids_RW.shape[1]
        if labels is not None and kind == "token_classification":
            labels = labels[:, : int(lengths_B.max())]
    return replace(
        batch,
        sample_ids_B=ids_B,
        input_ids_RW=input_ids_RW,
        lengths_B=lengths_B,
        segment_starts_B=None if batch.segment_starts_B is None else batch.segment_starts_B[samples],
        labels=labels,
        starts_B=starts_B,
        layout=None,
        sequences_B=sequences_B,
    )
