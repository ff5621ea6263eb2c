"""Length buckets: half-open [min_seq_len, max_seq_len); the last one includes the maximum length itself.

The width of 5 is the paper's (App. A). The last bucket may be narrower: with 128 tokens it is [125, 128].
"""

import numpy as np

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError

PAPER_WIDTH = 5


def bucket_edges(max_length: int, width: int = PAPER_WIDTH) -> IntArray:
    """Return the edges 0, width, 2 x width, …, max_length: bucket i is [edges[i], edges[i + 1]).

    Buckets of width 1 hold one length each, so there the maximum length has a bucket of its own.
    """
    if width < 1:
        raise ConfigError(f"--bucket-width must be 1 or more, got {width}.", next_step="Pass --bucket-width 5.")
    if width == 1:
        return np.arange(max_length + 2)
    return np.append(np.arange(0, max_length, width), max_length)


def bucket_of(lengths_N: IntArray, edges: IntArray) -> IntArray:
    """Return the bucket of each length, looked up in a table of all lengths up to the last edge."""
    every = np.arange(int(edges[-1]) + 1)
    table = np.minimum(np.searchsorted(edges, every, side="right") - 1, len(edges) - 2)
    return table[lengths_N]


def longest_lengths(edges: IntArray, max_length: int) -> IntArray:
    """Return the longest length of each bucket: it decides how many samples a batch may hold."""
    return np.append(edges[1:-1] - 1, max_length)


def bucket_name(edges: IntArray, bucket: int) -> str:
    """Return the name that shards and plans use, "005-010": zero-padded, so that names sort as lengths do."""
    digits = max(3, len(str(edges[-1])))
    return f"{edges[bucket]:0{digits}d}-{edges[bucket + 1]:0{digits}d}"
