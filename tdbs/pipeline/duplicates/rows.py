"""Which rows of a ragged array are the same: by a digest of 64 bits, and each match compared value by value.

Cost: one sort of the digests, and one look at the values of the rows that repeat an earlier one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, blocks_of, mixed, range_sums
from tdbs.spilled import forget

# Shapes: N rows, N1 = N + 1, V their values, R rows that are compared, K numbers of each row.

_VALUES_AT_ONCE = 1 << 18  # a block takes 40 bytes a value


def row_digests(values_V: npt.NDArray[Any], offsets_N1: IntArray) -> HashArray:
    """Return a digest of each row, of its values and their places.

    Args:
        values_V: Integers of all rows, one row after the other.
        offsets_N1: Row i has values [i] to [i + 1].

    Returns:
        64 bits a row (N). Two rows that differ share one with a chance of about 2 ** -64.
    """
    found_N = np.empty(len(offsets_N1) - 1, dtype=np.uint64)
    for block in _mixed_blocks(values_V, offsets_N1):
        found_N[block.rows] = block.sums(block.mixed_V)
    return found_N


def wide_row_digests(values_V: npt.NDArray[Any], offsets_N1: IntArray) -> HashArray:
    """Return two digests of each row: `row_digests`, and one in which each value counts by its place.

    Args:
        values_V: Integers of all rows, one row after the other.
        offsets_N1: Row i has values [i] to [i + 1].

    Returns:
        128 bits a row (N, 2). Rows that differ at one place never share the first half, since mixed numbers differ if
        their values do. Others share both with a chance below 2 ** -100.
    """
    found_2N = np.empty((2, len(offsets_N1) - 1), dtype=np.uint64)
    for block in _mixed_blocks(values_V, offsets_N1):
        found_2N[0, block.rows] = block.sums(block.mixed_V)
        block.mixed_V *= block.place_V
        found_2N[1, block.rows] = block.sums(block.mixed_V)
    return found_2N.T


@dataclass(kw_only=True, slots=True)
class _Block:
    """Some rows, with each value and its place mixed to 64 bits."""

    rows: slice
    offsets_R1: IntArray
    place_V: HashArray  # in its row, from 1, times an odd number
    mixed_V: HashArray

    def sums(self, values_V: HashArray) -> HashArray:
        """Return the mixed sum of the values of each row and its size (R)."""
        return mixed(range_sums(values_V, self.offsets_R1) + np.diff(self.offsets_R1).astype(np.uint64))


def _mixed_blocks(values_V: npt.NDArray[Any], offsets_N1: IntArray) -> Iterator[_Block]:
    """Yield the rows in blocks."""
    for first, end in blocks_of(offsets_N1, _VALUES_AT_ONCE):
        offsets_R1 = offsets_N1[first : end + 1] - offsets_N1[first]
        place_V = np.arange(offsets_R1[-1], dtype=np.uint64)
        place_V -= np.repeat(offsets_R1[:-1].astype(np.uint64), np.diff(offsets_R1)) - np.uint64(1)
        place_V *= GOLDEN
        mixed_V = mixed(place_V + values_V[offsets_N1[first] : offsets_N1[end]].astype(np.uint64))
        forget(values_V)
        yield _Block(rows=slice(first, end), offsets_R1=offsets_R1, place_V=place_V, mixed_V=mixed_V)


def same_in_columns(*columns: npt.NDArray[Any]) -> IntArray:
    """Return for each row of one or more columns of integers the first equal one: itself, if no earlier one is (N)."""
    digests_N = np.zeros(len(columns[0]), dtype=np.uint64)
    for column_N in columns:
        digests_N *= GOLDEN
        digests_N += column_N.astype(np.uint64)
        digests_N = mixed(digests_N)
    first_N = first_with_same(digests_N)

    def values_of(rows_R: IntArray) -> tuple[npt.NDArray[Any], IntArray]:
        values_R = np.stack([column_N[rows_R].astype(np.uint64) for column_N in columns], axis=1)
        return values_R.ravel(), np.full(len(rows_R), len(columns))

    verify(first_N, np.broadcast_to(np.int64(len(columns)), len(first_N)), values_of)
    return first_N


def same_rows(values_V: npt.NDArray[Any], offsets_N1: IntArray) -> IntArray:
    """Return for each row the first row with the same values: itself, if no earlier one has them.

    Args:
        values_V: Integers of all rows, one row after the other.
        offsets_N1: Row i has values [i] to [i + 1].

    Returns:
        The first equal row of each (N).
    """
    first_N = first_with_same(row_digests(values_V, offsets_N1))

    def values_of(rows_R: IntArray) -> tuple[npt.NDArray[Any], IntArray]:
        sizes_R = offsets_N1[rows_R + 1] - offsets_N1[rows_R]
        return values_V[ragged_positions(offsets_N1[rows_R], sizes_R)], sizes_R

    verify(first_N, np.diff(offsets_N1), values_of)
    forget(values_V)
    return first_N


def verify(
    first_N: IntArray, costs_N: IntArray, values_of: Callable[[IntArray], tuple[npt.NDArray[Any], IntArray]]
) -> None:
    """Compare rows with the first one that has their digest, value by value, and set the first one that is equal.

    Args:
        first_N: The first row with the digest of each.
        costs_N: About how many values each row has; some are compared at a time.
        values_of: Returns the values of some rows, one row after the other, and how many each has.
    """
    repeating = np.flatnonzero(first_N != np.arange(len(first_N)))
    differing = [repeating[:0]]
    for first, end in blocks_of(offsets_of(costs_N[repeating] + costs_N[first_N[repeating]]), _VALUES_AT_ONCE):
        rows_R = repeating[first:end]
        differing.append(rows_R[~_are_equal(values_of(rows_R), values_of(first_N[rows_R]))])
    differ = np.concatenate(differing)
    if len(differ):  # a collision
        _tell_apart(first_N, np.unique(first_N[differ]), values_of)


def first_with_same(digests_N: HashArray) -> IntArray:
    """Return for each number the place of the first equal one (N)."""
    first_N = np.arange(len(digests_N))
    order_N = np.argsort(digests_N)  # three times as fast as a stable sort
    ascending_N = digests_N[order_N]
    is_same = ascending_N[1:] == ascending_N[:-1]
    if is_same.any():
        repeats_N = np.append(False, is_same) | np.append(is_same, False)
        places_R, ascending_R = order_N[repeats_N], ascending_N[repeats_N]
        heads = np.flatnonzero(np.append(True, ascending_R[1:] != ascending_R[:-1]))
        first_N[places_R] = np.repeat(np.minimum.reduceat(places_R, heads), np.diff(np.append(heads, len(places_R))))
    return first_N


def _are_equal(one: tuple[npt.NDArray[Any], IntArray], other: tuple[npt.NDArray[Any], IntArray]) -> BoolArray:
    """Return whether each row has the values of the other one (R); both are values and how many each row has."""
    (values, sizes_R), (others, other_sizes_R) = one, other
    equal_R: BoolArray = sizes_R == other_sizes_R
    kept, other_kept = np.repeat(equal_R, sizes_R), np.repeat(equal_R, other_sizes_R)
    which = np.repeat(np.arange(len(sizes_R)), sizes_R)[kept]
    equal_R[which[values[kept] != others[other_kept]]] = False
    return equal_R


def _tell_apart(
    first_N: IntArray, heads: IntArray, values_of: Callable[[IntArray], tuple[npt.NDArray[Any], IntArray]]
) -> None:
    """Set the first rows of groups whose digests are the same though their values differ."""
    found: dict[bytes, int] = {}
    for row in np.flatnonzero(np.isin(first_N, heads)).tolist():
        first_N[row] = found.setdefault(values_of(np.array([row]))[0].tobytes(), row)
