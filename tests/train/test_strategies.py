"""A strategy is three parts by name; options override parts, and a task's policy comes before both."""

from dataclasses import replace
from functools import partial

import pytest

from tdbs.data.sample import SAMPLE_TASK
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ConfigError
from tdbs.train.planning import strategies
from tdbs.train.planning.caps import chosen_caps, has_cuda
from tdbs.train.planning.dropout import paper_dropout, resolve_dropout
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.profile_file import named_profile
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.strategies import (
    STRATEGIES,
    Strategy,
    resolve_strategy,
)

COLA = HUB_TASKS["glue/cola"].task
# name: batches, drop, execution, bucket width, RBM, LRM, caps
TABLE = {
    "random_max": ("random", "none", "padded_max", None, None, False, None),
    "random": ("random", "none", "padded", None, None, False, None),
    "length_grouped": ("length_grouped", "none", "padded", None, None, False, None),
    "batch_rebalance": ("batch_rebalance", "none", "padded", None, None, False, None),
    "sorted": ("random", "none", "sorted", None, None, False, None),
    "packed": ("packs", "none", "packed", None, None, False, None),
    "unpadded": ("random", "none", "unpadded", None, None, False, None),
    "stratified": ("stratified", "none", "unpadded", None, None, False, None),
    "tf_bucket": ("bucket", "none", "padded", 1, False, False, "paper"),
    "bucket": ("bucket", "none", "padded", 1, True, True, "base"),
    "tdbs_paper": ("bucket", "batch_min", "padded", 5, True, True, "paper"),
    "reach": ("reach", "reach", "padded", 5, True, True, "base"),
}


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch):
    monkeypatch.setattr(strategies, "has_cuda", lambda: False)
    monkeypatch.setattr("tdbs.train.planning.caps.has_cuda", lambda: False)


def test_the_table_of_strategies():
    assert list(STRATEGIES) == list(TABLE)
    for name, (batches, drop, execution, width, rbm, lrm, caps) in TABLE.items():
        found = resolve_strategy(name, SAMPLE_TASK)
        assert (found.name, found.batches, found.drop, found.execution) == (name, batches, drop, execution)
        assert found.lrm is lrm
        if width is not None:
            assert (found.bucket_width, found.rbm, found.caps) == (width, rbm, caps)
        assert (found.base_batch_size, found.scaling_factor) == (64, 2)
        assert found.batch_cap is (name != "tf_bucket")


def test_the_default_is_unpadded_and_records_that_name():
    assert resolve_strategy("tdbs", SAMPLE_TASK) == resolve_strategy("unpadded", SAMPLE_TASK)
    assert resolve_strategy("tdbs", SAMPLE_TASK).name == "unpadded"
    assert resolve_strategy("tdbs", COLA) == resolve_strategy("unpadded", COLA)


def test_the_default_is_sorted_where_a_row_cannot_hold_several_samples():
    assert resolve_strategy("tdbs", SAMPLE_TASK, in_rows=False) == resolve_strategy("sorted", SAMPLE_TASK)
    writing = replace(SAMPLE_TASK, kind="seq2seq", classes=())
    assert resolve_strategy("tdbs", writing) == resolve_strategy("sorted", writing)
    assert resolve_strategy("reach", SAMPLE_TASK, in_rows=False).name == "reach"


def test_options_override_parts_and_none_means_not_given():
    given = {"drop": "rate", "drop_rate": 0.5, "bucket_width": 3, "rbm": False, "lrm": None, "caps": "8"}
    found = resolve_strategy("bucket", SAMPLE_TASK, given)
    assert (found.drop, found.effective_rate, found.bucket_width) == ("rate", 0.5, 3)
    assert (found.rbm, found.lrm, found.hw_caps.caps) == (False, True, (8,))


@pytest.mark.parametrize(("drop", "rate"), [("all", 1.0), ("any", 0.3), ("rate", 0.3)])
def test_the_rate_of_each_kind_of_drop(drop, rate):
    assert resolve_strategy("random", SAMPLE_TASK, {"drop": drop}).effective_rate == rate


def test_base_caps_are_the_base_batch_size():
    assert resolve_strategy("reach", SAMPLE_TASK, {"base_batch_size": 16}).hw_caps.caps == (16,)
    assert resolve_strategy("tdbs_paper", SAMPLE_TASK, {"base_batch_size": 16}).hw_caps == chosen_caps("paper")


@pytest.mark.parametrize("name", ["tdbs_paper", "reach"])
def test_cola_runs_without_tokendrop_in_buckets_of_one_length(name):
    found = resolve_strategy(name, COLA)
    assert (found.drop, found.bucket_width) == ("none", 1)
    assert found.batches == STRATEGIES[name].batches


def test_a_drop_by_hand_is_refused_on_cola_unless_the_user_insists():
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("random", COLA, {"drop": "rate"})
    assert caught.value.message == (
        "Task 'glue/cola' judges grammar; TokenDrop would break its labels (paper, section 3)."
    )
    assert caught.value.next_step == "Leave --drop out, or pass --allow-drop."
    assert resolve_strategy("random", COLA, {"drop": "rate"}, allow_drop=True).drop == "rate"
    assert resolve_strategy("reach", COLA, allow_drop=True) == resolve_strategy("reach", SAMPLE_TASK)
    assert resolve_strategy("reach", COLA, {"drop": "none"}).drop == "none"


def test_on_cuda_the_caps_are_the_papers_unless_given(monkeypatch):
    monkeypatch.setattr(strategies, "has_cuda", lambda: True)
    assert resolve_strategy("reach", SAMPLE_TASK).caps == "paper"
    assert resolve_strategy("reach", SAMPLE_TASK, {"caps": "32"}).caps == "32"


def test_a_call_costs_what_a_profile_measured_or_on_cuda_more(monkeypatch):
    """What a user's own part says comes first; other executions have no such part."""
    measured = replace(named_profile("rtx-2080-ti"), call_tokens=7)
    assert resolve_strategy("sorted", SAMPLE_TASK).call_tokens is None
    assert resolve_strategy("sorted", SAMPLE_TASK, profile=measured).call_tokens == 7
    assert resolve_strategy("random", SAMPLE_TASK, {"execution": "sorted"}, profile=measured).call_tokens == 7
    assert resolve_strategy("sorted", SAMPLE_TASK, {"call_tokens": 3}, profile=measured).call_tokens == 3
    monkeypatch.setattr("tdbs.train.planning.caps.has_cuda", lambda: True)
    assert resolve_strategy("sorted", SAMPLE_TASK).call_tokens == 8192
    assert resolve_strategy("sorted", SAMPLE_TASK, profile=measured).call_tokens == 7
    assert resolve_strategy("unpadded", SAMPLE_TASK, profile=measured).call_tokens is None


def test_a_drop_rate_without_effect_is_refused():
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("tdbs_paper", SAMPLE_TASK, {"drop_rate": 0.5})
    assert caught.value.message == "--drop-rate has no effect with --drop batch_min."
    assert caught.value.next_step == "Pass --drop rate or --drop any with it."


@pytest.mark.parametrize(
    ("name", "given"),
    [("random", {"batches": "packs"}), ("random", {"execution": "packed"}), ("packed", {"execution": "unpadded"})],
)
def test_packs_and_packed_go_together(name, given):
    with pytest.raises(ConfigError) as caught:
        resolve_strategy(name, SAMPLE_TASK, given)
    batches, execution = given.get("batches", STRATEGIES[name].batches), given.get("execution", "padded")
    assert caught.value.message == f"--batches {batches} does not go with --execution {execution}."
    assert caught.value.next_step == "Pass --batches packs with --execution packed, or neither."


def test_targets_are_not_packed():
    task = HUB_TASKS["xsum"].task
    for call in (resolve_strategy, partial(given_strategy, in_rows=True)):
        with pytest.raises(ConfigError) as caught:
            call("packed", task)
        assert caught.value.message == "--execution packed packs texts alone; these samples have targets, too."
        assert caught.value.next_step == "Pass --execution unpadded or sorted."
    with pytest.raises(ConfigError):
        given_strategy(STRATEGIES["packed"], task, in_rows=True)
    assert set(strategies_for(task)) == set(STRATEGIES) - {"packed"}
    assert set(strategies_for(task, in_rows=False)) == set(STRATEGIES) - {"packed", "unpadded", "stratified"}
    assert strategies_for(SAMPLE_TASK) == tuple(STRATEGIES)


@pytest.mark.parametrize(
    ("batches", "rows", "dropout"),
    [
        ("random", 100, 0.1),
        ("random", 50_000, 0.1),
        ("stratified", 100, 0.1),
        ("length_grouped", 100, 0.1),
        ("batch_rebalance", 100, 0.1),
        ("bucket", 9_999, 0.0),  # the small sets of GLUE
        ("bucket", 10_000, 0.025),
        ("reach", 67_349, 0.025),
        ("reach", 3_668, 0.0),
    ],
)
def test_dropout_follows_the_papers_rule(batches, rows, dropout):
    assert paper_dropout(Strategy(name="x", batches=batches, drop="none"), rows) == dropout
    assert resolve_dropout(None, Strategy(name="x", batches=batches, drop="none"), rows) == dropout
    assert resolve_dropout(0.3, Strategy(name="x", batches=batches, drop="none"), rows) == 0.3


@pytest.mark.parametrize(("given", "found"), [(None, 0.2), (0.3, 0.3), (0.0, 0.0)])
def test_a_strategys_own_dropout_comes_before_the_rule_and_a_given_one_before_both(given, found):
    own = Strategy(name="x", batches="bucket", drop="none", dropout=0.2)
    assert resolve_dropout(given, own, 100) == found


def test_micro_batches_are_of_buckets():
    with pytest.raises(ConfigError) as caught:
        Strategy(name="x", batches="random", drop="none", micro_batches=4)
    assert caught.value.message == "--micro-batches has no effect with --batches random."
    assert caught.value.next_step == "Leave it out, or pass --batches bucket or reach."


def test_grid_lengths_are_of_reach():
    with pytest.raises(ConfigError) as caught:
        Strategy(name="x", batches="random", drop="none", grid_lengths=2)
    assert caught.value.message == "--grid-lengths has no effect with --drop none."
    assert caught.value.next_step == "Leave it out, or pass --drop reach."


def test_has_cuda_agrees_with_torch():
    import torch

    assert has_cuda() == torch.cuda.is_available()


def test_a_hidden_device_or_a_torch_for_cpus_is_no_cuda(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not has_cuda()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("tdbs.train.planning.caps.version", lambda _name: "2.13.0+cpu")
    assert not has_cuda()


@pytest.mark.parametrize(
    ("part", "option"),
    [
        ("bucket_width", "--bucket-width"),
        ("base_batch_size", "--base-batch-size"),
        ("micro_batches", "--micro-batches"),
    ],
)
@pytest.mark.parametrize(
    ("number", "shown"),
    [(2**31, "2147483648"), (10**400, "a number of about 400 digits"), (4.5, "4.5"), (float("nan"), "nan")],
)
def test_a_count_that_no_array_holds_is_refused(part, option, number, shown):
    """Beyond 64 bits, and between whole numbers, planning ended in numpy's own errors."""
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("bucket", SAMPLE_TASK, {part: number})
    assert caught.value.message == f"{option} must be a whole number up to 2,147,483,647, got {shown}."
    assert caught.value.next_step == f"Pass another {option}."
