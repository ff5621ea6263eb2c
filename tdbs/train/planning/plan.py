"""The plan of an epoch: every batch in running order, as flat arrays (paper, Algorithms 2 and 3; PAPER_NOTES, reach).

An epoch is arithmetic: same arguments, same plan, on any machine. Steps, rates, padding and the largest batch are
known before the first step, and the estimate and the trainer read the same plan.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray, offsets_of
from tdbs.errors import ConfigError
from tdbs.train.planning.batching import BATCHINGS, EpochSamples, TargetLengths
from tdbs.train.planning.strategies import Execution, Strategy
from tdbs.train.planning.tokendrop import (
    DroppableWords,
    drop_first_words,
    drop_order,
    further_lengths,
    grid_shift,
    largest_total,
    target_lengths,
    words_at_rate,
)

ROW_STEP = 32  # tokens; see `row_width`

# Shapes: N samples, B batches (calls of the model), B1 = B + 1, R rows of the model, S steps.


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Shards that are in memory together, by their numbers, and the batches that are made of their samples."""

    shards: tuple[int, ...]
    first_batch: int
    last_batch: int  # exclusive


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochPlan:
    """Every batch of one epoch. Batch b holds the samples [batch_offsets_B1[b]] to [batch_offsets_B1[b + 1]]."""

    epoch: int
    sample_ids_N: IntArray  # in running order
    kept_N: IntArray  # tokens that remain of each of them, in the same order
    batch_offsets_B1: IntArray
    padded_lengths_B: IntArray  # width of the rows that the model sees; unpadded: the longest sample
    execution: Execution = "padded"
    row_offsets_R1: IntArray | None = None  # packed: samples of each row of the model, as batch_offsets_B1 has batches'
    step_offsets_S1: IntArray | None = None  # batches of each step; None: each batch is a step
    target_lengths_N: IntArray | None = None  # seq2seq: tokens of each target, in running order
    target_widths_B: IntArray | None = None  # seq2seq: width of the batch's targets
    unsorted_target_tokens: int = 0  # seq2seq: what `target_tokens` would be, had targets not been sorted
    windows: tuple[Window, ...] = ()  # of a split that is larger than memory (windows.py); none: the split is one

    @property
    def batch_sizes_B(self) -> IntArray:
        """Samples of each batch."""
        return np.diff(self.batch_offsets_B1)

    @property
    def step_batches_S(self) -> IntArray:
        """Batches of each step."""
        return np.ones_like(self.padded_lengths_B) if self.step_offsets_S1 is None else np.diff(self.step_offsets_S1)

    @property
    def step_sizes_S(self) -> IntArray:
        """Samples of each step."""
        if self.step_offsets_S1 is None:
            return self.batch_sizes_B
        return np.diff(self.batch_offsets_B1[self.step_offsets_S1])

    @property
    def steps(self) -> int:
        """Updates of the epoch."""
        return len(self.padded_lengths_B) if self.step_offsets_S1 is None else len(self.step_offsets_S1) - 1

    @property
    def tokens_B(self) -> IntArray:
        """All tokens that the linear layers see in each batch, pad included; of seq2seq those of the sources."""
        if self.execution == "unpadded":
            return row_width(np.add.reduceat(self.kept_N, self.batch_offsets_B1[:-1]))
        return self.rows_B * self.padded_lengths_B

    @property
    def rows_B(self) -> IntArray:
        """Rows of the model in each batch: its samples, its packs, or the one row of an unpadded batch."""
        if self.execution == "unpadded":
            return np.ones_like(self.padded_lengths_B)
        if self.row_offsets_R1 is None:
            return self.batch_sizes_B
        return np.diff(np.searchsorted(self.row_offsets_R1, self.batch_offsets_B1))

    @property
    def tokens(self) -> int:
        """All tokens that the linear layers see, pad included; of seq2seq those of the sources."""
        return int(self.tokens_B.sum())

    @property
    def target_tokens(self) -> int:
        """All tokens of the targets, pad included; 0 where targets are no sequences."""
        return 0 if self.target_widths_B is None else int(self.batch_sizes_B @ self.target_widths_B)

    @property
    def padding_fraction(self) -> float:
        """Pad tokens / all tokens of the batches."""
        return 1.0 - int(self.kept_N.sum()) / self.tokens


def row_width(tokens_B: IntArray) -> IntArray:
    """Return the width of unpadded rows of so many tokens: the next multiple of 32, so that few widths recur.

    A CPU's matrix products are prepared for a shape, and kept; rows of any width would be prepared again in each step.
    """
    return -(-tokens_B // ROW_STEP) * ROW_STEP


def plan_epoch(
    lengths_N: IntArray,
    words: DroppableWords,
    strategy: Strategy,
    *,
    max_length: int,
    seed: int,
    epoch: int,
    targets: TargetLengths | None = None,
    window: int = 0,
) -> EpochPlan:
    """Return every batch of one epoch, in running order. Same arguments, same plan, on any machine.

    The samples may be those of one window of the epoch, which is shuffled by a stream of its own. Raises ConfigError
    where a row of several samples would hold one without a token.
    """
    planned_N = _planned_lengths(lengths_N, words, strategy, seed=seed, epoch=epoch, window=window)
    samples = EpochSamples(
        lengths_N=lengths_N,
        planned_N=planned_N,
        targets=targets,
        strategy=strategy,
        max_length=max_length,
        seed=seed,
        epoch=epoch,
        window=window,
    )
    batching = BATCHINGS[strategy.batches](samples)
    order_N, offsets_B1 = batching.order_N, batching.offsets_B1
    kept_N = planned_N[order_N]
    if strategy.drop in ("batch_min", "reach"):
        _drop_further(kept_N, lengths_N, words, order_N, offsets_B1, strategy)
    if strategy.in_rows and not kept_N.all():
        raise ConfigError(
            f"Sample {order_N[np.argmin(kept_N)]} has no token: in a row of several samples it has no place.",
            next_step="Pass --execution padded, or prepare with a tokenizer that adds special tokens.",
        )
    widths_B = np.maximum(np.maximum.reduceat(kept_N, offsets_B1[:-1]), 1)  # a model needs one column at least
    if strategy.execution in ("padded_max", "packed"):
        widths_B = np.full_like(widths_B, max_length)
    target_lengths_N = target_widths_B = None
    tokens_of_targets = 0
    if targets is not None:
        target_lengths_N = targets.lengths_N[order_N]
        target_widths_B = np.maximum(np.maximum.reduceat(target_lengths_N, offsets_B1[:-1]), 1)
        if strategy.execution == "padded_max":
            target_widths_B = np.full_like(target_widths_B, targets.max_length)
        tokens_of_targets = int(np.diff(offsets_B1) @ target_widths_B)
    return EpochPlan(
        epoch=epoch,
        sample_ids_N=order_N,
        kept_N=kept_N,
        batch_offsets_B1=offsets_B1,
        padded_lengths_B=widths_B,
        execution=strategy.execution,
        row_offsets_R1=batching.row_offsets_R1,
        step_offsets_S1=batching.step_offsets_S1,
        target_lengths_N=target_lengths_N,
        target_widths_B=target_widths_B,
        unsorted_target_tokens=batching.unsorted_target_tokens or tokens_of_targets,
    )


def plan_one_by_one(samples_S: IntArray, kept_S: IntArray) -> EpochPlan:
    """Return a plan that has a batch for each of some samples, as they come; `kept_S` are their tokens."""
    return EpochPlan(
        epoch=0,
        sample_ids_N=samples_S,
        kept_N=kept_S,
        batch_offsets_B1=np.arange(len(samples_S) + 1),
        padded_lengths_B=np.maximum(kept_S, 1),
    )


def plan_run(
    lengths_N: IntArray,
    words: DroppableWords,
    strategy: Strategy,
    *,
    max_length: int,
    seed: int,
    epochs: int,
    targets: TargetLengths | None = None,
) -> list[EpochPlan]:
    """Return the plans of all epochs of a run."""
    return [
        plan_epoch(lengths_N, words, strategy, max_length=max_length, seed=seed, epoch=epoch, targets=targets)
        for epoch in range(epochs)
    ]


def run_padding(plans: Sequence[EpochPlan]) -> float:
    """Return the padding fraction of a whole run: pad tokens / all tokens of its batches."""
    return 1.0 - sum(int(plan.kept_N.sum()) for plan in plans) / sum(plan.tokens for plan in plans)


def run_target_padding(plans: Sequence[EpochPlan], *, is_sorted: bool = True) -> float | None:
    """Return the padding fraction of a run's targets (as they would be unsorted); None where they are no sequences."""
    real = sum(int(plan.target_lengths_N.sum()) for plan in plans if plan.target_lengths_N is not None)
    tokens = sum(plan.target_tokens if is_sorted else plan.unsorted_target_tokens for plan in plans)
    return 1.0 - real / tokens if tokens else None


def plan_digest(plans: Sequence[EpochPlan]) -> str:
    """Return one hash over all batches of a run: two runs with one digest see the same batches."""
    digest = hashlib.sha256()
    for plan in plans:
        arrays = (plan.sample_ids_N, plan.kept_N, plan.batch_offsets_B1, plan.padded_lengths_B)
        for array in (*arrays, plan.row_offsets_R1, plan.step_offsets_S1):
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        for window in plan.windows:
            digest.update(np.array([window.last_batch, *window.shards], dtype="<i8").tobytes())
    return digest.hexdigest()


def _planned_lengths(
    lengths_N: IntArray, words: DroppableWords, strategy: Strategy, *, seed: int, epoch: int, window: int
) -> IntArray:
    """Return each sample's length after what is dropped from it whatever its batch."""
    if strategy.drop == "reach":
        width = strategy.bucket_width
        shift = grid_shift(width=width, seed=seed, epoch=epoch)
        targets_N = target_lengths(lengths_N, words, width=width, shift=shift)
        if strategy.grid_lengths == 1:
            return targets_N
        draw = rng.stream(rng.RandomPurpose.GRID_LENGTH, seed=seed, epoch=epoch, part=window)
        steps_N = draw.integers(strategy.grid_lengths, size=len(lengths_N))
        return further_lengths(targets_N, lengths_N, words, width=width, shift=shift, steps_N=steps_N)
    if strategy.drops_at_rate:
        dropped_W = drop_first_words(
            words, drop_order(words, seed=seed, epoch=epoch), words_at_rate(words, strategy.effective_rate)
        )
        dropped_before = offsets_of(np.where(dropped_W, words.sizes_W, 0))
        return lengths_N - np.diff(dropped_before[words.offsets_N1])
    return lengths_N


def _drop_further(
    kept_N: IntArray,
    lengths_N: IntArray,
    words: DroppableWords,
    order_N: IntArray,
    offsets_B1: IntArray,
    strategy: Strategy,
) -> None:
    """Shorten what remains of samples, in running order, by what is dropped for the sake of their batch.

    Batches of one length are as they were planned: only mixed ones are looked at (places P, batches M of them).
    """
    firsts_B, sizes_B = offsets_B1[:-1], np.diff(offsets_B1)
    shortest_B = np.minimum.reduceat(kept_N, firsts_B)
    is_mixed_B = shortest_B < np.maximum.reduceat(kept_N, firsts_B)
    places_P = np.flatnonzero(np.repeat(is_mixed_B, sizes_B))
    goal_M, sizes_M = shortest_B[is_mixed_B], sizes_B[is_mixed_B]  # Algorithm 3: to the shortest of the batch
    if len(goal_M) and strategy.drop == "reach":  # a merged batch: or as far as its longest sample can go
        least_P = lengths_N[order_N[places_P]] - words.droppable_N[order_N[places_P]]
        goal_M = np.maximum(goal_M, np.maximum.reduceat(least_P, np.cumsum(sizes_M) - sizes_M))
    goal_P = np.repeat(goal_M, sizes_M)
    is_further_P = goal_P < kept_N[places_P]  # lengths that were planned are met as they are
    places, goal = places_P[is_further_P], goal_P[is_further_P]
    samples = order_N[places]
    kept_N[places] = lengths_N[samples] - largest_total(words, samples, lengths_N[samples] - goal)
