"""In-batch negatives: an update in several calls of the model, or in several processes, is the update of one call."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tdbs.settings import TrainSettings
from tdbs.train.dropout_masks import dropout_masks
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.joint_step import joint_backward
from tdbs.train.learner import make_learner
from tdbs.train.loop import update
from tdbs.train.micro_batches import split_batch
from tdbs.train.objectives.losses import embedding_loss
from tdbs.train.objectives.objective import Objective
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings
from tdbs.train.rows.sequences import laid_out
from tdbs.train.step import forward, labels_of_sequences, sizes_of_samples
from tdbs.train.trainer import train
from tests.train.grouped import grouped_dataset
from tests.train.test_processes import run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return grouped_dataset(tmp_path_factory.mktemp("joint") / "files")


def weights_of(dataset, out: Path, **options):
    defaults = {"model": "tiny", "epochs": 1, "precision": "fp32", "dropout": 0.0, "base_batch_size": 16}
    result = train(dataset, out=out, progress=False, **(defaults | options))
    return load_file(Path(result.run) / "model/model.safetensors"), result


def assert_close(found, expected, *, most: float):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=most), name


@pytest.mark.parametrize("loss", ["negatives", "symmetric"])
def test_an_update_in_several_calls_ends_in_the_weights_of_one(dataset, tmp_path, loss):
    strategy = resolve_strategy("unpadded", dataset.manifest.task, {"base_batch_size": 16})
    one, whole = weights_of(dataset, tmp_path / "one", strategy=strategy, loss=loss, base_batch_size=None)
    cut = replace(strategy, max_tokens=120)
    several, parts = weights_of(dataset, tmp_path / "several", strategy=cut, loss=loss, base_batch_size=None)
    assert parts.steps == whole.steps == 6
    assert_close(several, one, most=2e-5)
    assert parts.score == pytest.approx(whole.score)


@pytest.mark.parametrize("name", ["random", "random_max", "sorted"])
def test_padded_sequences_learn_what_unpadded_ones_do(dataset, tmp_path, name):
    expected, _ = weights_of(dataset, tmp_path / "unpadded", strategy="unpadded")
    found, _ = weights_of(dataset, tmp_path / name, strategy=name)
    assert_close(found, expected, most=2e-5)


@pytest.mark.parametrize("loss", ["negatives", "symmetric", "triplet"])
def test_gradients_of_several_calls_are_those_of_one_in_float64(dataset, loss):
    settings = TrainSettings(model="tiny", precision="fp32", loss=loss)
    strategy = resolve_strategy("unpadded", dataset.manifest.task, {"base_batch_size": 16})
    learner = make_learner(dataset, resolve_settings(settings, dataset.manifest), seed=1, dropout=0.0, in_rows=True)
    learner.model.double()
    feed = make_feed(open_training_data(dataset), strategy, seed=1, epochs=1)
    [batch] = next(feed.steps(feed.plans[0]))
    found = []
    for calls in ([batch], split_batch(batch, 5, learner.kind)):
        gradients: dict[str, torch.Tensor] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(learner.optimizer, "step", lambda into=gradients: into.update(_gradients(learner.model)))
            end = update(learner, list(map(laid_out, calls)), rate=0.0)
        found.append((end.loss, gradients))
    (one_loss, one), (several_loss, several) = found
    assert several_loss == pytest.approx(one_loss, rel=1e-12)
    assert len(one) > 30
    assert_close(several, one, most=1e-12)


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_calls_run_again_with_the_dropout_of_the_first_time(dataset):
    """Against all calls with their graphs in memory at once."""
    settings = TrainSettings(model="tiny", precision="fp32")
    strategy = resolve_strategy("unpadded", dataset.manifest.task, {"base_batch_size": 16})
    learner = make_learner(dataset, resolve_settings(settings, dataset.manifest), seed=1, dropout=0.3, in_rows=True)
    feed = make_feed(open_training_data(dataset), strategy, seed=1, epochs=1)
    [batch] = next(feed.steps(feed.plans[0]))
    calls = [laid_out(part) for part in split_batch(batch, 5, learner.kind)]
    assert len(calls) == 4
    objective = Objective(loss="negatives")
    learner.prepared.train()

    torch.manual_seed(7)
    with dropout_masks(learner.accelerator.device, compiled=False):
        parts = [
            forward(learner.prepared, call, learner.kind, learner.rules, device=torch.device("cpu")) for call in calls
        ]
    sizes = torch.cat([sizes_of_samples(call, torch.device("cpu")) for call in calls])
    labels = torch.cat([labels_of_sequences(call, torch.device("cpu")) for call in calls])
    loss = embedding_loss(objective, torch.cat(parts), sizes, labels)
    names, weights = zip(*learner.model.named_parameters(), strict=True)
    expected = torch.autograd.grad(loss, [w for n, w in zip(names, weights, strict=True) if not _apart(n)])

    torch.manual_seed(7)
    assert joint_backward(learner, calls, objective) == pytest.approx(float(loss.detach()), rel=1e-5)
    found = [weight.grad for name, weight in zip(names, weights, strict=True) if not _apart(name)]
    for name, one, other in zip([n for n in names if not _apart(n)], found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6), name


def _apart(name: str) -> bool:
    """Return whether a weight has no gradient, or keeps it by rows."""
    return "pooler" in name or "word_embeddings" in name


def test_repeats_of_a_positive_are_no_negatives_unless_they_are_asked_for(tmp_path):
    dataset = grouped_dataset(tmp_path / "files", rows=8)
    split = open_training_data(dataset).split
    strategy = resolve_strategy("unpadded", dataset.manifest.task, {"base_batch_size": 8})
    feed = make_feed(open_training_data(dataset), strategy, seed=1, epochs=1)
    [batch] = next(feed.steps(feed.plans[0]))
    labels = np.asarray(batch.labels)
    texts = np.split(batch.input_ids_RW[0][: int(batch.lengths_B.sum())], np.cumsum(batch.lengths_B)[:-1])
    same = [[bool(np.array_equal(one, other)) for other in texts] for one in texts]
    assert (labels[:, None] == labels).tolist() == same
    assert len(split.sequences.lengths_Q) == len(labels)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_end_in_the_weights_of_one(dataset, tmp_path, processes):
    expected, whole = weights_of(dataset, tmp_path / "one", seed=3)
    command = [
        "--no-python",
        Path(sys.executable).parent / "tdbs",
        "train",
        dataset.path,
        "--model",
        "tiny",
        "--epochs",
        1,
        "--precision",
        "fp32",
    ]
    command += ["--dropout", 0, "--base-batch-size", 16, "--seed", 3, "--out", tmp_path / "several"]
    run(processes, *command)
    found = load_file(tmp_path / "several/model/model.safetensors")
    assert_close(found, expected, most=5e-5)
    assert whole.steps == 6
