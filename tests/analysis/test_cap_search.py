"""The search for caps: what it finds fits, 5 % more does not, and tables between what was searched ask for no more."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.profile.caps import caps_between, knee, largest_batch, rounded, table_lengths
from tdbs.analysis.profile.shapes import searched_lengths
from tests.examples import examples

# ---------------------------------------------------------------------------------------------------------- memory


@given(limit=st.integers(0, 300_000), guess=st.integers(1, 50_000))
@examples(300)
def test_the_largest_batch_fits_and_five_percent_more_does_not(limit, guess):
    """Whatever the guess. No more is tried than twice what fits, or the guess; each try is a training step."""
    tried = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found = largest_batch(fits, guess=guess)
    assert found <= limit
    assert int(found * 1.05) + 1 > limit
    assert max(tried) <= max(guess, 2 * limit)
    assert len(set(tried)) == len(tried)
    assert len(tried) <= abs(math.log2(max(limit, 1) / guess)) + 8


def test_nothing_fits():
    assert largest_batch(lambda _: False, guess=64) == 0


def test_a_device_without_a_limit_ends_the_search():
    """At about a million samples: a CPU that does not tell its peak would be asked for ever more."""
    assert 10**6 < largest_batch(lambda _: True, guess=3) <= 2**21


# ------------------------------------------------------------------------------------------------------------ knee


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=50))
def test_the_knee_is_the_smallest_batch_near_the_best_speed(seconds):
    """Within 5 % of the most samples per second."""
    speeds = [size / taken for size, taken in enumerate(seconds, start=1)]
    expected = next(size for size, speed in enumerate(speeds, start=1) if speed >= 0.95 * max(speeds))
    assert knee(np.array(seconds)) == expected


def test_the_knee_of_a_device_with_overhead():
    """10 ms a step and 1 ms a sample: n / (10 + n) within 5 % of the best, 1000 / 1010."""
    expected = next(n for n in range(1, 1001) if n / (10 + n) >= 0.95 * 1000 / 1010)
    assert knee(0.010 + 0.001 * np.arange(1, 1001)) == expected == 159


# ----------------------------------------------------------------------------------------------------------- tables


def test_a_table_has_every_fourth_length_and_the_last():
    assert table_lengths(16) == [4, 8, 12, 16]
    assert table_lengths(18) == [4, 8, 12, 16, 18]
    assert table_lengths(3) == [3]


@pytest.mark.parametrize(
    ("max_length", "expected"), [(128, [128, 64, 32, 16, 8]), (100, [100, 50, 25, 12, 8]), (5, [5])]
)
def test_caps_are_searched_at_the_maximum_and_its_halves(max_length, expected):
    """Never at a length that the dataset's model need not take."""
    assert searched_lengths(max_length) == expected


@st.composite
def searched(draw) -> tuple[int, dict[int, int]]:
    """Caps as a search finds them: shorter sequences have larger batches, of about as many tokens or more."""
    max_length = draw(st.integers(1, 300))
    caps, cap = {}, draw(st.integers(1, 500))
    for length in searched_lengths(max_length):
        caps[length] = cap
        cap = max(int(cap * draw(st.floats(1.0, 2.6))), cap)
    return max_length, caps


@given(searched(), st.sampled_from([1, 8]))
@examples(200)
def test_caps_between_ask_for_no_more_tokens_than_were_tried(case, multiple):
    """No more than the next longer length's batch had; never below 1; never rising with the length."""
    max_length, measured = case
    lengths = table_lengths(max_length)
    caps = caps_between(measured, lengths, multiple=multiple)
    for length, cap in zip(lengths, caps, strict=True):
        longer = min(known for known in measured if known >= length)
        assert cap >= 1
        assert cap * length <= measured[longer] * longer
        assert cap < multiple or cap % multiple == 0
    assert caps == sorted(caps, reverse=True)


def test_caps_at_lengths_that_were_searched_are_those_that_were_found():
    assert caps_between({8: 90, 16: 40, 32: 10}, [4, 8, 16, 24, 32], multiple=1) == [180, 90, 40, 13, 10]


def test_a_search_that_stopped_early_makes_no_step_up():
    """At 8 tokens 75 were found, where 16 tokens promise 80: at 9 to 16 tokens no more than 75 are asked for."""
    assert caps_between({8: 75, 16: 45}, [8, 9, 12, 16], multiple=1) == [75, 75, 60, 45]


@pytest.mark.parametrize(("cap", "multiple", "expected"), [(23, 8, 16), (8, 8, 8), (7, 8, 7), (1, 8, 1), (23, 1, 23)])
def test_small_caps_are_not_rounded_to_nothing(cap, multiple, expected):
    assert rounded(cap, multiple=multiple) == expected
