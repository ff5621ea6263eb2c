"""Logits become rows of the output: a prediction and its scores, by kind of task, in the order of the input.

| kind | `prediction` | `scores` |
|---|---|---|
| classification | the class | a probability for each class |
| multi_label | the classes above one half | a probability for each class |
| regression | the number, or one for each target | |
| token_classification | a class for each word; null for words that were cut off | the probability of each of them |
| question_answering | the answer's text, or "" | start and end logit together |
| seq2seq | the text that is written | |

If a run learned questions without an answer, `no_answer` is the null score minus that score; above the run's threshold
the answer is "".
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from tdbs.arrays import BoolArray, FloatArray, IntArray, ragged_positions
from tdbs.data.tasks import Task, TaskKind
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.encode import Encoded
from tdbs.pipeline.references import References
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.train.batches import Batch
from tdbs.train.scores.no_answers import answers_at
from tdbs.train.scores.scoring import ScoredSplit, predicted_answers

# Shapes: R rows of the block, N samples, B samples of a batch, L its padded length, K its tokens, C outputs, W words,
# M tokens written.

PREDICTION, SCORES, NO_ANSWER = "prediction", "scores", "no_answer"
Outputs = Iterable[tuple[Batch, torch.Tensor]]
Decoded = tuple[list[Any], ...]  # of each row the prediction and, for most kinds, its scores; then `no_answer`
Decode = Callable[[Encoded, Outputs, Checkpoint], Decoded]


def prediction_schema(task: Task, *, no_answers: bool = False) -> pa.Schema:
    """Return the columns of an output; with `no_answers`, of a model that may leave a question without an answer."""
    by_class = pa.struct([(label, pa.float32()) for label in task.classes])
    several = task.kind == "regression" and task.outputs > 1
    types: dict[TaskKind, tuple[pa.DataType, ...]] = {
        "classification": (pa.string(), by_class),
        "multi_label": (pa.list_(pa.string()), by_class),
        "regression": (pa.list_(pa.float32()) if several else pa.float32(),),
        "token_classification": (pa.list_(pa.string()), pa.list_(pa.float32())),
        "question_answering": (pa.string(), pa.float32(), *([pa.float32()] if no_answers else [])),
        "seq2seq": (pa.string(),),
    }
    names = (PREDICTION, SCORES, NO_ANSWER)
    return pa.schema([(SOURCE_ROW, pa.int64()), *zip(names, types[task.kind], strict=False)])


def decode(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    """Return the predictions of a block's rows in their order, as plain values: real time takes them as they are."""
    return _DECODE[checkpoint.task.kind](encoded, outputs, checkpoint)


def prediction_table(rows_R: IntArray, decoded: Decoded, task: Task) -> pa.Table:
    """Return predictions as rows of the output; `rows_R` are their numbers in the source."""
    schema = prediction_schema(task, no_answers=len(decoded) > len((PREDICTION, SCORES)))
    columns = [pa.array(values, field.type) for values, field in zip((rows_R, *decoded), schema, strict=True)]
    return pa.table(columns, schema=schema)


def _class(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    scores_NC = torch.softmax(logits_of_samples(encoded, outputs), dim=1).numpy()
    classes = checkpoint.task.classes
    return [classes[best] for best in scores_NC.argmax(axis=1).tolist()], _by_class(classes, scores_NC)


def _classes(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    scores_NC = torch.sigmoid(logits_of_samples(encoded, outputs)).numpy()
    classes = checkpoint.task.classes
    holding = [[classes[c] for c in np.flatnonzero(holds_C).tolist()] for holds_C in scores_NC > 0.5]
    return holding, _by_class(classes, scores_NC)


def _numbers(encoded: Encoded, outputs: Outputs, _checkpoint: Checkpoint) -> Decoded:
    numbers_NC = logits_of_samples(encoded, outputs).numpy()
    return ((numbers_NC[:, 0] if numbers_NC.shape[1] == 1 else numbers_NC).tolist(),)


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
    return [named[first:last] for first, last in bounds], [scores[first:last] for first, last in bounds]


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
        return found.texts, scores
    return answers_at(found.texts, found.no_answer_R, threshold), scores, _where(has_span_R, found.no_answer_R)


def _where(known_R: BoolArray, values_R: FloatArray) -> list[float | None]:
    return [value if is_known else None for value, is_known in zip(values_R.tolist(), known_R, strict=True)]


def _texts(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> Decoded:
    written = [""] * len(encoded.rows_R)
    for batch, ids_BM in outputs:
        texts = checkpoint.tokenizer.backend.decode_batch(ids_BM.cpu().tolist(), skip_special_tokens=True)
        for sample, text in zip(batch.sample_ids_B.tolist(), texts, strict=True):
            written[sample] = text
    return (written,)


def logits_of_samples(encoded: Encoded, outputs: Outputs) -> torch.Tensor:
    """Return the logits of all samples in order (N x C)."""
    found = [(batch.sample_ids_B, logits_BC.cpu()) for batch, logits_BC in outputs]
    order_N = torch.from_numpy(np.concatenate([samples_B for samples_B, _ in found]))
    logits_NC = torch.cat([logits_BC for _, logits_BC in found])
    in_order_NC = torch.empty((len(encoded.rows_R), logits_NC.shape[1]), dtype=logits_NC.dtype)
    in_order_NC[order_N] = logits_NC
    return in_order_NC


def _by_class(classes: Sequence[str], scores_NC: npt.NDArray[np.float32]) -> list[dict[str, float]]:
    return [dict(zip(classes, scores_C, strict=True)) for scores_C in scores_NC.tolist()]


_DECODE: dict[TaskKind, Decode] = {
    "classification": _class,
    "multi_label": _classes,
    "regression": _numbers,
    "token_classification": _word_classes,
    "question_answering": _answers,
    "seq2seq": _texts,
}
