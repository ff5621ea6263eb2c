"""Statistics of a split come from its histogram and say what the lengths themselves say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.statistics import split_statistics
from tdbs.pipeline.manifest import SplitInfo
from tests.reference import lengths as reference


def make_info(lengths, *, droppable_tokens=0) -> SplitInfo:
    return SplitInfo(
        rows=len(lengths),
        source_rows=len(lengths),
        tokens=sum(lengths),
        droppable_words=droppable_tokens,
        droppable_tokens=droppable_tokens,
        labelled=False,
        length_histogram=tuple(np.bincount(lengths, minlength=50).tolist()),
        droppable_histogram=(len(lengths),),
        shards=(),
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.sampled_from([50, 75, 87.5, 95]), st.integers(1, 64))
def test_statistics_equal_the_oracle(lengths, percent, batch_size):
    """Rows, tokens, L_avg, L_K, the estimate and the exact padding, for every K and batch size."""
    found = split_statistics(make_info(lengths, droppable_tokens=3), percent=percent, batch_size=batch_size)
    assert (found.rows, found.tokens) == (len(lengths), sum(lengths))
    assert found.average_length == pytest.approx(reference.average_length(lengths))
    assert found.percentile_length == reference.length_percentile(lengths, percent)
    estimate = max(reference.padding_fraction_est(lengths, percent), 0.0)  # few long ones raise the mean alone
    assert found.padding_fraction_estimate == pytest.approx(estimate)
    expected = reference.expected_padding_fraction(lengths, batch_size)
    assert found.expected_random_padding == pytest.approx(expected, abs=1e-9)
    assert found.droppable_fraction == pytest.approx(3 / sum(lengths))


def test_a_split_of_samples_without_tokens_has_no_padding():
    """Empty texts of a tokenizer without special tokens (GPT-2): zeros, no division by zero."""
    found = split_statistics(make_info([0, 0]))
    assert (found.tokens, found.padding_fraction_estimate, found.expected_random_padding) == (0, 0.0, 0.0)
