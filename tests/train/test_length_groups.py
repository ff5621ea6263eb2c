"""Length groups are the cheapest cut of a batch into at most three, found by trying all of them."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.rows.length_groups import GROUPS, longest_of_groups
from tests.examples import examples


def pairs_of(lengths: list[int], longest: list[int]) -> int:
    """Count the pairs that attention compares where each sample is padded to the next of some lengths."""
    return sum(min(end for end in longest if end >= length) ** 2 for length in lengths)


def cheapest(lengths: list[int]) -> int:
    """Return the fewest pairs over every choice of up to three group ends; the longest sample always ends one."""
    distinct = sorted(set(lengths))
    return min(
        pairs_of(lengths, [*ends, distinct[-1]])
        for count in range(GROUPS)
        for ends in combinations(distinct[:-1], count)
    )


@given(st.lists(st.integers(1, 60), min_size=1, max_size=14))
@examples(300)
def test_groups_are_the_cheapest_of_all_cuts(lengths):
    """At most three, ascending, each the length of a sample, the last one the longest; no other cut has fewer pairs."""
    longest = longest_of_groups(np.array(lengths)).tolist()
    assert 1 <= len(longest) <= 3
    assert longest == sorted(set(longest))
    assert set(longest) <= set(lengths)
    assert longest[-1] == max(lengths)
    assert pairs_of(lengths, longest) == cheapest(lengths)


def test_three_lengths_or_fewer_are_a_group_each():
    """Then nothing is padded."""
    assert longest_of_groups(np.array([7, 3, 3, 7])).tolist() == [3, 7]
    assert longest_of_groups(np.array([9, 7, 3, 3])).tolist() == [3, 7, 9]


def test_many_samples_of_long_rows_do_not_overflow():
    """A thousand samples of up to 8,192 tokens: about 5e10 pairs, far above 32 bits."""
    lengths = np.random.default_rng(0).integers(1, 8193, 1000)
    longest = longest_of_groups(lengths)
    ends = longest[np.searchsorted(longest, lengths)]
    assert (ends >= lengths).all()
    thirds = np.quantile(lengths, [1 / 3, 2 / 3, 1], method="higher").astype(np.int64)
    assert int((ends**2).sum()) <= int((thirds[np.searchsorted(thirds, lengths)] ** 2).sum())
