"""Reach-aware targets: the largest grid length that whole words of a sample reach, else its own."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.planning.reach import further_lengths, grid_shift, target_lengths
from tests.examples import examples
from tests.reference.reach import further_target, target_length
from tests.train.ragged import Row, lengths_of, random_rows, rows, words_of


def targets(samples, *, width, shift) -> list[int]:
    return target_lengths(lengths_of(samples), words_of(samples), width=width, shift=shift).tolist()


def expected_targets(samples, *, width, shift) -> list[int]:
    return [target_length(row.length, row.sizes, row.non_special, shift, width) for row in samples]


@given(st.lists(rows(), min_size=1, max_size=15), st.integers(1, 9))
@examples(150)
def test_targets_equal_the_oracle_for_every_shift(samples, width):
    """Words of several tokens, samples of droppable words alone, every width and shift."""
    for shift in range(width):
        assert targets(samples, width=width, shift=shift) == expected_targets(samples, width=width, shift=shift)


@pytest.mark.parametrize("shift", range(5))
def test_targets_equal_the_oracle_on_many_samples(shift):
    samples = random_rows(1500, shift, max_words=12, max_size=5)
    assert targets(samples, width=5, shift=shift) == expected_targets(samples, width=5, shift=shift)


@given(st.lists(rows(), min_size=1, max_size=15), st.integers(1, 5), st.data())
@examples(150)
def test_further_targets_equal_the_oracle(samples, width, data):
    """Each sample may go a number of grid lengths further, as far as whole words make it."""
    shift = data.draw(st.integers(0, width - 1))
    steps = data.draw(st.lists(st.integers(0, 3), min_size=len(samples), max_size=len(samples)))
    lengths, words = lengths_of(samples), words_of(samples)
    found = further_lengths(
        target_lengths(lengths, words, width=width, shift=shift),
        lengths,
        words,
        width=width,
        shift=shift,
        steps_N=np.array(steps),
    )
    assert found.tolist() == [
        further_target(row.length, row.sizes, row.non_special, shift, width, step)
        for row, step in zip(samples, steps, strict=True)
    ]


@pytest.mark.parametrize(
    ("sizes", "shift", "expected"),
    [
        ((1, 1, 1), 0, 10),  # 12 tokens: 10 is within reach
        ((1,), 0, 12),  # 11 is not on the grid: left whole
        ((3, 4), 0, 5),  # 12, 9, 8, 5: 10 cannot be met by whole words
        ((1, 1, 1), 2, 12),  # on the grid already
        ((1, 1, 1), 1, 11),
    ],
)
def test_targets_by_hand(sizes, shift, expected):
    """A sample of 12 tokens, two of them special."""
    row = Row(sizes=sizes, gaps=(10 - sum(sizes), *([0] * len(sizes))))
    assert row.length == 12
    assert targets([row], width=5, shift=shift) == [expected]


def test_targets_leave_the_lengths_alone():
    samples = random_rows(50, 0)
    lengths = lengths_of(samples)
    target_lengths(lengths, words_of(samples), width=5, shift=3)
    assert lengths.tolist() == lengths_of(samples).tolist()


def test_width_one_drops_nothing():
    samples = random_rows(50, 0)
    assert targets(samples, width=1, shift=0) == lengths_of(samples).tolist()


def test_shifts_are_even_and_depend_on_seed_and_epoch():
    """Every sample loses a different number of words in each epoch: the shift takes all values about equally often."""
    shifts = Counter(grid_shift(width=5, seed=seed, epoch=epoch) for seed in range(100) for epoch in range(10))
    assert sorted(shifts) == [0, 1, 2, 3, 4]
    assert min(shifts.values()) > 200 - 5 * np.sqrt(1000 * 0.2 * 0.8)
    assert grid_shift(width=1, seed=0, epoch=0) == 0
