"""Plan an epoch: drop early, form batches, drop further in batches (paper, Algorithms 2 and 3).

A plan is arithmetic: same arguments, same plan, on any machine. Steps, rates, padding and the largest batch are
known before the first step, and the estimate and the trainer read the same plan.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError
from tdbs.given import checked
from tdbs.train.planning.batching import BATCHINGS, EpochSamples, TargetLengths
from tdbs.train.planning.cuts import are_cut, calls_of
from tdbs.train.planning.droppable_words import DroppableWords
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.sequences import SequenceSizes, pad_sequences
from tdbs.train.planning.strategies import Strategy
from tdbs.train.planning.tokendrop import drop_before_batching, drop_in_batches

# Shapes: N samples, M those that an epoch trains on, B batches (calls of the model), B1 = B + 1, S some samples.


@checked
def plan_epoch(
    lengths_N: IntArray,
    words: DroppableWords | None,
    strategy: Strategy,
    *,
    max_length: int,
    seed: int,
    epoch: int,
    targets: TargetLengths | None = None,
    sequences: SequenceSizes | None = None,
    window: int = 0,
    chosen_M: IntArray | None = None,
) -> EpochPlan:
    """Return every batch of one epoch, in running order. Same arguments, same plan, on any machine.

    Args:
        lengths_N: Tokens of each of the N samples, special ones included.
        words: The droppable words of the same samples (`tdbs.train.planning.droppable_words.droppable_words_of`).
        strategy: A resolved strategy (`tdbs.train.planning.strategies.resolve_strategy`).
        max_length: Most tokens that a sample of the dataset may have.
        seed: Seed of the run, 0 or more.
        epoch: Number of the epoch, from 0.
        targets: Sequence to sequence: tokens of each target. None: targets are not sequences.
        sequences: Embedding, ranking: sequences of each sample. None: a sample is one.
        window: Number of the memory window that these samples are, from 0; each has its own shuffle.
        chosen_M: Samples that the epoch trains on, ascending. None: all. What is dropped of a sample before batches
            are made does not depend on it.

    Returns:
        The plan: sample ids (N, or M) and the tokens that remain of each, in running order; where each batch begins
        (B + 1), and how wide its rows are (B).

    Raises:
        ConfigError: A row of several samples would hold one without a token.
    """
    early = drop_before_batching(lengths_N, words, strategy, seed=seed, epoch=epoch, window=window)
    samples = EpochSamples(
        lengths_N=lengths_N if chosen_M is None else lengths_N[chosen_M],
        planned_N=early.lengths_N if chosen_M is None else early.lengths_N[chosen_M],
        targets=targets if chosen_M is None or targets is None else targets.of(chosen_M),
        strategy=strategy,
        max_length=max_length,
        seed=seed,
        epoch=epoch,
        window=window,
    )
    batching = BATCHINGS[strategy.batches](samples)
    order_N = batching.order_N if chosen_M is None else chosen_M[batching.order_N]
    offsets_B1, step_offsets_S1 = batching.offsets_B1, batching.step_offsets_S1
    kept_N = early.lengths_N[order_N]
    drop_in_batches(kept_N, lengths_N, words, order_N, offsets_B1, strategy)
    if strategy.in_rows and not kept_N.all():
        raise ConfigError(
            f"Sample {order_N[np.argmin(kept_N)]} has no token: a row of several samples cannot contain it.",
            next_step="Pass --execution padded, or prepare with a tokenizer that adds special tokens.",
        )
    target_lengths_N = None if targets is None else targets.lengths_N[order_N]
    of_order = None if sequences is None else sequences.of(order_N)
    if are_cut(strategy):
        widths_N, target_widths_N = kept_N, target_lengths_N
        if strategy.execution == "padded_max":
            widths_N = np.full_like(kept_N, max_length)
            target_widths_N = None if targets is None else np.full_like(kept_N, targets.max_length)
        calls = calls_of(
            np.maximum(widths_N, 1),
            None if target_widths_N is None else np.maximum(target_widths_N, 1),
            strategy,
            sequences=of_order,
            offsets_B1=offsets_B1,
            step_offsets_S1=step_offsets_S1,
        )
        of_order = None if of_order is None else of_order.of(calls.places_N)
        order_N, kept_N = order_N[calls.places_N], kept_N[calls.places_N]
        target_lengths_N = None if target_lengths_N is None else target_lengths_N[calls.places_N]
        offsets_B1, step_offsets_S1 = calls.offsets_B1, calls.step_offsets_S1
    widths_B = np.maximum(np.maximum.reduceat(kept_N, offsets_B1[:-1]), 1)  # a model needs one column at least
    if strategy.execution in ("padded_max", "packed"):
        widths_B = np.full_like(widths_B, max_length)
    sequences_B = None
    if of_order is not None and strategy.execution != "unpadded":
        sequences_B, widths_B = pad_sequences(of_order, strategy, offsets_B1)
    target_widths_B = None
    if targets is not None and target_lengths_N is not None:
        target_widths_B = np.maximum(np.maximum.reduceat(target_lengths_N, offsets_B1[:-1]), 1)
        if strategy.execution == "padded_max":
            target_widths_B = np.full_like(target_widths_B, targets.max_length)
    return EpochPlan(
        epoch=epoch,
        sample_ids_N=order_N,
        kept_N=kept_N,
        batch_offsets_B1=offsets_B1,
        padded_lengths_B=widths_B,
        execution="padded" if strategy.execution == "sorted" else strategy.execution,  # its calls are padded batches
        row_offsets_R1=batching.row_offsets_R1,
        step_offsets_S1=step_offsets_S1,
        target_lengths_N=target_lengths_N,
        target_widths_B=target_widths_B,
        unsorted_target_tokens=batching.unsorted_target_tokens,
        longest_N=None if of_order is None else of_order.longest_N,
        sequences_B=sequences_B,
        dropped_W8=early.dropped_W8,
    )


def plan_run(
    lengths_N: IntArray,
    words: DroppableWords | None,
    strategy: Strategy,
    *,
    max_length: int,
    seed: int,
    epochs: Sequence[int],
    targets: TargetLengths | None = None,
    sequences: SequenceSizes | None = None,
    chosen: Callable[[int], IntArray | None] = lambda _epoch: None,
) -> list[EpochPlan]:
    """Return the plans of some epochs of a run, by their numbers; `chosen` returns an epoch's samples, None for all."""
    return [
        plan_epoch(
            lengths_N,
            words,
            strategy,
            max_length=max_length,
            seed=seed,
            epoch=epoch,
            targets=targets,
            sequences=sequences,
            chosen_M=chosen(epoch),
        )
        for epoch in epochs
    ]


def plan_one_by_one(samples_S: IntArray, kept_S: IntArray) -> EpochPlan:
    """Return a plan with one batch per sample, in the given order; `kept_S` are their tokens."""
    return EpochPlan(
        epoch=0,
        sample_ids_N=samples_S,
        kept_N=kept_S,
        batch_offsets_B1=np.arange(len(samples_S) + 1),
        padded_lengths_B=np.maximum(kept_S, 1),
    )


def plan_digest(plans: Sequence[EpochPlan]) -> str:
    """Return one hash over all batches of a run: two runs with one digest see the same batches."""
    digest = hashlib.sha256()
    for plan in plans:
        arrays = (plan.sample_ids_N, plan.kept_N, plan.batch_offsets_B1, plan.padded_lengths_B)
        for array in (*arrays, plan.row_offsets_R1, plan.step_offsets_S1, plan.sequences_B):
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        for window in plan.windows:
            digest.update(np.array([window.last_batch, *window.shards], dtype="<i8").tobytes())
    return digest.hexdigest()
