"""Several processes train as one does: torchrun starts them, each takes its share, the weights come out the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.micro_batches import MemoryCaps
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.processes import dealt_out, own_share
from tdbs.train.trainer import train
from tests.in_process import Ended, run_command
from tests.train import process_run
from tests.train.row_models import save_row_model
from tests.train.test_resume import log_of
from tests.train.test_trainer import make_dataset

STEPS = 50
TRAIN = ["train", "--model", "tiny", "--seed", "3", "--precision", "fp32", "--base-batch-size", "8", "--json"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("processes"), train_rows=301, validation_rows=37)


def launched(processes: int, *command: object) -> list[str]:
    """Return the command that starts some processes on this machine."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", "0"]
    return [*start, "--standalone", *map(str, command)]


def run(processes: int, *command: object) -> subprocess.CompletedProcess:
    done = subprocess.run(launched(processes, *command), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done


def here(*command: object) -> Ended:
    """Run the command line in this process; it must succeed."""
    done = run_command(*command, folder=Path.cwd())
    assert done.code == 0, done.stderr
    return done


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("processes", [2, 3, 5])
def test_shares_of_an_update_have_each_sample_once_and_are_alike(dataset, name, processes):
    strategy = resolve_strategy(name, dataset.manifest.task, {"base_batch_size": 9})
    feed = make_feed(open_training_data(dataset), strategy, seed=1, epochs=1)
    for batches in feed.steps(feed.plans[0]):
        shares = [
            own_share(batches, "classification", process=process, processes=processes) for process in range(processes)
        ]
        taken = np.concatenate([batch.sample_ids_B for share in shares for batch in share])
        assert sorted(taken) == sorted(np.concatenate([batch.sample_ids_B for batch in batches]))
        for batch in batches if name != "packed" else ():
            sizes = [sum(np.isin(batch.sample_ids_B, part.sample_ids_B).sum() for part in share) for share in shares]
            assert max(sizes) - min(sizes) <= 1
        tokens = {
            int(sample): row[: int(length)].tolist()
            for batch in batches
            for sample, length, row in zip(batch.sample_ids_B, batch.lengths_B, rows_of(batch), strict=True)
        }
        for share in shares:
            for part in share:
                for sample, length, row in zip(part.sample_ids_B, part.lengths_B, rows_of(part), strict=True):
                    assert row[: int(length)].tolist() == tokens[int(sample)]
                if part.execution == "padded":
                    assert part.input_ids_RW.shape[1] == max(part.lengths_B.max(), 1)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_no_process_has_the_longest_of_all_neighbours(processes):
    """Dealt out there and back, by hand; the busiest process is nearer to its part than if each took every n-th."""
    assert dealt_out(np.array([9, 1, 5, 3, 7]), 2).tolist() == [0, 0, 1, 0, 1]
    lengths = np.random.default_rng(0).gamma(2, 6, (200, 64)).astype(np.int64) + 3
    part = lengths.sum() / processes
    there_and_back = sum(np.bincount(dealt_out(own, processes), weights=own).max() for own in lengths)
    every_nth = sum(max(np.sort(own)[first::processes].sum() for first in range(processes)) for own in lengths)
    assert there_and_back - part < (every_nth - part) / 2


def rows_of(batch):
    """Return the tokens from each sample's first one on."""
    if batch.starts_B is None:
        return batch.input_ids_RW
    flat = batch.input_ids_RW.ravel()
    return [flat[start:] for start in batch.starts_B]


def test_caps_of_several_devices_add_up(dataset):
    """BatchCap is min(devices x HWCap, EpochCap), on whatever number of processes."""
    parts = {"caps": "12", "base_batch_size": 32}
    largest = {
        devices: make_feed(
            open_training_data(dataset),
            resolve_strategy("reach", dataset.manifest.task, parts | {"devices": devices}),
            seed=1,
            epochs=1,
        )
        .plans[0]
        .batch_sizes_B.max()
        for devices in (1, 2, 3)
    }
    assert largest == {1: 12, 2: 24, 3: 32}


def test_a_base_batch_above_hwcap_is_one_update_of_micro_batches(dataset, tmp_path):
    terms = {"model": "tiny", "epochs": 1, "seed": 3, "dropout": 0.0, "precision": "fp32"}
    whole = train(dataset, strategy="unpadded", out=tmp_path / "whole", **terms)
    capped = resolve_strategy("unpadded", dataset.manifest.task, {"caps": "16"})
    parts = train(dataset, strategy=capped, out=tmp_path / "parts", **terms)
    assert (parts.steps, parts.samples) == (whole.steps, whole.samples)
    losses = ([step["loss"] for step in log_of(tmp_path / name)] for name in ("parts", "whole"))
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)
    caps = MemoryCaps(edges_E=np.array([0, 64]), kind="classification", hardware_L1=np.full(129, 16))
    feed = make_feed(open_training_data(dataset), capped, seed=3, epochs=1)
    batches = next(feed.steps(feed.plans[0]))
    assert [len(part.sample_ids_B) for part in caps.within(batches)] == [16] * 4


@pytest.mark.slow
def test_one_two_and_three_processes_train_alike(dataset, tmp_path):
    """In float64 without dropout: the same plan, every sample once, the same weights after 50 steps.

    The one process is this one.
    """
    names = tuple(STRATEGIES)
    found = {(1, name): alone_here(dataset, name) for name in names}
    for processes in (2, 3):
        out = tmp_path / str(processes)
        out.mkdir()
        run(
            processes,
            "-m",
            "tests.train.process_run",
            dataset.path,
            out,
            STEPS,
            "tiny",
            *(f"{name}:7" for name in names),
        )
        for name in names:
            told = json.loads((out / f"{name}:7.json").read_text())
            assert len(told) == processes
            found[processes, name] = told, load_file(out / f"{name}:7.safetensors")
    for (processes, name), (told, weights) in found.items():
        (alone,), expected = found[1, name]
        assert {each["digest"] for each in told} == {alone["digest"]}
        assert all(each["samples"] == alone["samples"] for each in told)
        taken = [sample for each in told for sample in each["taken"]]
        assert sorted(taken) == sorted(alone["taken"])
        assert len(taken) == len(set(taken)) == sum(alone["samples"])
        for each in told:
            assert each["losses"] == pytest.approx(alone["losses"], rel=1e-9)
        for key, value in weights.items():
            assert torch.allclose(value, expected[key], rtol=0, atol=1e-8), (processes, name, key)
    assert any(len(told["taken"]) == 301 for (told, *_), _ in found.values())  # some run has a whole epoch


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deberta-v2", "llama"])
def test_two_processes_train_models_of_other_kinds_alike(dataset, tmp_path, name):
    """Unpadded; parts of both compute in float32 whatever their weights are in."""
    vocabulary = dataset.manifest.tokenizer.vocabulary_size
    model = save_row_model(name, tmp_path / "model", vocabulary=vocabulary)
    (alone,), expected = alone_here(dataset, "unpadded", model, steps=9)
    run(2, "-m", "tests.train.process_run", dataset.path, tmp_path, 9, model, "unpadded:7")
    told = json.loads((tmp_path / "unpadded:7.json").read_text())
    assert sorted(sample for each in told for sample in each["taken"]) == sorted(alone["taken"])
    for each in told:
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    for key, value in load_file(tmp_path / "unpadded:7.safetensors").items():
        assert torch.allclose(value, expected[key], rtol=0, atol=1e-4), key


def alone_here(
    dataset, name: str, model: str = "tiny", steps: int = STEPS
) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Return what process_run writes of one process, as of a list of processes, and the weights."""
    try:
        found = process_run.run(dataset, name, 7, steps, model)
    finally:
        torch.set_default_dtype(torch.float32)
    weights = found.pop("weights")
    return [found], {key: value.detach() for key, value in weights.items()}


@pytest.mark.slow
def test_two_processes_of_the_command_line_make_one_run(dataset, tmp_path):
    """Stopped on two processes and resumed on one; the losses are those of one, as far as rounding lets them."""
    tdbs = Path(sys.executable).with_name("tdbs")
    terms = [*TRAIN, "--epochs", "2", "--dropout", "0", "--checkpoint-steps", "5"]
    alone = tmp_path / "alone"
    here(*terms, dataset.path, "--out", alone)
    pair = tmp_path / "pair"
    process = subprocess.Popen(
        launched(2, "--no-python", tdbs, *terms, dataset.path, "--out", pair),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 120
    while not list(pair.glob("checkpoints/step-*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=120)
    assert "Stopped by SIGTERM after step" in stderr, stderr
    assert stdout == ""
    done = here(*terms, dataset.path, "--out", pair, "--resume")
    assert json.loads(done.stdout)["steps"] == len(log_of(pair))
    whole = run(2, "--no-python", tdbs, *terms, dataset.path, "--out", tmp_path / "whole")
    result = json.loads(whole.stdout)  # one of them speaks
    assert result["samples"] == 602
    assert result["score"] == pytest.approx(json.loads((alone / "result.json").read_text())["score"], abs=0.06)
    first, *others = ([step["loss"] for step in log_of(folder)[:10]] for folder in (alone, pair, tmp_path / "whole"))
    assert all(losses == pytest.approx(first, rel=1e-4) for losses in others)


@pytest.mark.slow
def test_no_run_of_odd_sizes_hangs(dataset, tmp_path):
    """50 runs on three processes; updates of one and two samples leave some of them without any."""
    runs = [f"{name}:{size}" for name in STRATEGIES for size in (1, 2, 4, 5, 11)]
    run(3, "-m", "tests.train.process_run", dataset.path, tmp_path, 9, "tiny", *runs)
    for each in runs:
        told = json.loads((tmp_path / f"{each}.json").read_text())
        taken = [sample for process in told for sample in process["taken"]]
        assert len(taken) == len(set(taken)) == sum(told[0]["samples"])


@pytest.mark.slow
def test_two_processes_keep_the_scores_that_one_keeps(dataset, tmp_path):
    """Of each sample in each epoch, on a data diet too: all processes choose the same samples."""
    options = (*TRAIN, dataset.path, "--epochs", 2, "--dropout", 0, "--data-diet", 0.5)
    here(*options, "--out", tmp_path / "one")
    run(2, "--no-python", Path(sys.executable).parent / "tdbs", *options, "--out", tmp_path / "two")
    for epoch in range(2):
        one, two = (pq.read_table(tmp_path / name / f"samples/epoch-{epoch}.parquet") for name in ("one", "two"))
        assert two["sample_id"].to_pylist() == one["sample_id"].to_pylist()
        np.testing.assert_allclose(two["margin"].to_numpy(), one["margin"].to_numpy(), atol=1e-4)
