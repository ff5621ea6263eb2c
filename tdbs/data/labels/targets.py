"""What is to be predicted, from the label columns of each kind of task. In users' files train decides the classes.

| kind | entry of a row |
|---|---|
| classification | int64, the class |
| regression | float64, or list<float64> if there are several targets |
| multi_label | list<int64>, the classes that hold |
| token_classification | list<int64>, the class of each word |
| question_answering | {text, answer_start}, lists of one entry an answer; empty lists: the context has none |
| seq2seq | string |
| embedding | float64, the score of a pair; none without a column of scores |
| ranking | none |

A list of word labels must be as long as its list of words. An answer must be in its context at `answer_start`: at the
wrong place it would teach the model another text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import offsets_of
from tdbs.data.answers import answers_of_arrow
from tdbs.data.columns import FILL, REASON, SourceColumn, bad_rows, one_array, refuse_missing, text_values
from tdbs.data.labels.given import given_labels
from tdbs.data.labels.numbers import scores_of_pairs
from tdbs.data.labels.several import SeveralRule, encode_several, learn_several
from tdbs.data.labels.single import (
    LabelType,
    encode_labels,
    label_texts,
    learn_labels,
    list_class_ids,
    named_label_lists,
)
from tdbs.data.labels.spelling import one_spelling
from tdbs.data.tasks import METRICS, Task, TaskKind
from tdbs.errors import SourceError
from tdbs.shown import fitted


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
    if not task.columns.labels:
        return task, lambda rows: pa.nulls(len(rows.text.values), pa.float64())
    for column in labels:
        refuse_missing(column, next_step=FILL)
    task, encode = _LEARN[task.kind](labels, task, label_type or "auto")

    def encode_whole(rows: SplitColumns) -> pa.Array:
        for column in rows.labels:
            refuse_missing(column, next_step=FILL)
        return encode(rows)

    return task, encode_whole


def learn_word_labels(train: SourceColumn) -> tuple[str, ...]:
    """Return the classes of train: sorted, numbers by value."""
    found = pc.unique(named_label_lists(train).flatten()).to_pylist()
    distinct = sorted(set(one_spelling(found).values()))
    if len(distinct) < 2:
        raise SourceError(
            fitted("The words of {where} have {count} classes.", where=train.where, count=len(distinct)),
            next_step="Give train words of at least two classes.",
        )
    is_number = all(label.isascii() and label.isdigit() for label in distinct)
    return tuple(sorted(distinct, key=Decimal) if is_number else distinct)


def encode_word_labels(column: SourceColumn, classes: tuple[str, ...], *, words: SourceColumn) -> pa.Array:
    """Return a split's labels as class ids, one per word."""
    lists = named_label_lists(column)
    labels_of_row = pc.list_value_length(lists).to_numpy()
    words_of_row = pc.list_value_length(one_array(words.values)).to_numpy()
    uneven = np.flatnonzero(labels_of_row != words_of_row)
    if uneven.size:
        reasons = {row: f"has {words_of_row[row]} words, but {labels_of_row[row]} labels" for row in uneven.tolist()}
        raise bad_rows(column, reasons, next_step="Give each word one label.")
    ids = list_class_ids(column, lists, classes, of_class="words")
    offsets = offsets_of(labels_of_row).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, ids)


def checked_answers(column: SourceColumn, *, contexts: SourceColumn) -> pa.Array:
    """Return the answers of all rows as {text, answer_start}; starts count characters from 0."""
    try:
        answers = answers_of_arrow(column.values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:  # what casts of other types raise
        raise SourceError(
            fitted(
                "'{name}' of {where} contains {kind}, not answers.",
                name=column.name,
                where=column.where,
                kind=column.values.type,
            ),
            next_step='Write answers such as {"text": ["Paris"], "answer_start": [17]}.',
        ) from error
    rows = zip(answers.field("text").to_pylist(), answers.field("answer_start").to_pylist(), strict=True)
    found = (_problem(*answer, context) for answer, context in zip(rows, contexts.values.to_pylist(), strict=True))
    problems = {row: problem for row, problem in enumerate(found) if problem is not None}
    if problems:
        raise bad_rows(column, problems, next_step="Fix the row or delete it.")
    return answers


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
            raise SourceError(
                fitted("{where} has no contexts.", where=rows.text.where), next_step="Name their column with --pair."
            )
        return checked_answers(rows.labels[0], contexts=rows.pair)

    return task, encode


def _learn_summaries(_labels: Sequence[SourceColumn], task: Task, _label_type: LabelType) -> tuple[Task, Encoder]:
    return task, lambda rows: one_array(text_values(rows.labels[0]))


def _learn_scores(_labels: Sequence[SourceColumn], task: Task, _label_type: LabelType) -> tuple[Task, Encoder]:
    return task, lambda rows: pa.array(scores_of_pairs(label_texts(rows.labels[0])))


def _learned(task: Task, kind: TaskKind, classes: tuple[str, ...]) -> Task:
    return replace(task, kind=kind, classes=classes, metrics=METRICS[kind])


def _problem(texts: list[str] | None, starts: list[int] | None, context: str) -> str | None:
    """Return the problem of the answers of one question."""
    if texts is None or starts is None:
        return "has answers without a list of texts and a list of positions"
    if len(texts) != len(starts):
        return f"has {len(texts)} answers, but {len(starts)} positions"
    for text, start in zip(texts, starts, strict=True):
        if not text:
            return "has an empty answer"
        if start is None or start < 0 or not context.startswith(text, start):
            return fitted(
                "has the answer '{text}', which is not at character {start} of its context",
                width=REASON,
                text=text,
                start=start,
            )
    return None


_LEARN: dict[TaskKind, Callable[[Sequence[SourceColumn], Task, LabelType], tuple[Task, Encoder]]] = {
    "classification": _learn_single,
    "regression": _learn_single,
    "multi_label": _learn_several,
    "token_classification": _learn_words,
    "question_answering": _learn_answers,
    "seq2seq": _learn_summaries,
    "embedding": _learn_scores,
    "ranking": _learn_scores,
}
