"""The scripts that anyone would write with sentence-transformers: the other arm of ours, trained and saved."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers, DefaultBatchSampler
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss, MultipleNegativesRankingLoss
from transformers import set_seed
from transformers.trainer_pt_utils import get_length_grouped_indices

from benchmarks.sentence_studies import TEMPERATURE, PeerArm, Study
from tdbs.settings import DEFAULT_WARMUP


class LengthBatches(DefaultBatchSampler):  # type: ignore[misc]  # sentence-transformers is not typed for mypy here
    """Batches of rows of like lengths, in characters: those of transformers' `group_by_length`."""

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        texts = [[value for value in row.values() if isinstance(value, str)] for row in self.sampler]
        lengths = [sum(map(len, row)) for row in texts]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = get_length_grouped_indices(lengths, self.batch_size, generator=generator)
        for first in range(0, len(order), self.batch_size):
            yield order[first : first + self.batch_size]


def train_peer(study: Study, arm: PeerArm, *, data: Path, model: str, seed: int, out: Path) -> float:
    """Train by sentence-transformers and save; return the seconds of training, without opening and saving."""
    set_seed(seed)  # the head of a cross-encoder is new
    rows = pl.read_ndjson(data / "train.jsonl")
    trainer = (_bi_encoder if study.task == "embedding" else _cross_encoder)(study, arm, rows, model, seed, out)
    clock = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - clock
    trainer.model.save(str(out), create_model_card=False)
    return seconds


def _bi_encoder(
    study: Study, arm: PeerArm, rows: pl.DataFrame, model: str, seed: int, out: Path
) -> SentenceTransformerTrainer:
    opened = SentenceTransformer(model, device="cpu", model_kwargs=_kernel(arm))
    opened.max_seq_length = study.max_length
    loss = (
        CosineSimilarityLoss(opened)
        if study.loss == "cosine"
        else MultipleNegativesRankingLoss(opened, scale=1 / TEMPERATURE)
    )
    arguments = SentenceTransformerTrainingArguments(**_arguments(study, arm, study.batch, seed, out))
    return SentenceTransformerTrainer(model=opened, args=arguments, train_dataset=Dataset(rows.to_arrow()), loss=loss)


def _cross_encoder(
    study: Study, arm: PeerArm, rows: pl.DataFrame, model: str, seed: int, out: Path
) -> CrossEncoderTrainer:
    opened = CrossEncoder(model, num_labels=1, max_length=study.max_length, device="cpu", model_kwargs=_kernel(arm))
    pairs = candidate_pairs(rows)
    batch = study.batch * (len(pairs) // len(rows))  # as many pairs in an update as ours has
    return CrossEncoderTrainer(
        model=opened,
        args=CrossEncoderTrainingArguments(**_arguments(study, arm, batch, seed, out)),
        train_dataset=Dataset(pairs.to_arrow()),
        loss=BinaryCrossEntropyLoss(opened),
    )


def candidate_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each candidate of a query: query, text, and the label 1.0 of the positive or 0.0."""
    positives = rows.select("query", text=pl.col("positive"), label=pl.lit(1.0))
    negatives = rows.select("query", text=pl.col("negatives")).explode("text").with_columns(label=pl.lit(0.0))
    return pl.concat([positives, negatives])


def _kernel(arm: PeerArm) -> dict[str, str]:
    return {} if arm.attention is None else {"attn_implementation": arm.attention}


def _arguments(study: Study, arm: PeerArm, batch: int, seed: int, out: Path) -> dict[str, Any]:
    sampler: Any = BatchSamplers.BATCH_SAMPLER
    if arm.by_length:
        sampler = LengthBatches
    elif arm.best and study.loss == "negatives":
        sampler = BatchSamplers.NO_DUPLICATES
    return {
        "output_dir": str(out),
        "per_device_train_batch_size": batch,
        "learning_rate": study.rate,
        "warmup_steps": DEFAULT_WARMUP,  # a share, as ours is
        "num_train_epochs": study.epochs,
        "use_cpu": True,
        "seed": seed,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "batch_sampler": sampler,
        **arm.arguments,
    }
