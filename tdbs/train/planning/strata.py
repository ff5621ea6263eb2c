"""Stratified order: each update has one sample of every stratum of the epoch's lengths (`--batches stratified`).

The samples, sorted by length with ties in random order, are cut into strata, as many as a batch has samples. An update
takes one sample of each, at random and without replacement. So every sample is equally likely in every update, as in
random batches. But tokens are nearly equal: two full updates differ by the longest sample less the shortest, at most.
The price: two samples of one stratum never share an update in that epoch.

If a last, smaller update is left, its samples are drawn first: evenly spaced in the sorted order, after a random start.
"""

import numpy as np

from tdbs.arrays import IntArray

# Shapes: N samples, C strata (samples of an update), U full updates, M samples of the last, smaller update.


def stratified_order(
    lengths_N: IntArray, shuffled_N: IntArray, batch_size: int, *, generator: np.random.Generator
) -> IntArray:
    """Return the samples in running order; each `batch_size` of them share an update, the last ones a smaller one (N).

    `shuffled_N` is a permutation of the samples: it orders those of one length.
    """
    count = len(lengths_N)
    size = min(batch_size, count)
    sorted_N = shuffled_N[np.argsort(lengths_N[shuffled_N], kind="stable")]
    left = count % size
    # Systematic sampling: each place has the same chance, left / count, however count and left divide.
    places_M = (generator.integers(count) + np.arange(left) * count) // max(left, 1)
    strata_CU = np.delete(sorted_N, places_M).reshape(size, count // size)
    in_updates_CU = generator.permuted(strata_CU, axis=1)
    # Strata in random order: parts of an update, as micro-batches are, mix lengths too.
    full_N = in_updates_CU[generator.permutation(size)].T.ravel()
    return np.concatenate([full_N, generator.permutation(sorted_N[places_M])])
