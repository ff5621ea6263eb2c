"""Connected components: against a search from each node; long chains take few rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.connected import connected
from tests.examples import examples

EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20)


@examples(300)
@given(edges=EDGES)
def test_a_node_has_the_least_node_that_it_reaches(edges):
    reached = {node: {node} for node in range(12)}
    for _ in range(12):
        for first, second in edges:
            reached[first] |= reached[second]
            reached[second] |= reached[first]
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    assert connected(ends[:, 0], ends[:, 1], nodes=12).tolist() == [min(reached[node]) for node in range(12)]


@pytest.mark.parametrize("order", ["up", "down", "mixed"])
def test_a_chain_of_many_nodes_is_one_component(order):
    """Rounds that pass a number on by one node each would take hours."""
    chain = {
        "up": np.arange(300_000),
        "down": np.arange(300_000)[::-1],
        "mixed": np.random.default_rng(1).permutation(300_000),
    }[order]
    assert not connected(chain[:-1], chain[1:], nodes=300_000).any()
