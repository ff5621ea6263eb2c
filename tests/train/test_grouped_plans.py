"""Plans of samples of several sequences: rows are sequences, as wide as the longest, and calls are the cheapest."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.tasks import Columns, Task
from tdbs.errors import ConfigError
from tdbs.train.planning.caps import CALL_TOKENS
from tdbs.train.planning.epoch_plan import row_width
from tdbs.train.planning.plan import plan_digest, plan_epoch
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.sequences import SequenceSizes
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tests.examples import examples

LIMIT = 16  # most tokens of a sequence
SAMPLES = st.lists(st.lists(st.integers(1, LIMIT), min_size=2, max_size=4), min_size=1, max_size=20)
TASK = Task(name="t", kind="embedding", columns=Columns(text="q", pair="p", labels=()))
NAMES = tuple(name for name in STRATEGIES if STRATEGIES[name].drop == "none" and name != "packed")


def plan_of(samples, strategy, **options):
    """Return the plan of samples that are lists of the tokens of their sequences."""
    lengths = np.array([sum(sample) for sample in samples])
    sequences = SequenceSizes(
        counts_N=np.array([len(sample) for sample in samples]),
        longest_N=np.array([max(sample) for sample in samples]),
        max_length=LIMIT,
    )
    most = {"max_length": int(lengths.max()), "seed": 0, "epoch": 0} | options
    return plan_epoch(lengths, None, strategy, sequences=sequences, **most)


def batches_of(plan, samples):
    """Return the sequences of the samples of each batch."""
    ids = plan.sample_ids_N.tolist()
    bounds = itertools.pairwise(plan.batch_offsets_B1.tolist())
    return [[samples[sample] for sample in ids[first:end]] for first, end in bounds]


@given(samples=SAMPLES, name=st.sampled_from(NAMES), size=st.integers(1, 6))
@examples(200)
def test_rows_are_sequences_and_as_wide_as_the_longest(samples, name, size):
    """Every padded batch; unpadded ones are a row of all tokens, as for any other kind."""
    strategy = replace(STRATEGIES[name], base_batch_size=size)
    plan = plan_of(samples, strategy)
    assert sorted(plan.sample_ids_N.tolist()) == list(range(len(samples)))
    batches = batches_of(plan, samples)
    tokens = [sum(map(sum, batch)) for batch in batches]
    if strategy.execution == "unpadded":
        assert plan.sequences_B is None
        assert plan.tokens_B.tolist() == [row_width(each) for each in tokens]
    else:
        widest = [LIMIT if name == "random_max" else max(map(max, batch)) for batch in batches]
        assert plan.padded_lengths_B.tolist() == widest
        assert plan.rows_B.tolist() == [sum(map(len, batch)) for batch in batches]
        assert plan.tokens_B.tolist() == [sum(map(len, batch)) * w for batch, w in zip(batches, widest, strict=True)]
    assert plan.padding_fraction == pytest.approx(1 - sum(tokens) / plan.tokens)


@given(samples=SAMPLES, name=st.sampled_from(NAMES))
@examples(60)
def test_updates_are_those_of_samples_of_one_sequence(samples, name):
    """Which samples share an update depends on their lengths alone."""
    lengths = np.array([sum(sample) for sample in samples])
    strategy = replace(STRATEGIES[name], base_batch_size=3)
    alone = plan_epoch(lengths, None, strategy, max_length=int(lengths.max()), seed=0, epoch=0)
    found = plan_of(samples, strategy)
    steps = [
        [
            sorted(plan.sample_ids_N[plan.batch_offsets_B1[first] : plan.batch_offsets_B1[last]].tolist())
            for first, last in itertools.pairwise(
                range(len(plan.padded_lengths_B) + 1) if plan.step_offsets_S1 is None else plan.step_offsets_S1
            )
        ]
        for plan in (alone, found)
    ]
    assert steps[0] == steps[1]


def cost_of(call):
    """Return what a padded call of some samples costs."""
    return sum(map(len, call)) * max(map(max, call)) + CALL_TOKENS


def cheapest_cut(samples):
    """Return the least cost of the calls of an update, over every way to cut it, by the longest sequence."""
    ordered = sorted(samples, key=max)
    places = range(1, len(ordered))
    cuts = (cut for count in range(len(ordered)) for cut in itertools.combinations(places, count))
    return min(
        sum(cost_of(ordered[first:end]) for first, end in itertools.pairwise((0, *cut, len(ordered)))) for cut in cuts
    )


@given(samples=st.lists(st.lists(st.integers(1, 400), min_size=2, max_size=4), min_size=1, max_size=8))
@examples(100)
def test_sorted_calls_are_the_cheapest_by_the_longest_sequence(samples):
    """Tried against every cut of one update."""
    plan = plan_of(samples, replace(STRATEGIES["sorted"], base_batch_size=99))
    assert plan.steps == 1
    assert sum(map(cost_of, batches_of(plan, samples))) == cheapest_cut(samples)


@given(
    samples=SAMPLES,
    name=st.sampled_from(("random", "random_max", "sorted", "unpadded")),
    tokens=st.one_of(st.none(), st.integers(16, 200)),
    pairs=st.one_of(st.none(), st.integers(16, 2000)),
)
@examples(200)
def test_no_call_of_several_samples_is_above_a_cap(samples, name, tokens, pairs):
    """Padded: of all its rows; unpadded: of each sequence with itself, counted as if all had the longest's tokens."""
    strategy = replace(STRATEGIES[name], base_batch_size=8, max_tokens=tokens, max_pairs=pairs)
    for call in batches_of(plan_of(samples, strategy), samples):
        if len(call) == 1:
            continue
        rows, width = sum(map(len, call)), LIMIT if name == "random_max" else max(map(max, call))
        size, compared = rows * width, rows * width**2
        if name == "unpadded":
            size = row_width(sum(map(sum, call)))
            compared = sum(length**2 for sample in call for length in sample)
        assert tokens is None or size <= tokens
        assert pairs is None or compared <= pairs


@given(samples=SAMPLES)
@examples(100)
def test_attended_lengths_have_all_tokens_and_no_fewer_pairs(samples):
    """A query and a positive are counted as they are; of more sequences a sample, no pair is missed."""
    plan = plan_of(samples, replace(STRATEGIES["unpadded"], base_batch_size=4))
    lengths, offsets = plan.attended()
    for batch, first, end in zip(batches_of(plan, samples), offsets[:-1], offsets[1:], strict=True):
        own = lengths[first:end]
        assert own.sum() == sum(map(sum, batch))
        assert (own**2).sum() >= sum(length**2 for sample in batch for length in sample)
        if all(len(sample) == 2 for sample in batch):
            assert sorted(own.tolist()) == sorted(itertools.chain.from_iterable(batch))


def test_packed_rows_are_refused():
    assert "packed" not in strategies_for(TASK)
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("packed", TASK)
    assert caught.value.message == "--execution packed packs samples of one sequence; these have several."
    assert caught.value.next_step == (
        "Pass --strategy unpadded, without --batches and --execution: it puts all of them in one row."
    )


def test_dropping_any_token_is_refused():
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("random", TASK, {"drop": "any"})
    assert caught.value.message == "--drop any could drop all tokens of a text."


def test_the_digest_sees_the_sequences():
    """Two plans of the same lengths, rows and widths have one digest; another number of rows changes it."""
    samples = [[4, 4, 4], [4, 8]]
    plan = plan_of(samples, STRATEGIES["random"])
    assert plan_digest([plan]) == plan_digest([plan_of(samples, STRATEGIES["random"])])
    assert plan_digest([plan]) != plan_digest([replace(plan, sequences_B=plan.sequences_B + 1)])
