"""Small models, samples and Trainers as users make them."""

from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from tests.integrations.hub import hub_tokenizer
from tests.train.row_models import row_config

LONGEST = 60
STEPS = 6


def model_of(family="bert", *, of_tokens=False, dropout=0.0, **fields: Any):
    config = row_config(family, outputs=fields.pop("outputs", 2))
    for name, value in ({"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout} | fields).items():
        if family == "bert" or name in fields:
            setattr(config, name, value)
    torch.manual_seed(0)
    kind = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
    return kind.from_config(config)


def trainer_of(data, out, *, model=None, kind=Trainer, collator=None, parts=None, **named: Any):
    """Return a Trainer of the first 64 samples, evaluated on the others."""
    options = {"max_steps": STEPS, "learning_rate": 1e-3, "logging_steps": 1, "seed": 4, "save_strategy": "no"}
    options |= {"report_to": [], "disable_tqdm": True, "use_cpu": True} | named
    return kind(
        model=model if model is not None or "model_init" in (parts or {}) else model_of(),
        args=TrainingArguments(str(out), **options),
        train_dataset=Dataset.from_list(data[:64]),
        eval_dataset=Dataset.from_list(data[64:]),
        data_collator=collator or DataCollatorWithPadding(hub_tokenizer()),
        **(parts or {}),
    )


def with_labels_of_tokens(data):
    return [
        {name: value for name, value in row.items() if name not in ("label", "index")}
        | {"labels": [token % 3 if token % 5 else -100 for token in row["input_ids"]]}
        for row in data
    ]


def token_case():
    collator = DataCollatorForTokenClassification(hub_tokenizer())
    return {"model": model_of(of_tokens=True, outputs=3), "collator": collator}
