"""Logits become rows of the output: a prediction and its scores, by kind of task, in the order of the input.

| kind | `prediction` | `scores` |
|---|---|---|
| classification | the class | a probability for each class |
| multi_label | the classes above one half | a probability for each class |
| regression | the number, or one for each target | |
| token_classification | a class for each word; null for words that were cut off | the probability of each of them |
| question_answering | the answer's text, or "" | start and end logit together |
| seq2seq | the text that is written | |

Embeddings have a column `embedding`, pairs of a reranker a `score`, and queries with candidates `scores` and `ranks`
(rankings.py).

If a run learned questions without an answer, `no_answer` is the null score minus that score; above the run's threshold
the answer is "".
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from tdbs.arrays import BoolArray, FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.data.tasks import TaskKind
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.described import ACTIVATIONS
from tdbs.inference.encode import Encoded
from tdbs.inference.rankings import EMBEDDING, RANKS, SCORE, SCORES, decode_embeddings, decode_scores
from tdbs.inference.sample_outputs import Column, Decoded, Outputs, logits_of_samples
from tdbs.pipeline.references import References
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.train.scores.no_answers import answers_at
from tdbs.train.scores.scoring import ScoredSplit, predicted_answers

# Shapes: R rows of the block, N samples, B samples of a batch, L its padded length, K its tokens, C outputs, W words,
# M tokens written.

PREDICTION, NO_ANSWER = "prediction", "no_answer"
Decode = Callable[[Encoded, Outputs, Checkpoint], Decoded]


def prediction_schema(checkpoint: Checkpoint, *, ranks: bool = False, half: bool = False) -> pa.Schema:
    """Return the columns of a model's output; with `ranks`, of queries with candidates; `half`: 16 bits a number."""
    task = checkpoint.task
    by_class = pa.struct([(label, pa.float32()) for label in task.classes])
    several = task.kind == "regression" and task.outputs > 1
    ranked = {SCORES: pa.list_(pa.float32()), RANKS: pa.list_(pa.int32())}
    has_no_answers = checkpoint.no_answer_threshold is not None
    columns: dict[TaskKind, dict[str, pa.DataType]] = {
        "classification": {PREDICTION: pa.string(), SCORES: by_class},
        "multi_label": {PREDICTION: pa.list_(pa.string()), SCORES: by_class},
        "regression": {PREDICTION: pa.list_(pa.float32()) if several else pa.float32()},
        "token_classification": {PREDICTION: pa.list_(pa.string()), SCORES: pa.list_(pa.float32())},
        "question_answering": {
            PREDICTION: pa.string(),
            SCORES: pa.float32(),
            **({NO_ANSWER: pa.float32()} if has_no_answers else {}),
        },
        "seq2seq": {PREDICTION: pa.string()},
        "embedding": ranked if ranks else {EMBEDDING: pa.list_(pa.float16() if half else pa.float32())},
        "ranking": ranked if ranks else {SCORE: pa.float32()},
    }
    return pa.schema([(SOURCE_ROW, pa.int64()), *columns[task.kind].items()])


def decode(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    """Return the predictions of a block's rows in their order, as plain values: real time takes them as they are."""
    return _DECODE[checkpoint.task.kind](encoded, outputs, checkpoint)


def prediction_table(rows_R: IntArray, decoded: Decoded, schema: pa.Schema) -> pa.Table:
    """Return predictions as rows of the output; `rows_R` are their numbers in the source."""
    rows, *others = schema
    columns = [pa.array(rows_R, rows.type), *(_array(decoded.get(field.name, []), field.type) for field in others)]
    return pa.table(columns, schema=schema)


def _array(values: Column, kind: pa.DataType) -> pa.Array:
    """Return a column; an array of embeddings becomes a list of numbers a row."""
    if isinstance(values, list):
        return pa.array(values, kind)
    offsets_R1 = offsets_of(np.full(len(values), values.shape[1])).astype(np.int32)
    return pa.ListArray.from_arrays(offsets_R1, pa.array(values.ravel()).cast(kind.value_type))


def _class(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    scores_NC = torch.softmax(logits_of_samples(encoded, outputs), dim=1).numpy()
    classes = checkpoint.task.classes
    best = [classes[best] for best in scores_NC.argmax(axis=1).tolist()]
    return {PREDICTION: best, SCORES: _by_class(classes, scores_NC)}


def _classes(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    scores_NC = torch.sigmoid(logits_of_samples(encoded, outputs)).numpy()
    classes = checkpoint.task.classes
    holding = [[classes[c] for c in np.flatnonzero(holds_C).tolist()] for holds_C in scores_NC > 0.5]
    return {PREDICTION: holding, SCORES: _by_class(classes, scores_NC)}


def _numbers(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    numbers_NC = ACTIVATIONS[checkpoint.activation](logits_of_samples(encoded, outputs)).numpy()
    return {PREDICTION: (numbers_NC[:, 0] if numbers_NC.shape[1] == 1 else numbers_NC).tolist()}


def _word_classes(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    split = encoded.split
    if encoded.word_of_T is None or encoded.word_offsets_R1 is None:
        raise ValueError("the block has no words")
    words = int(encoded.word_offsets_R1[-1])
    names = [*checkpoint.task.classes, None]  # class -1: the word was cut off
    class_W = np.full(words, -1, dtype=np.int64)
    score_W = np.zeros(words, dtype=np.float32)
    for batch, logits_BLC in outputs:
        positions_K = ragged_positions(split.token_offsets_N1[batch.sample_ids_B], batch.lengths_B)
        real_BL = np.arange(logits_BLC.shape[1]) < batch.lengths_B[:, None]
        word_K = encoded.word_of_T[positions_K]
        scores_KC = torch.softmax(logits_BLC.cpu(), dim=-1).numpy()[real_BL][word_K >= 0]
        class_W[word_K[word_K >= 0]] = scores_KC.argmax(axis=1)
        score_W[word_K[word_K >= 0]] = scores_KC.max(axis=1, initial=0.0)
    named = [names[best] for best in class_W.tolist()]
    scores = [None if name is None else score for name, score in zip(named, score_W.tolist(), strict=True)]
    bounds = list(pairwise(encoded.word_offsets_R1.tolist()))
    return {
        PREDICTION: [named[first:last] for first, last in bounds],
        SCORES: [scores[first:last] for first, last in bounds],
    }


def _answers(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    contexts = None if encoded.contexts is None else list(encoded.contexts)
    held_out = ScoredSplit(
        split=encoded.split,
        task=checkpoint.task,
        references=References(source_rows_R=encoded.rows_R, texts=[], contexts=contexts),
        char_places_T=encoded.char_places_T,
    )
    found, threshold = predicted_answers(held_out, outputs), checkpoint.no_answer_threshold
    has_span_R = np.isfinite(found.scores_R)
    scores = _where(has_span_R, found.scores_R)
    if threshold is None:
        return {PREDICTION: found.texts, SCORES: scores}
    return {
        PREDICTION: answers_at(found.texts, found.no_answer_R, threshold),
        SCORES: scores,
        NO_ANSWER: _where(has_span_R, found.no_answer_R),
    }


def _where(known_R: BoolArray, values_R: FloatArray) -> list[float | None]:
    return [value if is_known else None for value, is_known in zip(values_R.tolist(), known_R, strict=True)]


def _texts(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    written = [""] * len(encoded.rows_R)
    for batch, ids_BM in outputs:
        texts = checkpoint.tokenizer.backend.decode_batch(ids_BM.cpu().tolist(), skip_special_tokens=True)
        for sample, text in zip(batch.sample_ids_B.tolist(), texts, strict=True):
            written[sample] = text
    return {PREDICTION: written}


def _by_class(classes: Sequence[str], scores_NC: npt.NDArray[np.float32]) -> list[dict[str, float]]:
    return [dict(zip(classes, scores_C, strict=True)) for scores_C in scores_NC.tolist()]


_DECODE: dict[TaskKind, Decode] = {
    "classification": _class,
    "multi_label": _classes,
    "regression": _numbers,
    "token_classification": _word_classes,
    "question_answering": _answers,
    "seq2seq": _texts,
    "embedding": decode_embeddings,
    "ranking": decode_scores,
}
