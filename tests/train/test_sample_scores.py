"""Scores of samples: of logits by hand, and as a run keeps them for every sample of every epoch."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tdbs.errors import TrainingError
from tdbs.train.batches import Batch
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.sample_records import EpochRecord, EpochScores, has_epoch, read_epoch, write_epoch
from tdbs.train.sample_scores import batch_scores, scores_of_update
from tdbs.train.trainer import train
from tests.train.test_resume import STEPS_OF_16, train_stopped_at
from tests.train.test_trainer import make_dataset

NAMES = ("loss", "el2n", "margin", "predicted")


def batch_of(labels: np.ndarray, ids: list[int] | None = None) -> Batch:
    ids_B = np.arange(len(labels)) if ids is None else np.array(ids)
    ones = np.ones((len(labels), 1), dtype=np.int64)
    return Batch(sample_ids_B=ids_B, input_ids_RW=ones, lengths_B=ones[:, 0], segment_starts_B=None, labels=labels)


def by_hand(logits: list[float], label: int) -> list[float]:
    """Return loss, EL2N, margin and class of one sample, from their definitions."""
    total = sum(math.exp(value) for value in logits)
    shares = [math.exp(value) / total for value in logits]
    error = math.sqrt(sum((share - (place == label)) ** 2 for place, share in enumerate(shares)))
    others = [value for place, value in enumerate(logits) if place != label]
    return [-math.log(shares[label]), error, logits[label] - max(others), logits.index(max(logits))]


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_scores_of_classes_are_those_of_their_definitions(classes):
    draw = np.random.default_rng(classes)
    logits = draw.normal(0, 3, (40, classes))
    labels = draw.integers(classes, size=40)
    found = batch_scores("classification", torch.tensor(logits), batch_of(labels))
    expected = [by_hand(row, label) for row, label in zip(logits.tolist(), labels.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_number_has_its_squared_error_and_labels_the_mean_of_their_losses():
    numbers = batch_scores("regression", torch.tensor([[1.0], [4.0]]), batch_of(np.array([3.0, 4.5])))
    assert numbers.tolist() == [[4.0], [0.25]]
    several = batch_scores("regression", torch.tensor([[1.0, 2.0]]), batch_of(np.array([[0.0, 4.0]])))
    assert several.tolist() == [[2.5]]  # (1 + 4) / 2
    flags = batch_scores("multi_label", torch.zeros(1, 3), batch_of(np.array([[0, 1, 1]], dtype=np.float32)))
    assert flags.tolist() == [[pytest.approx(math.log(2))]]


def test_scores_go_to_their_places_in_the_update_whatever_the_share():
    """A process knows the samples of its share; the sum of all has each sample's scores once."""
    step_ids = np.array([7, 2, 9, 4])
    parts = torch.tensor([[0.1], [0.2]]), torch.tensor([[0.3], [0.4]])
    shares = [batch_of(np.zeros(2), ids=[9, 7])], [batch_of(np.zeros(2), ids=[4, 2])]
    one, other = (
        scores_of_update(step_ids, share, [part], "regression") for share, part in zip(shares, parts, strict=True)
    )
    assert (one + other).ravel().tolist() == pytest.approx([0.2, 0.4, 0.1, 0.3])
    assert scores_of_update(step_ids, [], [], "regression").tolist() == [[0.0]] * 4


# A run keeps them


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("scores"), train_rows=100)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """Return the folder of an undisturbed run of three epochs, seven steps each. Tests do not change it."""
    return Path(train(dataset, out=tmp_path_factory.mktemp("whole") / "run", **STEPS_OF_16).run)


def records_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "samples").iterdir())}


def test_each_epoch_has_a_file_with_each_sample_once(whole):
    for epoch in range(3):
        table = pq.read_table(whole / f"samples/epoch-{epoch}.parquet")
        assert table.column_names == ["sample_id", *NAMES]
        assert table["sample_id"].to_pylist() == list(range(100))
    assert sorted(records_of(whole)) == ["epoch-0.parquet", "epoch-1.parquet", "epoch-2.parquet"]


def test_their_mean_loss_is_that_of_the_log(whole):
    """Weighted by samples, the steps' losses of an epoch add up to its samples' losses."""
    steps = [json.loads(line) for line in (whole / "steps.jsonl").read_text().splitlines()]
    for epoch in range(3):
        own = [step for step in steps if step["epoch"] == epoch]
        logged = sum(step["loss"] * step["batch_size"] for step in own) / 100
        kept = pq.read_table(whole / f"samples/epoch-{epoch}.parquet")["loss"].to_numpy().mean()
        assert kept == pytest.approx(logged, rel=1e-5)


def test_a_run_that_was_stopped_keeps_the_same_files_bit_by_bit(dataset, whole, tmp_path):
    """Stopped in the middle of epochs, and at an end."""
    stopped = train_stopped_at(dataset, tmp_path / "run", [3, 7, 17], **STEPS_OF_16)
    assert records_of(stopped) == records_of(whole)


def test_micro_batches_keep_the_same_scores(dataset, tmp_path):
    """HWCap cuts each update; without dropout the scores are those of whole updates, but for rounding."""
    terms = {"model": "tiny", "epochs": 1, "seed": 3, "dropout": 0.0, "precision": "fp32"}
    strategy = replace(STRATEGIES["unpadded"], base_batch_size=50)
    runs = [
        train(dataset, strategy=replace(strategy, caps=caps), out=tmp_path / caps, **terms).run
        for caps in ("base", "16")
    ]
    one, other = (pq.read_table(Path(run) / "samples/epoch-0.parquet") for run in runs)
    np.testing.assert_allclose(one["margin"].to_numpy(), other["margin"].to_numpy(), atol=1e-4)


# The files


def test_an_epoch_that_an_older_version_began_has_no_file(tmp_path):
    """Some of its samples have no scores."""
    plan = EpochPlan(
        epoch=0,
        sample_ids_N=np.array([2, 0, 1]),
        kept_N=np.ones(3, dtype=np.int64),
        batch_offsets_B1=np.array([0, 3]),
        padded_lengths_B=np.array([1]),
    )
    scores = EpochScores(names=("loss",), rows=3)
    scores.take(np.array([0, 1]), np.zeros((2, 1), dtype=np.float32))
    scores.close(tmp_path, plan, writes=True)
    assert not has_epoch(tmp_path, 0)
    scores.take(np.array([2, 0, 1]), np.array([[2.0], [0.0], [1.0]], dtype=np.float32))
    scores.close(tmp_path, plan, writes=True)
    assert read_epoch(tmp_path, 0, names=("loss",), rows=3).values_SK.ravel().tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("ids", "rows"), [([0, 5], 4), ([1, 1], 4)])
def test_records_that_do_not_fit_are_refused(tmp_path, ids, rows):
    record = EpochRecord(sample_ids_S=np.array(ids), values_SK=np.zeros((2, 1), dtype=np.float32), names=("loss",))
    write_epoch(tmp_path, 0, record)
    with pytest.raises(TrainingError) as caught:
        read_epoch(tmp_path, 0, names=("loss",), rows=rows)
    assert caught.value.message == (
        f"The scores {tmp_path / 'samples/epoch-0.parquet'} are damaged: its samples are not those of a split of 4."
    )
    assert caught.value.next_step == "Remove the file: tdbs score then uses the run's trained model."


def test_a_file_that_is_cut_is_refused(tmp_path):
    record = EpochRecord(sample_ids_S=np.arange(2), values_SK=np.zeros((2, 1), dtype=np.float32), names=("loss",))
    write_epoch(tmp_path, 0, record)
    place = tmp_path / "samples/epoch-0.parquet"
    place.write_bytes(place.read_bytes()[:-20])
    with pytest.raises(TrainingError, match="are damaged"):
        read_epoch(tmp_path, 0, names=("loss",), rows=2)
