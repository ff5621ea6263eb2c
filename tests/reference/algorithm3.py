"""Algorithm 3, TokenDrop + BucketSampler as the text of 2.3 gives it (its listing is missing from our copy).

Tokens_to_drop(sample) = cardinality(sample) - shortest length of the batch. Whole words only: a word that would exceed
what is left to drop is skipped, and at least one token that is not special stays. Slow oracle, never imported by tdbs.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A sample as TokenDrop sees it: lengths in tokens, the droppable words already in random drop order."""

    length: int  # with special tokens
    word_sizes: tuple[int, ...]  # tokens of each droppable word; the first is the first to go
    non_special: int  # tokens that are not special


def words_that_go(sample: Sample, target: int) -> list[int]:
    """Return the places in the drop order of the words that go, so that the sample comes down towards target."""
    tokens_to_drop = sample.length - target
    tokens_left = sample.non_special
    going: list[int] = []
    for place, size in enumerate(sample.word_sizes):
        if size > tokens_to_drop:
            continue  # it would exceed what is left to drop
        if tokens_left - size < 1:
            continue  # the last token that is not special stays
        going.append(place)
        tokens_to_drop -= size
        tokens_left -= size
    return going


def length_after(sample: Sample, going: Sequence[int]) -> int:
    """Return the length of the sample without the words at these places."""
    length = sample.length
    for place in going:
        length -= sample.word_sizes[place]
    return length


def prune_batch(batch: Sequence[Sample], target: int | None = None) -> list[list[int]]:
    """Return, for each sample of the batch, the places of the words that go.

    The target is the shortest length of the batch unless one is given.
    """
    if target is None:
        target = min(sample.length for sample in batch)
    return [words_that_go(sample, target) for sample in batch]


def reachable_lengths(n: int, word_sizes: Sequence[int], non_special: int) -> set[int]:
    """Return every length that a sample of n tokens takes when some set of its droppable words goes whole.

    At least one token that is not special stays. Builds all subset sums; n itself (nothing goes) is always in.
    """
    sums = {0}
    for size in word_sizes:
        with_this_word = {smaller + size for smaller in sums}
        sums = sums | with_this_word
    lengths = {n}
    for dropped in sums:
        if non_special - dropped >= 1:
            lengths.add(n - dropped)
    return lengths
