"""Updates are cut into the cheapest calls, or the fewest within a cap; each sample is there once."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.train.planning import cuts
from tdbs.train.planning.batching import TargetLengths
from tdbs.train.planning.epoch_plan import EpochPlan, row_width
from tdbs.train.planning.plan import plan_digest, plan_epoch
from tdbs.train.planning.strategies import STRATEGIES, Strategy

MAX_LENGTH = 40
LENGTHS = st.lists(st.integers(0, MAX_LENGTH), min_size=1, max_size=25)


def plan_of(lengths, strategy, targets=None) -> EpochPlan:
    return plan_epoch(
        np.array(lengths),
        None,
        strategy,
        max_length=MAX_LENGTH,
        seed=0,
        epoch=0,
        targets=None if targets is None else TargetLengths(lengths_N=np.array(targets), max_length=MAX_LENGTH),
    )


def samples_of(plan: EpochPlan, lengths, targets) -> list[list[list[tuple[int, int]]]]:
    """Return the tokens and target tokens of each sample of each call of each update."""
    pairs = [
        (max(lengths[sample], 1), 0 if targets is None else max(targets[sample], 1))
        for sample in plan.sample_ids_N.tolist()
    ]
    calls = [pairs[first:last] for first, last in itertools.pairwise(plan.batch_offsets_B1)]
    steps = np.arange(len(calls) + 1) if plan.step_offsets_S1 is None else plan.step_offsets_S1
    return [calls[first:last] for first, last in itertools.pairwise(steps)]


def size_of(call, execution: str, *, has_targets: bool) -> tuple[int, int]:
    """Return the tokens of a call, and the pairs that attention compares in it."""
    widths, targets = zip(*call, strict=True)
    if execution == "unpadded":
        tokens = row_width(sum(widths)) + row_width(sum(targets))
        return int(tokens), sum(width**2 + target * (target + width) for width, target in call)
    is_max = execution == "padded_max"
    width = MAX_LENGTH if is_max else max(widths)
    target = (MAX_LENGTH if is_max else max(targets)) if has_targets else 0
    return len(call) * (width + target), len(call) * (width**2 + target * (target + width))


def fits(call, strategy: Strategy, *, has_targets: bool) -> bool:
    tokens, pairs = size_of(call, strategy.execution, has_targets=has_targets)
    over = (strategy.max_tokens is not None and tokens > strategy.max_tokens) or (
        strategy.max_pairs is not None and pairs > strategy.max_pairs
    )
    return len(call) == 1 or not over


def all_cuts(samples):
    """Yield every way to cut some samples into calls that follow each other."""
    for kept in range(2 ** (len(samples) - 1)):
        ends = [place + 1 for place in range(len(samples) - 1) if kept >> place & 1]
        yield [samples[first:last] for first, last in itertools.pairwise([0, *ends, len(samples)])]


def cost_of(calls, *, call_tokens: int, has_targets: bool) -> int:
    return sum(size_of(call, "sorted", has_targets=has_targets)[0] + call_tokens for call in calls)


CAPS = {"max_tokens": st.none() | st.integers(1, 300), "max_pairs": st.none() | st.integers(1, 9000)}
SORTED = st.builds(
    replace,
    st.just(STRATEGIES["sorted"]),
    base_batch_size=st.integers(1, 9),
    call_tokens=st.integers(0, 60),
    **CAPS,
)


@given(LENGTHS, st.data(), st.booleans(), SORTED)
def test_sorted_costs_as_little_as_any_cut(lengths, data, has_targets, strategy):
    """All cuts of each update, samples from short to long; the updates are those of random batches."""
    targets = [data.draw(st.integers(0, MAX_LENGTH)) for _ in lengths] if has_targets else None
    plan = plan_of(lengths, strategy, targets)
    plain = plan_of(lengths, replace(strategy, execution="padded", max_tokens=None, max_pairs=None), targets)
    assert plan.step_sizes_S.tolist() == plain.batch_sizes_B.tolist()
    assert updates_of(plan) == updates_of(plain)
    for calls in samples_of(plan, lengths, targets):
        samples = list(itertools.chain(*calls))
        assert samples == sorted(samples)
        assert all(fits(call, strategy, has_targets=has_targets) for call in calls)
        price = {"call_tokens": strategy.call_tokens, "has_targets": has_targets}
        assert cost_of(calls, **price) == min(
            cost_of(cut, **price)
            for cut in all_cuts(samples)
            if all(fits(call, strategy, has_targets=has_targets) for call in cut)
        )


def updates_of(plan: EpochPlan) -> list[list[int]]:
    ends = np.cumsum(plan.step_sizes_S)[:-1]
    return [sorted(part.tolist()) for part in np.split(plan.sample_ids_N, ends)]


@given(LENGTHS, st.data(), st.booleans(), st.sampled_from(["padded", "padded_max", "unpadded"]), st.data())
def test_a_cap_makes_as_few_calls_as_any_cut(lengths, data, has_targets, execution, caps):
    """Batches above the cap are sorted and cut, others stay as they are."""
    lengths = [max(length, 1) for length in lengths]
    targets = [data.draw(st.integers(0, MAX_LENGTH)) for _ in lengths] if has_targets else None
    strategy = replace(
        STRATEGIES["random"],
        execution=execution,
        base_batch_size=data.draw(st.integers(1, 9)),
        **{name: caps.draw(values) for name, values in CAPS.items()},
    )
    plan = plan_of(lengths, strategy, targets)
    plain = plan_of(lengths, replace(strategy, max_tokens=None, max_pairs=None), targets)
    assert updates_of(plan) == updates_of(plain)
    first = 0
    for calls in samples_of(plan, lengths, targets):
        samples = list(itertools.chain(*calls))
        assert all(fits(call, strategy, has_targets=has_targets) for call in calls)
        if len(calls) == 1:
            whole = slice(first, first + len(samples))
            assert plan.sample_ids_N[whole].tolist() == plain.sample_ids_N[whole].tolist()
        elif execution != "padded_max":
            assert samples == sorted(samples)
        assert len(calls) == min(
            len(cut) for cut in all_cuts(samples) if all(fits(call, strategy, has_targets=has_targets) for call in cut)
        )
        first += len(samples)


def test_a_batch_of_many_samples_is_searched_in_parts(monkeypatch):
    """No call of more samples than the search looks at; else a call is too dear to make."""
    monkeypatch.setattr(cuts, "_MOST_SAMPLES", 4)
    strategy = replace(STRATEGIES["sorted"], call_tokens=10**6)
    plan = plan_of([5] * 10, strategy)
    assert sorted(plan.batch_sizes_B.tolist()) == [2, 4, 4]
    assert plan.steps == 1


@pytest.mark.parametrize("batches", ["length_grouped", "batch_rebalance", "bucket", "reach"])
def test_other_batches_are_cut_too(batches):
    """An update of several batches is cut as one; but those of buckets each, since each has its own cap."""
    lengths = np.random.default_rng(0).integers(2, MAX_LENGTH + 1, 200)
    parts = {"micro_batches": 4, "bucket_width": 9} if batches in ("bucket", "reach") else {}
    strategy = Strategy(
        name="s", batches=batches, drop="none", execution="sorted", base_batch_size=16, call_tokens=4, **parts
    )
    plan, plain = plan_of(lengths, strategy), plan_of(lengths, replace(strategy, execution="padded"))
    assert updates_of(plan) == updates_of(plain)
    assert plan.tokens < plain.tokens
    for calls in samples_of(plan, lengths, None):
        samples = list(itertools.chain(*calls))
        assert (samples == sorted(samples)) or batches in ("bucket", "reach")
    if parts:
        assert set(plain.batch_offsets_B1.tolist()) <= set(plan.batch_offsets_B1.tolist())


def test_the_cost_of_a_call_is_that_of_the_strategy_or_a_cpus():
    lengths = np.random.default_rng(0).integers(2, MAX_LENGTH + 1, 200)
    plans = [plan_of(lengths, replace(STRATEGIES["sorted"], call_tokens=tokens)) for tokens in (None, cuts.CALL_TOKENS)]
    assert plan_digest(plans[:1]) == plan_digest(plans[1:])
    dear, cheap = (plan_of(lengths, replace(STRATEGIES["sorted"], call_tokens=tokens)) for tokens in (10**6, 0))
    assert dear.step_batches_S.tolist() == [1] * dear.steps
    assert cheap.padding_fraction == 0
