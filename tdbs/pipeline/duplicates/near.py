"""Pairs of rows whose texts are nearly the same: candidates by MinHash and bands, each verified by its Jaccard index.

A row has 64 minima, one for each of 64 hash functions over its shingles (Broder, 1997). Two rows agree in one minimum
with a chance of their Jaccard index s. 16 bands of 4 minima make two rows candidates with a chance of
1 - (1 - s^4)^16: 0.988 at 0.7, 0.9998 at 0.8. No pair below the threshold is returned, because each candidate is
verified; a pair above it may be missed with the chance that is left. Rows of several texts are compared text by text:
the smallest index counts. One text of each row is enough to find the candidates: rows that are near in all texts are
near in that one. Cost: 64 passes over its shingles, 16 sorts of the rows, a sort of each candidate's shingles.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.compared import RowTexts, row_texts
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, blocks_of, mixed, range_sums
from tdbs.pipeline.duplicates.shingles import Shingles

# Shapes: N rows, R some of them, P texts, Q texts of some rows, S shingles, C candidates.

THRESHOLD = 0.7  # least Jaccard index of near duplicates
BANDS = 16
ROWS_A_BAND = 4
NEIGHBOURS = 32  # members of a bucket that each of its rows is compared with
_SHINGLES_AT_ONCE = 1 << 18
_MOST_PLACES = 4  # query, positive and first negative are among them, also where each pair repeats the query


@dataclass(frozen=True, kw_only=True, slots=True)
class NearPairs:
    """Pairs of rows, the earlier row first, in order."""

    first_C: IntArray
    second_C: IntArray
    jaccard_C: FloatArray  # of several texts: the smallest one


def near_pairs(
    shingles: Shingles, rows_R: IntArray, texts: RowTexts | None = None, *, threshold: float = THRESHOLD
) -> NearPairs:
    """Return pairs of rows with a Jaccard index of at least the threshold.

    Args:
        shingles: The sets of all texts.
        rows_R: The rows to compare, ascending: one of each group of equal rows is enough. Rows without shingles are
            left out.
        texts: The texts by which each row is compared; None: row i by text i alone.
        threshold: Least index of each of the row's texts.

    Returns:
        The pairs. Of more than 33 rows in one bucket, each is compared with its 32 next ones alone.
    """
    texts = row_texts(np.ones(len(shingles.sizes_P), dtype=np.int64)) if texts is None else texts
    tagged_S, offsets_R1 = _shingles_of_rows(shingles, rows_R, texts)
    has_some_R = np.diff(offsets_R1) > 0
    rows_R = rows_R[has_some_R]
    first_C, second_C = _candidates(tagged_S, np.append(offsets_R1[:-1][has_some_R], offsets_R1[-1]))
    first_C, second_C = rows_R[first_C], rows_R[second_C]
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
    size_P = shingles.sizes_P
    smaller_C = np.minimum(size_P[first_C], size_P[second_C])
    larger_C = np.maximum(size_P[first_C], size_P[second_C])
    found_C = np.where(larger_C == 0, 1.0, 0.0)
    looked_at_C = np.flatnonzero((larger_C > 0) & (smaller_C >= threshold * larger_C))
    both_C1 = offsets_of(smaller_C[looked_at_C] + larger_C[looked_at_C])
    for first, end in blocks_of(both_C1, _SHINGLES_AT_ONCE):
        some_C = looked_at_C[first:end]
        shared_C = _shared(shingles, first_C[some_C], second_C[some_C])
        found_C[some_C] = shared_C / (smaller_C[some_C] + larger_C[some_C] - shared_C)
    return found_C


def _shared(shingles: Shingles, first_C: IntArray, second_C: IntArray) -> IntArray:
    """Return how many shingles each two texts share: those that come twice among both sets."""
    texts = np.concatenate([first_C, second_C])
    sizes = shingles.sizes_P[texts]
    numbers = np.tile(np.arange(len(first_C)), 2)
    # The number of the pair above the low bits of the hash, in one number: two shingles of a pair share these bits
    # with a chance of 2 ** -40 or less.
    bits = np.uint64(63 - len(first_C).bit_length())
    hashes = shingles.hashes_S[ragged_positions(shingles.offsets_P1[texts], sizes)]
    packed = np.repeat(numbers.astype(np.uint64) << bits, sizes) | (hashes & ((np.uint64(1) << bits) - np.uint64(1)))
    packed.sort()
    twice = packed[1:][packed[1:] == packed[:-1]] >> bits
    return np.bincount(twice.astype(np.int64), minlength=len(first_C))


def _shingles_of_rows(shingles: Shingles, rows_R: IntArray, texts: RowTexts) -> tuple[HashArray, IntArray]:
    """Return the shingles by which some rows are looked for: those of one text, or of all texts if that one is empty.

    It is the text in which most rows differ: of many questions about one passage, the question.
    """
    firsts_R, counts_R = texts.firsts_N[rows_R], texts.counts_N[rows_R]
    place = _telling_place(shingles, firsts_R, counts_R)
    is_empty_R = shingles.sizes_P[firsts_R + place] == 0
    counts_R = np.where(is_empty_R, counts_R, 1)
    texts_Q = ragged_positions(np.where(is_empty_R, firsts_R, firsts_R + place), counts_R)
    sizes_Q = shingles.sizes_P[texts_Q]
    hashes = shingles.hashes_S[ragged_positions(shingles.offsets_P1[texts_Q], sizes_Q)]
    which = np.repeat(texts_Q - np.repeat(firsts_R, counts_R), sizes_Q).astype(np.uint64)
    return mixed(hashes + which * GOLDEN), offsets_of(sizes_Q)[offsets_of(counts_R)]


def _telling_place(shingles: Shingles, firsts_R: IntArray, counts_R: IntArray) -> int:
    """Return the place of the text in which most rows differ, of the first ones that every row has."""
    places = min(int(counts_R.min(initial=_MOST_PLACES)), _MOST_PLACES)
    if places < 2:
        return 0
    digests_P = range_sums(mixed(shingles.hashes_S), shingles.offsets_P1)
    return int(np.argmax([len(np.unique(digests_P[firsts_R + place])) for place in range(places)]))


def _candidates(hashes_S: HashArray, offsets_R1: IntArray) -> tuple[IntArray, IntArray]:
    """Return the pairs of rows that share a band (C, C), ascending, each once. No row may be empty."""
    rows = len(offsets_R1) - 1
    if rows < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    low_S = hashes_S.astype(np.uint32)
    factors = mixed(np.arange(1, BANDS * ROWS_A_BAND + 1, dtype=np.uint64) * GOLDEN)
    found = [np.empty(0, dtype=np.uint64)]
    product_S = np.empty_like(low_S)
    for band in range(BANDS):
        key_R = np.zeros(rows, dtype=np.uint64)
        for factor in factors[band * ROWS_A_BAND : (band + 1) * ROWS_A_BAND]:
            np.multiply(low_S, np.uint32(int(factor) & 0xFFFFFFFF | 1), out=product_S)
            np.add(product_S, np.uint32(int(factor) >> 32), out=product_S)
            key_R *= GOLDEN
            key_R += np.minimum.reduceat(product_S, offsets_R1[:-1])
        found.append(_pairs_of_buckets(mixed(key_R)))
    pairs = np.unique(np.concatenate(found))
    first, second = np.divmod(pairs, np.uint64(rows))
    return first.astype(np.int64), second.astype(np.int64)


def _pairs_of_buckets(keys_R: HashArray) -> HashArray:
    """Return pairs of rows with the same key, each as one number: first row * rows + second row."""
    rows = len(keys_R)
    bits = np.uint64(rows.bit_length())
    packed_R = (keys_R >> bits << bits) | np.arange(rows, dtype=np.uint64)  # a sort of numbers is faster than argsort
    packed_R.sort()
    key_R, row_R = packed_R >> bits, packed_R & ((np.uint64(1) << bits) - np.uint64(1))
    found = [np.empty(0, dtype=np.uint64)]
    places = np.flatnonzero(key_R[1:] == key_R[:-1])  # of rows whose bucket has a next one
    for apart in range(1, NEIGHBOURS + 1):
        if not len(places):
            break
        found.append(row_R[places] * np.uint64(rows) + row_R[places + apart])
        places = places[places + apart + 1 < rows]
        places = places[key_R[places] == key_R[places + apart + 1]]
    return np.concatenate(found)
