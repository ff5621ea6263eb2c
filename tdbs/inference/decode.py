"""Logits become rows of the output: a prediction and its scores, by kind of task, in the order of the input.

| kind | `prediction` | `scores` |
|---|---|---|
| classification | the class | a probability for each class |
| multi_label | the classes above one half | a probability for each class |
| regression | the number, or one for each target | |
| token_classification | a class for each word; null for words that were cut off | the probability of each of them |
| question_answering | the answer's text | start and end logit together |
| seq2seq | the text that is written | |
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from tdbs.arrays import IntArray, ragged_positions
from tdbs.data.tasks import Task, TaskKind
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.encode import Encoded
from tdbs.pipeline.references import References
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.train.batches import Batch
from tdbs.train.scoring import HeldOut, predicted_answers

# Shapes: R rows of the block, N samples, B samples of a batch, L its padded length, K its tokens, C outputs, W words,
# M tokens written.

PREDICTION, SCORES = "prediction", "scores"
Outputs = Iterable[tuple[Batch, torch.Tensor]]
Decode = Callable[[Encoded, Outputs, Checkpoint], list[pa.Array]]  # the columns behind source_row


def prediction_schema(task: Task) -> pa.Schema:
    """Return the columns of an output."""
    by_class = pa.struct([(label, pa.float32()) for label in task.classes])
    several = task.kind == "regression" and task.outputs > 1
    types: dict[TaskKind, tuple[pa.DataType, ...]] = {
        "classification": (pa.string(), by_class),
        "multi_label": (pa.list_(pa.string()), by_class),
        "regression": (pa.list_(pa.float32()) if several else pa.float32(),),
        "token_classification": (pa.list_(pa.string()), pa.list_(pa.float32())),
        "question_answering": (pa.string(), pa.float32()),
        "seq2seq": (pa.string(),),
    }
    names = (PREDICTION, SCORES)
    return pa.schema([(SOURCE_ROW, pa.int64()), *zip(names, types[task.kind], strict=False)])


def prediction_table(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> pa.Table:
    """Return the predictions of a block, one row for each of its rows."""
    schema = prediction_schema(checkpoint.task)
    columns = [pa.array(encoded.rows_R), *_DECODE[checkpoint.task.kind](encoded, outputs, checkpoint)]
    return pa.table([column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def _class(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> list[pa.Array]:
    scores_NC = torch.softmax(_of_samples(encoded, outputs), dim=1).numpy()
    return [_named(checkpoint.task, scores_NC.argmax(axis=1)), _by_class(checkpoint.task, scores_NC)]


def _classes(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> list[pa.Array]:
    scores_NC = torch.sigmoid(_of_samples(encoded, outputs)).numpy()
    holds_NC = scores_NC > 0.5
    offsets = np.concatenate([[0], np.cumsum(holds_NC.sum(axis=1))]).astype(np.int32)
    names = _named(checkpoint.task, np.nonzero(holds_NC)[1])
    return [pa.ListArray.from_arrays(offsets, names), _by_class(checkpoint.task, scores_NC)]


def _numbers(encoded: Encoded, outputs: Outputs, _checkpoint: Checkpoint) -> list[pa.Array]:
    numbers_NC = _of_samples(encoded, outputs).numpy()
    if numbers_NC.shape[1] == 1:
        return [pa.array(numbers_NC[:, 0])]
    offsets = np.arange(0, numbers_NC.size + 1, numbers_NC.shape[1], dtype=np.int32)
    return [pa.ListArray.from_arrays(offsets, numbers_NC.ravel())]


def _word_classes(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> list[pa.Array]:
    split, task = encoded.split, checkpoint.task
    if encoded.word_of_T is None or encoded.word_offsets_R1 is None:
        raise ValueError("the block has no words")
    words = int(encoded.word_offsets_R1[-1])
    class_W = np.full(words, -1, dtype=np.int64)
    score_W = np.zeros(words, dtype=np.float32)
    for batch, logits_BLC in outputs:
        positions_K = ragged_positions(split.token_offsets_N1[batch.sample_ids_B], batch.lengths_B)
        real_BL = np.arange(logits_BLC.shape[1]) < batch.lengths_B[:, None]
        word_K = encoded.word_of_T[positions_K]
        scores_KC = torch.softmax(logits_BLC.cpu(), dim=-1).numpy()[real_BL][word_K >= 0]
        class_W[word_K[word_K >= 0]] = scores_KC.argmax(axis=1)
        score_W[word_K[word_K >= 0]] = scores_KC.max(axis=1, initial=0.0)
    offsets = encoded.word_offsets_R1.astype(np.int32)
    names = _named(task, class_W)
    scores = pa.array(score_W, mask=class_W < 0)
    return [pa.ListArray.from_arrays(offsets, names), pa.ListArray.from_arrays(offsets, scores)]


def _answers(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> list[pa.Array]:
    contexts = None if encoded.contexts is None else list(encoded.contexts)
    held_out = HeldOut(
        split=encoded.split,
        task=checkpoint.task,
        references=References(source_rows_R=encoded.rows_R, texts=[], contexts=contexts),
        char_places_T=encoded.char_places_T,
    )
    answers, scores_R = predicted_answers(held_out, outputs)
    return [pa.array(answers, pa.string()), pa.array(scores_R, mask=~np.isfinite(scores_R))]


def _texts(encoded: Encoded, outputs: Outputs, checkpoint: Checkpoint) -> list[pa.Array]:
    written = [""] * len(encoded.rows_R)
    for batch, ids_BM in outputs:
        texts = checkpoint.tokenizer.backend.decode_batch(ids_BM.cpu().tolist(), skip_special_tokens=True)
        for sample, text in zip(batch.sample_ids_B.tolist(), texts, strict=True):
            written[sample] = text
    return [pa.array(written, pa.string())]


_DECODE: dict[TaskKind, Decode] = {
    "classification": _class,
    "multi_label": _classes,
    "regression": _numbers,
    "token_classification": _word_classes,
    "question_answering": _answers,
    "seq2seq": _texts,
}


def _of_samples(encoded: Encoded, outputs: Outputs) -> torch.Tensor:
    """Return the logits of all samples in order (N x C)."""
    found = [(batch.sample_ids_B, logits_BC.cpu()) for batch, logits_BC in outputs]
    order_N = torch.from_numpy(np.concatenate([samples_B for samples_B, _ in found]))
    logits_NC = torch.cat([logits_BC for _, logits_BC in found])
    in_order_NC = torch.empty((len(encoded.rows_R), logits_NC.shape[1]), dtype=logits_NC.dtype)
    in_order_NC[order_N] = logits_NC
    return in_order_NC


def _named(task: Task, ids: IntArray) -> pa.Array:
    """Return the names of classes; of -1 null."""
    return pa.array(task.classes, pa.string()).take(pa.array(ids, mask=ids < 0))


def _by_class(task: Task, scores_NC: npt.NDArray[np.float32]) -> pa.Array:
    columns = [pa.array(scores_NC[:, c]) for c in range(scores_NC.shape[1])]
    return pa.StructArray.from_arrays(columns, names=list(task.classes))
