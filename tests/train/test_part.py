"""Adapters and frozen layers: what is to stay stays bit by bit, what is saved can be read."""

import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from tdbs.errors import ConfigError
from tdbs.train.evaluate import evaluate
from tdbs.train.models.part import TrainablePart, train_part
from tdbs.train.trainer import train
from tests.train.row_models import row_config, save_row_model
from tests.train.test_resume import train_stopped_at
from tests.train.test_trainer import make_dataset

TERMS = {"epochs": 1, "seed": 2, "precision": "fp32", "lr": 1e-2}
HEAD = re.compile(r"classifier|score")
BODY = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("part"))


@pytest.fixture(params=["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("deberta-v2", "llama"))])
def pretrained(request, dataset, tmp_path):
    """BERT, DeBERTa with attention of its own, Llama whose head has another name and reads last tokens."""
    vocabulary = dataset.manifest.tokenizer.vocabulary_size
    return save_row_model(request.param, tmp_path / "pretrained", vocabulary=vocabulary)


def a_bert():
    return BertForSequenceClassification(BertConfig(vocab_size=50, **BODY))


@pytest.mark.parametrize("strategy", ["unpadded", "reach", "packed"])
def test_adapters_are_trained_and_saved_alone(dataset, pretrained, tmp_path, strategy):
    result = train(dataset, strategy=strategy, model=pretrained, lora=4, out=tmp_path / "run", **TERMS)
    saved = load_file(tmp_path / "run/model/adapter_model.safetensors")
    assert not (tmp_path / "run/model/model.safetensors").exists()
    assert {"lora_A", "lora_B", "head"} == {
        kind for name in saved for kind in ("lora_A", "lora_B", "head") if kind in HEAD.sub("head", name)
    }
    assert any(tensor.abs().sum() > 0 for name, tensor in saved.items() if "lora_B" in name)  # they begin at zero
    evaluated = evaluate(tmp_path / "run")
    assert evaluated.metrics == result.metrics


@pytest.mark.parametrize("name", ["deberta", "deberta-v2", "deberta-v2, shared", "mpnet"])
def test_embeddings_of_relative_positions_are_frozen_with_the_others(name):
    """They stand behind the layers, and frozen layers read them."""
    model = AutoModelForSequenceClassification.from_config(row_config(name))
    train_part(model, TrainablePart(freeze_layers=1), "classification", dropout=0.0)
    trained = {part for part, weight in model.named_parameters() if weight.requires_grad}
    assert not [
        part for part in trained if "embedding" in part or "relative" in part or part.endswith("encoder.LayerNorm")
    ]
    assert any(".layer.1." in part for part in trained)
    assert not any(".layer.0." in part for part in trained)


def test_adapters_are_peft_s_own(dataset, pretrained, tmp_path):
    """Their folder is one that peft reads without tdbs."""
    from peft import AutoPeftModelForSequenceClassification

    train(dataset, model=pretrained, lora=4, out=tmp_path / "run", **TERMS)
    model = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "run/model")
    saved = load_file(tmp_path / "run/model/adapter_model.safetensors")
    loaded = {name: value for name, value in model.named_parameters() if "lora_" in name}
    assert sum(value.numel() for value in loaded.values()) == sum(
        value.numel() for name, value in saved.items() if "lora_" in name
    )


def test_a_run_with_adapters_resumes(dataset, pretrained, tmp_path):
    options = {"model": pretrained, "lora": 2, "strategy": "unpadded", "dropout": 0.1}
    terms = {"epochs": 3, "precision": "fp32", "seed": 5}
    train(dataset, out=tmp_path / "whole", **terms, **options)
    train_stopped_at(dataset, tmp_path / "stopped", [2, 4], **options)
    whole, stopped = (load_file(tmp_path / run / "model/adapter_model.safetensors") for run in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_frozen_layers_and_embeddings_stay_as_they_were(dataset, pretrained, tmp_path):
    result = train(dataset, model=pretrained, freeze_layers=1, out=tmp_path / "run", **TERMS)
    before, after = load_file(f"{pretrained}/model.safetensors"), load_file(tmp_path / "run/model/model.safetensors")
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if re.search(r"\.embed|layers?\.0\.", name)]
    assert [name for name in changed if re.search(r"layers?\.1\.", name)]
    assert [name for name in changed if HEAD.search(name)]
    assert evaluate(tmp_path / "run").metrics == result.metrics


def test_what_is_frozen_comes_before_and_is_counted_from_below():
    model = a_bert()
    train_part(model, TrainablePart(freeze_layers=2), "classification", dropout=0.0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[3] for name in trained if ".layer." in name} == {"2"}
    assert not any("embeddings" in name for name in trained)
    assert any("pooler" in name for name in trained)
    whole = a_bert()
    train_part(whole, TrainablePart(freeze_layers=0), "classification", dropout=0.0)
    assert {name for name, parameter in whole.named_parameters() if not parameter.requires_grad} == {
        name for name, _ in whole.named_parameters() if "embeddings" in name
    }


def test_of_an_encoder_decoder_the_encoder_s_layers_are_counted():
    model = T5ForConditionalGeneration(T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2))
    train_part(model, TrainablePart(freeze_layers=1), "seq2seq", dropout=0.0)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert "shared.weight" in frozen
    assert all(name == "shared.weight" or name.startswith("encoder.block.0.") for name in frozen)


@pytest.mark.parametrize(
    ("part", "message", "next_step"),
    [
        ({"lora": 0}, "--lora must be 1 or more, got 0.", "Pass --lora 1 or more."),
        ({"freeze_layers": -1}, "--freeze-layers must be 0 or more, got -1.", "Pass --freeze-layers 0 or more."),
        ({"lora": 8, "freeze_layers": 1}, "--lora freezes all layers.", "Leave --freeze-layers out."),
    ],
)
def test_what_cannot_be_is_refused(part, message, next_step):
    with pytest.raises(ConfigError) as caught:
        TrainablePart(**part)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_more_layers_than_there_are_cannot_be_frozen(dataset, tmp_path):
    with pytest.raises(ConfigError) as caught:
        train(dataset, model="tiny", freeze_layers=3, out=tmp_path / "run", **TERMS)
    assert caught.value.message == "--freeze-layers is 3, but the model has 2 layers."
    assert caught.value.next_step == "Pass 2 or less."
    assert not (tmp_path / "run").exists()


def test_random_weights_are_not_adapted(dataset, tmp_path):
    with pytest.raises(ConfigError) as caught:
        train(dataset, model="tiny", lora=3, out=tmp_path / "run", **TERMS)
    assert caught.value.message == "tiny has random weights: there is nothing to adapt."
    assert caught.value.next_step == "Pass a pretrained --model."


def test_without_peft_its_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        TrainablePart(lora=8)
    assert caught.value.message == "--lora needs peft, which is not installed."
    assert caught.value.next_step == 'Run pip install "tdbs[lora]".'
