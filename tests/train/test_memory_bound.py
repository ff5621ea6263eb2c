"""`--memory` bounds training: updates are cut into calls that fit by the predicted peak, or the run is refused."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tdbs.errors import ConfigError
from tdbs.settings import TrainSettings
from tdbs.train.evaluate import length_order_plan
from tdbs.train.planning.memory_bound import Bound, fitted_plans, training_bound, unbounded_note
from tdbs.train.planning.model_choice import ModelChoice
from tdbs.train.planning.model_size import model_size
from tdbs.train.planning.peak_memory import PROCESS, epoch_peak, memory_terms
from tdbs.train.planning.plan import plan_digest, plan_run
from tdbs.train.planning.strategies import STRATEGIES

SIZES = {"vocab_size": 99, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256}
CHOICE = ModelChoice(
    name="made",
    model_type="bert",
    in_rows=True,
    size=model_size({"model_type": "bert", **SIZES, "num_hidden_layers": 3}),
)
TERMS = memory_terms(CHOICE, "classification", TrainSettings(precision="fp32", attention="eager"), dropout=0.1)
UNDROPPED = [name for name, strategy in STRATEGIES.items() if strategy.drop == "none" and name != "batch_rebalance"]


def bound_of(size: int) -> Bound:
    return Bound(given=f"{size}B", training=size, data=0)


def updates_of(plan) -> list[list[int]]:
    """Return the samples of each update, in any order inside it."""
    ends = np.cumsum(plan.step_sizes_S)[:-1]
    return [sorted(members.tolist()) for members in np.split(plan.sample_ids_N, ends)]


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    name=st.sampled_from(UNDROPPED),
    share=st.floats(0.01, 1.2),
    pairs=st.none() | st.integers(1, 60_000),
)
@settings(max_examples=80, deadline=None)
def test_what_is_not_refused_is_within_the_bound(lengths, name, share, pairs):
    """And has the updates of the uncut plan; what is refused has one sample that does not fit, or cannot be cut."""
    strategy = replace(STRATEGIES[name], base_batch_size=16, caps="16")
    if strategy.execution != "packed":
        strategy = replace(strategy, max_pairs=pairs)

    def planned(strategy):
        return plan_run(np.array(lengths), None, strategy, max_length=200, seed=1, epochs=range(2))

    uncut = planned(strategy)
    peak = max(epoch_peak(plan, TERMS) for plan in uncut)
    bound = bound_of(int(PROCESS + share * (peak - PROCESS)))
    found = fitted_plans(planned, strategy, TERMS, bound)
    if peak <= bound.training:
        assert not found.is_cut
        assert found.strategy == strategy
        assert plan_digest(found.plans) == plan_digest(uncut)
    elif found.error is None:
        assert found.is_cut
        assert found.peak == max(epoch_peak(plan, TERMS) for plan in planned(found.strategy)) <= bound.training
        assert [updates_of(plan) for plan in found.plans] == [updates_of(plan) for plan in uncut]
    elif strategy.execution != "packed":
        alone = planned(replace(strategy, max_tokens=1))
        assert all((plan.batch_sizes_B == 1).all() for plan in alone)
        assert max(epoch_peak(plan, TERMS) for plan in alone) > bound.training


def test_the_largest_calls_that_fit_are_taken():
    """Samples of one length: a call takes as many as the bound holds, and one more would be too much."""

    def planned(strategy):
        return plan_run(np.full(64, 32), None, strategy, max_length=32, seed=1, epochs=range(1))

    peaks = {}
    for samples in (5, 6):
        plans = planned(replace(STRATEGIES["unpadded"], max_tokens=32 * samples))
        peaks[samples] = epoch_peak(plans[0], TERMS)
    found = fitted_plans(planned, STRATEGIES["unpadded"], TERMS, bound_of(peaks[6] - 1))
    assert (found.strategy.max_tokens, found.peak) == (160, peaks[5])


# --------------------------------------------------------------------------------------------------- what is refused


def refusal(strategy, size: int, *, lengths=(500, 900, 900), terms=TERMS, **bound) -> str:
    def planned(strategy):
        return plan_run(np.array(lengths), None, strategy, max_length=1000, seed=1, epochs=range(1))

    found = fitted_plans(planned, strategy, terms, replace(bound_of(size), **bound))
    assert isinstance(found.error, ConfigError)
    return str(found.error)


def test_a_sample_that_does_not_fit_alone_is_refused_with_what_helps():
    assert refusal(STRATEGIES["random"], 560 << 20, given="560MiB") == (
        "Training takes 0.64 GiB with one sample in each call of the model, and --memory 560MiB is less. Pass --memory "
        "0.65GiB or more, or a dataset prepared with a smaller --max-length."
    )
    assert refusal(STRATEGIES["unpadded"], 630 << 20, given="630MiB") == (
        "Training takes 0.65 GiB with one sample in each call of the model, and --memory 630MiB is less. Pass "
        "--checkpoint-activations (0.61 GiB), --memory 0.65GiB or more, or a dataset prepared with a smaller "
        "--max-length."
    )


def test_a_model_that_does_not_fit_at_all_is_refused():
    """Nor would shorter samples help."""
    found = refusal(STRATEGIES["random"], 300 << 20, given="300MiB")
    assert found.endswith("and --memory 300MiB is less. Pass --memory 0.65GiB or more, or a smaller --model.")


def test_data_in_windows_grows_with_the_memory():
    """With 2 GiB in windows a half is left for training: what it takes has to be doubled."""
    found = refusal(STRATEGIES["random"], 1 << 29, given="1GiB", data=1 << 30)
    assert "and --memory 1GiB leaves 0.50 GiB beside the data. Pass --memory 1.2" in found


def test_caps_that_the_user_gave_stay():
    assert refusal(replace(STRATEGIES["random"], max_tokens=2000), 680 << 20, given="680MiB") == (
        "With --max-tokens 2000 training takes 0.79 GiB, and --memory 680MiB is less. Leave --max-tokens out: it is "
        "chosen to fit then."
    )


def test_packed_rows_cannot_be_cut():
    assert refusal(STRATEGIES["packed"], 600 << 20, given="600MiB").endswith(
        "--memory 600MiB is less, and calls of packed rows cannot be cut. Pass --strategy unpadded, a smaller "
        "--base-batch-size, or a larger --memory."
    )


def test_a_model_that_was_not_counted_is_bounded_in_its_data_alone():
    choice = ModelChoice(name="some/reformer", model_type="reformer", in_rows=False)
    assert unbounded_note("2GiB", choice) == (
        "--memory 2GiB bounds the data alone: how much training takes is not known for some/reformer (reformer)."
    )
    assert unbounded_note(None, choice) is None
    assert unbounded_note("2GiB", CHOICE) is None


def test_without_a_bound_nothing_is_cut_or_refused():
    """However large the prediction: the default is for the data alone."""
    size = model_size({"model_type": "bert", **SIZES, "num_hidden_layers": 3})
    huge = memory_terms(
        ModelChoice(name="huge", model_type="bert", in_rows=True, size=replace(size, embedded=10**13)),
        "classification",
        TrainSettings(),
        dropout=0.0,
    )
    plans = plan_run(np.full(8, 8), None, STRATEGIES["random"], max_length=8, seed=1, epochs=range(1))
    found = fitted_plans(lambda _strategy: plans, STRATEGIES["random"], huge, training_bound(None, None, None))
    assert (found.error, found.is_cut, found.peak > 10**13) == (None, False, True)


def test_scoring_keeps_to_the_calls_of_training():
    """From short to long, no call larger than the largest one of training unless one sample is."""
    lengths = np.random.default_rng(0).integers(1, 300, 500)
    plan = length_order_plan(lengths, largest_call=(600, 90_000))
    assert sorted(plan.sample_ids_N.tolist()) == list(range(500))
    assert np.array_equal(plan.kept_N, np.sort(lengths))
    assert plan.padded_lengths_B.tolist() == np.maximum.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1]).tolist()
    assert int(plan.tokens_B.max()) <= 600
    assert int((plan.tokens_B * plan.padded_lengths_B).max()) <= 90_000
    alone = length_order_plan(lengths, largest_call=(1, 1))
    assert (alone.batch_sizes_B == 1).all()
