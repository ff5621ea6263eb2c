"""Buckets are half-open, cover every length once, and the last one includes the maximum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.errors import ConfigError
from tdbs.pipeline.lengths import bucket_edges, bucket_name, bucket_of, longest_lengths
from tests.reference.algorithm2 import bucket_of as reference_bucket_of


def test_the_papers_edges():
    """Width 5 up to 128 tokens: [0, 5), [5, 10) … [120, 125), [125, 128] (Table 6)."""
    edges = bucket_edges(128)
    assert edges.tolist() == [*range(0, 126, 5), 128]
    assert bucket_of(np.array([0, 4, 5, 9, 124, 125, 127, 128]), edges).tolist() == [0, 0, 1, 1, 24, 25, 25, 25]


@pytest.mark.parametrize(
    ("max_length", "width", "edges"),
    [
        (10, 5, [0, 5, 10]),  # the last one, [5, 10], holds 10 too
        (11, 5, [0, 5, 10, 11]),
        (3, 5, [0, 3]),
        (1, 5, [0, 1]),
        (3, 1, [0, 1, 2, 3, 4]),  # one length each: 3 has [3, 4) to itself
        (1, 1, [0, 1, 2]),
    ],
)
def test_edges_by_hand(max_length, width, edges):
    assert bucket_edges(max_length, width).tolist() == edges


@given(st.integers(1, 600), st.integers(1, 40))
def test_each_length_is_in_the_oracles_bucket_and_knows_its_longest(max_length, width):
    """Every length from 0 to the maximum, by plain comparison; the longest length of a bucket is its maximum."""
    edges = bucket_edges(max_length, width)
    triplets = [(a, b, 1) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    buckets = bucket_of(np.arange(max_length + 1), edges).tolist()
    assert buckets == [reference_bucket_of(length, triplets) for length in range(max_length + 1)]
    longest = [max((n for n, b in enumerate(buckets) if b == bucket), default=None) for bucket in range(len(triplets))]
    assert longest_lengths(edges, max_length).tolist() == longest  # so no bucket is empty of lengths


@given(st.integers(1, 2000), st.integers(1, 40))
def test_names_sort_as_lengths_do(max_length, width):
    """Folder listings are in length order, up to 512 tokens and beyond."""
    edges = bucket_edges(max_length, width)
    names = [bucket_name(edges, bucket) for bucket in range(len(edges) - 1)]
    assert names == sorted(set(names))


def test_names_by_hand():
    assert bucket_name(bucket_edges(128), 0) == "000-005"
    assert bucket_name(bucket_edges(128), 25) == "125-128"
    assert bucket_name(bucket_edges(1200, 100), 9) == "0900-1000"


@pytest.mark.parametrize("width", [0, -5])
def test_a_width_below_1_is_refused(width):
    with pytest.raises(ConfigError) as caught:
        bucket_edges(128, width)
    assert str(caught.value) == f"--bucket-width must be 1 or more, got {width}. Pass --bucket-width 1 or more."
