"""The largest batch of each length: doubling, then bisection to a 5 % gap (HWCap), and the knee of the speed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tdbs.arrays import FloatArray

GAP = 1.05  # between a batch that fits and the smallest one known not to
NEAR_BEST = 0.95  # of the best tokens/s: the knee is the smallest batch that reaches it
_STEP = 4  # lengths of an entry of the table
_MOST = 1 << 20  # samples: no device is asked for more


def largest_batch(fits: Callable[[int], bool], *, guess: int) -> int:
    """Return the largest batch that fits, found from a guess to a 5 % gap; 0 where not even one sample does."""
    low, high = 0, max(guess, 1)
    while high < _MOST and fits(high):
        low, high = high, high * 2
    while not low and high > 1:
        half = high // 2
        low, high = (half, high) if fits(half) else (0, half)
    while high > low * GAP and high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def knee(seconds_M: FloatArray) -> int:
    """Return the smallest batch within 5 % of the best samples per second, from the seconds of batches of 1 to M."""
    speeds_M = np.arange(1, len(seconds_M) + 1) / seconds_M
    return int(np.argmax(speeds_M >= NEAR_BEST * speeds_M.max())) + 1


def table_lengths(max_length: int) -> list[int]:
    """Return the lengths of a table of caps: every fourth, and the last one."""
    return [*range(_STEP, max_length, _STEP), max_length]


def caps_between(measured: Mapping[int, int], lengths: Sequence[int], *, multiple: int) -> list[int]:
    """Return caps of lengths from those of some measured ones, rounded down to a multiple where they reach it.

    Between two measured lengths the tokens of the longer one's batch hold: a token of a shorter sequence takes no more
    memory, since attention compares fewer pairs. No cap is above that of a shorter length, which the search may have
    found up to 5 % too small.
    """
    caps = []
    for length in lengths:
        longer = min(known for known in measured if known >= length)
        of_shorter = [cap for known, cap in measured.items() if known < length]
        caps.append(rounded(min([measured[longer] * longer // length, *of_shorter]), multiple=multiple))
    return caps


def rounded(cap: int, *, multiple: int) -> int:
    """Return a cap rounded down to a multiple, where it reaches one."""
    return cap // multiple * multiple if cap >= multiple else cap
