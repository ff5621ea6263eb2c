"""Paired differences: against scipy's own paired t test, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tdbs.analysis.compare.record import paired_difference

SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20)


@given(SCORES)
def test_the_interval_is_that_of_the_paired_t_test(pairs):
    ours, base = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    found = paired_difference(ours, base)
    differences = np.array([pair[0] - pair[1] for pair in pairs])
    assert found.seeds == len(pairs)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    if differences.std() > 1e-6:  # scipy divides by it
        interval = stats.ttest_rel(list(ours.values()), list(base.values())).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_by_hand():
    """Differences 1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.3027, over the root of 3."""
    found = paired_difference({1: 2.0, 2: 3.0, 3: 4.0}, {1: 1.0, 2: 1.0, 3: 1.0})
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-4)


def test_seeds_of_both_count_alone():
    found = paired_difference({1: 0.5, 2: 0.9}, {2: 0.4, 3: 0.1})
    assert (found.seeds, found.mean, found.low, found.high) == (1, pytest.approx(0.5), None, None)
    assert paired_difference({1: 0.5}, {2: 0.5}) is None
