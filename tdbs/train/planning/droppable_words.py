"""TokenDrop, step 1: the droppable words of some samples, and which token totals each sample's words can add up to.

Words are dropped whole or not at all, and at least one token that is not special stays. So a sample cannot lose every
number of tokens: the totals that it can lose are the bits of one number per sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.split_index import SplitIndex
from tdbs.train.planning.strategies import Drop

# Shapes: N samples, N1 = N + 1, W their droppable words in sample order, M a choice of the index's samples, S a choice
# of samples, K the largest number of words of one sample.

_MASK_BITS = 63  # the reachable totals of a sample are bits 0 to 63 of one number


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppableWords:
    """The droppable words of a split, and which token totals each sample's whole words can add up to.

    A sample whose words cannot add up to every total (few words of one token) drops 63 tokens at most; all others have
    no such limit. Made by `droppable_words_of`.
    """

    split: str
    offsets_N1: IntArray  # sample i has words [i] to [i + 1]
    sizes_W: IntArray  # tokens of the word
    spare_N: IntArray  # tokens that are not special, less the one that must stay
    droppable_N: IntArray  # the most tokens that can be dropped: whole words, and no more than are spare
    totals_N: npt.NDArray[np.uint64]  # bit t: some whole words have t tokens together (t up to 63)
    places_N: IntArray | None = None  # of each sample's first word among all of the split; None: these are all


def words_of_index(index: SplitIndex, drop: Drop, samples_M: IntArray | None = None) -> DroppableWords:
    """Return the words that `--drop` may take from samples of a split; None: from all.

    These are the words that prepare found, or with `any` every token that is not special.
    """
    if index.words is None:
        raise ValueError("the index was read without its droppable words")
    every = samples_M is None
    chosen = slice(None) if samples_M is None else samples_M
    counts_N = (index.lengths_N - index.words.special_N if drop == "any" else index.words.counts_N).astype(np.int64)
    if drop == "any":
        sizes_W = np.ones(int(counts_N[chosen].sum()), dtype=np.int64)
    else:
        positions_W = ragged_positions(index.words.firsts_N[chosen], counts_N[chosen])
        sizes_W = index.words.sizes_V[positions_W].astype(np.int64)
    return droppable_words_of(
        index.name,
        lengths_N=index.lengths_N[chosen].astype(np.int64),
        offsets_N1=offsets_of(counts_N[chosen]),
        sizes_W=sizes_W,
        special_N=index.words.special_N[chosen].astype(np.int64),
        places_N=None if every else (np.cumsum(counts_N) - counts_N)[chosen],
    )


def droppable_words_of(
    split: str,
    *,
    lengths_N: IntArray,
    offsets_N1: IntArray,
    sizes_W: IntArray,
    special_N: IntArray,
    places_N: IntArray | None = None,
) -> DroppableWords:
    """Return the facts about droppable words that planning needs; `special_N` counts special tokens."""
    counts_N = np.diff(offsets_N1)
    rows_W = np.repeat(np.arange(len(counts_N)), counts_N)
    all_tokens_N = np.bincount(rows_W, weights=sizes_W, minlength=len(counts_N)).astype(np.int64)
    spare_N = np.maximum(lengths_N - special_N - 1, 0)
    limit_N = np.minimum(all_tokens_N, spare_N)
    every = np.uint64(2**64 - 1)
    # If words of one token fill every gap below the largest word, every total is possible. Most samples are so.
    singles_N = np.bincount(rows_W, weights=sizes_W == 1, minlength=len(counts_N))
    largest_N = np.ones(len(counts_N), dtype=np.int64)
    np.maximum.at(largest_N, rows_W, sizes_W)
    totals_N = np.where(limit_N >= _MASK_BITS, every, _bits_up_to(np.minimum(limit_N, _MASK_BITS)))
    gaps = np.flatnonzero(singles_N < largest_N - 1)
    for chosen in chunks(gaps):
        sizes_SK = sizes_in_order(offsets_N1, sizes_W, chosen)
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
    """Return, for each of the samples, the most tokens of whole words that do not exceed `asked_S`."""
    limited = np.minimum(asked_S, words.droppable_N[samples_S])
    small = np.minimum(limited, _MASK_BITS)
    below = _highest_bit(words.totals_N[samples_S] & _bits_up_to(small))
    return np.where(limited > _MASK_BITS, limited, below)


def can_drop(words: DroppableWords, samples_S: IntArray | slice, asked_S: IntArray) -> BoolArray:
    """Return, for each of the samples, whether whole words have exactly `asked_S` tokens together."""
    bit_S = np.minimum(asked_S, _MASK_BITS).astype(np.uint64)
    is_made_S = (words.totals_N[samples_S] >> bit_S) & np.uint64(1) != 0
    return (asked_S <= words.droppable_N[samples_S]) & (is_made_S | (asked_S > _MASK_BITS))


def take_exactly(sizes_SK: IntArray, tokens_S: IntArray) -> BoolArray:
    """Return which words are dropped, in order, so that each row loses exactly its number of tokens."""
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


def sizes_in_order(offsets_N1: IntArray, sizes_W: IntArray, samples_S: IntArray) -> IntArray:
    """Return word sizes as one row per sample, 0 if it has no further word."""
    counts_S = offsets_N1[samples_S + 1] - offsets_N1[samples_S]
    ranks_K = np.arange(counts_S.max(initial=0))
    present_SK = ranks_K < counts_S[:, None]
    positions_SK = np.where(present_SK, offsets_N1[samples_S][:, None] + ranks_K, 0)
    return np.where(present_SK, sizes_W[positions_SK], 0)


def chunks(samples: IntArray, size: int = 8192) -> Iterator[IntArray]:
    """Cut samples into parts, so that one row per sample never takes much memory."""
    return (samples[first : first + size] for first in range(0, len(samples), size))


def _totals_of_following(sizes_SK: IntArray, bits: np.dtype[np.generic]) -> list[npt.NDArray[np.generic]]:
    """Return, for each k from 0 to K, which totals the words from k on can add up to: bit t of a number per row."""
    totals = [np.ones(len(sizes_SK), dtype=bits)]  # no word left: 0 tokens alone
    for k in reversed(range(sizes_SK.shape[1])):
        totals.append(totals[-1] | (totals[-1] << sizes_SK[:, k].astype(bits)))
    return totals[::-1]


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
