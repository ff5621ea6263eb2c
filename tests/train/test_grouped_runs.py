"""Runs of embeddings and rerankers: every strategy trains, resumes, and is scored; nothing divides by no negatives."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tdbs.analysis.conditions.asked import Condition
from tdbs.analysis.conditions.conditions import give
from tdbs.pipeline.dataset import read_split
from tdbs.train.evaluate import evaluate
from tdbs.train.objectives.losses import embedding_loss, terms_of
from tdbs.train.objectives.objective import Objective
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.train.grouped import grouped_dataset

QUICK = ("unpadded", "reach", "batch_rebalance")
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name, strategy in STRATEGIES.items()
    if strategy.execution != "packed"
]


@pytest.fixture(scope="module", params=["embedding", "ranking"])
def dataset(request, tmp_path_factory):
    return grouped_dataset(tmp_path_factory.mktemp(request.param) / "files", task=request.param)


def trained(dataset, out: Path, **options):
    defaults = {"model": "tiny", "epochs": 1, "precision": "fp32", "batch_size": 16, "progress": False}
    return train(dataset, out=out, **(defaults | options))


def losses_of(run: str) -> list[float]:
    return [json.loads(line)["loss"] for line in (Path(run) / "steps.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_trains_and_its_run_is_scored_again(dataset, tmp_path, name):
    result = trained(dataset, tmp_path / "run", strategy=name)
    assert result.strategy == name
    assert result.samples == 96
    losses = losses_of(result.run)
    assert np.isfinite(losses).all()
    assert max(losses) > 0
    assert list(result.metrics) == ["mrr@10", "ndcg@10", "map"]
    assert evaluate(result.run).metrics == result.metrics


@pytest.mark.parametrize("name", ["unpadded", pytest.param("sorted", marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_ends_in_the_same_weights(dataset, tmp_path, name):
    """With dropout: calls that run again draw the same masks."""
    whole = trained(dataset, tmp_path / "whole", strategy=name)
    stop = Stop()

    def stop_after_two(record, _steps):
        stop.number = signal.SIGTERM if record.step == 1 else None

    with pytest.raises(StoppedError):
        trained(dataset, tmp_path / "stopped", strategy=name, stop=stop, progress=stop_after_two)
    resumed = trained(dataset, tmp_path / "stopped", strategy=name, resume=True)
    ours, theirs = (load_file(Path(run.run) / "model/model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(ours[weight], theirs[weight]) for weight in ours)
    assert resumed.metrics == whole.metrics


def test_an_update_of_one_pair_has_no_negatives_and_no_loss(tmp_path):
    """97 pairs in updates of 16: the last one has a query and its positive alone."""
    dataset = grouped_dataset(tmp_path / "files", negatives=0, rows=97)
    for loss in ("negatives", "symmetric"):
        losses = losses_of(trained(dataset, tmp_path / loss, loss=loss, strategy="unpadded").run)
        assert len(losses) == 7
        assert losses[-1] == 0
        assert min(losses[:-1]) > 0


def test_prompts_of_a_model_that_is_trained_further_are_noted(tmp_path):
    """sentence-transformers would put them before the texts; the run reads the texts as they are, and saves none."""
    dataset = grouped_dataset(tmp_path / "files")
    folder = Path(trained(dataset, tmp_path / "first").run) / "model"
    settings = folder / "config_sentence_transformers.json"
    notes = []
    for prompts in ({}, {"query": "query: ", "passage": "passage: ", "none": ""}):
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"prompts": prompts}))
        result = trained(dataset, tmp_path / "second", model=str(folder), overwrite=True, noted=notes.append)
    assert notes == [
        f"{folder} has prompts (query, passage): texts are read without them, and the run has none. "
        "Write them into the texts."
    ]
    saved = json.loads((Path(result.run) / "model/config_sentence_transformers.json").read_text())
    assert saved["prompts"] == {}


def test_samples_without_a_negative_add_nothing_to_the_loss_triplet():
    """Lists of negatives may be empty, and so may be those of all samples of a call."""
    embeddings = torch.randn(4, 3, requires_grad=True)
    objective, sizes = Objective(loss="triplet"), torch.tensor([2, 2])
    loss = embedding_loss(objective, embeddings, sizes, torch.arange(4))
    loss.backward()
    assert loss == 0
    assert terms_of(objective, sizes) == 0
    assert not embeddings.grad.any()


def test_an_evaluation_without_droppable_words_scores_what_is_left_of_each_sequence(dataset):
    """Against the words of each sample, taken out of its sequences one by one."""
    split = read_split(dataset, "validation")
    [given] = give(dataset, "validation", Condition(name="drop 1", drop_rate=1.0), draws=1, seed=0)
    found, groups = given.held_out.split, given.held_out.groups
    ends = np.cumsum(split.sequences.lengths_Q)
    dropped = 0
    for sample, (first, last) in enumerate(zip(groups.offsets_N1, groups.offsets_N1[1:], strict=False)):
        words = slice(split.word_offsets_N1[sample], split.word_offsets_N1[sample + 1])
        start = split.token_offsets_N1[sample]
        gone = {
            start + word + each
            for word, size in zip(split.word_starts_W[words], split.word_sizes_W[words], strict=True)
            for each in range(size)
        }
        dropped += len(gone)
        for sequence in range(first, last):
            own = range(ends[sequence] - split.sequences.lengths_Q[sequence], ends[sequence])
            expected = [split.input_ids_T[place] for place in own if place not in gone]
            run = groups.which_Q[sequence]
            assert found.input_ids_T[slice(*found.token_offsets_N1[run : run + 2])].tolist() == expected
    assert dropped > 20
