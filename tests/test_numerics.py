"""Least squares, t and ranks: against scipy, which has its own code for each."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from tdbs.numerics import non_negative_least_squares, rank_correlation, t_quantile
from tests.examples import examples


@given(
    st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 60), st.sampled_from([0.0, 0.1, 1.0]), st.floats(0, 0.9)
)
@examples(200)
def test_costs_are_those_of_scipys_nnls(seed, costs, more_points, noise, empty):
    """Counts as a profile has them: none negative, many of them 0, columns that grow together."""
    rng = np.random.default_rng(seed)
    counts_PC = rng.exponential(size=(costs + more_points, costs)) * (rng.random((costs + more_points, costs)) >= empty)
    counts_PC += counts_PC[:, :1] * rng.random(costs)
    seconds_P = counts_PC @ np.maximum(rng.normal(size=costs), 0) + noise * rng.normal(size=len(counts_PC))
    expected_C, error = optimize.nnls(counts_PC, seconds_P)
    found_C = non_negative_least_squares(counts_PC, seconds_P)
    assert found_C.min() >= 0
    assert np.linalg.norm(counts_PC @ found_C - seconds_P) == pytest.approx(error, rel=1e-6, abs=1e-9)
    if np.linalg.cond(counts_PC) < 1e6:  # else several costs are as good
        np.testing.assert_allclose(found_C, expected_C, rtol=1e-6, atol=1e-8)


def test_costs_by_hand():
    """Only a negative second cost would meet both points: without it, the first is the mean of 1 and 0."""
    np.testing.assert_allclose(non_negative_least_squares(np.array([[1.0, 0], [1, 1]]), np.array([1.0, 0])), [0.5, 0])


def test_counts_that_are_never_there_cost_nothing():
    counts_PC = np.array([[1.0, 0, 2], [2, 0, 1], [3, 0, 3]])
    np.testing.assert_allclose(non_negative_least_squares(counts_PC, counts_PC @ [2, 5, 3]), [2, 0, 3])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_quantiles_of_t_are_scipys(confidence):
    """Of one degree of freedom, with its heavy tails, up to a thousand."""
    freedoms = [*range(1, 60), 99, 100, 999, 1000]
    found = [t_quantile(confidence, freedom) for freedom in freedoms]
    np.testing.assert_allclose(found, stats.t.ppf((1 + confidence) / 2, freedoms), rtol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20))
@examples(100)
def test_rank_correlation_is_spearmans(pairs):
    """With many ties."""
    a, b = np.array(pairs, dtype=np.float64).T
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def test_pairs_with_a_number_missing_are_left_out():
    """Tasks that the paper lacks."""
    a = np.array([1.0, 2.0, np.nan, 3.0, 9.0])
    b = np.array([5.0, 6.0, 1.0, 9.0, np.nan])
    assert rank_correlation(a, b) == pytest.approx(1.0)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([np.nan, 1.0], [1.0, 2.0])])
def test_a_correlation_of_too_little_is_not_defined(a, b):
    """And no warning of numpy's reaches the user."""
    assert rank_correlation(np.array(a), np.array(b)) is None
