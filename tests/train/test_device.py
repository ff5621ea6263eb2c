"""Where and how a model runs; `auto` is resolved once and recorded."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from tdbs.errors import ConfigError
from tdbs.train import device
from tdbs.train.device import DeviceSettings, make_optimizer, resolve_execution


@pytest.fixture
def on(monkeypatch):
    """Return a function that pretends a device, with or without bf16."""

    def pretend(name, *, bf16):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda")
        monkeypatch.setattr(device, "_has_bf16", lambda _device: bf16)

    return pretend


@pytest.mark.parametrize(
    ("name", "bf16", "precision", "attention"),
    [
        ("cpu", True, "bf16", "eager"),
        ("cpu", False, "fp32", "eager"),
        ("cuda", True, "bf16", "sdpa"),
        ("cuda", False, "fp32", "sdpa"),
    ],
)
def test_auto_is_what_was_measured_for_the_device(on, name, bf16, precision, attention):
    on(name, bf16=bf16)
    found = resolve_execution(precision="auto", attention="auto")
    assert found == DeviceSettings(device=name, precision=precision, attention=attention)


def test_what_is_given_is_taken(on):
    on("cpu", bf16=True)
    assert resolve_execution(precision="fp32", attention="sdpa") == DeviceSettings(
        device="cpu", precision="fp32", attention="sdpa"
    )


@pytest.mark.parametrize(
    ("options", "message", "next_step"),
    [
        (
            {"precision": "fp16"},
            "Unknown value 'fp16' for --precision.",
            "Pass --precision with one of: auto, fp32, bf16.",
        ),
        (
            {"attention": "flash"},
            "Unknown value 'flash' for --attention.",
            "Pass --attention with one of: auto, eager, sdpa, flash_attention_2.",
        ),
    ],
)
def test_what_is_not_a_choice_is_refused(options, message, next_step):
    with pytest.raises(ConfigError) as caught:
        resolve_execution(**({"precision": "auto", "attention": "auto"} | options))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_weights_decay_as_with_transformers_trainer(tmp_path):
    """By the Trainer's own choice of parameters, on a model with norms, biases and embeddings."""
    model = BertForSequenceClassification(
        BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    decaying, rest = make_optimizer(model, weight_decay=0.1).param_groups
    arguments = TrainingArguments(output_dir=str(tmp_path), weight_decay=0.1, use_cpu=True, report_to=[])
    trainer = Trainer(model=model, args=arguments)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    expected = set(trainer.get_decay_parameter_names(model))
    assert {names[id(parameter)] for parameter in decaying["params"]} == expected
    assert {names[id(parameter)] for parameter in rest["params"]} == set(names.values()) - expected
    assert (decaying["weight_decay"], rest["weight_decay"], rest["fused"]) == (0.1, 0.0, True)


def test_the_optimizer_is_fused_adamw_over_what_is_trained():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(requires_grad=False)
    optimizer = make_optimizer(model)
    [group] = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.AdamW)
    assert group["params"] == list(model[1].parameters())
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.0, 0.0, True)
