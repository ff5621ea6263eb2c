"""Folders of small models with random weights and tokenizers of their own, made on the spot for each family.

Weights are scaled so that predictions spread: a model that says the same of every text hides every fault. Tokenizers
are those that transformers has for the family, over a vocabulary of some hundred words.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.families.table import ROOM, WORDS, Family

SPREAD = 0.2  # P(class 1) over some texts
OUTPUTS = {"classification": 2, "regression": 1, "token_classification": 3, "question_answering": 2}


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
    "multi_label": transformers.AutoModelForSequenceClassification,
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
