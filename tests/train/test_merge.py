"""Residual batch merging by slices is the paper's loop over single samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.planning.batching import merge_residuals
from tests.examples import examples
from tests.reference.algorithm2 import residual_batch_merging


def merged(residuals) -> list[list[int]]:
    return [batch.tolist() for batch in merge_residuals((np.array(ids, dtype=np.int64), cap) for ids, cap in residuals)]


@st.composite
def residual_batches(draw):
    """Return (ids, cap) pairs as buckets leave them: fewer ids than the cap, caps falling or not, some empty."""
    caps = draw(st.lists(st.integers(1, 12), max_size=12))
    if draw(st.booleans()):
        caps.sort(reverse=True)
    residuals, first = [], 0
    for cap in caps:
        count = draw(st.integers(0, cap - 1))
        residuals.append((list(range(first, first + count)), cap))
        first += count
    return residuals


@given(residual_batches())
@examples(500)
def test_merging_equals_lines_5_to_18(residuals):
    """Same batches, same order in them, whether the caps fall or not."""
    assert merged(residuals) == residual_batch_merging([], residuals)


def test_a_smaller_cap_closes_a_batch_early():
    """Five wait under cap 8, the next cap is 3: they go as five (lines 8-10), so two batches are short."""
    assert merged([([10, 11, 12, 13, 14], 8), ([20, 21], 3)]) == [[10, 11, 12, 13, 14], [20, 21]]


def test_only_neighbours_mix():
    """One batch fills up in the third bucket and its rest opens the next."""
    assert merged([([1, 2], 4), ([], 4), ([3, 4, 5], 4), ([6], 4)]) == [[1, 2, 3, 4], [5, 6]]


def test_nothing_left_over_makes_no_batch():
    assert merged([([], 4), ([], 2)]) == merged([]) == []
