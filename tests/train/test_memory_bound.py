"""`--memory` bounds training: updates are cut into calls that fit by the predicted peak, or the run is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from typer.testing import CliRunner

from tdbs.analysis.compare.compare import compare
from tdbs.cli import app
from tdbs.errors import ConfigError, TrainingError
from tdbs.pipeline.engines import memory_bytes
from tdbs.settings import TrainSettings
from tdbs.train.checkpoint import CheckpointRule
from tdbs.train.evaluate import length_order_plan
from tdbs.train.planning.memory_bound import Bound, fitted_plans, training_bound, unbounded_note
from tdbs.train.planning.model_choice import ModelChoice
from tdbs.train.planning.model_size import model_size
from tdbs.train.planning.peak_memory import PROCESS, epoch_peak, memory_terms
from tdbs.train.planning.plan import plan_digest, plan_run
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.run_folder import read_run
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.analysis.tiny import tiny_dataset

SIZES = {"vocab_size": 99, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256}
CHOICE = ModelChoice(
    name="made",
    model_type="bert",
    in_rows=True,
    size=model_size({"model_type": "bert", **SIZES, "num_hidden_layers": 3}),
)
TERMS = memory_terms(CHOICE, "classification", TrainSettings(precision="fp32", attention="eager"), dropout=0.1)
UNDROPPED = [name for name, strategy in STRATEGIES.items() if strategy.drop == "none" and name != "batch_rebalance"]
ON_SAMPLE = {"model": "tiny", "precision": "fp32", "attention": "eager", "epochs": 1, "dropout": 0.0}


def bound_of(size: int) -> Bound:
    return Bound(given=f"{size}B", training=size, data=0, in_windows=False)


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
        return plan_run(np.array(lengths), None, strategy, max_length=200, seed=1, epochs=2)

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
        return plan_run(np.full(64, 32), None, strategy, max_length=32, seed=1, epochs=1)

    peaks = {}
    for samples in (5, 6):
        plans = planned(replace(STRATEGIES["unpadded"], max_tokens=32 * samples))
        peaks[samples] = epoch_peak(plans[0], TERMS)
    found = fitted_plans(planned, STRATEGIES["unpadded"], TERMS, bound_of(peaks[6] - 1))
    assert (found.strategy.max_tokens, found.peak) == (160, peaks[5])


# --------------------------------------------------------------------------------------------------- what is refused


def refusal(strategy, size: int, *, lengths=(500, 900, 900), terms=TERMS, **bound) -> str:
    def planned(strategy):
        return plan_run(np.array(lengths), None, strategy, max_length=1000, seed=1, epochs=1)

    found = fitted_plans(planned, strategy, terms, replace(bound_of(size), **bound))
    assert isinstance(found.error, ConfigError)
    return str(found.error)


def test_a_sample_that_does_not_fit_alone_is_refused_with_what_helps():
    assert refusal(STRATEGIES["random"], 560 << 20, given="560MiB") == (
        "Training takes 0.64 GiB with one sample in each call of the model, and --memory 560MiB is less. Pass --memory "
        "0.65GiB or more, or a dataset prepared with a smaller --max-length."
    )
    assert refusal(STRATEGIES["unpadded"], 630 << 20, given="630MiB") == (
        "Training takes 0.64 GiB with one sample in each call of the model, and --memory 630MiB is less. Pass "
        "--checkpoint-activations (0.60 GiB), --memory 0.65GiB or more, or a dataset prepared with a smaller "
        "--max-length."
    )


def test_a_model_that_does_not_fit_at_all_is_refused():
    """Nor would shorter samples help."""
    found = refusal(STRATEGIES["random"], 300 << 20, given="300MiB")
    assert found.endswith("and --memory 300MiB is less. Pass --memory 0.65GiB or more, or a smaller --model.")


def test_data_in_windows_grows_with_the_memory():
    """With 2 GiB in windows a half is left for training: what it takes has to be doubled."""
    found = refusal(STRATEGIES["random"], 1 << 29, given="1GiB", data=1 << 29, in_windows=True)
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


# ------------------------------------------------------------------------------------------- real commands and runs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("bounded"), max_length=64, train_rows=150)


def run(*options: object):
    return CliRunner().invoke(app, [str(option) for option in options])


def options_of(terms) -> list[object]:
    return [part for name, value in terms.items() for part in (f"--{name.replace('_', '-')}", value)]


def planned_of(dataset, *options: object) -> dict:
    found = run("plan", dataset.path, "--json", *options_of(ON_SAMPLE), *options)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def bound_that_cuts(dataset, *, strategy: str = "random") -> str:
    """Return a bound halfway between what an uncut run takes and what one sample a call takes."""
    uncut = planned_of(dataset, "--strategy", strategy)["peak_memory_bytes"]
    least = planned_of(dataset, "--strategy", "random", "--max-tokens", 1)["peak_memory_bytes"]
    return f"{(uncut + least) // 2 >> 10}KiB"


@pytest.mark.parametrize("strategy", ["random", "sorted", "unpadded"])
def test_train_cuts_its_updates_and_learns_the_same(dataset, tmp_path, strategy):
    """`tdbs train --memory`: a note, caps in the record, `plan` agrees, weights are those of the uncut run."""
    memory = bound_that_cuts(dataset, strategy=strategy)
    common = ["train", dataset.path, "--strategy", strategy, *options_of(ON_SAMPLE), "--json"]
    whole = run(*common, "--out", tmp_path / "whole")
    cut = run(*common, "--out", tmp_path / "cut", "--memory", memory)
    assert (whole.exit_code, cut.exit_code) == (0, 0), whole.output + cut.output
    config = read_run(tmp_path / "cut").config
    cap = config["strategy"]["max_tokens"]
    assert f"--memory {memory}: {strategy} runs updates in calls of at most {cap:,} tokens." in cut.stderr
    assert "--memory" not in whole.stderr
    assert "max_tokens" not in read_run(tmp_path / "whole").config["strategy"]
    planned = planned_of(dataset, "--strategy", strategy, "--memory", memory)
    assert planned["plan_digest"] == config["plan_digest"] != read_run(tmp_path / "whole").config["plan_digest"]
    assert planned["peak_memory_bytes"] <= memory_bytes(memory)
    ours, theirs = (load_file(tmp_path / name / "model/model.safetensors") for name in ("cut", "whole"))
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    scores = [json.loads(found.stdout)["metrics"] for found in (cut, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_estimates_are_of_the_cut_plans(dataset):
    """And a strategy that cannot be cut is named, not refused: the others are estimated."""
    memory = bound_that_cuts(dataset, strategy="packed")
    options = ["--strategy", "random", "--strategy", "packed", "--memory", memory, *options_of(ON_SAMPLE)]
    found = run("estimate-speedup", dataset.path, *options, "--json")
    random, packed = json.loads(found.stdout)["strategies"]
    planned = planned_of(dataset, "--strategy", "random", "--memory", memory)
    assert random["peak_memory_bytes"] == planned["peak_memory_bytes"] <= memory_bytes(memory)
    assert (random["is_refused"], packed["is_refused"], packed["max_tokens"]) == (False, True, None)
    shown = run("estimate-speedup", dataset.path, *options).stderr
    assert f"--memory {memory}: random runs updates in calls of at most {random['max_tokens']:,} tokens." in shown
    assert f"--memory {memory} does not hold packed: tdbs train refuses it." in shown


def test_what_is_refused_is_refused_before_anything_is_written(dataset, tmp_path):
    for command in ("train", "plan"):
        out = tmp_path / command
        found = run(command, dataset.path, *options_of(ON_SAMPLE), "--memory", "100MiB", "--out", out)
        assert found.exit_code == 1
        assert "with one sample in each call of the model, and --memory 100MiB is less." in found.stderr
        assert not out.exists()
    with pytest.raises(ConfigError) as caught:
        compare(dataset, ["random", "unpadded"], out=tmp_path / "compared", **ON_SAMPLE | {"memory": "100MiB"})
    assert caught.value.message == "--memory 100MiB does not hold random, unpadded."
    assert caught.value.next_step == "Leave them out by naming each --strategy, or pass a larger --memory."
    assert not (tmp_path / "compared").exists()


def test_without_a_bound_nothing_is_cut_or_refused():
    """However large the prediction: the default is for the data alone."""
    size = model_size({"model_type": "bert", **SIZES, "num_hidden_layers": 3})
    huge = memory_terms(
        ModelChoice(name="huge", model_type="bert", in_rows=True, size=replace(size, embedded=10**13)),
        "classification",
        TrainSettings(),
        dropout=0.0,
    )
    plans = plan_run(np.full(8, 8), None, STRATEGIES["random"], max_length=8, seed=1, epochs=1)
    found = fitted_plans(lambda _strategy: plans, STRATEGIES["random"], huge, training_bound(None, None, None))
    assert (found.error, found.is_cut, found.peak > 10**13) == (None, False, True)


def test_layers_that_there_are_not_cannot_be_frozen(dataset):
    """`plan` and `estimate-speedup` say so as `train` does."""
    for command in ("plan", "estimate-speedup"):
        found = run(command, dataset.path, "--model", "tiny", "--freeze-layers", 3)
        assert found.exit_code == 1
        assert "--freeze-layers is 3, but the model has 2 layers." in found.stderr
        assert "Pass 2 or less." in found.stderr


def test_a_cut_run_resumes_in_its_calls(dataset, tmp_path):
    """Bit for bit; and also if what is predicted has changed since: the record's caps hold."""
    options = {**ON_SAMPLE, "epochs": 2, "strategy": "unpadded", "dropout": 0.1}
    memory = bound_that_cuts(dataset, strategy="unpadded")
    train(dataset, out=tmp_path / "whole", memory=memory, **options)
    assert "max_tokens" in read_run(tmp_path / "whole").config["strategy"]
    stop = Stop()

    def stop_at(record, _steps):
        stop.number = 15 if record.step == 2 else None

    rule = CheckpointRule(steps=1, minutes=None, keep=1)
    with pytest.raises(StoppedError):
        train(dataset, out=tmp_path / "cut", memory=memory, checkpoints=rule, stop=stop, progress=stop_at, **options)
    with pytest.raises(TrainingError) as caught:
        train(dataset, out=tmp_path / "cut", resume=True, **options)
    cap = read_run(tmp_path / "whole").config["strategy"]["max_tokens"]
    assert f"strategy/max_tokens was {cap}, is now None" in caught.value.message
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tdbs.train.planning.peak_memory.PROCESS", 0)  # another version: nothing would be cut
        train(dataset, out=tmp_path / "cut", resume=True, memory=memory, **options)
    ours, theirs = (load_file(tmp_path / name / "model/model.safetensors") for name in ("cut", "whole"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


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
