"""A run that was stopped goes on as if undisturbed: the same weights bit by bit, the same log apart from seconds."""

import itertools
import json
import os
import shutil
import signal
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tdbs.errors import TdbsError, TrainingError
from tdbs.train import loop, run_context
from tdbs.train.arguments import load_data
from tdbs.train.checkpoint import CheckpointRule, RunState, newest_checkpoint
from tdbs.train.feed import open_training_data
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.run_folder import read_run
from tdbs.train.stopping import Stop, StoppedError, stop_on_signals
from tdbs.train.trainer import train
from tests.train.test_trainer import make_dataset

EVERY_DAY = ("unpadded", "reach")  # the default, and one that plans and drops by batch
SMALL = {"strategy": "reach", "model": "tiny", "epochs": 3, "precision": "fp32", "seed": 5}
STEPS_OF_16 = SMALL | {"strategy": replace(STRATEGIES["reach"], base_batch_size=16)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("resume"), train_rows=300)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Return a dataset of seven steps of 16 samples an epoch."""
    return make_dataset(tmp_path_factory.mktemp("few"), train_rows=100)


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """Return the undisturbed run of SMALL. Tests do not change it."""
    return train(dataset, out=tmp_path_factory.mktemp("finished") / "run", **SMALL)


@pytest.fixture(scope="module")
def whole(finished):
    """Return its folder."""
    return Path(finished.run)


@pytest.fixture(scope="module")
def whole_of_16(dataset, tmp_path_factory):
    """Return the folder of the undisturbed run of STEPS_OF_16. Tests do not change it."""
    return Path(train(dataset, out=tmp_path_factory.mktemp("of_16") / "run", **STEPS_OF_16).run)


@pytest.fixture(scope="module")
def stopped_of_16(dataset, tmp_path_factory):
    """Return the same run's, stopped after 25 steps. Tests go on with copies of it."""
    place = tmp_path_factory.mktemp("stopped") / "run"
    stopped_at(dataset, place, 25, **STEPS_OF_16)
    return place


@pytest.fixture(scope="module")
def stopped(dataset, tmp_path_factory):
    """Return the folder of the run of SMALL, stopped after its first step. Tests go on with copies of it."""
    place = tmp_path_factory.mktemp("stopped") / "run"
    stopped_at(dataset, place, 1, **SMALL)
    return place


def log_of(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model/model.safetensors")


def result_of(run: Path) -> dict:
    found = json.loads((run / "result.json").read_text())
    return {name: value for name, value in found.items() if name not in ("seconds", "run")}


def assert_same_run(one: Path, other: Path) -> None:
    assert log_of(one) == log_of(other)
    assert result_of(one) == result_of(other)
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def stopped_at(dataset, out: Path, step: int, **options) -> None:
    """Train until a signal comes in a step."""
    stop = Stop()

    def stop_at(record, _steps):
        if record.step + 1 == step:
            stop.number = signal.SIGTERM

    with pytest.raises(StoppedError):
        train(dataset, out=out, stop=stop, progress=stop_at, **options)


def train_stopped_at(dataset, out: Path, steps: list[int], **options) -> Path:
    """Train, stopped after each of some steps and resumed."""
    for index, wanted in enumerate(steps):
        stopped_at(dataset, out, wanted, resume=index > 0, **(SMALL | options))
    train(dataset, out=out, resume=True, **(SMALL | options))
    return out


@pytest.mark.parametrize(
    "strategy", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in STRATEGIES]
)
def test_every_strategy_resumes_bit_by_bit(few, tmp_path, strategy):
    """Three epochs, stopped at random steps, in the middle of epochs and at their ends."""
    train(few, out=tmp_path / "whole", **(SMALL | {"strategy": strategy}))
    steps = len(log_of(tmp_path / "whole"))
    draw = np.random.default_rng(len(strategy))
    stops = sorted(draw.choice(np.arange(1, steps), min(3, steps - 1), replace=False).tolist())
    train_stopped_at(few, tmp_path / "stopped", stops, strategy=strategy)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_resumed_after_an_epoch_is_read_as_any_other(few, tmp_path):
    """The epochs before the stop have whole numbers again: 0.0 was refused by whatever reads a run."""
    train(few, out=tmp_path / "whole", **SMALL)
    steps = len(log_of(tmp_path / "whole"))
    resumed = read_run(train_stopped_at(few, tmp_path / "stopped", [steps - 1]))
    assert [repr(epoch["epoch"]) for epoch in resumed.result["epochs"]] == ["0", "1", "2"]


SORTED = {"drop": "rate", "batches": "random", "execution": "sorted", "call_tokens": 16}
CAPPED = {"drop": "rate", "batches": "random", "max_tokens": 100}


@pytest.mark.parametrize(
    "parts",
    [
        {"micro_batches": 4},
        *(pytest.param(parts, marks=pytest.mark.slow) for parts in (SORTED, CAPPED, {"grid_lengths": 3})),
    ],
)
def test_parts_of_strategies_resume_too(few, tmp_path, parts):
    strategy = replace(STRATEGIES["reach"], base_batch_size=16, **parts)
    options = {"strategy": strategy, "epochs": 2, "dropout": 0.1}
    train(few, out=tmp_path / "whole", **(SMALL | options))
    train_stopped_at(few, tmp_path / "stopped", [4, 5, 10], **options)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_split_in_windows_resumes(few, tmp_path):
    loaded = replace(load_data(few), training=open_training_data(few, memory=14_000))
    options = {"strategy": replace(STRATEGIES["reach"], base_batch_size=8), "loaded": loaded, "epochs": 2}
    train(few, out=tmp_path / "whole", **(SMALL | options))
    assert "windows = 1\n" not in (tmp_path / "whole/config.toml").read_text()
    train_stopped_at(few, tmp_path / "stopped", [3, 11, 20], **options)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_killed_run_goes_on_from_its_newest_checkpoint_and_cuts_its_log(dataset, whole_of_16, tmp_path):
    """Killed without warning some steps after a checkpoint: an error of our own stands in for the kill."""

    def die(record, _steps):
        if record.step == 25:
            raise MemoryError

    rule = CheckpointRule(steps=10, minutes=None, keep=2)
    with pytest.raises(MemoryError):
        train(dataset, out=tmp_path / "killed", checkpoints=rule, progress=die, **STEPS_OF_16)
    run = tmp_path / "killed"
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["step-00000019", "step-00000020"]  # the end of epoch 0, and ten steps later than ten
    half = run / "checkpoints/.step-00000025.123"
    half.mkdir()
    train(dataset, out=run, resume=True, checkpoints=rule, **STEPS_OF_16)
    assert_same_run(whole_of_16, run)
    assert not (run / "checkpoints").exists()  # a finished run has its model


@pytest.mark.parametrize("half", ['{"step": 2', '{"step": 26, "loss": 0.3}', "\x00\x00"])
def test_half_a_last_line_of_the_log_does_not_keep_a_run_from_going_on(
    dataset, whole_of_16, stopped_of_16, tmp_path, half
):
    """A kill, or a power cut, in the middle of a write: the line is without its end, whatever it holds."""
    run = shutil.copytree(stopped_of_16, tmp_path / "run")
    with (run / "steps.jsonl").open("a") as log:
        log.write(half)
    assert [step["step"] for step in read_run(run).steps] == list(range(25))
    train(dataset, out=run, resume=True, **STEPS_OF_16)
    assert_same_run(whole_of_16, run)


def test_the_command_to_go_on_can_be_pasted_into_a_shell(dataset, tmp_path):
    out = tmp_path / "my run; rm -r x"
    stop = Stop(number=signal.SIGTERM)
    with pytest.raises(StoppedError) as caught:
        train(dataset, out=out, stop=stop, **SMALL)
    assert caught.value.next_step == f"Run the same command with --resume --out '{out}' to continue."


def test_without_a_checkpoint_a_run_begins_anew(dataset, whole, tmp_path):
    def die(record, _steps):
        raise MemoryError

    with pytest.raises(MemoryError):
        train(dataset, out=tmp_path / "killed", progress=die, **SMALL)
    assert newest_checkpoint(tmp_path / "killed") is None
    train(dataset, out=tmp_path / "killed", resume=True, **SMALL)
    assert_same_run(whole, tmp_path / "killed")
    train(dataset, out=tmp_path / "new", resume=True, **SMALL)  # nor does a folder have to be there
    assert_same_run(whole, tmp_path / "new")


def test_a_finished_run_is_not_trained_again(dataset, finished, whole):
    before = (whole / "result.json").stat().st_mtime_ns
    again = train(dataset, out=whole, resume=True, progress=lambda *_: pytest.fail("a step"), **SMALL)
    assert asdict(again) == asdict(finished)
    assert (whole / "result.json").stat().st_mtime_ns == before


def test_without_resume_a_run_is_not_touched(dataset, whole):
    with pytest.raises(TrainingError) as caught:
        train(dataset, out=whole, **SMALL)
    assert caught.value.message == f"{whole} contains a run."
    assert caught.value.next_step == (
        "Pass --resume to continue it, another --out, or --overwrite to replace what tdbs wrote there."
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 6}, "seed was 5, is now 6"),
        ({"lr": 0.25, "epochs": 2}, "epochs was 3, is now 2, lr was 0.001, is now 0.25"),
        ({"strategy": "unpadded"}, "strategy/name was reach, is now unpadded"),
        ({"dropout": 0.5}, "dropout was 0.0, is now 0.5"),
    ],
)
def test_another_run_is_refused_by_what_differs(dataset, whole, change, told):
    with pytest.raises(TrainingError) as caught:
        train(dataset, out=whole, resume=True, **(SMALL | change))
    assert told in caught.value.message
    assert caught.value.message.startswith(f"The run in {whole} was started with other settings: ")
    assert "plan_digest" not in caught.value.message
    assert caught.value.next_step == "Repeat the command that started it with --resume, or pass another --out."


def test_another_dataset_is_refused(few, whole):
    with pytest.raises(TrainingError, match=r"was started with other settings: dataset/key was "):
        train(few, out=whole, resume=True, **SMALL)


def test_another_plan_of_the_same_settings_is_refused(dataset, whole, tmp_path):
    """As of a version of tdbs that plans otherwise."""
    run = shutil.copytree(whole, tmp_path / "run")
    config = run / "config.toml"
    config.write_text(config.read_text().replace('plan_digest = "', 'plan_digest = "0'))
    with pytest.raises(TrainingError, match=r"was started with other settings: plan_digest was "):
        train(dataset, out=run, resume=True, **SMALL)


@pytest.mark.parametrize("damage", ["cut", "another model", "no state", "no JSON"])
def test_a_damaged_checkpoint_is_named(dataset, whole, stopped, tmp_path, damage):
    run = shutil.copytree(stopped, tmp_path / "run")
    place = newest_checkpoint(run)
    weights = place / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "another model":
        save_file({"other": torch.zeros(2)}, weights)
    elif damage == "no state":
        (place / "state.json").unlink()
    else:
        (place / "state.json").write_text("{")
    with pytest.raises(TrainingError) as caught:
        train(dataset, out=run, resume=True, **SMALL)
    assert caught.value.message.startswith(f"The checkpoint {place} cannot be read: ")
    assert caught.value.next_step == (
        "Remove its folder: --resume then takes the checkpoint before it, or starts again if there is none."
    )
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    train(dataset, out=run, resume=True, **SMALL)
    assert_same_run(whole, run)


def test_a_stopped_run_says_where_and_how_to_go_on(dataset, tmp_path):
    with pytest.raises(StoppedError) as caught:
        train(dataset, out=tmp_path / "run", stop=Stop(number=signal.SIGTERM), **SMALL)
    assert caught.value.message == "Stopped by SIGTERM after step 1 of 15."
    assert caught.value.next_step == f"Run the same command with --resume --out {tmp_path / 'run'} to continue."
    assert caught.value.exit_code == 143
    with pytest.raises(StoppedError) as caught:
        train(dataset, out=tmp_path / "none", stop=Stop(number=signal.SIGINT), checkpoints=None, **SMALL)
    assert caught.value.message == "Stopped by SIGINT after step 1 of 15. No checkpoint was written."


def test_checkpoints_are_made_by_the_clock(dataset, tmp_path, monkeypatch):
    """Every step takes half a minute of a clock of our own."""
    clock = iter(range(0, 10_000_000, 30))
    made = []
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(run_context, "save_checkpoint", lambda *arguments, **_: made.append(arguments[3].step))
    strategy = replace(STRATEGIES["random"], base_batch_size=16)
    train(
        dataset,
        out=tmp_path / "run",
        checkpoints=CheckpointRule(minutes=4.0),
        **(SMALL | {"strategy": strategy, "epochs": 1}),
    )
    assert len(made) > 1
    assert len({later - earlier for earlier, later in itertools.pairwise(made)}) == 1


def test_the_state_of_halved_caps_is_kept(dataset, tmp_path, monkeypatch):
    """Where memory ran out before a checkpoint, the run goes on with the caps it had found."""
    real = loop.update

    def small_device(learner, batches, **options):
        if any(len(batch.sample_ids_B) > 20 for batch in batches):
            raise torch.OutOfMemoryError
        return real(learner, batches, **options)

    monkeypatch.setattr(loop, "update", small_device)
    train(dataset, out=tmp_path / "whole", **SMALL)
    assert result_of(tmp_path / "whole")["halved_caps"]
    train_stopped_at(dataset, tmp_path / "stopped", [6, 11])
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_first_signal_is_noted_and_the_second_does_what_it_does():
    noted = []

    def own(number, _frame):
        noted.append(number)

    before = signal.signal(signal.SIGTERM, own)
    try:
        with stop_on_signals() as stop:
            assert stop.number is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop.number, noted) == (signal.SIGTERM, [])
            os.kill(os.getpid(), signal.SIGTERM)
            assert noted == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_takes_no_signals():
    found = []

    def run():
        with stop_on_signals() as stop:
            found.append(stop.number)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


def test_a_new_state_has_done_nothing():
    assert (RunState().step, RunState().history, set(RunState().seconds.values())) == (0, [], {0.0})
    assert TdbsError("a", next_step="b").exit_code == 1
