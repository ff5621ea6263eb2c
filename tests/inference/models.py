"""Checkpoints of transformers with small random weights, and predictions made with transformers alone."""

from pathlib import Path

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tdbs.data.sample import TOKENIZER_FOLDER

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CLASSES = ("bad", "fair", "good")
MODELS = {
    "classification": BertForSequenceClassification,
    "regression": BertForSequenceClassification,
    "multi_label": BertForSequenceClassification,
    "token_classification": BertForTokenClassification,
    "question_answering": BertForQuestionAnswering,
    "headless": BertModel,
}
PROBLEMS = {
    "classification": "single_label_classification",
    "regression": "regression",
    "multi_label": "multi_label_classification",
}


def save_checkpoint(folder: Path, kind: str, tokenizer_folder: Path = TOKENIZER_FOLDER, **options: object) -> Path:
    """Save a model of a kind of task as transformers does, with its tokenizer."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_folder / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    torch.manual_seed(0)
    if kind == "seq2seq":
        config = T5Config(
            vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
        model = T5ForConditionalGeneration(config)
    else:
        labels = 1 if kind == "regression" else 2 if kind == "question_answering" else len(CLASSES)
        names = dict(enumerate(CLASSES[:labels]))
        known = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
        config = BertConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=128,
            initializer_range=0.4,  # scores that differ from text to text
            **SMALL,
            **(known | {"problem_type": PROBLEMS.get(kind)} | options),
        )
        model = MODELS[kind](config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def one_by_one(folder: Path, texts: list[str], pairs: list[str] | None = None, *, max_length: int = 128) -> np.ndarray:
    """Return the probabilities of each text, each a batch of its own, by transformers alone."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    takes_two = pairs is not None
    found = []
    for text, pair in zip(texts, pairs or texts, strict=True):
        given = tokenizer(
            text, pair if takes_two else None, truncation=True, max_length=max_length, return_tensors="pt"
        )
        with torch.inference_mode():
            found.append(torch.softmax(model(**given).logits[0], dim=-1).numpy())
    return np.array(found)


def answers_one_by_one(
    folder: Path, questions: list[str], contexts: list[str], *, max_length: int, stride: int, longest: int
) -> list[tuple[str, float]]:
    """Return the best answer of each question and its score: every span of every window, by transformers alone."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = BertForQuestionAnswering.from_pretrained(folder).eval()
    found = []
    for question, context in zip(questions, contexts, strict=True):
        given = tokenizer(
            question.lstrip(),
            context,
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        best = ("", -np.inf)
        for window in range(len(given["input_ids"])):
            inputs = {
                name: torch.tensor([given[name][window]]) for name in ("input_ids", "attention_mask", "token_type_ids")
            }
            with torch.inference_mode():
                output = model(**inputs)
            starts, ends = output.start_logits[0].numpy(), output.end_logits[0].numpy()
            own = [place for place, of in enumerate(given.sequence_ids(window)) if of == 1]
            for first in own:
                for last in range(first, min(first + longest, own[-1] + 1)):
                    score = float(starts[first] + ends[last])
                    if score > best[1]:
                        places = given["offset_mapping"][window]
                        best = (context[places[first][0] : places[last][1]], score)
        found.append(best)
    return found
