"""Training that is killed at random steps, by SIGKILL and SIGTERM, ends as undisturbed training does.

Real processes of the command line, several epochs, TokenDrop on, all strategies. `make test-faults`.
"""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tdbs.train.planning.strategies import STRATEGIES
from tests.forked import Forked, start_command
from tests.train.test_resume import log_of, result_of
from tests.train.test_trainer import make_dataset

pytestmark = pytest.mark.fault

KILLS = 20
# Four strategies drop words by themselves or are given a rate; all others train as they are.
OPTIONS = {name: [] if name in ("tdbs_paper", "reach") else ["--drop", "rate"] for name in STRATEGIES}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("faults"), train_rows=300).path


def start(dataset: Path, out: Path, strategy: str, *options: str) -> Forked:
    terms = ["--model", "tiny", "--epochs", "3", "--seed", "3", "--precision", "fp32", "--base-batch-size", "8"]
    terms += ["--out", str(out), "--checkpoint-steps", "7", *options, "--json"]
    streams = out.parent / f"{out.name}-streams-{len(list(out.parent.glob(f'{out.name}-streams-*')))}"
    return start_command(["train", dataset, "--strategy", strategy, *OPTIONS[strategy], *terms], streams=streams)


def steps_done(run: Path) -> int:
    """Return the steps of a run's newest checkpoint."""
    return max((int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*")), default=0)


def kill_after(command: Forked, run: Path, step: int, number: signal.Signals) -> int:
    """Kill a command at a step, once it has a checkpoint of its own; return its exit code, 0 where it had ended."""
    before, until = steps_done(run), time.monotonic() + 120
    while command.is_running() and time.monotonic() < until:
        if steps_done(run) > before and steps_done(run) >= step:
            command.send(number)
            break
        time.sleep(0.005)
    code, _, stderr = command.ended(120)
    if number == signal.SIGTERM and code != 0:
        assert "Error: Stopped by SIGTERM after step" in stderr, stderr
    return code


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """Return a function that trains a strategy once without any disturbance."""
    made: dict[str, Path] = {}

    def trained(strategy: str) -> Path:
        if strategy not in made:
            made[strategy] = tmp_path_factory.mktemp("undisturbed") / strategy
            code, _, stderr = start(dataset, made[strategy], strategy).ended(300)
            assert code == 0, stderr
        return made[strategy]

    return trained


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_run_ends_in_the_same_weights(dataset, undisturbed, tmp_path, attempt):
    """Two kills a run, at random steps; the third process ends it."""
    strategy = list(STRATEGIES)[attempt % len(STRATEGIES)]
    number = (signal.SIGKILL, signal.SIGTERM)[attempt // len(STRATEGIES) % 2]
    whole = undisturbed(strategy)
    steps = len(log_of(whole))
    run = tmp_path / "run"
    chance = np.random.default_rng(attempt)
    codes = []
    for first, step in enumerate(sorted(chance.integers(1, steps, size=2).tolist())):
        command = start(dataset, run, strategy, *(["--resume"] if first else []))
        codes.append(kill_after(command, run, step, number))
    assert set(codes) <= {-signal.SIGKILL, 128 + signal.SIGTERM, 0}
    code, stdout, stderr = start(dataset, run, strategy, "--resume").ended(300)
    assert code == 0, stderr
    assert json.loads(stdout)["steps"] == steps
    assert log_of(run) == log_of(whole)
    assert result_of(run) == result_of(whole)
    ours, theirs = (load_file(folder / "model/model.safetensors") for folder in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
