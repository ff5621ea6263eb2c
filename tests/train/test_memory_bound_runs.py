"""`--memory` on the real command line: a cut run learns what the uncut one does, resumes, or is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from tdbs.analysis.compare.compare import compare
from tdbs.cli import app
from tdbs.errors import ConfigError, TrainingError
from tdbs.pipeline.engines import memory_bytes
from tdbs.train.checkpoint import CheckpointRule
from tdbs.train.run_folder import read_run
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.analysis.tiny import tiny_dataset

ON_SAMPLE = {"model": "tiny", "precision": "fp32", "attention": "eager", "epochs": 1, "dropout": 0.0}


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
    shown = run("estimate-speedup", dataset.path, *options).stdout
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


def test_a_comparison_is_of_the_cut_runs(dataset, tmp_path):
    """Whole runs and timed steps alike; a note says so."""
    memory = bound_that_cuts(dataset, strategy="unpadded")
    terms = ["compare", dataset.path, "--strategy", "unpadded", "--memory", memory, *options_of(ON_SAMPLE)]
    found = run(*terms, "--baseline", "unpadded", "--out", tmp_path / "whole")
    assert found.exit_code == 0, found.output
    cap = read_run(tmp_path / "whole/unpadded-seed0").config["strategy"]["max_tokens"]
    note = f"--memory {memory}: unpadded runs updates in calls of at most {cap:,} tokens."
    assert note in found.stdout
    assert note in run(*terms, "--baseline", "unpadded", "--steps", 1, "--out", tmp_path / "timed").stdout


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
