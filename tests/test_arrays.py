"""Offsets of ranges, whatever the sizes are counted in."""

import numpy as np
import pytest

from tdbs.arrays import offsets_of, ragged_positions


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [0]),
        ([3], [0, 3]),
        ([2, 0, 1], [0, 2, 2, 3]),
        (np.array([True, False, True]), [0, 1, 1, 2]),
        (np.array([200, 200], dtype=np.uint8), [0, 200, 400]),
        (np.array([2**31 - 1, 2**31 - 1], dtype=np.int32), [0, 2**31 - 1, 2**32 - 2]),
    ],
)
def test_offsets_begin_at_zero_and_never_overflow(sizes, expected):
    offsets = offsets_of(sizes)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == expected


def test_positions_are_those_of_each_range_in_turn():
    assert ragged_positions(np.array([5, 0, 9]), np.array([2, 0, 1])).tolist() == [5, 6, 9]
    assert ragged_positions(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []
