"""Runs that recompute activations end in the weights of runs that store them, whatever part of a model is trained."""

import sys
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AlbertConfig, AlbertForSequenceClassification, BertConfig, BertForSequenceClassification

from tdbs.errors import ModelError, TdbsError
from tdbs.train.trainer import train
from tests.train.test_part import BODY
from tests.train.test_processes import TRAIN, here, run
from tests.train.test_resume import log_of, train_stopped_at
from tests.train.test_trainer import make_dataset

TERMS = {"epochs": 1, "seed": 5, "precision": "fp32", "dropout": 0.1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("recompute"))


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    vocabulary = dataset.manifest.tokenizer.vocabulary_size
    BertForSequenceClassification(BertConfig(vocab_size=vocabulary, **BODY)).save_pretrained(folder)
    return str(folder)


PARTS = {"whole": {}, "lora": {"lora": 4}, "frozen": {"freeze_layers": 1}}
EVERY_DAY = {("unpadded", "whole"), ("reach", "frozen"), ("packed", "lora")}


@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        pytest.param(strategy, part, marks=() if (strategy, part) in EVERY_DAY else pytest.mark.slow)
        for strategy in ("unpadded", "reach", "packed")
        for part in PARTS
    ],
)
def test_the_weights_are_those_of_stored_activations(dataset, pretrained, tmp_path, strategy, part):
    options = {"strategy": strategy, "model": pretrained, **PARTS[part], **TERMS}
    train(dataset, out=tmp_path / "plain", **options)
    train(dataset, out=tmp_path / "again", checkpoint_activations=True, **options)
    name = "adapter_model" if part == "lora" else "model"
    plain, again = (load_file(tmp_path / run / f"model/{name}.safetensors") for run in ("plain", "again"))
    assert plain.keys() == again.keys()
    for parameter, value in plain.items():
        torch.testing.assert_close(again[parameter], value, rtol=1e-5, atol=1e-6)


def test_a_run_resumes_bit_by_bit_and_only_with_the_option(dataset, pretrained, tmp_path):
    options = {"model": pretrained, "strategy": "unpadded", "dropout": 0.1, "checkpoint_activations": True}
    train(dataset, out=tmp_path / "whole", **(TERMS | {"epochs": 3} | options))
    train_stopped_at(dataset, tmp_path / "stopped", [2, 4], **options)
    whole, stopped = (load_file(tmp_path / run / "model/model.safetensors") for run in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    config = tomllib.loads((tmp_path / "whole/config.toml").read_text())
    assert config["execution"]["checkpoint_activations"] is True
    without = TERMS | options | {"epochs": 3, "checkpoint_activations": False}
    with pytest.raises(TdbsError, match="execution"):
        train(dataset, out=tmp_path / "whole", resume=True, **without)


def test_a_model_without_layers_to_recompute_is_refused_before_anything_is_written(dataset, tmp_path):
    vocabulary = dataset.manifest.tokenizer.vocabulary_size
    config = AlbertConfig(
        vocab_size=vocabulary, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32
    )
    AlbertForSequenceClassification(config).save_pretrained(tmp_path / "albert")
    with pytest.raises(ModelError, match="--checkpoint-activations cannot be used with"):
        train(dataset, model=str(tmp_path / "albert"), checkpoint_activations=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_as_one(dataset, tmp_path):
    terms = [*TRAIN, "--checkpoint-activations", "--epochs", "1", "--dropout", "0", dataset.path, "--out"]
    here(*terms, tmp_path / "alone")
    run(2, "--no-python", Path(sys.executable).with_name("tdbs"), *terms, tmp_path / "pair")
    alone, pair = ([step["loss"] for step in log_of(tmp_path / name)] for name in ("alone", "pair"))
    assert pair == pytest.approx(alone, rel=1e-3)
