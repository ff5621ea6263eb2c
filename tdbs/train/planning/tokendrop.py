"""TokenDrop (paper, section 2.1, Algorithms 1 and 3), in the order in which it happens in an epoch.

1. Which words may be dropped. `prepare` found them; `words_of_index` and `words_of_split` return those of a strategy
   (droppable_words.py).
2. In which order they are dropped. `drop_order` draws it once per epoch. It depends on (seed, epoch, split, sample)
   alone: batches, windows of memory and processes do not change it.
3. How many tokens are dropped. `drop_before_batching` does not look at batches: it drops a share of the words
   (`words_at_rate`: rate, any, all), or down to the epoch's grid of lengths (reach.py). `drop_in_batches` shortens
   samples further, to the shortest of their batch (batch_min), or as far as its longest can be shortened (reach).
4. Which tokens are dropped. `dropped_tokens`: the first words of the order that add up to the number of step 3.

Words are dropped whole or not at all, and at least one token that is not special stays. The planner does steps 1 and
3, from lengths alone. At a rate it also draws the order, since the dropped words decide the lengths, and the plan keeps
them; else steps 2 and 4 follow when the epoch's batches are made.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs import rng
from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.pipeline.split_index import index_of
from tdbs.train.planning.droppable_words import (
    DroppableWords,
    chunks,
    largest_total,
    sizes_in_order,
    take_exactly,
    words_of_index,
)
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.reach import further_lengths, grid_shift, target_lengths
from tdbs.train.planning.strategies import Strategy

# Shapes: N samples, T tokens of the split, W droppable words in sample order, W8 flags of them, eight a byte,
# B batches, B1 = B + 1, P places in the running order, M batches of several lengths.


# 1. Which words may be dropped


def words_of_split(split: Split, strategy: Strategy, tokenizer: TokenizerInfo) -> DroppableWords:
    """Return the words that the strategy may drop from a split in memory."""
    return words_of_index(index_of(split, tokenizer.special_ids), strategy.drop)


# 2. In which order they are dropped


def drop_order(words: DroppableWords, *, seed: int, epoch: int) -> IntArray:
    """Return the words of all samples in drop order: shuffled inside each sample, samples in order."""
    key = {"seed": seed, "epoch": epoch, "part": zlib.crc32(words.split.encode())}
    if words.places_N is None:
        draws_W = rng.counter_values(rng.RandomPurpose.DROP_ORDER, **key, first=0, count=len(words.sizes_W))
    else:
        places_W = ragged_positions(words.places_N, np.diff(words.offsets_N1))
        draws_W = rng.counter_values_at(rng.RandomPurpose.DROP_ORDER, **key, places=places_W)
    rows_W = np.repeat(np.arange(len(words.offsets_N1) - 1, dtype=np.uint64), np.diff(words.offsets_N1))
    # One key to sort by: the sample above, 32 random bits below.
    keys_W = (rows_W << np.uint64(32)) | (draws_W >> np.uint64(32))
    return np.argsort(keys_W, kind="stable")


# 3. How many tokens are dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyDrop:
    """The part of TokenDrop that does not depend on the batch."""

    lengths_N: IntArray  # remaining tokens of each sample
    dropped_W8: npt.NDArray[np.uint8] | None = None  # drop at a rate: dropped words; else only their number is known


def drop_before_batching(
    lengths_N: IntArray, words: DroppableWords | None, strategy: Strategy, *, seed: int, epoch: int, window: int
) -> EarlyDrop:
    """Return what an epoch drops before batches are made."""
    if strategy.drop == "none":
        return EarlyDrop(lengths_N=lengths_N)
    if words is None:
        raise ValueError(f"--drop {strategy.drop} needs the droppable words")
    if strategy.drop == "reach":
        width = strategy.width
        shift = grid_shift(width=width, seed=seed, epoch=epoch)
        targets_N = target_lengths(lengths_N, words, width=width, shift=shift)
        if strategy.grid_lengths > 1:
            draw = rng.stream(rng.RandomPurpose.GRID_LENGTH, seed=seed, epoch=epoch, part=window)
            steps_N = draw.integers(strategy.grid_lengths, size=len(lengths_N))
            targets_N = further_lengths(targets_N, lengths_N, words, width=width, shift=shift, steps_N=steps_N)
        return EarlyDrop(lengths_N=targets_N)
    if strategy.drops_at_rate:
        dropped_W = _drop_at_rate(words, strategy, seed=seed, epoch=epoch)
        dropped_before_W1 = offsets_of(np.where(dropped_W, words.sizes_W, 0))
        return EarlyDrop(
            lengths_N=lengths_N - np.diff(dropped_before_W1[words.offsets_N1]), dropped_W8=np.packbits(dropped_W)
        )
    return EarlyDrop(lengths_N=lengths_N)


def words_at_rate(words: DroppableWords, rate: float) -> IntArray:
    """Return how many words of each sample a global rate drops: floor(rate x droppable words) (Algorithm 1)."""
    # 0.7 x 90 is 62.999… in binary; the paper means 63.
    return np.floor(rate * np.diff(words.offsets_N1) + 1e-9).astype(np.int64)


def drop_in_batches(
    kept_N: IntArray,
    lengths_N: IntArray,
    words: DroppableWords | None,
    order_N: IntArray,
    offsets_B1: IntArray,
    strategy: Strategy,
) -> None:
    """Shorten samples, in running order, by what their batch drops further.

    Batches of one length stay as they were planned; only those of several lengths change.
    """
    if words is None or strategy.drop not in ("batch_min", "reach"):
        return
    firsts_B, sizes_B = offsets_B1[:-1], np.diff(offsets_B1)
    shortest_B = np.minimum.reduceat(kept_N, firsts_B)
    is_mixed_B = shortest_B < np.maximum.reduceat(kept_N, firsts_B)
    places_P = np.flatnonzero(np.repeat(is_mixed_B, sizes_B))
    goal_M, sizes_M = shortest_B[is_mixed_B], sizes_B[is_mixed_B]  # Algorithm 3: to the shortest of the batch
    if len(goal_M) and strategy.drop == "reach":  # a merged batch: or as far as its longest sample can be shortened
        least_P = lengths_N[order_N[places_P]] - words.droppable_N[order_N[places_P]]
        goal_M = np.maximum(goal_M, np.maximum.reduceat(least_P, np.cumsum(sizes_M) - sizes_M))
    goal_P = np.repeat(goal_M, sizes_M)
    is_further_P = goal_P < kept_N[places_P]  # others have their planned length already
    places, goal = places_P[is_further_P], goal_P[is_further_P]
    samples = order_N[places]
    kept_N[places] = lengths_N[samples] - largest_total(words, samples, lengths_N[samples] - goal)


# 4. Which tokens are dropped


def dropped_tokens(
    split: Split, words: DroppableWords, strategy: Strategy, plan: EpochPlan, tokenizer: TokenizerInfo, *, seed: int
) -> BoolArray | None:
    """Return which tokens of the split the plan's epoch drops (T), None if it drops none."""
    if strategy.drop == "none":
        return None
    dropped_W = _dropped_words(split.lengths_N, words, strategy, plan, seed=seed)
    dropped_T = np.zeros(len(split.input_ids_T), dtype=np.bool_)
    if strategy.drop == "any":
        ordinary_T = ~np.isin(split.input_ids_T, tokenizer.special_ids)
        dropped_T[np.flatnonzero(ordinary_T)[dropped_W]] = True
    else:
        sample_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(words.offsets_N1))
        first_W = split.token_offsets_N1[sample_W] + split.word_starts_W
        dropped_T[ragged_positions(first_W[dropped_W], words.sizes_W[dropped_W])] = True
    return dropped_T


def drop_first_words(words: DroppableWords, order_W: IntArray, count_N: IntArray) -> BoolArray:
    """Return which words are dropped: the first `count_N` of each sample's order (Algorithm 1).

    A word is skipped if no token would stay that is not special.
    """
    sizes_W = words.sizes_W[order_W]  # in drop order from here on
    starts_W = np.repeat(words.offsets_N1[:-1], np.diff(words.offsets_N1))
    rank_W = np.arange(len(sizes_W)) - starts_W
    chosen_W = rank_W < np.repeat(count_N, np.diff(words.offsets_N1))
    through_W1 = offsets_of(np.where(chosen_W, sizes_W, 0))  # chosen tokens before each word
    spare_W = np.repeat(words.spare_N, np.diff(words.offsets_N1))
    dropped_W = np.zeros(len(sizes_W), dtype=np.bool_)
    dropped_W[order_W] = chosen_W & (through_W1[1:] - through_W1[starts_W] <= spare_W)
    return dropped_W


def drop_totals(words: DroppableWords, order_W: IntArray, tokens_N: IntArray) -> BoolArray:
    """Return which words are dropped so that each sample loses exactly `tokens_N` tokens, a total of its words.

    Takes the words of a sample in their order. Skips a word that exceeds the rest, and one after which the following
    words could not add up to the rest.
    """
    counts_N = np.diff(words.offsets_N1)
    starts_W = np.repeat(words.offsets_N1[:-1], counts_N)
    rank_W = np.arange(len(order_W)) - starts_W
    dropped_W = np.zeros(len(order_W), dtype=np.bool_)
    # Samples whose words have one token each, as nearly always: the first ones of the order are dropped.
    mixed_N = np.zeros(len(counts_N), dtype=np.bool_)
    rows_W = np.repeat(np.arange(len(counts_N)), counts_N)
    mixed_N[rows_W[words.sizes_W > 1]] = True
    dropped_W[order_W] = (rank_W < np.repeat(tokens_N, counts_N)) & ~np.repeat(mixed_N, counts_N)

    for chosen in chunks(np.flatnonzero(mixed_N & (tokens_N > 0))):
        taken_SK = take_exactly(sizes_in_order(words.offsets_N1, words.sizes_W[order_W], chosen), tokens_N[chosen])
        sample, rank = np.nonzero(taken_SK)
        dropped_W[order_W[words.offsets_N1[chosen[sample]] + rank]] = True
    return dropped_W


def _dropped_words(
    lengths_N: IntArray, words: DroppableWords, strategy: Strategy, plan: EpochPlan, *, seed: int
) -> BoolArray:
    """Return which words the plan's epoch drops (W)."""
    if plan.dropped_W8 is not None:
        return np.unpackbits(plan.dropped_W8, count=len(words.sizes_W)).astype(np.bool_)
    if strategy.drops_at_rate:  # the plan was made without TokenDrop
        return _drop_at_rate(words, strategy, seed=seed, epoch=plan.epoch)
    tokens_N = lengths_N.copy()
    tokens_N[plan.sample_ids_N] -= plan.kept_N
    return drop_totals(words, drop_order(words, seed=seed, epoch=plan.epoch), tokens_N)


def _drop_at_rate(words: DroppableWords, strategy: Strategy, *, seed: int, epoch: int) -> BoolArray:
    order_W = drop_order(words, seed=seed, epoch=epoch)
    return drop_first_words(words, order_W, words_at_rate(words, strategy.effective_rate))
