"""Does TokenDrop flip predictions? Compare a trained model on a whole split and with words dropped, per sample.

Words are dropped at a global rate (paper, Algorithm 1), however the run was trained. A flip is a prediction that
differs. Counts of the dropped words suggest a cause but do not prove it: a sample loses several words at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tdbs.analysis.conditions.times import Trained, open_trained
from tdbs.arrays import BoolArray, IntArray
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, Split, read_split, read_tokenizer
from tdbs.train.batches import epoch_batches
from tdbs.train.evaluate import length_order_plan, own_dataset
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.run_folder import read_run
from tdbs.train.scores.scoring import ScoredSplit, drop_tokens

DEFAULT_RATE = 0.3  # the paper's Table 8
_KINDS = ("classification", "multi_label")

# Shapes: N samples, W words, C outputs.


@dataclass(frozen=True, kw_only=True, slots=True)
class WordFlips:
    """One word: in how many samples it was dropped, and how many of those flipped."""

    word: str
    samples: int
    flips: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Flips:
    """Predictions that differ once words are dropped; the fields are JSON keys of `tdbs evaluate --flips`."""

    split: str
    drop_rate: float
    rows: int
    changed: int  # samples that lost a word
    flips: int
    share: float  # flips / rows
    by_word: Sequence[WordFlips]  # most flips first


def count_flips(
    run: str | Path,
    *,
    split: str | None = None,
    dataset: PreparedDataset | None = None,
    drop_rate: float = DEFAULT_RATE,
    seed: int = 0,
) -> Flips:
    """Return how many predictions of a run's model flip on a split when words are dropped at a rate.

    Raises ConfigError if the task predicts no classes, or forbids dropping.
    """
    opened = own_dataset(read_run(Path(run))) if dataset is None else dataset
    task = opened.manifest.task
    if task.kind not in _KINDS:
        raise ConfigError(
            f"--flips needs a task that predicts classes of whole samples; this task is {task.kind.replace('_', ' ')}.",
            next_step="Leave --flips out.",
        )
    if task.drop_forbidden:
        raise ConfigError(f"Task '{task.name}' {task.drop_forbidden}.", next_step="Leave --flips out.")
    strategy = resolve_strategy("random", task, {"drop": "rate", "drop_rate": drop_rate}, in_rows=False)
    held_out = ScoredSplit(split=replace(read_split(opened, split or task.scored_split), targets=None), task=task)
    words = words_of_split(held_out.split, strategy, opened.manifest.tokenizer)
    plan = length_order_plan(held_out.split.lengths_N)
    dropped_T = dropped_tokens(held_out.split, words, strategy, plan, opened.manifest.tokenizer, seed=seed)
    if dropped_T is None:
        dropped_T = np.zeros(len(held_out.split.input_ids_T), dtype=np.bool_)
    trained = open_trained(Path(run), opened)
    before_NC = _predictions(trained, held_out)
    shorter = drop_tokens(held_out, dropped_T)
    after_NC = _predictions(trained, shorter)
    flipped_N = (before_NC != after_NC).any(axis=1)
    rows = len(flipped_N)
    return Flips(
        split=held_out.split.name,
        drop_rate=drop_rate,
        rows=rows,
        changed=int((shorter.split.lengths_N < held_out.split.lengths_N).sum()),
        flips=int(flipped_N.sum()),
        share=float(flipped_N.mean()),
        by_word=_by_word(opened, held_out.split, dropped_T, flipped_N),
    )


def _predictions(trained: Trained, held_out: ScoredSplit) -> IntArray:
    """Return the predicted class of each sample, or its flags, in sample_id order (N x C)."""
    plan = length_order_plan(held_out.split.lengths_N)
    batches = epoch_batches(held_out.split, plan, None, pad_id=trained.pad_id)
    with trained.inference():
        logits_NC = torch.cat([trained.outputs(held_out, batch).cpu() for batch in batches])
    is_several = held_out.task.kind == "multi_label"
    predicted_NC = logits_NC > 0 if is_several else logits_NC.argmax(dim=1, keepdim=True)
    found_NC = np.empty(predicted_NC.shape, dtype=np.int64)
    found_NC[plan.sample_ids_N] = predicted_NC.numpy()
    return found_NC


def _by_word(dataset: PreparedDataset, split: Split, dropped_T: BoolArray, flipped_N: BoolArray) -> list[WordFlips]:
    """Return the dropped words with the samples that lost them; each sample counts once for a word."""
    rows_W = np.repeat(np.arange(len(flipped_N)), np.diff(split.word_offsets_N1))
    firsts_W = split.token_offsets_N1[rows_W] + split.word_starts_W
    gone = np.flatnonzero(dropped_T[firsts_W])
    tokenizer = read_tokenizer(dataset)
    ids = [split.input_ids_T[firsts_W[w] : firsts_W[w] + split.word_sizes_W[w]].tolist() for w in gone]
    texts = [text.strip().lower() for text in tokenizer.decode_batch(ids)]
    lost = sorted(set(zip(texts, rows_W[gone].tolist(), strict=True)))
    words, word_of = np.unique(np.array([word for word, _ in lost], dtype=str), return_inverse=True)
    samples = np.bincount(word_of, minlength=len(words))
    flips = np.bincount(word_of, weights=flipped_N[[row for _, row in lost]], minlength=len(words)).astype(np.int64)
    counted = [
        WordFlips(word=str(word), samples=int(count), flips=int(flipped))
        for word, count, flipped in zip(words, samples, flips, strict=True)
    ]
    return sorted(counted, key=lambda found: (-found.flips, -found.samples, found.word))
