"""Stratified updates, sample by sample: who is left for the last update, and which samples form a stratum."""

from collections.abc import Sequence
from fractions import Fraction


def left_over_and_strata(
    lengths: Sequence[int], ties: Sequence[int], size: int, start: int
) -> tuple[list[int], list[list[int]]]:
    """Return the samples of the last, smaller update, and the strata of all others, short ones first.

    `ties` are the samples in the order in which those of one length stand. The sorted samples lie side by side on a
    line, each one wide. Left over are those under marks at even distances; the first is at start / samples left.
    """
    place = {sample: i for i, sample in enumerate(ties)}
    line = sorted(ties, key=lambda sample: (lengths[sample], place[sample]))
    size = min(size, len(line))
    left = len(line) % size
    marked = set()
    for number in range(left):
        mark = Fraction(start, left) + number * Fraction(len(line), left)
        for i in range(len(line)):
            if i <= mark < i + 1:
                marked.add(i)
    others = [sample for i, sample in enumerate(line) if i not in marked]
    in_each = len(others) // size
    strata: list[list[int]] = []
    for sample in others:
        if not strata or len(strata[-1]) == in_each:
            strata.append([])
        strata[-1].append(sample)
    return [line[i] for i in sorted(marked)], strata
