"""Hashes of 64 bits by array code: mixed numbers, sums over ranges that wrap around, and blocks of rows."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray

HashArray = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step (Steele, Lea and Flood, 2014)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mixed(values: HashArray) -> HashArray:
    """Return each number through the finalizer of SplitMix64: one bit of it changes half of the bits of the result."""
    found = values ^ (values >> np.uint64(30))
    found *= _FIRST
    found ^= found >> np.uint64(27)
    found *= _SECOND
    found ^= found >> np.uint64(31)
    return found


def range_sums(values_V: HashArray, offsets_N1: IntArray) -> HashArray:
    """Return the sum of values [offsets[i]] to [offsets[i + 1]] for each i, modulo 2 ** 64; 0 for an empty range."""
    through_V1 = np.zeros(len(values_V) + 1, dtype=np.uint64)
    np.cumsum(values_V, out=through_V1[1:])
    found: HashArray = np.diff(through_V1[offsets_N1])
    return found


def blocks_of(offsets_N1: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows, in order, with about this many values each: arrays of a block stay in the cache.

    Args:
        offsets_N1: Row i has values [i] to [i + 1].
        most: Values of a block; its last row may exceed them.
    """
    cuts = np.flatnonzero(np.diff(offsets_N1[1:] // most)) + 1
    yield from pairwise([0, *cuts.tolist(), len(offsets_N1) - 1])
