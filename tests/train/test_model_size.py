"""The sizes of a model by its config.json are those of the model that transformers makes of it."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    Qwen2Config,
    RobertaConfig,
)

from tdbs.train.planning.model_size import model_size

BERT = {"vocab_size": 5000, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
LLAMA = BERT | {"intermediate_size": 352}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**BERT, intermediate_size=512),
        RobertaConfig(**BERT, intermediate_size=512),
        ElectraConfig(**BERT, intermediate_size=512, embedding_size=64),
        DistilBertConfig(vocab_size=5000, dim=128, n_layers=3, n_heads=4, hidden_dim=512),
        ModernBertConfig(**LLAMA, pad_token_id=0),
        GPT2Config(vocab_size=5000, n_embd=128, n_layer=3, n_head=4),
        LlamaConfig(**LLAMA, num_key_value_heads=2),
        Qwen2Config(**LLAMA, num_key_value_heads=2),
    ],
    ids=lambda config: config.model_type,
)
def test_weights_are_counted_from_the_configuration(config, tmp_path):
    """Within 2 %; a pooler is part of the head."""
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.from_pretrained(tmp_path))
    weights = sum(value.numel() for name, value in model.named_parameters() if "pooler" not in name)
    size = model_size(config.to_dict())
    assert size.weights == pytest.approx(weights, rel=0.02)
    assert (size.layers, size.hidden, size.heads) == (3, 128, 4)


@pytest.mark.parametrize("config", [{}, {"model_type": "reformer", "hidden_size": 8}, {"model_type": "bert"}])
def test_a_model_that_was_not_counted_has_no_size(config):
    assert model_size(config) is None
