"""TokenDrop: which droppable words of a sample go (paper, section 2.1 and Algorithm 1).

The order in which a sample's words go is one counter-based draw, keyed by (seed, epoch, split) and the words' place
in the split; how many of them go may depend on the batch. Words go whole or not at all, and at least one token that
is not special stays.

Reach-aware TokenDrop: choose each sample's length before batches are made.

A sample of n tokens with d droppable ones can take lengths from n - d to n. Each epoch draws a shift; the grid is
every length g with g ≡ shift (mod width). A sample goes to the largest grid length that whole words of it can reach,
or stays whole. Buckets of one target then need no padding at all; the shift makes a sample lose a different number
of words in each epoch (docs/decisions.md, "Reach"; measured in PAPER_NOTES). With a wider reach it may go to several
grid lengths, one of them by chance, so that a bucket holds samples of more lengths.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs import rng
from tdbs.arrays import BoolArray, IntArray, ragged_positions

# Shapes: N samples of the split, N1 = N + 1, W its droppable words in sample order, S a choice of samples,
# K the largest number of words of one sample.

_MASK_BITS = 63  # reachable totals are kept as bits 0 to 63 of one number a sample


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppableWords:
    """The droppable words of a split, and which numbers of tokens whole words of each sample can make.

    A sample whose words cannot make every total (few words of one token) drops 63 tokens at most; all others have
    no such limit. Made by `droppable_words_of`.
    """

    split: str
    offsets_N1: IntArray  # sample i has words [i] to [i + 1]
    sizes_W: IntArray  # tokens of the word
    spare_N: IntArray  # tokens that are not special, less the one that must stay
    droppable_N: IntArray  # the most tokens that may go: whole words, and no more than are spare
    totals_N: npt.NDArray[np.uint64]  # bit t: some whole words make t tokens together (t up to 63)
    places_N: IntArray | None = None  # of each sample's first word among all of the split; None: these are all


def droppable_words_of(
    split: str,
    *,
    lengths_N: IntArray,
    offsets_N1: IntArray,
    sizes_W: IntArray,
    special_N: IntArray,
    places_N: IntArray | None = None,
) -> DroppableWords:
    """Return what planning needs to know of the droppable words of samples; `special_N` counts special tokens."""
    counts_N = np.diff(offsets_N1)
    rows_W = np.repeat(np.arange(len(counts_N)), counts_N)
    all_tokens_N = np.bincount(rows_W, weights=sizes_W, minlength=len(counts_N)).astype(np.int64)
    spare_N = np.maximum(lengths_N - special_N - 1, 0)
    limit_N = np.minimum(all_tokens_N, spare_N)
    every = np.uint64(2**64 - 1)
    # Where words of one token fill every gap below the largest word, every total can be made. Most samples are so.
    singles_N = np.bincount(rows_W, weights=sizes_W == 1, minlength=len(counts_N))
    largest_N = np.ones(len(counts_N), dtype=np.int64)
    np.maximum.at(largest_N, rows_W, sizes_W)
    totals_N = np.where(limit_N >= _MASK_BITS, every, _bits_up_to(np.minimum(limit_N, _MASK_BITS)))
    gaps = np.flatnonzero(singles_N < largest_N - 1)
    for chosen in _chunks(gaps):
        sizes_SK = _sizes_in_order(offsets_N1, sizes_W, chosen)
        totals_N[chosen] &= _totals_of_following(sizes_SK, np.dtype(np.uint64))[0]
        limit_N[chosen] = _highest_bit(totals_N[chosen])
    return DroppableWords(
        split=split,
        offsets_N1=offsets_N1,
        sizes_W=sizes_W,
        spare_N=spare_N,
        droppable_N=limit_N,
        totals_N=totals_N,
        places_N=places_N,
    )


def largest_total(words: DroppableWords, samples_S: IntArray, asked_S: IntArray) -> IntArray:
    """Return, for each of the samples, the most tokens that whole words can make without exceeding what is asked."""
    limited = np.minimum(asked_S, words.droppable_N[samples_S])
    small = np.minimum(limited, _MASK_BITS)
    below = _highest_bit(words.totals_N[samples_S] & _bits_up_to(small))
    return np.where(limited > _MASK_BITS, limited, below)


def can_drop(words: DroppableWords, samples_S: IntArray | slice, asked_S: IntArray) -> BoolArray:
    """Tell for each of the samples whether whole words make exactly what is asked (in tokens)."""
    bit_S = np.minimum(asked_S, _MASK_BITS).astype(np.uint64)
    is_made_S = (words.totals_N[samples_S] >> bit_S) & np.uint64(1) != 0
    return (asked_S <= words.droppable_N[samples_S]) & (is_made_S | (asked_S > _MASK_BITS))


def drop_order(words: DroppableWords, *, seed: int, epoch: int) -> IntArray:
    """Return the words of all samples in the order in which they go: shuffled inside each sample, samples in order."""
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


def words_at_rate(words: DroppableWords, rate: float) -> IntArray:
    """Return how many words of each sample go at a global rate: floor(rate x droppable words) (Algorithm 1)."""
    # 0.7 x 90 is 62.999… in binary; the paper means 63.
    return np.floor(rate * np.diff(words.offsets_N1) + 1e-9).astype(np.int64)


def drop_first_words(words: DroppableWords, order_W: IntArray, count_N: IntArray) -> BoolArray:
    """Return which words go when the first `count_N` words of each sample's order go (Algorithm 1).

    A word whose going would leave no token that is not special is skipped.
    """
    sizes_W = words.sizes_W[order_W]  # in drop order from here on
    starts_W = np.repeat(words.offsets_N1[:-1], np.diff(words.offsets_N1))
    rank_W = np.arange(len(sizes_W)) - starts_W
    chosen_W = rank_W < np.repeat(count_N, np.diff(words.offsets_N1))
    through_W = np.cumsum(np.where(chosen_W, sizes_W, 0))  # chosen tokens up to this word, itself included
    before_sample_W = np.concatenate([[0], through_W])[starts_W]
    spare_W = np.repeat(words.spare_N, np.diff(words.offsets_N1))
    dropped_W = np.zeros(len(sizes_W), dtype=np.bool_)
    dropped_W[order_W] = chosen_W & (through_W - before_sample_W <= spare_W)
    return dropped_W


def drop_totals(words: DroppableWords, order_W: IntArray, tokens_N: IntArray) -> BoolArray:
    """Return which words go so that each sample loses exactly `tokens_N` tokens, a total that it can make.

    Goes through the words of a sample in their order: a word that would exceed what is left to drop is skipped, and
    so is one after which the rest could not be met by the words that follow.
    """
    counts_N = np.diff(words.offsets_N1)
    starts_W = np.repeat(words.offsets_N1[:-1], counts_N)
    rank_W = np.arange(len(order_W)) - starts_W
    dropped_W = np.zeros(len(order_W), dtype=np.bool_)
    # Samples whose words have one token each, as nearly always: the first ones of the order go.
    mixed_N = np.zeros(len(counts_N), dtype=np.bool_)
    rows_W = np.repeat(np.arange(len(counts_N)), counts_N)
    mixed_N[rows_W[words.sizes_W > 1]] = True
    dropped_W[order_W] = (rank_W < np.repeat(tokens_N, counts_N)) & ~np.repeat(mixed_N, counts_N)

    for chosen in _chunks(np.flatnonzero(mixed_N & (tokens_N > 0))):
        taken_SK = _take_exactly(_sizes_in_order(words.offsets_N1, words.sizes_W[order_W], chosen), tokens_N[chosen])
        sample, rank = np.nonzero(taken_SK)
        dropped_W[order_W[words.offsets_N1[chosen[sample]] + rank]] = True
    return dropped_W


def _take_exactly(sizes_SK: IntArray, tokens_S: IntArray) -> BoolArray:
    """Return which words go, in order, so that each row makes its number of tokens exactly."""
    # Python's integers hold any number of bits; 64 do for nearly every sample.
    bits = np.dtype(np.uint64 if tokens_S.max() <= _MASK_BITS else object)
    following = _totals_of_following(sizes_SK, bits)
    one = np.array(1, dtype=bits)
    taken_SK = np.zeros(sizes_SK.shape, dtype=np.bool_)
    left_S = tokens_S
    for k in range(sizes_SK.shape[1]):
        rest_S = left_S - sizes_SK[:, k]
        can_be_met_S = (following[k + 1] >> np.maximum(rest_S, 0).astype(bits)) & one != 0
        taken_SK[:, k] = (sizes_SK[:, k] > 0) & (rest_S >= 0) & can_be_met_S
        left_S = np.where(taken_SK[:, k], rest_S, left_S)
    return taken_SK


def _totals_of_following(sizes_SK: IntArray, bits: np.dtype[np.generic]) -> list[npt.NDArray[np.generic]]:
    """Return, for each k from 0 to K, which totals the words from k on can make: bit t of a number a row."""
    totals = [np.ones(len(sizes_SK), dtype=bits)]  # no word left: 0 tokens alone
    for k in reversed(range(sizes_SK.shape[1])):
        totals.append(totals[-1] | (totals[-1] << sizes_SK[:, k].astype(bits)))
    return totals[::-1]


def _sizes_in_order(offsets_N1: IntArray, sizes_W: IntArray, samples_S: IntArray) -> IntArray:
    """Return word sizes as one row a sample, 0 where it has no further word."""
    counts_S = offsets_N1[samples_S + 1] - offsets_N1[samples_S]
    ranks_K = np.arange(counts_S.max(initial=0))
    present_SK = ranks_K < counts_S[:, None]
    positions_SK = np.where(present_SK, offsets_N1[samples_S][:, None] + ranks_K, 0)
    return np.where(present_SK, sizes_W[positions_SK], 0)


def _chunks(samples: IntArray, size: int = 8192) -> Iterator[IntArray]:
    """Cut samples into parts, so that one row a sample never takes much memory."""
    return (samples[first : first + size] for first in range(0, len(samples), size))


def _bits_up_to(highest_S: IntArray) -> npt.NDArray[np.uint64]:
    """Return numbers with the bits 0 to `highest` set."""
    return np.uint64(2**64 - 1) >> (_MASK_BITS - highest_S).astype(np.uint64)


def _highest_bit(numbers_S: npt.NDArray[np.uint64]) -> IntArray:
    """Return the place of the highest bit that is set; bit 0 always is (dropping nothing is possible)."""
    place_S = np.zeros(len(numbers_S), dtype=np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        higher_S = numbers_S >> np.uint64(step)
        moves_S = higher_S != 0
        place_S += np.where(moves_S, step, 0)
        numbers_S = np.where(moves_S, higher_S, numbers_S)
    return place_S


# Shapes: N samples, M samples not yet placed, L every length.


def grid_shift(*, width: int, seed: int, epoch: int) -> int:
    """Return the epoch's shift of the grid, from 0 to width - 1."""
    return int(rng.stream(rng.RandomPurpose.GRID_SHIFT, seed=seed, epoch=epoch).integers(width))


def target_lengths(lengths_N: IntArray, words: DroppableWords, *, width: int, shift: int) -> IntArray:
    """Return the length that each sample is dropped to: on the grid where it can reach it, else its own."""
    down_L = (np.arange(int(lengths_N.max(initial=0)) + 1) - shift) % width
    down_N = down_L[lengths_N]  # to the nearest grid length
    reached_N = can_drop(words, slice(None), down_N)
    targets_N = lengths_N - np.where(reached_N, down_N, 0)
    waiting_M = np.flatnonzero(~reached_N)
    drop_M = down_N[waiting_M] + width  # the next grid length below, for the few that words of several tokens hinder
    while len(waiting_M):
        possible = drop_M <= words.droppable_N[waiting_M]
        waiting_M, drop_M = waiting_M[possible], drop_M[possible]
        reached = can_drop(words, waiting_M, drop_M)
        targets_N[waiting_M[reached]] -= drop_M[reached]
        waiting_M, drop_M = waiting_M[~reached], drop_M[~reached] + width
    return targets_N


def further_lengths(
    targets_N: IntArray, lengths_N: IntArray, words: DroppableWords, *, width: int, shift: int, steps_N: IntArray
) -> IntArray:
    """Return targets as many grid lengths further down as `steps_N` allows and whole words make.

    A sample that cannot reach the grid stays whole.
    """
    further_N = targets_N.copy()
    waiting_N = (steps_N > 0) & ((targets_N - shift) % width == 0)
    for steps in range(int(steps_N.max(initial=0)), 0, -1):
        tried_M = np.flatnonzero(waiting_N & (steps_N >= steps))
        goal_M = targets_N[tried_M] - steps * width
        reached_M = can_drop(words, tried_M, lengths_N[tried_M] - goal_M)
        further_N[tried_M[reached_M]] = goal_M[reached_M]
        waiting_N[tried_M[reached_M]] = False
    return further_N
