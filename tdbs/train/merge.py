"""Merge leftover samples of all buckets into batches (paper 2.2, Residual Batch Merging; Algorithm 2, lines 5-18).

Walks buckets from short to long, so only neighbours mix. Adds padding: a merged batch spans buckets. Every sample
stays in exactly one batch and no batch exceeds the cap of its longest sample's bucket; more than one merged batch
may be short, since lines 8-10 close a batch early where the next bucket's cap is smaller.
"""

from collections.abc import Iterable

import numpy as np

from tdbs.arrays import IntArray


def merge_residuals(residuals: Iterable[tuple[IntArray, int]]) -> list[IntArray]:
    """Return merged batches of sample ids from (residual batch, bucket_batch_size) pairs, short buckets first.

    A residual batch has fewer samples than its bucket_batch_size, so at most one batch fills up in each bucket:
    the paper appends sample by sample, this appends slices.
    """
    batches: list[IntArray] = []
    new_batch = np.empty(0, dtype=np.int64)
    for residual, bucket_batch_size in residuals:
        if len(new_batch) >= bucket_batch_size:  # full for this bucket and all longer ones (lines 8-10)
            batches.append(new_batch)
            new_batch = new_batch[:0]
        room = bucket_batch_size - len(new_batch)
        new_batch = np.concatenate([new_batch, residual[:room]])
        if len(new_batch) == bucket_batch_size:  # lines 13-15
            batches.append(new_batch)
            new_batch = residual[room:]
    if len(new_batch):
        batches.append(new_batch)
    return batches
