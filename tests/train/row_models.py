"""A small model of each family whose rows may hold several samples; windows are shorter than most samples."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tdbs.train.rows.models import use_sequences

VOCABULARY, OUTPUTS = 50, 3
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
BERT_LIKE = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 64}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
DECODER = {**BERT_LIKE, "num_key_value_heads": 1, "pad_token_id": 0}
WINDOW = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 4}
DISENTANGLED = {
    **BERT_LIKE,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
XLM = {"vocab_size": VOCABULARY, "emb_dim": 16, "n_layers": 3, "n_heads": 2, "max_position_embeddings": 64}
_SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", {"pad_token_id": 0, **BERT_LIKE}),
    "electra": ("ElectraConfig", {"pad_token_id": 0, "embedding_size": 8, **BERT_LIKE}),
    "ernie": ("ErnieConfig", {"pad_token_id": 0, **BERT_LIKE}),
    "layoutlm": ("LayoutLMConfig", {"pad_token_id": 0, **BERT_LIKE}),
    "roberta": ("RobertaConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "xlm-roberta": ("XLMRobertaConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "xlm-roberta-xl": ("XLMRobertaXLConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "camembert": ("CamembertConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "data2vec-text": ("Data2VecTextConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "roberta-prelayernorm": ("RobertaPreLayerNormConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "megatron-bert": ("MegatronBertConfig", {"pad_token_id": 0, **BERT_LIKE}),
    "rembert": (
        "RemBertConfig",
        {"pad_token_id": 0, "input_embedding_size": 8, "output_embedding_size": 8, **BERT_LIKE},
    ),
    "roformer": ("RoFormerConfig", {"pad_token_id": 0, **BERT_LIKE}),
    "deberta": ("DebertaConfig", {"pad_token_id": 0, **DISENTANGLED}),
    "deberta-v2": ("DebertaV2Config", {"pad_token_id": 0, "position_buckets": 8, **DISENTANGLED}),
    "deberta-v2, shared": (
        "DebertaV2Config",
        {
            "pad_token_id": 0,
            **DISENTANGLED,
            "position_buckets": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": True,
            "type_vocab_size": 2,
        },
    ),
    "mpnet": ("MPNetConfig", {"pad_token_id": 1, **BERT_LIKE}),
    "distilbert": (
        "DistilBertConfig",
        {"vocab_size": VOCABULARY, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "pad_token_id": 0},
    ),
    "jina_embeddings_v3": ("JinaEmbeddingsV3Config", {**BERT_LIKE, "pad_token_id": 1}),
    "albert": ("AlbertConfig", {"pad_token_id": 0, "embedding_size": 8, **BERT_LIKE}),
    "nomic_bert": ("NomicBertConfig", {**BERT_LIKE, "head_dim": 8, "pad_token_id": 0}),
    "xlm": ("XLMConfig", {**XLM, "pad_token_id": 2}),
    "flaubert": ("FlaubertConfig", {**XLM, "pad_token_id": 2}),
    "modernbert": (
        "ModernBertConfig",
        {**BERT_LIKE, **TOKENS, "local_attention": 8, "global_attn_every_n_layers": 3, "classifier_pooling": "cls"},
    ),
    "modernbert, mean": (
        "ModernBertConfig",
        {**BERT_LIKE, **TOKENS, "local_attention": 8, "global_attn_every_n_layers": 3, "classifier_pooling": "mean"},
    ),
    "eurobert": ("EuroBertConfig", {**DECODER, "classifier_pooling": "bos", "num_key_value_heads": 1}),
    "eurobert, mean": ("EuroBertConfig", {**DECODER, "classifier_pooling": "mean", "num_key_value_heads": 1}),
    "eurobert, late": ("EuroBertConfig", {**DECODER, "classifier_pooling": "late", "num_key_value_heads": 1}),
    "gpt2": (
        "GPT2Config",
        {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "pad_token_id": 0},
    ),
    "gpt2, scaled": (
        "GPT2Config",
        {
            "vocab_size": VOCABULARY,
            "n_embd": 16,
            "n_layer": 3,
            "n_head": 2,
            "n_positions": 64,
            "pad_token_id": 0,
            "scale_attn_by_inverse_layer_idx": True,
        },
    ),
    "gpt_neox": ("GPTNeoXConfig", {**BERT_LIKE, "pad_token_id": 0}),
    "opt": (
        "OPTConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "num_hidden_layers": 3,
            "ffn_dim": 32,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 16,
            "pad_token_id": 1,
        },
    ),
    "llama": ("LlamaConfig", DECODER),
    "llama, open": ("LlamaConfig", {**DECODER, "is_causal": False}),
    "qwen2, open": (
        "Qwen2Config",
        {**DECODER, "is_causal": False, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "gemma3_text, open": (
        "Gemma3TextConfig",
        {**DECODER, "head_dim": 8, **WINDOW, "use_bidirectional_attention": True},
    ),
    "mistral": ("MistralConfig", {**DECODER, "sliding_window": 4}),
    "qwen2": ("Qwen2Config", {**DECODER, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3": ("Qwen3Config", {**DECODER, "head_dim": 8}),
    "gemma": ("GemmaConfig", {**DECODER, "head_dim": 8}),
    "gemma2": ("Gemma2Config", {**DECODER, "head_dim": 8, **WINDOW, "attn_logit_softcapping": 5.0}),
    "gemma3_text": ("Gemma3TextConfig", {**DECODER, "head_dim": 8, **WINDOW}),
    "phi": ("PhiConfig", DECODER),
    "phi3": ("Phi3Config", {**DECODER, "sliding_window": 4}),
    "smollm3": ("SmolLM3Config", {**DECODER, "no_rope_layers": [1, 0, 1]}),
    "olmo": ("OlmoConfig", DECODER),
    "olmo2": ("Olmo2Config", DECODER),
    "starcoder2": ("Starcoder2Config", {**DECODER, "sliding_window": 4}),
    "stablelm": ("StableLmConfig", DECODER),
}
NAMES = tuple(_SIZES)


def family_name(name: str) -> str:
    """Return the `model_type` of a model of the table."""
    return name.split(",", maxsplit=1)[0]


def row_config(name: str, *, outputs: int = OUTPUTS) -> Any:
    """Return the configuration of a model, without dropout."""
    config_class, sizes = _SIZES[name]
    config = getattr(transformers, config_class)(**sizes, num_labels=outputs)
    for field, value in config.to_dict().items():
        if ("drop" in field or "pdrop" in field) and isinstance(value, float):
            setattr(config, field, 0.0)
    return config


def save_row_model(name: str, folder: Path, *, vocabulary: int, positions: int = 128) -> str:
    """Save a model of the table with two classes, for a tokenizer and a length."""
    config = row_config(name, outputs=2)
    config.vocab_size, config.max_position_embeddings = vocabulary, positions
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return str(folder)


def random_model(made_by: Any, config: Any, kernel: str, *, in_rows: bool) -> Any:
    """Return a model of one of transformers' classes, with the same random weights whatever its kernel and its rows.

    Skips if transformers has no such kernel for the family.
    """
    torch.manual_seed(3)
    try:
        model = made_by.from_config(config, attn_implementation=kernel).float()
    except ValueError as refused:
        if "does not support" not in str(refused):
            raise
        pytest.skip(f"transformers has no {kernel} for {config.model_type}")
    with torch.no_grad():
        for parameter in model.parameters():  # initial weights are so small that all outputs look alike
            parameter.add_(torch.randn_like(parameter) * 0.2)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):  # some heads have their own rate
            module.p = 0.0
    if in_rows:
        use_sequences(model, kernel)
    return model
