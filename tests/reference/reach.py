"""Reach-aware TokenDrop: the length a sample aims at before batches are made.

Slow oracle, never imported by tdbs.
"""

from collections.abc import Sequence

from tests.reference.algorithm3 import reachable_lengths


def target_length(n: int, word_sizes: Sequence[int], non_special: int, shift: int, width: int) -> int:
    """Return the largest reachable length g <= n with g = shift modulo width; n where there is none (step 2)."""
    best = None
    for length in reachable_lengths(n, word_sizes, non_special):
        if length % width == shift % width and (best is None or length > best):
            best = length
    return n if best is None else best


def further_target(n: int, word_sizes: Sequence[int], non_special: int, shift: int, width: int, steps: int) -> int:
    """Return the lowest reachable grid length at most `steps` grid lengths below the target; n off the grid stays."""
    target = target_length(n, word_sizes, non_special, shift, width)
    if target % width != shift % width:
        return target
    return min(
        length
        for length in reachable_lengths(n, word_sizes, non_special)
        if length % width == shift % width and target - steps * width <= length <= target
    )


def smallest_reachable(n: int, word_sizes: Sequence[int], non_special: int) -> int:
    """Return the smallest length the sample can take: n - d, less where the last token has to stay."""
    return min(reachable_lengths(n, word_sizes, non_special))


def merged_target(targets: Sequence[int], smallest_lengths: Sequence[int]) -> int:
    """Return the length a merged residual batch drops to: max(smallest target, largest smallest length) (step 4)."""
    smallest_target = min(targets)
    length_all_reach = max(smallest_lengths)
    return max(smallest_target, length_all_reach)
