"""A device profile, measured for real: the tiny model on short samples, and what estimates and caps make of it."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from tdbs.analysis.profile.caps import caps_table, searched_caps
from tdbs.analysis.profile.measure import check_place, default_place, fastest_kernel, measure_profile, write_profile
from tdbs.analysis.profile.shapes import grid_shapes, kernel_shapes, synthetic_batch
from tdbs.analysis.profile.timing import Timing, device_drift, time_in_rounds, timed_step
from tdbs.analysis.run_seconds import costs_for, run_seconds
from tdbs.analysis.speedup import estimate_speedup, plan_dataset
from tdbs.errors import ConfigError
from tdbs.settings import TrainSettings
from tdbs.train.learner import share_weights
from tdbs.train.loop import update
from tdbs.train.planning.caps import chosen_caps
from tdbs.train.planning.cost_model import COSTS, COUNTS, fit_costs
from tdbs.train.planning.profile_file import read_profile
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tests.analysis.test_synthetic import dataset_of
from tests.analysis.tiny import memory_budget, time_steps_once, tiny_dataset
from tests.reports.conftest import make_dataset
from tests.train.opened import tiny_learner

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the budget of memory is of a CPU's process")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module", params=["once", pytest.param("in rounds", marks=pytest.mark.slow)])
def measured(request, dataset):
    """Thirty steps, each once or repeated for half a second, and batches that fill 60 MiB."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "once":
            time_steps_once(patch)
        return measure_profile(dataset, model="tiny", precision="fp32", memory=memory_budget(60))


@pytest.fixture(scope="module")
def profile(measured, tmp_path_factory):
    place = tmp_path_factory.mktemp("profiles") / "p.json"
    write_profile(place, measured, overwrite=False)
    return read_profile(place)


# ----------------------------------------------------------------------------------------------------- what is measured


def test_a_profile_says_what_it_is_of(measured, dataset):
    """Model, device, settings and versions; no folder of this machine is in it."""
    assert list(measured) == [
        "tdbs_profile", "date", "model", "device", "settings", "versions", "max_length", "caps", "overhead",
        "call_tokens", "points"
    ]  # fmt: skip
    assert measured["model"]["name"] == "tiny"
    assert measured["model"]["type"] == "bert"
    assert measured["model"]["parameters"] > 100_000
    assert measured["device"]["kind"] == "cpu"
    settings = measured["settings"]
    assert (settings["kind"], settings["precision"], settings["kernels"]) == (
        "classification",
        "fp32",
        ["eager", "sdpa"],
    )
    assert settings["attention"] in settings["kernels"]
    assert measured["max_length"] == 16
    assert str(dataset.path.parent) not in json.dumps(measured)


def test_the_frameworks_share_of_three_steps_is_in_it(measured):
    assert [(found["batch_size"], found["length"]) for found in measured["overhead"]] == [(1, 8), (64, 2), (64, 16)]
    assert all(0 <= found["share"] <= 1 for found in measured["overhead"])


def test_every_kernel_is_timed_and_the_fastest_in_every_execution(measured):
    own = [point for point in measured["points"] if point["attention"] == measured["settings"]["attention"]]
    others = [point for point in measured["points"] if point not in own]
    assert len(others) == 3
    assert {point["execution"] for point in own} == {"padded", "unpadded", "packed"}
    assert {point["dropout"] for point in own} == {False, True}
    assert {point["calls"] for point in own} == {1, 4}
    assert len(own) >= 2 * len(COSTS)
    for point in measured["points"]:
        assert point["seconds"] > 0
        assert point["spread"] >= 0
        assert list(point["work"]) == list(COUNTS)
        assert point["work"]["steps"] == 1
        assert point["work"]["calls"] == point["calls"]
        assert point["tokens"] == round(point["work"]["tokens"] / point["calls"])  # unpadded: a mean over variants
        assert point["length"] <= 16


def test_caps_are_one_or_more_and_the_knee_is_within_memory(measured):
    """Longer samples never have larger batches."""
    caps = measured["caps"]
    assert caps["lengths"] == [4, 8, 12, 16]
    assert all(memory >= knee >= 1 for memory, knee in zip(caps["memory"], caps["knee"], strict=True))
    assert caps["memory"] == sorted(caps["memory"], reverse=True)


def test_more_samples_take_longer_and_the_fit_tells_both(measured, profile):
    """256 samples of 16 tokens against 1; the fit's own error is what estimates give as their range."""
    seconds = {
        (point["batch_size"], point["length"]): point["seconds"]
        for point in measured["points"]
        if point["execution"] == "padded" and point["calls"] == 1 and not point["dropout"] and not point["padding"]
    }
    assert seconds[256, 16] > 2 * seconds[1, 16]
    model = fit_costs(profile.points, measured["settings"]["attention"])
    assert (model.costs_C >= 0).all()
    assert 0 < model.error < 1  # measured beside other work; on a quiet machine a few percent


def test_without_a_budget_a_cpu_has_a_knee_and_no_caps_of_memory(dataset, measured, profile, tmp_path):
    """Nothing is searched; the file says null, and what asks for these caps is told so."""
    learner = tiny_learner(dataset)
    assert searched_caps(learner, dataset.manifest, budget=None, progress=pytest.fail) is None
    table = caps_table(None, dataset.manifest, costs_for(dataset, profile), device=torch.device("cpu"))
    assert table["lengths"] == measured["caps"]["lengths"]
    assert table["memory"] is None
    assert min(table["knee"]) >= 1
    write_profile(tmp_path / "p.json", {**measured, "caps": table}, overwrite=False)
    found = read_profile(tmp_path / "p.json")
    assert found.memory_caps is None
    assert chosen_caps(str(tmp_path / "p.json")) == chosen_caps("knee", found) == found.knee_caps
    with pytest.raises(ConfigError) as caught:
        chosen_caps("memory", found)
    assert caught.value.message == "The profile has no memory caps."


def test_memory_that_does_not_hold_one_sample_is_refused(dataset, monkeypatch):
    """After the few steps that compare kernels: nobody waits minutes for it."""
    time_steps_once(monkeypatch)
    shown = []
    with pytest.raises(ConfigError) as caught:
        measure_profile(
            dataset, model="tiny", precision="fp32", attention="eager", memory="1MiB", progress=shown.append
        )
    assert len({message.split(",")[0] for message in shown if "padded" in message}) == 3
    assert caught.value.message == (
        "A step of one sample of 16 tokens needs more than 0.9 MiB, which is 90% of its memory."
    )
    assert caught.value.next_step == "Raise --memory, or pass a smaller --model."


# --------------------------------------------------------------------------------------------------------- the file


def test_what_is_read_is_what_was_measured(measured, profile):
    assert dict(profile.settings) == measured["settings"]
    assert list(profile.points) == measured["points"]
    assert list(profile.overhead) == measured["overhead"]
    assert profile.memory_caps.caps == tuple(measured["caps"]["memory"])
    assert profile.knee_caps.caps == tuple(measured["caps"]["knee"])
    assert profile.knee_caps.lengths == tuple(measured["caps"]["lengths"])


def test_a_place_that_is_taken_is_refused_unless_overwritten(measured, workplace):
    place = workplace / "p.json"
    write_profile(place, {**measured, "max_length": 15}, overwrite=False)
    for refuse in (check_place, lambda path, **options: write_profile(path, measured, **options)):
        with pytest.raises(ConfigError) as caught:
            refuse(place, overwrite=False)
        assert str(caught.value) == f"{place} already exists. Pass another --out, or --overwrite."
    assert read_profile(place).max_length == 15
    write_profile(place, measured, overwrite=True)
    assert read_profile(place).max_length == 16


def test_a_profile_without_a_place_is_named_for_model_device_and_precision(dataset):
    place = default_place(dataset, model="some/where/roberta-base", precision="bf16")
    assert place.parent.name == "profiles"
    assert re.fullmatch(r"where-roberta-base-[\w.-]+-bf16\.json", place.name)


# -------------------------------------------------------------------------------------------------------- estimates


def test_estimates_are_in_seconds_with_what_they_may_be_off_by(dataset, profile):
    """Of every strategy; the baseline is exactly 1, though planning it is timed."""
    found = {row.strategy: row for row in estimate_speedup(dataset, epochs=2, profile=profile)}
    assert list(found) == list(STRATEGIES)
    base = found["random"]
    assert (base.speedup, base.speedup_low, base.speedup_high) == (1.0, 1.0, 1.0)
    for row in found.values():
        assert row.seconds > 0
        assert 0 < row.seconds_low <= row.seconds <= row.seconds_high
        assert row.speedup_low <= row.speedup <= row.speedup_high
        assert row.speedup == pytest.approx(base.seconds / row.seconds)
        assert not row.extrapolated


def test_seconds_are_those_of_the_trainers_plans(dataset, profile):
    """Every step of every epoch, with the dropout that goes with the strategy; and the time to plan, which is short."""
    costs = costs_for(dataset, profile)
    for name, dropout in (("random", True), ("reach", False)):
        (row,) = estimate_speedup(dataset, [name], seed=4, epochs=3, profile=profile)
        steps = run_seconds(costs, plan_dataset(dataset, STRATEGIES[name], seed=4, epochs=3), dropout=dropout)
        assert 0 < row.seconds - steps < 1
        (without,) = estimate_speedup(dataset, [name], seed=4, epochs=3, profile=profile, dropout=0.0)
        assert without.seconds <= row.seconds + 0.1


def test_preparing_once_serves_many_runs(dataset, profile):
    prepare = dataset.manifest.seconds["total"]
    random, reach = estimate_speedup(dataset, ["random", "reach"], profile=profile, runs=10)
    assert reach.seconds_over_runs == pytest.approx(prepare + 10 * reach.seconds)
    expected = (prepare + 10 * random.seconds) / (prepare + 10 * reach.seconds)
    assert reach.speedup_over_runs == pytest.approx(expected)
    assert random.speedup_over_runs == 1


def test_no_runs_are_refused(dataset, profile):
    with pytest.raises(ConfigError) as caught:
        estimate_speedup(dataset, profile=profile, runs=0)
    assert str(caught.value) == "--runs must be 1 or more, got 0. Pass --runs 1 or more."


def test_samples_far_longer_than_what_was_timed_are_marked(tmp_path, profile):
    """Rows of 64 tokens, where 16 were timed: the strategy that pads to the maximum says so."""
    longer = tiny_dataset(tmp_path, max_length=64)
    (row,) = estimate_speedup(longer, ["random_max"], profile=profile)
    assert row.extrapolated
    small = resolve_strategy("random_max", longer.manifest.task, {"base_batch_size": 1})
    (row,) = estimate_speedup(longer, [small], profile=profile)
    assert row.extrapolated  # few tokens a call, but long rows


def test_a_profile_of_an_encoder_is_none_of_a_model_that_writes(dataset, profile):
    writer = make_dataset(task=dataset_of("seq2seq").manifest.task)
    with pytest.raises(ConfigError) as caught:
        costs_for(writer, profile)
    assert str(caught.value) == (
        "The profile is for an encoder; this dataset trains an encoder-decoder. Run tdbs profile on this dataset."
    )


def test_the_kernel_that_was_only_compared_tells_no_times(dataset, profile):
    (other,) = set(profile.settings["kernels"]) - {profile.settings["attention"]}
    with pytest.raises(ConfigError) as caught:
        estimate_speedup(dataset, ["random"], profile=profile, attention=other)
    assert caught.value.message == (
        f"The profile has too few times of --attention {other}: 3 steps, at least 12 are needed; "
        f"most are of {profile.settings['attention']}."
    )


@pytest.mark.parametrize("caps", ["memory", "knee"])
def test_batches_are_as_large_as_the_measured_caps_let_them_be(dataset, profile, caps):
    """With the caps of the profile alone (no growth by epochs) no batch is above that of its longest sample."""
    parts = {"caps": caps, "batch_cap": False, "base_batch_size": 512}
    strategy = resolve_strategy("bucket", dataset.manifest.task, parts, profile=profile)
    table = profile.memory_caps if caps == "memory" else profile.knee_caps
    assert strategy.hw_caps == table
    for plan in plan_dataset(dataset, strategy, seed=0, epochs=1):
        for size, width in zip(plan.batch_sizes_B.tolist(), plan.padded_lengths_B.tolist(), strict=True):
            assert size <= table.caps[int(np.searchsorted(table.lengths, width))]


# ------------------------------------------------------------------------------------------------- how it is measured


def test_timing_a_step_changes_no_weight(dataset):
    """Forward, backward and an update whose rate is 0."""
    learner = tiny_learner(dataset, dropout=0.1)
    learner.prepared.train()
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    batch = synthetic_batch(dataset.manifest, "padded", samples=4, length=8)
    assert timed_step(learner, [batch]) > 0
    (found,) = time_in_rounds([Timing(learner=learner, variants=[[batch, batch], [batch]])], progress=lambda *_: None)
    assert found.seconds > 0
    assert found.spread >= 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.state_dict().items())


def test_rounds_go_through_all_steps_and_short_ones_have_more(dataset, monkeypatch):
    """One that the device does not hold is not tried again, and has no time."""
    run = []

    def pretended(_learner, name):
        run.append(name)
        if name == "too large":
            raise torch.OutOfMemoryError
        return {"long": 0.2, "short": 0.01, "other": 0.03}[name]

    monkeypatch.setattr("tdbs.analysis.profile.timing.timed_step", pretended)
    learner = tiny_learner(dataset)
    told = []
    found = time_in_rounds(
        [Timing(learner=learner, variants=names) for names in (["long"], ["too large"], ["short", "other"])],
        progress=lambda turn, place: told.append((turn, place)),
    )
    assert run[:5] == ["long", "too large", "short", "long", "other"]
    assert told[:5] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)]
    assert run.count("long") == 1 + 5
    assert run.count("short") + run.count("other") == 1 + 12
    assert found[1] is None
    assert found[0].seconds == 0.2
    assert found[2].seconds == pytest.approx(0.02)
    assert found[2].spread == pytest.approx(1.0)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_learners_that_share_weights_train_the_same_ones(dataset, dropout):
    """A step of either moves both, and there is one set of parameters for the optimizer."""
    first = tiny_learner(dataset)
    other = share_weights(first, tiny_learner(dataset, seed=1, dropout=0.1))
    assert other.optimizer is first.optimizer
    own = dict(first.model.named_parameters())
    assert all(parameter is own[name] for name, parameter in other.model.named_parameters())
    before = {name: tensor.clone() for name, tensor in first.model.state_dict().items()}
    batch = synthetic_batch(dataset.manifest, "padded", samples=4, length=8)
    used = other if dropout else first
    used.prepared.train()
    update(used, [batch], rate=0.1)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in first.model.state_dict().items())


def test_the_pace_is_that_of_the_profiles_own_steps_now(dataset, profile, monkeypatch):
    """Three steps in half a second each, against what the profile has for them; not against steps of another kernel."""
    monkeypatch.setattr("tdbs.analysis.profile.timing.timed_step", lambda _learner, _batches: 0.5)
    kernel = str(profile.settings["attention"])
    settings = TrainSettings(model="tiny", precision="fp32", attention=kernel)
    pace = partial(device_drift, dataset, settings=settings)
    then = [
        point["seconds"]
        for point in profile.points
        if (point["attention"], point["execution"], point["calls"]) == (kernel, "padded", 1)
        and not point["dropout"]
        and not point["padding"]
        and (point["batch_size"], point["length"]) in ((64, 16), (64, 2), (16, 8))
    ]
    assert len(then) >= 2  # short datasets have fewer lengths in their grid
    assert pace(profile) == pytest.approx(0.5 * len(then) / sum(then))
    others = [point for point in profile.points if point["attention"] != kernel]
    assert pace(replace(profile, points=tuple(others))) is None


def points_of(**seconds):
    return [{"attention": kernel, "seconds": s} for kernel, taken in seconds.items() for s in taken]


def test_the_fastest_kernel_is_the_one_of_the_fewest_seconds():
    assert fastest_kernel(["eager", "sdpa"], points_of(eager=[1, 2, 3], sdpa=[2, 1, 2])) == "sdpa"
    assert fastest_kernel(["eager", "sdpa"], points_of(eager=[1, 2, 3], sdpa=[2, 2, 2])) == "eager"


def test_a_kernel_that_ran_out_of_memory_is_not_the_fastest_for_it():
    """It has no point of the longest step, so its sum is the smaller one."""
    assert fastest_kernel(["eager", "sdpa"], points_of(eager=[1, 2], sdpa=[2, 2, 9])) == "sdpa"


@pytest.mark.parametrize("max_length", [1, 5, 16, 100, 512])
@pytest.mark.parametrize("kind", ["classification", "seq2seq"])
def test_no_step_is_longer_than_the_dataset_or_larger_than_what_is_timed(max_length, kind):
    """A model may take no more tokens than the dataset's maximum; targets are one token long at least."""
    manifest = make_dataset(task=dataset_of(kind).manifest.task, max_length=max_length).manifest
    shapes = [*grid_shapes(manifest, "cpu", in_rows=kind != "seq2seq"), *kernel_shapes(manifest)]
    assert all(1 <= shape.length <= max_length for shape in shapes)
    assert max(shape.samples * shape.length for shape in shapes) <= max(64 * max_length, 1 << 14)
    assert all((shape.target_length >= 1) == (kind == "seq2seq") for shape in shapes)
    padded = [shape for shape in shapes if shape.execution == "padded"]
    assert len(padded) >= len(COSTS)
