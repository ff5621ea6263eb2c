"""A split to score a model on, whole or shortened by TokenDrop, and its scores; all samples count alike.

One function per kind takes the batches with their outputs, in any order: logits, or written token ids for seq2seq. What
is left of a shortened split is a split like any other, so what reads, batches and scores it does not know of TokenDrop.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from tokenizers import Tokenizer

from tdbs.arrays import BoolArray, FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import DatasetError
from tdbs.pipeline.dataset import PreparedDataset, Split, Targets, read_char_places, read_split, read_tokenizer
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.references import References, read_references
from tdbs.pipeline.schema import IGNORED
from tdbs.train.batches import Batch
from tdbs.train.scores.answers import answer_texts, best_spans, exact_match_and_f1, no_answer_scores, null_scores
from tdbs.train.scores.entities import entity_f1
from tdbs.train.scores.metrics import rouge, score_predictions
from tdbs.train.scores.no_answers import NO_ANSWER_METRICS, answers_at, no_answer_metrics
from tdbs.train.scores.retrieval import embedding_metrics, ranking_metrics
from tdbs.train.scores.sequence_groups import SequenceGroups, sequences_to_score
from tdbs.train.targets import moved_positions, padded

# Shapes: N samples of the split, N1 = N + 1, T its tokens, B samples of a batch, L its padded length, K its tokens,
# C outputs, M tokens written.

Metrics = dict[str, float | None]
Outputs = Iterable[tuple[Batch, torch.Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredSplit:
    """A split with labels, and what its predictions are scored against if that is text."""

    split: Split
    task: Task
    references: References | None = None
    char_places_T: tuple[IntArray, IntArray] | None = None  # question answering: characters of each token
    tokenizer: Tokenizer | None = None  # seq2seq: makes texts of token ids
    max_target_length: int | None = None
    groups: SequenceGroups | None = None  # embeddings and rerankers: the split has a sequence a sample then
    # question answering: above it a question gets an empty answer; infinity: never; None: the best one of this split
    no_answer_threshold: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BestAnswers:
    """The best span of each question over its windows, in the order of the source."""

    texts: list[str]
    scores_R: FloatArray  # sum of two logits; -inf if no window has one
    no_answer_R: FloatArray  # null score minus that score (no_answers.py)


def read_scored_split(dataset: PreparedDataset, name: str) -> ScoredSplit:
    """Read a split to score a model on. Raises DatasetError if it has no labels."""
    manifest = dataset.manifest
    split = read_split(dataset, name)
    if split.targets is None:
        raise DatasetError(f"The split {name} has no labels.", next_step="Evaluate on a labelled split.")
    info = manifest.splits[name].references
    kind, groups = manifest.task.kind, None
    if manifest.task.is_grouped:
        split, groups = sequences_to_score(split, distinct=kind == "embedding")
    return ScoredSplit(
        split=split,
        task=manifest.task,
        references=None if info is None else read_references(dataset.path, info),
        char_places_T=read_char_places(dataset, name) if kind == "question_answering" else None,
        tokenizer=read_tokenizer(dataset) if kind == "seq2seq" else None,
        max_target_length=manifest.max_target_length,
        groups=groups,
    )


def untuned_threshold(manifest: Manifest) -> float | None:
    """Return the no-answer threshold of a run that no split chooses one for; None: it answers every question.

    At 0 a question is answered if its best span scores at least as high as no answer.
    """
    trained_on = manifest.splits.get("train")
    return 0.0 if trained_on is not None and trained_on.unanswered else None


def given_threshold(of_run: float | None) -> float:
    """Return the threshold to score with, of a run's; infinity if it answers every question."""
    return math.inf if of_run is None else of_run


def score_outputs(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    """Return the task's metrics, 0 to 1 (correlations -1 to 1, None if not defined)."""
    found = _SCORES[held_out.task.kind](held_out, outputs)
    of_threshold = {name: value for name, value in found.items() if name in NO_ANSWER_METRICS}
    return {name: found[name] for name in held_out.task.metrics} | of_threshold


def predicted_answers(held_out: ScoredSplit, outputs: Outputs) -> BestAnswers:
    """Return the best answer to each question over its windows; no threshold is applied."""
    split, references = held_out.split, held_out.references
    if references is None or references.contexts is None or held_out.char_places_T is None:
        raise DatasetError(f"The split {split.name} has no contexts.", next_step="Prepare the dataset again.")
    char_starts_T, char_ends_T = held_out.char_places_T
    context_T = _context_tokens(split, char_starts_T, char_ends_T)
    scores_N = np.full(len(split.lengths_N), -np.inf)
    nulls_N = np.full(len(scores_N), np.nan)
    first_N = np.zeros(len(scores_N), dtype=np.int64)
    last_N = np.zeros(len(scores_N), dtype=np.int64)
    for batch, logits_BL2 in outputs:
        samples_B = batch.sample_ids_B
        positions_K = ragged_positions(split.token_offsets_N1[samples_B], batch.lengths_B)
        allowed_BL = padded(context_T[positions_K].astype(np.int64), batch.lengths_B, logits_BL2.shape[1], 0)
        allowed = torch.from_numpy(allowed_BL).bool().to(logits_BL2.device)
        starts_B, ends_B, scores_B = best_spans(logits_BL2[..., 0], logits_BL2[..., 1], allowed)
        first_N[samples_B] = split.token_offsets_N1[samples_B] + starts_B.cpu().numpy()
        last_N[samples_B] = split.token_offsets_N1[samples_B] + ends_B.cpu().numpy()
        scores_N[samples_B] = scores_B.cpu().numpy()
        nulls_N[samples_B] = null_scores(logits_BL2).cpu().numpy()
    rows_N = np.searchsorted(references.source_rows_R, split.source_rows_N)
    scores_R = np.full(len(references.contexts), -np.inf)
    np.fmax.at(scores_R, rows_N, scores_N)
    return BestAnswers(
        texts=answer_texts(references.contexts, rows_N, scores_N, char_starts_T[first_N], char_ends_T[last_N]),
        scores_R=scores_R,
        no_answer_R=no_answer_scores(rows_N, nulls_N, scores_R),
    )


def drop_tokens(held_out: ScoredSplit, dropped_T: BoolArray | None) -> ScoredSplit:
    """Return a split without the tokens that were dropped (of whole words that hold no label and no answer).

    It has no droppable words any more. None: nothing was dropped, and the split is as it was.
    """
    if dropped_T is None or not dropped_T.any():
        return held_out
    places = held_out.char_places_T
    return replace(
        held_out,
        split=shortened_split(held_out.split, dropped_T),
        char_places_T=None if places is None else (places[0][~dropped_T], places[1][~dropped_T]),
    )


def shortened_split(split: Split, dropped_T: BoolArray) -> Split:
    """Return a split without the tokens that were dropped, with no droppable words any more."""
    kept_before_T1 = offsets_of(~dropped_T)
    starts_N = split.segment_starts_N
    return replace(
        split,
        input_ids_T=split.input_ids_T[~dropped_T],
        token_offsets_N1=kept_before_T1[split.token_offsets_N1],
        word_starts_W=split.word_starts_W[:0],
        word_sizes_W=split.word_sizes_W[:0],
        word_offsets_N1=np.zeros_like(split.word_offsets_N1),
        segment_starts_N=None if starts_N is None else moved_positions(split, starts_N, dropped_T),
        targets=None if split.targets is None else _moved(split, split.targets, dropped_T),
    )


def _score_samples(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    logits, labels = zip(*((logits.cpu(), torch.from_numpy(batch.labels)) for batch, logits in outputs), strict=True)
    return score_predictions(held_out.task, torch.cat(logits), torch.cat(labels))


def _score_words(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    predicted, true, words = [], [], []
    for batch, logits_BLC in outputs:
        labels_BL = np.asarray(batch.labels)
        labelled_BL = labels_BL != IGNORED
        predicted.append(logits_BLC.argmax(dim=-1).cpu().numpy()[labelled_BL])
        true.append(labels_BL[labelled_BL])
        words.append(labelled_BL.sum(axis=1))
    offsets = offsets_of(np.concatenate(words))
    return {**entity_f1(np.concatenate(predicted), np.concatenate(true), offsets, held_out.task.classes)}


def _score_answers(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    """Return SQuAD v2's metrics if a question of the split has no answer, else those of v1.1."""
    references = [] if held_out.references is None else held_out.references.texts
    found, threshold = predicted_answers(held_out, outputs), held_out.no_answer_threshold
    if all(references):
        return {**exact_match_and_f1(answers_at(found.texts, found.no_answer_R, threshold), references)}
    return no_answer_metrics(found.texts, references, found.no_answer_R, threshold=threshold)


def _context_tokens(split: Split, char_starts_T: IntArray, char_ends_T: IntArray) -> BoolArray:
    """Return which tokens stand for characters of a context."""
    starts_N = np.zeros(len(split.lengths_N), dtype=np.int64)
    if split.segment_starts_N is not None:
        starts_N = split.segment_starts_N
    positions_T = np.arange(len(split.input_ids_T)) - np.repeat(split.token_offsets_N1[:-1], split.lengths_N)
    return (positions_T >= np.repeat(starts_N, split.lengths_N)) & (char_ends_T > char_starts_T)


def _score_texts(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    references, tokenizer = held_out.references, held_out.tokenizer
    if references is None or tokenizer is None:
        raise DatasetError(f"The split {held_out.split.name} has no targets.", next_step="Prepare the dataset again.")
    written: list[str] = []
    wanted: list[str] = []
    for batch, ids_BM in outputs:
        written.extend(tokenizer.decode_batch(ids_BM.cpu().tolist(), skip_special_tokens=True))
        wanted.extend(references.texts[sample][0] for sample in batch.sample_ids_B.tolist())
    return {**rouge(written, wanted)}


def _score_sequences(held_out: ScoredSplit, outputs: Outputs) -> Metrics:
    groups = held_out.groups
    if groups is None:
        raise ValueError("the split has no groups of sequences")
    samples, found = zip(*((batch.sample_ids_B, each.float().cpu()) for batch, each in outputs), strict=True)
    outputs_U = torch.cat(found)[np.argsort(np.concatenate(samples))]
    if held_out.task.kind == "ranking":
        return ranking_metrics(outputs_U[:, 0], groups)
    return embedding_metrics(held_out.task, outputs_U, groups)


def _moved(split: Split, targets: Targets, dropped_T: BoolArray) -> Targets:
    """Return targets that name tokens as they are once others are gone."""
    if targets.kind == "question_answering":
        return replace(targets, values=moved_positions(split, targets.values.astype(np.int64), dropped_T))
    if targets.kind == "token_classification":
        kept_before_T1 = offsets_of(~dropped_T)
        offsets_N1 = None if targets.offsets_N1 is None else kept_before_T1[targets.offsets_N1]
        return replace(targets, values=targets.values[~dropped_T], offsets_N1=offsets_N1)
    return targets


_SCORES: dict[TaskKind, Callable[[ScoredSplit, Outputs], Metrics]] = {
    "classification": _score_samples,
    "regression": _score_samples,
    "multi_label": _score_samples,
    "token_classification": _score_words,
    "question_answering": _score_answers,
    "seq2seq": _score_texts,
    "embedding": _score_sequences,
    "ranking": _score_sequences,
}
