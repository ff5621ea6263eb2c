"""The rate of every step: transformers' linear schedule where batches are equal, times LRM where they are not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_scheduler

from tdbs.train.planning.plan import plan_run
from tdbs.train.planning.rates import learning_rates, rates_of_sizes
from tests.train.ragged import MAX_LENGTH, lengths_of, random_rows, strategy_of, words_of

LRM_CASES = [
    (64, 1.0),  # the base batch: rate unchanged
    (256, 2.0),  # four times the rows -> sqrt(4)
    (16, 0.5),  # a small residual batch takes a smaller step
]


def rates(sizes, *, warmup=0.0, lrm=False, base_lr=1.0, scheduler="linear"):
    terms = {"base_lr": base_lr, "warmup": warmup, "lrm": lrm, "scheduler": scheduler}
    return rates_of_sizes(np.array(sizes), **terms, base_batch_size=64)


@pytest.mark.parametrize(("size", "factor"), LRM_CASES)
def test_lrm_is_the_root_of_the_batch_sizes_ratio(size, factor):
    """The same batch with and without LRM, among others."""
    sizes = [64, size, 32, 100]
    assert rates(sizes, lrm=True)[1] / rates(sizes)[1] == pytest.approx(factor)


@pytest.mark.parametrize(("steps", "warm"), [(10, 0), (10, 1), (100, 6), (50, 25), (20, 19)])
@pytest.mark.parametrize(
    ("scheduler", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
def test_equal_batches_follow_transformers_schedule(steps, warm, scheduler, theirs):
    """Step by step the library's own numbers: up from 0 over `warm` steps, then down to 0 behind the last, or not."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-5)
    schedule = get_scheduler(theirs, optimizer, num_warmup_steps=warm, num_training_steps=steps)
    expected = []
    for _ in range(steps):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    found = rates([64] * steps, warmup=warm / steps, base_lr=5e-5, scheduler=scheduler)
    assert found == pytest.approx(expected, abs=1e-18)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.sampled_from([0.0, 0.06, 0.5, 0.99]), st.booleans())
def test_rates_equal_a_loop_over_steps(sizes, warmup, lrm):
    """progress = samples seen / samples of the run; each rate is set from it alone, never from the one before."""
    seen, expected = 0, []
    for size in sizes:
        progress = seen / sum(sizes)
        is_rising = warmup > 0 and progress < warmup
        rate = progress / warmup if is_rising else (1 - progress) / (1 - warmup)
        expected.append(rate * ((size / 64) ** 0.5 if lrm else 1))
        seen += size
    assert rates(sizes, warmup=warmup, lrm=lrm) == pytest.approx(expected)


def test_the_decay_does_not_depend_on_how_many_steps_the_batches_make():
    """After half of the samples the rate is half of its peak, in one step or in ten."""
    assert rates([320, 320])[1] == pytest.approx(0.5)
    assert rates([32] * 10 + [320])[10] == pytest.approx(0.5)


def test_a_run_has_one_rate_for_each_batch_of_its_plans():
    """Epochs in order; LRM follows the strategy."""
    samples = random_rows(300, 0)
    for name in ("random", "reach"):
        strategy = strategy_of(name, caps="64")
        plans = plan_run(
            lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=0, epochs=range(3)
        )
        sizes = [size for plan in plans for size in plan.batch_sizes_B.tolist()]
        expected = rates_of_sizes(np.array(sizes), base_lr=1e-4, warmup=0.1, lrm=name == "reach", base_batch_size=8)
        assert learning_rates(plans, strategy, base_lr=1e-4, warmup=0.1).tolist() == expected.tolist()
