"""What is to be predicted, from the label columns; of users' files, train alone decides what the classes are.

| kind | entry of a row |
|---|---|
| classification | int64, the class |
| regression | float64, or list<float64> where there are several targets |
| multi_label | list<int64>, the classes that hold |
| token_classification | list<int64>, the class of each word |
| question_answering | {text, answer_start}, lists of one entry an answer |
| seq2seq | string |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from tdbs.data.answers import checked_answers
from tdbs.data.columns import FILL, SourceColumn, one_array, refuse_missing, text_values
from tdbs.data.given_labels import given_labels
from tdbs.data.labels import LabelType, encode_labels, label_texts, learn_labels
from tdbs.data.several_labels import SeveralRule, encode_several, learn_several
from tdbs.data.tasks import METRICS, Task, TaskKind
from tdbs.data.word_labels import encode_word_labels, learn_word_labels
from tdbs.errors import SourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitColumns:
    """The columns of some rows of a split; texts are checked, labels not yet."""

    text: SourceColumn
    pair: SourceColumn | None
    labels: tuple[SourceColumn, ...]  # empty: the split has none


Encoder = Callable[[SplitColumns], pa.Array]  # the targets of some rows that all have labels


def learn_targets(labels: Sequence[SourceColumn], task: Task, label_type: LabelType | None) -> tuple[Task, Encoder]:
    """Return the task with its classes, and what makes targets of labels.

    With `label_type` None, labels are class ids or scores already. `labels` are the distinct values of train's label
    columns, each with the row where it comes first; of kinds that have no classes they may be none.
    """
    if label_type is None and task.kind in ("classification", "regression"):
        return task, lambda rows: given_labels(rows.labels[0], task)
    for column in labels:
        refuse_missing(column, next_step=FILL)
    task, encode = _LEARN[task.kind](labels, task, label_type or "auto")

    def encode_whole(rows: SplitColumns) -> pa.Array:
        for column in rows.labels:
            refuse_missing(column, next_step=FILL)
        return encode(rows)

    return task, encode_whole


def _learn_single(labels: Sequence[SourceColumn], task: Task, label_type: LabelType) -> tuple[Task, Encoder]:
    rule = learn_labels(label_texts(labels[0]), label_type)
    kind: TaskKind = "regression" if rule.kind == "numbers" else "classification"
    task = _learned(task, kind, rule.classes)
    return task, lambda rows: pa.array(encode_labels(label_texts(rows.labels[0]), rule))


def _learn_several(labels: Sequence[SourceColumn], task: Task, label_type: LabelType) -> tuple[Task, Encoder]:
    rule: SeveralRule = learn_several(labels, label_type)
    kind: TaskKind = "regression" if rule.kind == "numbers" else "multi_label"
    return _learned(task, kind, rule.classes), lambda rows: encode_several(rows.labels, rule)


def _learn_words(labels: Sequence[SourceColumn], task: Task, _label_type: LabelType) -> tuple[Task, Encoder]:
    classes = learn_word_labels(labels[0])
    task = _learned(task, task.kind, classes)
    return task, lambda rows: encode_word_labels(rows.labels[0], classes, words=rows.text)


def _learn_answers(_labels: Sequence[SourceColumn], task: Task, _label_type: LabelType) -> tuple[Task, Encoder]:
    def encode(rows: SplitColumns) -> pa.Array:
        if rows.pair is None:
            raise SourceError(f"{rows.text.where} has no contexts.", next_step="Name their column with --pair.")
        return checked_answers(rows.labels[0], contexts=rows.pair)

    return task, encode


def _learn_summaries(_labels: Sequence[SourceColumn], task: Task, _label_type: LabelType) -> tuple[Task, Encoder]:
    return task, lambda rows: one_array(text_values(rows.labels[0]))


def _learned(task: Task, kind: TaskKind, classes: tuple[str, ...]) -> Task:
    return replace(task, kind=kind, classes=classes, metrics=METRICS[kind])


_LEARN: dict[TaskKind, Callable[[Sequence[SourceColumn], Task, LabelType], tuple[Task, Encoder]]] = {
    "classification": _learn_single,
    "regression": _learn_single,
    "multi_label": _learn_several,
    "token_classification": _learn_words,
    "question_answering": _learn_answers,
    "seq2seq": _learn_summaries,
}
