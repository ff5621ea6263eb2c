"""Rows without padding go to a model without an attention mask: every family takes that for a mask of ones."""

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
)

from tdbs.train.batches import Batch
from tdbs.train.models.inputs import model_inputs
from tests.train.rules import UNTYPED

CPU = torch.device("cpu")
WORDS, PAD = 50, 1
SMALL = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
}
ENCODERS: list[PretrainedConfig] = [
    BertConfig(**SMALL),
    RobertaConfig(**SMALL),
    XLMRobertaConfig(**SMALL),
    ElectraConfig(**SMALL, embedding_size=16),
    AlbertConfig(**SMALL, embedding_size=16),
    MPNetConfig(**SMALL),
    DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["c2p", "p2c"]),
    DistilBertConfig(vocab_size=WORDS, dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=PAD),
    ModernBertConfig(**SMALL, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, local_attention=4),
    GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=2, n_head=2, n_positions=64, pad_token_id=PAD),
]
WRITERS: list[PretrainedConfig] = [
    T5Config(
        vocab_size=WORDS,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        pad_token_id=PAD,
        decoder_start_token_id=PAD,
        eos_token_id=2,
    ),
    BartConfig(
        vocab_size=WORDS,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        pad_token_id=PAD,
        bos_token_id=3,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    ),
]


def a_batch(lengths: list[int]) -> Batch:
    generator = np.random.default_rng(5)  # tests may make their own
    width = max(lengths)
    return Batch(
        sample_ids_B=np.arange(len(lengths)),
        input_ids_RW=np.where(
            np.arange(width) < np.array(lengths)[:, None], generator.integers(4, WORDS, (len(lengths), width)), PAD
        ),
        lengths_B=np.array(lengths),
        segment_starts_B=None,
        labels=None,
    )


def test_only_batches_with_padding_have_a_mask() -> None:
    assert set(model_inputs(a_batch([7, 7, 7]), UNTYPED, device=CPU)) == {"input_ids"}
    inputs = model_inputs(a_batch([7, 2]), UNTYPED, device=CPU)
    assert inputs["attention_mask"].tolist() == [[1] * 7, [1, 1, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("config", ENCODERS, ids=lambda config: config.model_type)
def test_encoders_take_no_mask_for_a_mask_of_ones(config: PretrainedConfig, attention: str) -> None:
    if config.model_type in ("deberta-v2", "mpnet"):
        attention = "eager"  # they have no other
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention).eval()
    inputs = model_inputs(a_batch([9, 9, 9]), UNTYPED, device=CPU)
    gradients = []
    for more in ({}, {"attention_mask": torch.ones_like(inputs["input_ids"])}):
        model.zero_grad()
        model(**inputs, **more).logits.square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
    for without, with_ones in zip(*gradients, strict=True):
        torch.testing.assert_close(without, with_ones)


@pytest.mark.parametrize("config", WRITERS, ids=lambda config: config.model_type)
def test_writers_write_the_same_without_a_mask(config: PretrainedConfig) -> None:
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    inputs = model_inputs(a_batch([9, 9, 9]), UNTYPED, device=CPU)
    ones = {"attention_mask": torch.ones_like(inputs["input_ids"])}
    targets = {"decoder_input_ids": inputs["input_ids"][:, :5]}
    torch.testing.assert_close(model(**inputs, **targets).logits, model(**inputs, **ones, **targets).logits)
    options = {"max_new_tokens": 6, "num_beams": 1, "do_sample": False}
    assert model.generate(**inputs, **options).tolist() == model.generate(**inputs, **ones, **options).tolist()
