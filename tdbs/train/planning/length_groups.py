"""The work of attention in unpadded batches: each has a few length groups, padded for attention alone (rows/layout.py).

The groups of a batch are those that make fewest pairs, as `longest_of_groups` finds them; here for all batches at once.
"""

from collections.abc import Iterator

import numpy as np

from tdbs.arrays import IntArray
from tdbs.train.rows.layout import GROUPS

# Shapes: N samples, B batches, B1 = B + 1, E distinct lengths of all batches, G batches that are cut together, U the
# most distinct lengths of one of them.

_CUTS_AT_ONCE = 1 << 17  # compared cuts: their table stays in the cache


def groups_work(lengths_N: IntArray, offsets_B1: IntArray) -> tuple[IntArray, IntArray]:
    """Return the padded tokens of each batch's length groups, and the pairs that attention compares in them (B, B)."""
    batch_N = np.repeat(np.arange(len(offsets_B1) - 1), np.diff(offsets_B1))
    sorted_N = lengths_N[np.lexsort((lengths_N, batch_N))]
    is_last_N = np.append((np.diff(sorted_N) != 0) | (np.diff(batch_N) != 0), True)
    ends_E = np.flatnonzero(is_last_N)
    lengths_E, upto_E = sorted_N[ends_E], ends_E + 1 - offsets_B1[batch_N[ends_E]]
    firsts_B1 = np.searchsorted(batch_N[ends_E], np.arange(len(offsets_B1)))
    distinct_B = np.diff(firsts_B1)
    places_B = np.add.reduceat(lengths_N, offsets_B1[:-1])  # as they are where each length has its own group
    pairs_B = np.add.reduceat(lengths_N**2, offsets_B1[:-1])
    for members_G in _alike(distinct_B):
        ranks_GU = np.minimum(np.arange(int(distinct_B[members_G].max())), distinct_B[members_G, None] - 1)
        entries_GU = firsts_B1[:-1][members_G, None] + ranks_GU  # behind the last length of a batch it is repeated
        places_B[members_G], pairs_B[members_G] = _cheapest(lengths_E[entries_GU], upto_E[entries_GU])
    return places_B, pairs_B


def _alike(distinct_B: IntArray) -> Iterator[IntArray]:
    """Yield the batches with more lengths than groups, those with similarly many together."""
    digits_B = np.where(distinct_B > GROUPS, np.frexp(distinct_B)[1], 0)
    for digits in np.unique(digits_B[digits_B > 0]):
        members_M = np.flatnonzero(digits_B == digits)
        at_once = max(_CUTS_AT_ONCE // int(distinct_B[members_M].max()) ** 2, 1)
        yield from np.split(members_M, np.arange(at_once, len(members_M), at_once))


def _cheapest(lengths_GU: IntArray, upto_GU: IntArray) -> tuple[IntArray, IntArray]:
    """Return the padded tokens and pairs of the cheapest cut into three; `upto_GU`: samples up to each length."""
    pairs_GU = lengths_GU**2
    # cost of the two shorter groups, cut after i and after j > i; the longest one has the rest
    first_GU = upto_GU * pairs_GU
    third_GU = (upto_GU[:, -1:] - upto_GU) * pairs_GU[:, -1:]
    cost_GUU = first_GU[:, :, None] + (upto_GU[:, None, :] - upto_GU[:, :, None]) * pairs_GU[:, None, :]
    cost_GUU += third_GU[:, None, :]
    lower, upper = np.tril_indices(lengths_GU.shape[1])
    cost_GUU[:, lower, upper] = np.iinfo(np.int64).max
    batch_G = np.arange(len(lengths_GU))
    i_G, j_G = np.divmod(cost_GUU.reshape(len(lengths_GU), -1).argmin(axis=1), lengths_GU.shape[1])
    upto_i_G, upto_j_G = upto_GU[batch_G, i_G], upto_GU[batch_G, j_G]
    places_G = upto_i_G * lengths_GU[batch_G, i_G] + (upto_j_G - upto_i_G) * lengths_GU[batch_G, j_G]
    places_G += (upto_GU[:, -1] - upto_j_G) * lengths_GU[:, -1]
    return places_G, cost_GUU[batch_G, i_G, j_G]
