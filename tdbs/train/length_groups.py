"""Within a few length groups attention pads little: samples of a batch, cut by length where it costs least.

Only attention sees the groups; the linear layers see one flat row (docs/decisions.md, "Unpadded"). On two cores three
groups are faster than one, and than groups of equal length, whose many small products cost more than they save
(measured in DESIGN).
"""

import numpy as np

from tdbs.arrays import IntArray

# Shapes: B samples of a batch, U their distinct lengths, G groups.

GROUPS = 3


def longest_of_groups(lengths_B: IntArray) -> IntArray:
    """Return the longest length of each group, ascending (G, at most three): those that make fewest attention pairs.

    A group of samples up to length l costs l x l pairs for each of them. All cuts into three are compared.
    """
    lengths_U, counts_U = np.unique(lengths_B, return_counts=True)
    if len(lengths_U) <= GROUPS:
        return lengths_U
    upto_U = np.cumsum(counts_U)
    pairs_U = lengths_U**2
    # cost of the two shorter groups, cut after i and after j > i; the longest one has the rest
    first_U = upto_U * pairs_U
    second_UU = (upto_U[None, :] - upto_U[:, None]) * pairs_U[None, :]
    third_U = (upto_U[-1] - upto_U) * pairs_U[-1]
    cost_UU = first_U[:, None] + second_UU + third_U[None, :]
    cost_UU[np.tril_indices(len(lengths_U))] = np.iinfo(np.int64).max
    i, j = divmod(int(np.argmin(cost_UU)), len(lengths_U))
    return np.unique(lengths_U[np.array([i, j, -1])])
