"""Length statistics of a dataset, from the plain list of its sequence lengths (paper App. E.2).

Percentiles are counted with fractions, never interpolated. Slow oracle, never imported by tdbs.
"""

import random
from collections.abc import Sequence
from fractions import Fraction


def average_length(lengths: Sequence[int]) -> float:
    """Return L_avg."""
    return sum(lengths) / len(lengths)


def length_percentile(lengths: Sequence[int], k: float = 87.5) -> int:
    """Return L_K: the smallest length that occurs such that at least k % of the sequences are no longer than it."""
    needed = Fraction(repr(k)) / 100 * len(lengths)
    for candidate in sorted(set(lengths)):
        no_longer = 0
        for length in lengths:
            if length <= candidate:
                no_longer += 1
        if no_longer >= needed:
            return candidate
    raise ValueError("no lengths, or k over 100")


def padding_fraction_est(lengths: Sequence[int], k: float = 87.5) -> float:
    """Return (L_K - L_avg) / L_K, the paper's estimate of the padding of random batches."""
    l_k = length_percentile(lengths, k)
    return (l_k - average_length(lengths)) / l_k


def expected_longest(lengths: Sequence[int], batch_size: int) -> float:
    """Return E[longest of a batch] = sum over l >= 0 of (1 - F(l)^B), F(l) = share of sequences of length <= l.

    Exact for batches drawn with replacement; an epoch draws without, which matters only for tiny datasets.
    """
    expectation = Fraction(0)
    for candidate in range(max(lengths)):  # from max(lengths) on, F is 1 and the term 0
        no_longer = 0
        for length in lengths:
            if length <= candidate:
                no_longer += 1
        expectation += 1 - Fraction(no_longer, len(lengths)) ** batch_size
    return float(expectation)


def expected_padding_fraction(lengths: Sequence[int], batch_size: int) -> float:
    """Return pad tokens / all tokens of random batches of this size, each padded to its longest."""
    return 1 - average_length(lengths) / expected_longest(lengths, batch_size)


def simulated_longest(lengths: Sequence[int], batch_size: int, draws: int, seed: int) -> float:
    """Return the mean longest sequence of `draws` random batches drawn with replacement (Monte Carlo)."""
    generator = random.Random(seed)  # noqa: S311
    total = 0
    for _ in range(draws):
        longest = 0
        for _ in range(batch_size):
            longest = max(longest, generator.choice(lengths))
        total += longest
    return total / draws


def simulated_padding_fraction(lengths: Sequence[int], batch_size: int, draws: int, seed: int) -> float:
    """Return pad tokens / all tokens of `draws` simulated batches: the check on `expected_padding_fraction`."""
    generator = random.Random(seed)  # noqa: S311
    kept = 0
    all_tokens = 0
    for _ in range(draws):
        batch = [generator.choice(lengths) for _ in range(batch_size)]
        kept += sum(batch)
        all_tokens += max(batch) * batch_size
    return (all_tokens - kept) / all_tokens
