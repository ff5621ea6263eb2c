"""The script that anyone would write: transformers' Trainer on SST-2 with a padding collator, the other arm of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tdbs.settings import DEFAULT_WARMUP

# what a script says besides its data; fp32 is the Trainer's default
ARMS: Mapping[str, Mapping[str, Any]] = {
    "Trainer, its defaults": {},
    "Trainer, bf16": {"bf16": True},
    "Trainer, group_by_length": {"train_sampling_strategy": "group_by_length"},
    "Trainer, group_by_length, bf16": {"train_sampling_strategy": "group_by_length", "bf16": True},
}


def arms_of(precision: str) -> list[str]:
    """Return the scripts to compare with in fp32, or beside bf16: `group_by_length` in the same, defaults in both."""
    if precision == "bf16":
        return ["Trainer, its defaults", "Trainer, bf16", "Trainer, group_by_length, bf16"]
    return ["Trainer, its defaults", "Trainer, group_by_length"]


def sst2(mirror: Path, split: str, *, model: str) -> Dataset:
    """Return a split of SST-2, tokenized by the model's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    table = pq.read_table(mirror / "glue" / "sst2" / f"{split}.parquet", columns=["sentence", "label"])
    return Dataset(table).map(
        lambda batch: tokenizer(batch["sentence"], truncation=True, max_length=128),
        batched=True,
        remove_columns=["sentence"],
        keep_in_memory=True,
    )


def trainer_of(
    name: str,
    rows: Dataset,
    *,
    model: str,
    folder: Path,
    batch: int,
    rate: float,
    seed: int,
    steps: int = -1,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trainer:
    """Return a Trainer that pads each batch to its longest sample; kernel and optimizer are its own.

    It trains an epoch, or some steps of one.
    """
    return Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=2),
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=batch,
            learning_rate=rate,
            warmup_steps=DEFAULT_WARMUP,  # a share, as ours is
            use_cpu=True,
            seed=seed,
            num_train_epochs=1,
            max_steps=steps,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **ARMS[name],
        ),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(model)),
        callbacks=list(callbacks),
    )
