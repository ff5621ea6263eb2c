"""Three results of textbooks in a few lines each: non-negative least squares, the quantile of t, rank correlation.

scipy would be another 110 MB for these alone (docs/decisions.md, "Dependencies"). Tests compare with it.
"""

import math

import numpy as np

from tdbs.arrays import BoolArray, FloatArray

# Shapes: P measured points, C unknown costs, N pairs of values.

_HALVINGS = 60  # of a right angle: the rest is below the last digit of a float


def non_negative_least_squares(counts_PC: FloatArray, seconds_P: FloatArray) -> FloatArray:
    """Return costs (C), none of them negative, whose sums over counts are nearest to the seconds.

    Lawson and Hanson (1974): free the cost that lowers the error most, solve for the free ones, and fix at 0 those that
    would become negative on the way there.
    """
    costs_C = np.zeros(counts_PC.shape[1])
    free_C = np.zeros(len(costs_C), dtype=bool)
    rounding = 10 * max(counts_PC.shape) * np.spacing(1.0) * np.linalg.norm(counts_PC.T @ counts_PC, 1)
    for _ in range(3 * len(costs_C)):
        gains_C = np.where(free_C, -np.inf, counts_PC.T @ (seconds_P - counts_PC @ costs_C))
        if gains_C.max() <= rounding:
            break
        free_C[gains_C.argmax()] = True
        solved_C = _solved(counts_PC, seconds_P, free_C)
        while (negative_C := free_C & (solved_C < 0)).any():
            reach_C = np.full(len(costs_C), np.inf)
            reach_C[negative_C] = costs_C[negative_C] / (costs_C - solved_C)[negative_C]
            free_C &= reach_C > reach_C.min()
            costs_C = np.where(free_C, costs_C + reach_C.min() * (solved_C - costs_C), 0.0)
            solved_C = _solved(counts_PC, seconds_P, free_C)
        costs_C = solved_C
    return costs_C


def t_quantile(confidence: float, freedom: int) -> float:
    """Return the t that Student's t, with this many degrees of freedom, exceeds in size with 1 - confidence."""
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def rank_correlation(a: FloatArray, b: FloatArray) -> float | None:
    """Return Spearman's rank correlation, ties sharing their mean rank, over pairs of which both are numbers.

    None if it is not defined: fewer than two pairs, or one side that is the same everywhere.
    """
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return None
    return float(np.corrcoef(_mean_ranks(a), _mean_ranks(b))[0, 1])


def _solved(counts_PC: FloatArray, seconds_P: FloatArray, free_C: BoolArray) -> FloatArray:
    solved_C = np.zeros(len(free_C))
    solved_C[free_C] = np.linalg.lstsq(counts_PC[:, free_C], seconds_P, rcond=None)[0]
    return solved_C


def _within(angle: float, freedom: int) -> float:
    """Return the probability that t is at most sqrt(freedom) * tan(angle) in size.

    For whole degrees of freedom it is a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    is_odd = freedom % 2
    term, total = (math.cos(angle) if is_odd else 1.0), 0.0
    for power in range(is_odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    inner = math.sin(angle) * total
    return 2 / math.pi * (angle + inner) if is_odd else inner


def _mean_ranks(values_N: FloatArray) -> FloatArray:
    _, places_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    ranks_N: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[places_N]
    return ranks_N
