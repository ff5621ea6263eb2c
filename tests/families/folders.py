"""Folders of small models with random weights and tokenizers of their own, made on the spot for each family.

Weights are scaled so that predictions spread: a model that says the same of every text hides every fault. Tokenizers
are those that transformers has for the family, over a vocabulary of some hundred words.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = [f"w{number}" for number in range(200)] + ["the", "a", "of", "and", "it", "is", "not"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
ROOM = 192  # tokens that the models take
BERTS = {**SIZES, "max_position_embeddings": ROOM + 8}
SPREAD = 0.2  # P(class 1) over some texts
OUTPUTS = {"classification": 2, "regression": 1, "token_classification": 3, "question_answering": 2}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model: its configuration, and the special tokens that its tokenizer puts around texts."""

    name: str
    config: str  # a class of transformers
    sizes: dict[str, Any]
    specials: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids in this order; pad and unknown first
    single: str = "[CLS] $A [SEP]"
    pair: str = "[CLS] $A [SEP] $B:1 [SEP]:1"
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")
    side: str = "right"
    named: dict[str, str] = field(default_factory=dict)  # special tokens by their names in transformers
    pad: bool = True
    tokenizer_class: str | None = None  # of byte-level BPE: transformers makes these anew from words and merges

    def ids(self) -> dict[str, int]:
        """Return the id of each token."""
        return {token: number for number, token in enumerate([*self.specials, *WORDS])}


def _kind(name: str, config: str, sizes: dict[str, Any], **given: Any) -> Family:
    return Family(name=name, config=config, sizes=sizes, **given)


TYPED = ("input_ids", "token_type_ids", "attention_mask")
ROBERTAS: dict[str, Any] = {
    "specials": ("<s>", "<pad>", "</s>", "<unk>"),
    "single": "<s> $A </s>",
    "pair": "<s> $A </s> </s> $B </s>",
    "named": {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"},
}
DECODERS: dict[str, Any] = {
    "specials": ("<unk>", "<s>", "</s>"),
    "single": "$A",
    "pair": "$A $B",
    "pad": False,
    "named": {"eos_token": "</s>"},
}
FAMILIES = {
    family.name: family
    for family in (
        _kind("bert", "BertConfig", BERTS, input_names=TYPED),
        _kind("bert, foreign tokenizer", "BertConfig", {**BERTS, "type_vocab_size": 2}, **ROBERTAS),
        _kind("roberta", "RobertaConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
        _kind("xlm-roberta", "XLMRobertaConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
        _kind("camembert", "CamembertConfig", {**BERTS, "type_vocab_size": 1}, **ROBERTAS),
        _kind("electra", "ElectraConfig", {**BERTS, "embedding_size": 16}, input_names=TYPED),
        _kind(
            "modernbert",
            "ModernBertConfig",
            {**BERTS, "local_attention": 16, "global_attn_every_n_layers": 3},
            named={"cls_token": "[CLS]", "sep_token": "[SEP]"},
        ),
        _kind(
            "distilbert",
            "DistilBertConfig",
            {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": ROOM},
        ),
        _kind("albert", "AlbertConfig", {**BERTS, "embedding_size": 16}, input_names=TYPED),
        _kind("mpnet", "MPNetConfig", BERTS, **ROBERTAS),
        _kind(
            "deberta-v2",
            "DebertaV2Config",
            {
                **BERTS,
                "relative_attention": True,
                "pos_att_type": ["c2p", "p2c"],
                "position_buckets": 8,
                "max_relative_positions": -1,
                "position_biased_input": False,
                "type_vocab_size": 0,
            },
            input_names=TYPED,
        ),
        _kind(
            "xlnet",
            "XLNetConfig",
            {"d_model": 32, "n_layer": 3, "n_head": 2, "d_inner": 64},
            specials=("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>"),
            single="$A <sep> <cls>:2",
            pair="$A <sep> $B:1 <sep>:1 <cls>:2",
            input_names=TYPED,
            side="left",
            named={"cls_token": "<cls>", "sep_token": "<sep>"},
        ),
        _kind(
            "funnel",
            "FunnelConfig",
            {
                "d_model": 32,
                "n_head": 2,
                "d_head": 16,
                "d_inner": 64,
                "block_sizes": [1, 1, 1],
                "num_decoder_layers": 1,
            },
            single="[CLS]:2 $A [SEP]",
            pair="[CLS]:2 $A [SEP] $B:1 [SEP]:1",
            input_names=TYPED,
        ),
        _kind("longformer", "LongformerConfig", {**BERTS, "attention_window": 16, "type_vocab_size": 1}, **ROBERTAS),
        _kind("big_bird", "BigBirdConfig", {**BERTS, "block_size": 64, "num_random_blocks": 3}, **ROBERTAS),
        _kind(
            "bart",
            "BartConfig",
            {
                "d_model": 32,
                "encoder_layers": 2,
                "decoder_layers": 2,
                "encoder_attention_heads": 2,
                "decoder_attention_heads": 2,
                "encoder_ffn_dim": 64,
                "decoder_ffn_dim": 64,
                "max_position_embeddings": ROOM,
            },
            **ROBERTAS,
        ),
        _kind(
            "t5",
            "T5Config",
            {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
            specials=("<pad>", "</s>", "<unk>"),
            single="$A </s>",
            pair="$A </s> $B </s>",
            named={"eos_token": "</s>"},
        ),
        _kind(
            "gpt2",
            "GPT2Config",
            {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": ROOM},
            tokenizer_class="GPT2Tokenizer",
            **DECODERS,
        ),
        _kind(
            "llama",
            "LlamaConfig",
            {**BERTS, "num_key_value_heads": 1},
            side="left",
            specials=DECODERS["specials"],
            single="<s> $A",
            pair="<s> $A <s> $B",
            pad=False,
            named={"bos_token": "<s>", "eos_token": "</s>"},
        ),
        _kind(
            "qwen2",
            "Qwen2Config",
            {
                **BERTS,
                "num_key_value_heads": 1,
                "use_sliding_window": True,
                "sliding_window": 16,
                "max_window_layers": 1,
            },
            tokenizer_class="Qwen2Tokenizer",
            **DECODERS,
        ),
    )
}


def family_tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """Return the family's tokenizer: one token a word."""
    ids = family.ids()
    if family.tokenizer_class is not None:
        return _byte_level(family)
    unknown = next(token for token in family.specials if "unk" in token.lower())
    backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    used = [(token, number) for token, number in ids.items() if token in family.specials]
    backend.post_processor = processors.TemplateProcessing(single=family.single, pair=family.pair, special_tokens=used)
    pad = next((token for token in family.specials if "pad" in token.lower()), None)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=unknown,
        pad_token=pad,
        padding_side=family.side,
        model_input_names=list(family.input_names),
        model_max_length=ROOM,
        **family.named,
    )


def _byte_level(family: Family) -> PreTrainedTokenizerFast:
    """Return a tokenizer of GPT-2's kind: merges make each word with the space before it one token."""
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [" ".join(WORDS)] * 3, vocab_size=600, min_frequency=1, special_tokens=["</s>"], show_progress=False
    )
    parts = json.loads(trained.to_str())["model"]
    return getattr(transformers, family.tokenizer_class)(
        vocab=parts["vocab"],
        merges=[tuple(merge) for merge in parts["merges"]],
        model_max_length=ROOM,
        **dict.fromkeys(("unk_token", "bos_token", "eos_token"), "</s>"),
        pad_token=None,
    )


def family_config(family: Family, kind: str, **more: Any) -> transformers.PretrainedConfig:
    """Return the configuration of a small model with a head for a kind of task, without dropout."""
    ids = family_tokenizer(family).get_vocab()
    named = {
        f"{name.removesuffix('_token')}_token_id": ids[token]
        for name, token in {**family.named, "pad_token": _pad(family)}.items()
        if token is not None
    }
    config = getattr(transformers, family.config)(
        vocab_size=len(ids),
        id2label={number: f"class {number}" for number in range(OUTPUTS.get(kind, 2))},
        **{**family.sizes, **named, **more},
    )
    for name, value in config.to_dict().items():
        if ("drop" in name) and isinstance(value, float):
            setattr(config, name, 0.0)
    return config


def _pad(family: Family) -> str | None:
    return next((token for token in family.specials if "pad" in token.lower()), None) if family.pad else None


HEADS: dict[str, Any] = {
    "classification": transformers.AutoModelForSequenceClassification,
    "regression": transformers.AutoModelForSequenceClassification,
    "token_classification": transformers.AutoModelForTokenClassification,
    "question_answering": transformers.AutoModelForQuestionAnswering,
}


def save_family(
    family: Family,
    folder: Path,
    *,
    kind: str = "classification",
    spread_over: Callable[[Any, Any], float] | None = None,
    **more: Any,
) -> Path:
    """Save a model and its tokenizer as transformers does; weights are drawn until predictions spread."""
    tokenizer = family_tokenizer(family)
    config = family_config(family, kind, **more)
    for seed in range(50):
        torch.manual_seed(seed)
        model = HEADS[kind].from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.3)
        if spread_over is None or spread_over(model, tokenizer) >= SPREAD:
            break
    else:
        raise AssertionError(f"{family.name}: no weights with spread predictions")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
