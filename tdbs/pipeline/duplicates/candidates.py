"""Pairs of rows that may be nearly the same, by MinHash and bands (see near.py). Rows with one key are a bucket.

Minima of a block of rows are found while its shingles are in the processor's cache: rows with as many shingles are
columns of one matrix, whose rows are compared element by element. Only the 16 keys of each row are kept.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.compared import RowTexts
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, blocks_of, mixed, range_sums
from tdbs.pipeline.duplicates.shingles import Shingles
from tdbs.spilled import forget, joined

# Shapes: R rows, P texts, Q texts of some rows, S shingles, M rows with the same number K of shingles, B bands, F rows
# of a band.

BANDS = 16
ROWS_A_BAND = 4
NEIGHBOURS = 32  # members of a bucket that each of its rows is compared with
_SHINGLES_AT_ONCE = 1 << 18
_PRODUCTS_AT_ONCE = 1 << 18  # 64 of each shingle, four bytes each
_MOST_PLACES = 4  # query, positive and first negative are among them, also where each pair repeats the query

Half = npt.NDArray[np.uint32]


def candidates(
    shingles: Shingles, rows_R: IntArray, texts: RowTexts, *, spilled: bool = False
) -> tuple[IntArray, IntArray]:
    """Return the pairs of rows that share a band (C, C), ascending, each once.

    Args:
        shingles: The sets of all texts.
        rows_R: The rows to compare, ascending. Rows without shingles are left out.
        texts: The texts by which each row is compared.
        spilled: Whether keys go to files, see `spilled.py`.
    """
    place = _telling_place(shingles, texts, rows_R)
    sizes_R = _sizes(shingles, texts, rows_R, place)
    rows_R, sizes_R = rows_R[sizes_R > 0], sizes_R[sizes_R > 0]
    rows = len(rows_R)
    if rows < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    offsets_R1 = offsets_of(sizes_R)
    del sizes_R
    blocks = (
        _keys(shingles, texts, rows_R[first:end], place) for first, end in blocks_of(offsets_R1, _SHINGLES_AT_ONCE)
    )
    keys = joined(blocks, spilled=spilled)
    pairs = np.unique(np.concatenate([_pairs_of_buckets(keys.pop(band)) for band in range(BANDS)]))
    first, second = np.divmod(pairs, np.uint64(rows))
    return rows_R[first.astype(np.int64)], rows_R[second.astype(np.int64)]


def _telling_place(shingles: Shingles, texts: RowTexts, rows_R: IntArray) -> int:
    """Return the place of the text in which most rows differ, of the first ones that every row has."""
    places = min(int(texts.counts_N[rows_R].min(initial=_MOST_PLACES)), _MOST_PLACES)
    if places < 2:
        return 0
    digests_P = np.empty(len(shingles.offsets_P1) - 1, dtype=np.uint64)
    for first, end in blocks_of(shingles.offsets_P1, _SHINGLES_AT_ONCE):
        offsets_P1 = shingles.offsets_P1[first : end + 1]
        digests_P[first:end] = range_sums(
            mixed(shingles.hashes_S[offsets_P1[0] : offsets_P1[-1]]), offsets_P1 - offsets_P1[0]
        )
        forget(shingles)
    firsts_R = texts.firsts_N[rows_R]
    return int(np.argmax([len(np.unique(digests_P[firsts_R + place])) for place in range(places)]))


def _sizes(shingles: Shingles, texts: RowTexts, rows_R: IntArray, place: int) -> IntArray:
    """Return the number of shingles by which each row is looked for: those of one text, or of all if it is empty."""
    firsts_R, offsets_P1 = texts.firsts_N[rows_R], shingles.offsets_P1
    sizes_R = offsets_P1[firsts_R + place + 1] - offsets_P1[firsts_R + place]
    if texts.most == 1:
        return sizes_R
    all_R = offsets_P1[firsts_R + texts.counts_N[rows_R]] - offsets_P1[firsts_R]
    return np.where(sizes_R == 0, all_R, sizes_R)


def _keys(shingles: Shingles, texts: RowTexts, rows_R: IntArray, place: int) -> dict[int, HashArray]:
    """Return the key of each row in each band (R each)."""
    hashes_S, offsets_R1 = _shingles_of_rows(shingles, texts, rows_R, place)
    keys_BR = np.empty((BANDS, len(rows_R)), dtype=np.uint64)
    for rows_M, minima_BFM in _minima(hashes_S.astype(np.uint32), offsets_R1):
        key_BM = np.zeros((BANDS, len(rows_M)), dtype=np.uint64)
        for place_F in range(ROWS_A_BAND):
            key_BM *= GOLDEN
            key_BM += minima_BFM[:, place_F]
        keys_BR[:, rows_M] = mixed(key_BM)
    forget(shingles)
    return dict(enumerate(keys_BR))


def _shingles_of_rows(shingles: Shingles, texts: RowTexts, rows_R: IntArray, place: int) -> tuple[HashArray, IntArray]:
    """Return the shingles by which some rows are looked for: those of one text, or of all texts if that one is empty.

    It is the text in which most rows differ: of many questions about one passage, the question.
    """
    firsts_R, counts_R, offsets_P1 = texts.firsts_N[rows_R], texts.counts_N[rows_R], shingles.offsets_P1
    is_empty_R = offsets_P1[firsts_R + place + 1] == offsets_P1[firsts_R + place]
    counts_R = np.where(is_empty_R, counts_R, 1)
    texts_Q = ragged_positions(np.where(is_empty_R, firsts_R, firsts_R + place), counts_R)
    sizes_Q = offsets_P1[texts_Q + 1] - offsets_P1[texts_Q]
    hashes = shingles.hashes_S[ragged_positions(offsets_P1[texts_Q], sizes_Q)]
    which = np.repeat(texts_Q - np.repeat(firsts_R, counts_R), sizes_Q).astype(np.uint64)
    return mixed(hashes + which * GOLDEN), offsets_of(sizes_Q)[offsets_of(counts_R)]


def _minima(low_S: Half, offsets_R1: IntArray) -> Iterator[tuple[IntArray, npt.NDArray[np.uint32]]]:
    """Yield some rows (M) and their minima (B, F, M), until all rows have theirs. No row may be empty."""
    factors = mixed(np.arange(1, BANDS * ROWS_A_BAND + 1, dtype=np.uint64) * GOLDEN).reshape(BANDS, ROWS_A_BAND, 1, 1)
    multiplied = (factors & np.uint64(0xFFFFFFFF) | np.uint64(1)).astype(np.uint32)
    added = (factors >> np.uint64(32)).astype(np.uint32)
    sizes_R = np.diff(offsets_R1)
    order_R = np.argsort(sizes_R, kind="stable")
    ends = np.cumsum(np.bincount(sizes_R))
    for size in np.flatnonzero(np.diff(ends, prepend=0)).tolist():
        at_once = max(_PRODUCTS_AT_ONCE // (BANDS * ROWS_A_BAND * size), 1)
        first, end = int(ends[size - 1]), int(ends[size])
        for start in range(first, end, at_once):
            rows_M = order_R[start : min(start + at_once, end)]
            low_KM = low_S[offsets_R1[rows_M] + np.arange(size)[:, None]]
            products_BFKM = low_KM * multiplied
            products_BFKM += added
            yield rows_M, products_BFKM.min(axis=2)


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
