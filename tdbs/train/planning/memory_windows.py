"""Plan a run on a split, from its index alone; if the split is larger than memory, window by window.

Windows are sets of shards that fit the memory together: a two-level shuffle, first of shards, then of their samples.
Each epoch draws which shards form a window, and the order of windows. Every window has its share of each bucket's
shards, so its lengths are like those of the whole split, if possible (`have_few_lengths`). Inside a window all is
planned as without windows. Words are dropped in the same order, too; how many may depend on the batch, as always. The
price: samples of different windows never share a batch in that epoch.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray, offsets_of
from tdbs.pipeline.manifest import Manifest, ShardInfo, SplitInfo
from tdbs.pipeline.shard_columns import token_type
from tdbs.pipeline.split_index import SplitIndex
from tdbs.train.planning.batching import TargetLengths
from tdbs.train.planning.droppable_words import DroppableWords, words_of_index
from tdbs.train.planning.epoch_plan import EpochPlan, Window
from tdbs.train.planning.plan import plan_epoch, plan_run
from tdbs.train.planning.sequences import SequenceSizes
from tdbs.train.planning.strategies import Strategy
from tdbs.train.planning.subsets import EVERY_SAMPLE, Subset, planned_samples

# Shapes: N samples of the split, M samples of a window, W8 flags of its droppable words, eight a byte.

# Most memory that training takes, in bytes: the arrays, and what an epoch makes of them (docs/decisions.md).
_BYTES_A_SAMPLE = 160
_BYTES_A_WORD = 60  # with the order in which words are dropped
_BYTES_A_SEQUENCE = 16  # its length and the place of its second text
_BYTES_A_TARGET = 8  # per token of a target, or of other values of each token


def shard_bytes(info: SplitInfo, manifest: Manifest) -> list[int]:
    """Return the bytes that training takes for each shard's samples, with the split's mean words and targets."""
    ids = np.dtype(token_type(manifest.tokenizer.vocabulary_size)).itemsize
    if manifest.task.kind == "token_classification":
        ids += _BYTES_A_TARGET
    words = info.droppable_words / max(info.tokens, 1)
    targets = sum(length * count for length, count in enumerate(info.target_histogram)) / max(info.rows, 1)
    sequences = sum(info.sequence_histogram) / max(info.rows, 1)
    a_token = 2 * ids + words * _BYTES_A_WORD
    a_sample = _BYTES_A_SAMPLE + targets * _BYTES_A_TARGET + sequences * _BYTES_A_SEQUENCE
    return [int(shard.tokens * a_token + shard.rows * a_sample) for shard in info.shards]


def count_windows(info: SplitInfo, manifest: Manifest, *, memory: int) -> int:
    """Return the number of windows in which a split is trained on; 1: it fits the memory as it is.

    In every order in which shards are dealt out, the fullest window has at most a fair share and one more shard.
    """
    sizes = shard_bytes(info, manifest)
    if sum(sizes) <= memory:
        return 1
    share = memory - max(sizes)
    return min(-(-sum(sizes) // share), len(sizes)) if share > 0 else len(sizes)


def have_few_lengths(info: SplitInfo, windows: int) -> bool:
    """Return whether more than a tenth of the tokens is in buckets that have fewer shards than there are windows.

    Then a window lacks lengths that the split has: random batches of it hold less padding than those of the split.
    """
    buckets = [shard.path.rpartition("/")[0] for shard in info.shards]
    shards_of = Counter(buckets)
    lacking = [shard.tokens for shard, bucket in zip(info.shards, buckets, strict=True) if shards_of[bucket] < windows]
    return windows > 1 and sum(lacking) > info.tokens / 10


def window_shards(
    shards: Sequence[ShardInfo], sizes: Sequence[int], windows: int, *, seed: int, epoch: int
) -> list[tuple[int, ...]]:
    """Return the numbers of the shards of each window, windows in running order.

    Shuffled shards are dealt out bucket by bucket, each to the lightest window so far, so that every window gets its
    share of each bucket.
    """
    shuffled = rng.stream(rng.RandomPurpose.SHUFFLE_SHARDS, seed=seed, epoch=epoch).permutation(len(shards)).tolist()
    dealt: list[list[int]] = [[] for _ in range(windows)]
    held = [0] * windows
    for number in sorted(shuffled, key=lambda number: shards[number].path.rpartition("/")[0]):
        lightest = held.index(min(held))
        dealt[lightest].append(number)
        held[lightest] += sizes[number]
    order = rng.stream(rng.RandomPurpose.SHUFFLE_SHARDS, seed=seed, epoch=epoch, part=1).permutation(windows)
    return [tuple(sorted(dealt[window])) for window in order]


def window_samples(index: SplitIndex, shards: Sequence[int]) -> IntArray:
    """Return the samples of a window, ascending: their numbers in the window are their places here."""
    if index.shards_N is None:
        raise ValueError("a split in memory has no windows")
    return np.flatnonzero(np.isin(index.shards_N, shards))


def plan_split(
    index: SplitIndex,
    manifest: Manifest,
    strategy: Strategy,
    *,
    seed: int,
    epochs: int,
    windows: int = 1,
    subset: Subset = EVERY_SAMPLE,
) -> list[EpochPlan]:
    """Return the plans of all epochs of a run on a split, or on a subset of it, from its index alone.

    `train`, `plan` and `estimate-speedup` all call this, so all see the same plan.
    """
    rows = len(index.lengths_N)
    return _plans_of(
        index,
        manifest,
        strategy,
        range(epochs),
        lambda epoch: planned_samples(subset, rows, seed=seed, epoch=epoch),
        seed=seed,
        windows=windows,
    )


def replan_epoch(
    index: SplitIndex,
    manifest: Manifest,
    strategy: Strategy,
    epoch: int,
    chosen_M: IntArray,
    *,
    seed: int,
    windows: int,
) -> EpochPlan:
    """Return the plan of one epoch on some samples, which were not known when the run was planned."""
    [plan] = _plans_of(index, manifest, strategy, [epoch], lambda _epoch: chosen_M, seed=seed, windows=windows)
    return plan


def words_to_drop(index: SplitIndex, strategy: Strategy, samples_M: IntArray | None = None) -> DroppableWords | None:
    """Return the words that a strategy may drop from some samples, or all; None if it drops none."""
    return None if strategy.drop == "none" else words_of_index(index, strategy.drop, samples_M)


def plan_of_window(plan: EpochPlan, window: Window, samples_M: IntArray) -> EpochPlan:
    """Return the part of an epoch's plan that is a window's, with the numbers that samples have in the window."""
    offsets = plan.batch_offsets_B1[window.first_batch : window.last_batch + 1]
    members, batches = slice(offsets[0], offsets[-1]), slice(window.first_batch, window.last_batch)
    return EpochPlan(
        epoch=plan.epoch,
        sample_ids_N=np.searchsorted(samples_M, plan.sample_ids_N[members]),
        kept_N=plan.kept_N[members],
        batch_offsets_B1=offsets - offsets[0],
        padded_lengths_B=plan.padded_lengths_B[batches],
        execution=plan.execution,
        row_offsets_R1=_part_of(plan.row_offsets_R1, int(offsets[0]), int(offsets[-1])),
        step_offsets_S1=_part_of(plan.step_offsets_S1, window.first_batch, window.last_batch),
        target_lengths_N=None if plan.target_lengths_N is None else plan.target_lengths_N[members],
        target_widths_B=None if plan.target_widths_B is None else plan.target_widths_B[batches],
        longest_N=None if plan.longest_N is None else plan.longest_N[members],
        sequences_B=None if plan.sequences_B is None else plan.sequences_B[batches],
        dropped_W8=window.dropped_W8,
    )


def _plans_of(
    index: SplitIndex,
    manifest: Manifest,
    strategy: Strategy,
    epochs: Sequence[int],
    chosen: Callable[[int], IntArray | None],
    *,
    seed: int,
    windows: int,
) -> list[EpochPlan]:
    """Return the plans of some epochs, each on its chosen samples; None: on all."""
    if windows > 1:
        return [
            _plan_windows(index, manifest, strategy, windows, seed=seed, epoch=epoch, chosen_M=chosen(epoch))
            for epoch in epochs
        ]
    return plan_run(
        index.lengths_N.astype(np.int64),
        words_to_drop(index, strategy),
        strategy,
        max_length=manifest.max_length,
        seed=seed,
        epochs=epochs,
        targets=_targets(index, manifest),
        sequences=_sequences(index, manifest),
        chosen=chosen,
    )


def _plan_windows(
    index: SplitIndex,
    manifest: Manifest,
    strategy: Strategy,
    windows: int,
    *,
    seed: int,
    epoch: int,
    chosen_M: IntArray | None,
) -> EpochPlan:
    """Return the plan of an epoch in windows: the plans of all windows, one after the other.

    A window that has none of the chosen samples is left out.
    """
    info = manifest.splits[index.name]
    plans, found = [], []
    batches = 0
    dealt = window_shards(info.shards, shard_bytes(info, manifest), windows, seed=seed, epoch=epoch)
    for number, members in enumerate(dealt):
        samples_M = window_samples(index, members)
        own_M = None if chosen_M is None else np.flatnonzero(np.isin(samples_M, chosen_M))
        if own_M is not None and not len(own_M):
            continue
        plan = plan_epoch(
            index.lengths_N[samples_M].astype(np.int64),
            words_to_drop(index, strategy, samples_M),
            strategy,
            max_length=manifest.max_length,
            seed=seed,
            epoch=epoch,
            targets=_targets(index, manifest, samples_M),
            sequences=_sequences(index, manifest, samples_M),
            window=number,
            chosen_M=own_M,
        )
        plans.append((samples_M, plan))
        last_batch = batches + len(plan.padded_lengths_B)
        found.append(Window(shards=members, first_batch=batches, last_batch=last_batch, dropped_W8=plan.dropped_W8))
        batches = last_batch
    return _joined(plans, tuple(found))


def _targets(index: SplitIndex, manifest: Manifest, samples_M: IntArray | None = None) -> TargetLengths | None:
    if index.target_lengths_N is None:
        return None
    lengths_M = index.target_lengths_N if samples_M is None else index.target_lengths_N[samples_M]
    return TargetLengths(lengths_N=lengths_M.astype(np.int64), max_length=manifest.max_target_length or 0)


def _sequences(index: SplitIndex, manifest: Manifest, samples_M: IntArray | None = None) -> SequenceSizes | None:
    if index.sequences_N is None or index.longest_N is None:
        return None
    chosen = slice(None) if samples_M is None else samples_M
    return SequenceSizes(
        counts_N=index.sequences_N[chosen].astype(np.int64),
        longest_N=index.longest_N[chosen].astype(np.int64),
        max_length=manifest.longest_input,
    )


def _joined(plans: Sequence[tuple[IntArray, EpochPlan]], windows: tuple[Window, ...]) -> EpochPlan:
    """Return the plans of all windows as one, with the numbers that samples have in the split."""
    parts = [plan for _, plan in plans]
    sizes = np.concatenate([plan.batch_sizes_B for plan in parts])
    has_targets = parts[0].target_lengths_N is not None
    longest = [plan.longest_N for plan in parts if plan.longest_N is not None]
    sequences = [plan.sequences_B for plan in parts if plan.sequences_B is not None]
    return EpochPlan(
        epoch=parts[0].epoch,
        sample_ids_N=np.concatenate([samples_M[plan.sample_ids_N] for samples_M, plan in plans]),
        kept_N=np.concatenate([plan.kept_N for plan in parts]),
        batch_offsets_B1=offsets_of(sizes),
        padded_lengths_B=np.concatenate([plan.padded_lengths_B for plan in parts]),
        execution=parts[0].execution,
        row_offsets_R1=_joined_offsets([plan.row_offsets_R1 for plan in parts]),
        step_offsets_S1=_joined_offsets([plan.step_offsets_S1 for plan in parts]),
        target_lengths_N=np.concatenate([plan.target_lengths_N for plan in parts]) if has_targets else None,
        target_widths_B=np.concatenate([plan.target_widths_B for plan in parts]) if has_targets else None,
        unsorted_target_tokens=sum(plan.unsorted_target_tokens or plan.target_tokens for plan in parts),
        longest_N=np.concatenate(longest) if longest else None,
        sequences_B=np.concatenate(sequences) if sequences else None,
        windows=windows,
    )


def _part_of(offsets: IntArray | None, first: int, last: int) -> IntArray | None:
    """Return the offsets between two of them, counted from the first."""
    return None if offsets is None else offsets[(offsets >= first) & (offsets <= last)] - first


def _joined_offsets(parts: Sequence[IntArray | None]) -> IntArray | None:
    sizes = [np.diff(offsets) for offsets in parts if offsets is not None]
    return offsets_of(np.concatenate(sizes)) if sizes else None
