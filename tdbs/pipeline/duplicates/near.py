"""Pairs of rows whose texts are nearly the same: candidates by MinHash and bands, each verified by its Jaccard index.

A row has 64 minima, one for each of 64 hash functions over its shingles (Broder, 1997). Two rows agree in one minimum
with a chance of their Jaccard index s. 16 bands of 4 minima make two rows candidates with a chance of
1 - (1 - s^4)^16: 0.988 at 0.7, 0.9998 at 0.8. No pair below the threshold is returned, because each candidate is
verified; a pair above it may be missed with the chance that is left. Rows of several texts are compared text by text:
the smallest index counts. One text of each row is enough to find the candidates: rows that are near in all texts are
near in that one. Cost: 64 passes over its shingles, 16 sorts of the rows, a sort of each candidate's shingles.
Candidates are in candidates.py.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.candidates import candidates
from tdbs.pipeline.duplicates.compared import RowTexts, row_texts
from tdbs.pipeline.duplicates.mixing import blocks_of
from tdbs.pipeline.duplicates.shingles import Shingles
from tdbs.spilled import forget

# Shapes: N rows, R some of them, P texts, C candidates.

THRESHOLD = 0.7  # least Jaccard index of near duplicates
_SHINGLES_AT_ONCE = 1 << 14  # texts lie far apart in a spilled array: for each, the system reads 64 KiB


@dataclass(frozen=True, kw_only=True, slots=True)
class NearPairs:
    """Pairs of rows, the earlier row first, in order."""

    first_C: IntArray
    second_C: IntArray
    jaccard_C: FloatArray  # of several texts: the smallest one


def near_pairs(
    shingles: Shingles,
    rows_R: IntArray,
    texts: RowTexts | None = None,
    *,
    threshold: float = THRESHOLD,
    spilled: bool = False,
) -> NearPairs:
    """Return pairs of rows with a Jaccard index of at least the threshold.

    Args:
        shingles: The sets of all texts.
        rows_R: The rows to compare, ascending: one of each group of equal rows is enough. Rows without shingles are
            left out.
        texts: The texts by which each row is compared; None: row i by text i alone.
        threshold: Least index of each of the row's texts.
        spilled: Whether what is kept of each row goes to files, see `spilled.py`.

    Returns:
        The pairs. Of more than 33 rows in one bucket, each is compared with its 32 next ones alone.
    """
    texts = row_texts(np.ones(len(shingles.sizes_P), dtype=np.int64)) if texts is None else texts
    first_C, second_C = candidates(shingles, rows_R, texts, spilled=spilled)
    jaccard_C = (texts.counts_N[first_C] == texts.counts_N[second_C]).astype(np.float64)
    for place in range(texts.most):
        kept_C = np.flatnonzero(jaccard_C >= threshold)
        first_C, second_C, jaccard_C = first_C[kept_C], second_C[kept_C], jaccard_C[kept_C]
        has_C = np.flatnonzero(texts.counts_N[first_C] > place)
        one_C, other_C = (texts.firsts_N[rows_C[has_C]] + place for rows_C in (first_C, second_C))
        jaccard_C[has_C] = np.minimum(jaccard_C[has_C], jaccard(shingles, one_C, other_C, threshold))
    kept_C = np.flatnonzero(jaccard_C >= threshold)
    return NearPairs(first_C=first_C[kept_C], second_C=second_C[kept_C], jaccard_C=jaccard_C[kept_C])


def jaccard(shingles: Shingles, first_C: IntArray, second_C: IntArray, threshold: float = 0.0) -> FloatArray:
    """Return the Jaccard index of the sets of each two texts (C); 1 of two empty sets.

    An index that the sizes alone keep below the threshold is returned as 0.
    """
    sizes_2C = [shingles.sizes_of(texts_C) for texts_C in (first_C, second_C)]
    smaller_C, larger_C = np.minimum(*sizes_2C), np.maximum(*sizes_2C)
    found_C = np.where(larger_C == 0, 1.0, 0.0)
    looked_at_C = np.flatnonzero((larger_C > 0) & (smaller_C >= threshold * larger_C))
    both_C1 = offsets_of(smaller_C[looked_at_C] + larger_C[looked_at_C])
    for first, end in blocks_of(both_C1, _SHINGLES_AT_ONCE):
        some_C = looked_at_C[first:end]
        shared_C = _shared(shingles, first_C[some_C], second_C[some_C])
        found_C[some_C] = shared_C / (smaller_C[some_C] + larger_C[some_C] - shared_C)
        forget(shingles)
    return found_C


def _shared(shingles: Shingles, first_C: IntArray, second_C: IntArray) -> IntArray:
    """Return how many shingles each two texts share: those that come twice among both sets."""
    texts = np.concatenate([first_C, second_C])
    sizes = shingles.sizes_of(texts)
    numbers = np.tile(np.arange(len(first_C)), 2)
    # The number of the pair above the low bits of the hash, in one number: two shingles of a pair share these bits
    # with a chance of 2 ** -40 or less.
    bits = np.uint64(63 - len(first_C).bit_length())
    hashes = shingles.hashes_S[ragged_positions(shingles.offsets_P1[texts], sizes)]
    packed = np.repeat(numbers.astype(np.uint64) << bits, sizes) | (hashes & ((np.uint64(1) << bits) - np.uint64(1)))
    packed.sort()
    twice = packed[1:][packed[1:] == packed[:-1]] >> bits
    return np.bincount(twice.astype(np.int64), minlength=len(first_C))
