"""Connected components of a graph whose edges are two arrays, by array code alone.

In each round the tree of an edge's higher root is hung below the lower one, and each node then points at its root. A
root that stays is lower than all its neighbours, so two rounds at least halve the roots that still have an edge between
them: chains of a million nodes take some ten rounds. Memory: some integers a node and an edge.
"""

import numpy as np

from tdbs.arrays import IntArray

# Shapes: E edges, V nodes.


def connected(firsts_E: IntArray, seconds_E: IntArray, *, nodes: int) -> IntArray:
    """Return the least node of each node's component (V).

    Args:
        firsts_E: One end of each edge, a node from 0.
        seconds_E: The other end.
        nodes: Number of nodes; one without an edge is a component of its own.
    """
    root_V = np.arange(nodes)
    while True:
        ends_2E = np.stack([root_V[firsts_E], root_V[seconds_E]])
        is_open_E = ends_2E[0] != ends_2E[1]
        if not is_open_E.any():
            return root_V
        firsts_E, seconds_E, ends_2E = firsts_E[is_open_E], seconds_E[is_open_E], ends_2E[:, is_open_E]
        np.minimum.at(root_V, ends_2E.max(axis=0), ends_2E.min(axis=0))
        while not np.array_equal(root_V, further_V := root_V[root_V]):
            root_V = further_V
