"""Packing is best fit, and packs of a plan are rows that hold every sample once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.samplers import pack_rows
from tests.examples import examples
from tests.reference.packing import best_fit
from tests.train.ragged import MAX_LENGTH, lengths_of, random_rows, strategy_of, words_of


@given(
    st.integers(1, 40).flatmap(lambda w: st.tuples(st.just(w), st.lists(st.integers(0, w), min_size=1, max_size=60)))
)
@examples(300)
def test_rows_are_those_of_best_fit(case):
    """The same rooms are left, whatever the order of rows; no row holds more than its width."""
    width, lengths = case
    rows = pack_rows(np.array(lengths), width=width)
    assert set(rows.tolist()) == set(range(rows.max() + 1))  # no row is empty
    filled = np.bincount(rows, weights=lengths).astype(int)
    assert filled.max() <= width
    assert sorted(filled.tolist()) == sorted(sum(row) for row in best_fit(lengths, width))


def test_a_plan_of_packs():
    """Rows and steps hold every sample once; a step has the base batch on average; tokens are rows x width."""
    samples = random_rows(900, 1)
    strategy = strategy_of("packed", base_batch_size=8)
    plan = plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=0, epoch=0)
    assert sorted(plan.sample_ids_N.tolist()) == list(range(900))
    rows = np.split(plan.sample_ids_N, plan.row_offsets_R1[1:-1])
    lengths = lengths_of(samples)
    assert all(0 < lengths[row].sum() <= MAX_LENGTH for row in rows)
    assert set(plan.batch_offsets_B1.tolist()) <= set(plan.row_offsets_R1.tolist())
    assert plan.rows_B.sum() == len(rows)
    assert abs(plan.batch_sizes_B[:-1].mean() - 8) < 4  # rows are whole, so only about
    assert plan.tokens == len(rows) * MAX_LENGTH
    assert plan.padding_fraction < 0.05
    other = plan_epoch(lengths, words_of(samples), strategy, max_length=MAX_LENGTH, seed=0, epoch=1)
    assert other.sample_ids_N.tolist() != plan.sample_ids_N.tolist()
