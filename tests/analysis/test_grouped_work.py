"""What a plan of samples of several sequences says of a step is what its real batches have, strategy by strategy."""

from dataclasses import replace

import numpy as np
import pytest

from tdbs.analysis.cost import batches_work, plan_work
from tdbs.analysis.run_seconds import is_far
from tdbs.analysis.speedup import estimate_speedup
from tdbs.pipeline.dataset import read_split
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.cost_model import COUNTS, CostModel
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tests.train.grouped import grouped_dataset

NAMES = tuple(name for name, strategy in STRATEGIES.items() if strategy.execution != "packed")


@pytest.fixture(scope="module", params=["embedding", "ranking"])
def dataset(request, tmp_path_factory):
    return grouped_dataset(tmp_path_factory.mktemp(request.param) / "files", task=request.param)


def strategy_of(dataset, name: str):
    strategy = replace(resolve_strategy(name, dataset.manifest.task), base_batch_size=16)
    return replace(strategy, call_tokens=8) if strategy.execution == "sorted" else strategy  # else updates are one call


def test_strategies_of_one_sequence_a_sample_are_left_out(dataset):
    assert set(strategies_for(dataset.manifest.task)) <= set(NAMES)


def assert_same_work(found, expected, execution: str) -> None:
    """An unpadded plan knows each sample's longest sequence alone: the rest of its work is estimated."""
    off = {"samples": 0.5, "pairs": 0.3, "places": 0.3} if execution == "unpadded" else {}
    for number, name in enumerate(COUNTS):
        np.testing.assert_allclose(found[:, number], expected[:, number], rtol=off.get(name, 1e-12), err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_has_the_rows_tokens_and_work_of_its_batches(dataset, name):
    feed = make_feed(open_training_data(dataset), strategy_of(dataset, name), seed=2, epochs=1)
    [plan] = feed.plans
    steps = list(feed.steps(plan))
    batches = [batch for step in steps for batch in step]
    assert plan.tokens_B.tolist() == [batch.input_ids_RW.size for batch in batches]
    assert plan.rows_B.tolist() == [len(batch.input_ids_RW) for batch in batches]
    kept = sum(int(batch.lengths_B.sum()) for batch in batches)
    assert plan.padding_fraction == pytest.approx(1 - kept / sum(batch.input_ids_RW.size for batch in batches))
    assert_same_work(plan_work(plan), np.array([batches_work(step) for step in steps]), plan.execution)


@pytest.mark.parametrize("name", NAMES)
def test_batches_have_each_sequence_of_each_sample_once_in_order(dataset, name):
    """What is dropped aside, they are the tokens that prepare wrote."""
    split = read_split(dataset, "train")
    sequences = split.sequences
    feed = make_feed(open_training_data(dataset), strategy_of(dataset, name), seed=2, epochs=1)
    seen = []
    for step in feed.steps(feed.plans[0]):
        for batch in step:
            counts = np.diff(sequences.offsets_N1)[batch.sample_ids_B]
            assert batch.sequences_B.tolist() == counts.tolist()
            rows = batch.input_ids_RW
            starts = np.arange(len(rows)) * rows.shape[1] if batch.starts_B is None else batch.starts_B
            place = 0
            for sample, count in zip(batch.sample_ids_B.tolist(), counts.tolist(), strict=True):
                first, token = sequences.offsets_N1[sample], split.token_offsets_N1[sample]
                for length in sequences.lengths_Q[first : first + count].tolist():
                    own = split.input_ids_T[token : token + length].tolist()
                    found = rows.ravel()[starts[place] : starts[place] + batch.lengths_B[place]].tolist()
                    left = iter(own)
                    assert all(each in left for each in found)  # in the same order
                    assert found == own or strategy_of(dataset, name).drop != "none"
                    place, token = place + 1, token + length
            seen += batch.sample_ids_B.tolist()
    assert sorted(seen) == list(range(len(split.lengths_N)))


def test_the_estimate_is_the_ratio_of_tokens_counted_by_hand(dataset):
    """Random batches padded to their longest sequence, against one row of all of them in multiples of 32."""
    split = read_split(dataset, "train")
    lengths = np.split(split.sequences.lengths_Q, split.sequences.offsets_N1[1:-1])
    tokens = {"random": 0, "unpadded": 0}
    for name in tokens:
        strategy = resolve_strategy(name, dataset.manifest.task)
        for plan in make_feed(open_training_data(dataset), strategy, seed=4, epochs=2).plans:
            for samples in np.split(plan.sample_ids_N, plan.batch_offsets_B1[1:-1]):
                batch = np.concatenate([lengths[sample] for sample in samples])
                tokens[name] += len(batch) * batch.max() if name == "random" else -(-batch.sum() // 32) * 32
    [found] = estimate_speedup(dataset, "unpadded", model="tiny", seed=4, epochs=2)
    assert (found.tokens, found.speedup) == (tokens["unpadded"], tokens["random"] / tokens["unpadded"])


def test_calls_of_a_joint_loss_run_forward_twice_if_an_update_has_several(dataset):
    """A third more of all that a call costs; a step of one call costs what it did."""
    feed = make_feed(open_training_data(dataset), strategy_of(dataset, "sorted"), seed=2, epochs=1)
    [plan] = feed.plans
    once, twice = plan_work(plan), plan_work(plan, is_joint=True)
    several = plan.step_batches_S > 1
    assert several.any()
    expected = np.where(several[:, None] & (np.array(COUNTS) != "steps"), once * 4 / 3, once)
    np.testing.assert_allclose(twice, expected)
    assert_same_work(twice, np.array([batches_work(step, is_joint=True) for step in feed.steps(plan)]), plan.execution)


@pytest.mark.parametrize("name", ["random", "unpadded"])
def test_a_call_is_as_long_as_its_longest_sequence(dataset, name):
    """A profile of sequences knows samples of many: what it has not timed is a longer sequence."""
    plans = make_feed(open_training_data(dataset), strategy_of(dataset, name), seed=2, epochs=1).plans
    longest = int(read_split(dataset, "train").sequences.lengths_Q.max())
    for timed, far in ((longest // 2 + 1, False), (longest // 2 - 1, True)):
        costs = CostModel(costs_C=np.ones(12), error=0.0, most_tokens=10**6, longest=timed, longest_target=0)
        assert is_far(costs, plans) == far
    assert read_split(dataset, "train").lengths_N.max() > 2 * longest
