"""What a length histogram tells: averages, percentiles, and the padding of random batches (paper, App. E.2).

A histogram is an array: entry l counts the sequences of l tokens, special ones included, after truncation.
"""

import numpy as np

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError

# Shapes: L1 = greatest length + 1.

PAPER_PERCENT = 87.5


def length_histogram(lengths_N: IntArray, max_length: int = 0) -> IntArray:
    """Return how many sequences have each length, from 0 to `max_length` at least."""
    return np.bincount(lengths_N, minlength=max_length + 1)


def average_length(counts_L1: IntArray) -> float:
    """Return L_avg, the mean tokens of a sequence."""
    return float(counts_L1 @ np.arange(len(counts_L1)) / counts_L1.sum())


def percentile_length(counts_L1: IntArray, percent: float = PAPER_PERCENT) -> int:
    """Return L_K: the smallest length that at least K % of the sequences do not exceed.

    The paper's text has it backwards; the probability that it computes needs this one (PAPER_NOTES).
    """
    if not 0 < percent <= 100:
        raise ConfigError(f"K of L_K must be above 0 and at most 100, got {percent}.", next_step="Pass 87.5, say.")
    reached = np.cumsum(counts_L1) * 100 >= percent * counts_L1.sum()
    return int(np.argmax(reached))


def padding_fraction_estimate(counts_L1: IntArray, percent: float = PAPER_PERCENT) -> float:
    """Return padding_fraction_est = (L_K - L_avg) / L_K of App. E.2: a conservative estimate; 0 for no tokens."""
    longest = percentile_length(counts_L1, percent)
    return (longest - average_length(counts_L1)) / longest if longest else 0.0


def expected_longest(counts_L1: IntArray, batch_size: int) -> float:
    """Return the expected longest sequence of a random batch: the sum over l of 1 - F(l)^B, l from 0.

    Exact for batches drawn with replacement; on data sets larger than some batches the difference is negligible.
    """
    share_up_to_L1 = np.cumsum(counts_L1) / counts_L1.sum()
    return float(np.sum(1.0 - share_up_to_L1[:-1] ** batch_size))


def expected_random_padding(counts_L1: IntArray, batch_size: int) -> float:
    """Return the expected share of pad tokens in random batches that are padded to their longest sequence."""
    longest = expected_longest(counts_L1, batch_size)
    return 1.0 - average_length(counts_L1) / longest if longest else 0.0
