"""TokenDrop, step 3 with `--drop reach`: choose each sample's length before batches are made.

A sample of n tokens with d droppable ones can have lengths from n - d to n. Each epoch draws a shift; the grid is
every length g with g ≡ shift (mod width). A sample is shortened to the largest grid length that it can reach by whole
words, or stays whole. Buckets of one target then need no padding at all; the shift makes a sample lose a different
number of words in each epoch (docs/decisions.md, "Reach"). With --grid-lengths above 1 a sample has several possible
grid lengths and gets one by chance, so that a bucket contains samples of more lengths.
"""

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray
from tdbs.train.planning.droppable_words import DroppableWords, can_drop

# Shapes: N samples, M samples not yet placed, L every length.


def grid_shift(*, width: int, seed: int, epoch: int) -> int:
    """Return the epoch's shift of the grid, from 0 to width - 1."""
    return int(rng.stream(rng.RandomPurpose.GRID_SHIFT, seed=seed, epoch=epoch).integers(width))


def target_lengths(lengths_N: IntArray, words: DroppableWords, *, width: int, shift: int) -> IntArray:
    """Return the length that each sample is dropped to: on the grid if it can reach it, else its own."""
    down_L = (np.arange(int(lengths_N.max(initial=0)) + 1) - shift) % width
    down_N = down_L[lengths_N]  # to the nearest grid length
    reached_N = can_drop(words, slice(None), down_N)
    targets_N = lengths_N - np.where(reached_N, down_N, 0)
    waiting_M = np.flatnonzero(~reached_N)
    drop_M = (
        down_N[waiting_M] + width
    )  # the next lower grid length, for the few samples that words of several tokens hinder
    while len(waiting_M):
        possible = drop_M <= words.droppable_N[waiting_M]
        waiting_M, drop_M = waiting_M[possible], drop_M[possible]
        reached = can_drop(words, waiting_M, drop_M)
        targets_N[waiting_M[reached]] -= drop_M[reached]
        waiting_M, drop_M = waiting_M[~reached], drop_M[~reached] + width
    return targets_N


def further_lengths(
    targets_N: IntArray, lengths_N: IntArray, words: DroppableWords, *, width: int, shift: int, steps_N: IntArray
) -> IntArray:
    """Return targets that are up to `steps_N` grid lengths lower, as far as whole words allow.

    A sample that cannot reach the grid stays whole.
    """
    further_N = targets_N.copy()
    waiting_N = (steps_N > 0) & ((targets_N - shift) % width == 0)
    for steps in range(int(steps_N.max(initial=0)), 0, -1):
        tried_M = np.flatnonzero(waiting_N & (steps_N >= steps))
        goal_M = targets_N[tried_M] - steps * width
        reached_M = can_drop(words, tried_M, lengths_N[tried_M] - goal_M)
        further_N[tried_M[reached_M]] = goal_M[reached_M]
        waiting_N[tried_M[reached_M]] = False
    return further_N
