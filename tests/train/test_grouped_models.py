"""Each family embeds and ranks sequences that share a row as transformers does one by one (fp32, 1e-4)."""

import json
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification

from tdbs.errors import ModelError
from tdbs.train.batches import Batch
from tdbs.train.models.pooling import Pooling, choose_pooling, pool_padded
from tdbs.train.step import forward
from tests.train.row_models import NAMES, VOCABULARY, random_model, row_config
from tests.train.rules import TYPED, UNTYPED

CPU = torch.device("cpu")
LENGTHS = (9, 2, 17, 5, 5, 31, 12, 3, 20, 1)
SEQUENCES = (3, 2, 4, 1)  # of each sample
STARTS = tuple(length // 2 for length in LENGTHS)  # of second texts
ISSUE = ("bert", "roberta", "distilbert", "modernbert", "mpnet", "qwen2")
EVERY_DAY = (*ISSUE, "deberta-v2", "gpt2", "opt", "xlm")
FAMILIES = [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
POOLINGS = [Pooling(mode="mean", normalize=True), Pooling(mode="cls"), Pooling(mode="last", normalize=True)]


def model_of(name: str, kind: str, kernel: str, *, training: bool, in_rows: bool):
    """Return a model with the same random weights whatever its rows hold."""
    made_by = AutoModel if kind == "embedding" else AutoModelForSequenceClassification
    model = random_model(made_by, row_config(name, outputs=1), kernel, in_rows=in_rows)
    return model.train(training)


def tokens_of_sequences() -> list[np.ndarray]:
    chance = np.random.default_rng(0)
    return [chance.integers(3, VOCABULARY, length) for length in LENGTHS]


def batch_of(execution: str, kind: str, pad: int) -> Batch:
    """Lay the sequences out by hand: a row each, or one row as wide as a multiple of 32."""
    common = {
        "sample_ids_B": np.arange(len(SEQUENCES)),
        "lengths_B": np.array(LENGTHS),
        "segment_starts_B": np.array(STARTS) if kind == "ranking" else None,
        "sequences_B": np.array(SEQUENCES),
        "labels": None,
    }
    sequences = tokens_of_sequences()
    if execution == "padded":
        rows = np.full((len(sequences), max(LENGTHS)), pad)
        for row, tokens in zip(rows, sequences, strict=True):
            row[: len(tokens)] = tokens
        return Batch(input_ids_RW=rows, **common)
    row = np.append(np.concatenate(sequences), [pad] * (128 - sum(LENGTHS)))
    starts = np.cumsum(LENGTHS) - np.array(LENGTHS)
    return Batch(input_ids_RW=row[None], execution="unpadded", starts_B=starts, **common)


def one_by_one(model, kind: str, pooling: Pooling, *, typed: bool) -> torch.Tensor:
    """Return what a plain call of the model makes of each sequence alone."""
    found = []
    for tokens, start in zip(tokens_of_sequences(), STARTS, strict=True):
        inputs = {"input_ids": torch.from_numpy(tokens)[None]}
        if typed:
            after = torch.arange(len(tokens)) >= start
            inputs["token_type_ids"] = (after & (kind == "ranking")).long()[None]
        if kind == "ranking":
            found.append(model(**inputs).logits[0])
            continue
        [states] = model(**inputs).last_hidden_state
        vector = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1]}[pooling.mode]
        found.append(functional.normalize(vector, dim=0) if pooling.normalize else vector)
    return torch.stack(found)


def gradients_of(model, outputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradients of a weighted sum of outputs."""
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    (outputs * weights).sum().backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def check(
    name: str, kind: str, pooling: Pooling, execution: str, *, training: bool = True, kernel: str = "eager"
) -> None:
    config = row_config(name)
    typed = getattr(config, "type_vocab_size", 0) > 1
    plain = model_of(name, kind, kernel, training=training, in_rows=False)
    expected = one_by_one(plain, kind, pooling, typed=typed)
    assert (expected[1:] - expected[0]).abs().max() > 0.02, "the texts look alike to the model"
    gradients = gradients_of(plain, expected)

    rules = replace(TYPED if typed else UNTYPED, pad_id=config.pad_token_id)
    rules = replace(rules, pooling=pooling if kind == "embedding" else None)
    model = model_of(name, kind, kernel, training=training, in_rows=True)
    found = forward(model, batch_of(execution, kind, config.pad_token_id), kind, rules, device=CPU)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    own = gradients_of(model, found)
    assert own.keys() >= gradients.keys()
    for parameter, gradient in own.items():
        wanted = gradients.get(parameter, torch.zeros_like(gradient))
        rows = slice(None)
        if gradient.dim() == 2 and len(gradient) in (VOCABULARY, 64, 66):  # embeddings of tokens, or of positions
            rows = torch.arange(len(gradient)) != config.pad_token_id  # what stands at padding is seen by no one
        torch.testing.assert_close(gradient[rows], wanted[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("execution", ["padded", "unpadded"])
@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda pooling: pooling.mode)
@pytest.mark.parametrize("name", FAMILIES)
def test_embeddings_are_those_of_each_text_alone(name, pooling, execution):
    check(name, "embedding", pooling, execution)


@pytest.mark.parametrize("execution", ["padded", "unpadded"])
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_each_pair_alone(name, execution):
    check(name, "ranking", POOLINGS[0], execution)


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["embedding", "ranking"])
@pytest.mark.parametrize("name", ISSUE)
def test_both_kernels_score_and_train(name, kind, training, kernel):
    """Some kernels and layers behave otherwise in training."""
    for execution in ("padded", "unpadded"):
        check(name, kind, POOLINGS[2], execution, training=training, kernel=kernel)


@pytest.mark.parametrize("mode", ["mean", "cls", "last"])
def test_padding_on_either_side_is_left_out(mode):
    """Against the tokens of each row, cut out by hand; where padding stands are large numbers."""
    batch = batch_of("padded", "embedding", 0)
    states = torch.randn(len(LENGTHS), max(LENGTHS), 3, generator=torch.Generator().manual_seed(0))
    for pads_left in (False, True):
        rows = states.clone()
        found = [row[-length:] if pads_left else row[:length] for row, length in zip(states, LENGTHS, strict=True)]
        expected = torch.stack([{"mean": each.mean(0), "cls": each[0], "last": each[-1]}[mode] for each in found])
        for row, length in zip(rows, LENGTHS, strict=True):
            (row[: max(LENGTHS) - length] if pads_left else row[length:]).fill_(1e6)
        torch.testing.assert_close(pool_padded(rows, batch, Pooling(mode=mode), pads_left=pads_left), expected)


def test_a_model_of_the_hub_pools_as_its_own_files_say(tmp_path, monkeypatch):
    """From the cache of its files; the user's word goes first, and a model without such files has a mean."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--some--embedder/snapshots/0123456789abcdef0123456789abcdef01234567"
    (snapshot / "1_Pooling").mkdir(parents=True)
    (tmp_path / "models--some--embedder/refs").mkdir()
    (tmp_path / "models--some--embedder/refs/main").write_text(snapshot.name)
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    (snapshot / "modules.json").write_text(json.dumps(modules))
    (snapshot / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    found = choose_pooling("some/embedder", "bert", mode=None, normalize=False)
    assert found == Pooling(mode="cls", normalize=True)
    assert choose_pooling("some/embedder", "bert", mode="mean", normalize=False).mode == "mean"
    assert choose_pooling("some/other", "bert", mode=None, normalize=False) == Pooling(mode="mean")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": ["mean", "cls"]}, "mean and cls"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls and mean"),
        ({}, "nothing"),
    ],
)
def test_a_pooling_that_is_not_known_is_named_and_may_be_changed(config, named, tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    modules = [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as caught:
        choose_pooling(str(tmp_path), "bert", mode=None, normalize=False)
    assert caught.value.message == f"The model in {tmp_path} pools by {named}, which tdbs does not know."
    assert caught.value.next_step == "To train it with another, pass --pooling mean, cls or last."
    assert choose_pooling(str(tmp_path), "bert", mode="last", normalize=False) == Pooling(mode="last")
