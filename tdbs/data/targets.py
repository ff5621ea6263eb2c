"""What is to be predicted, from the label columns of all splits; of users' files, train alone decides the classes.

| kind | entry of a row |
|---|---|
| classification | int64, the class |
| regression | float64, or list<float64> where there are several targets |
| multi_label | list<int64>, the classes that hold |
| token_classification | list<int64>, the class of each word |
| question_answering | {text, answer_start}, lists of one entry an answer |
| seq2seq | string |
"""

from collections.abc import Callable, Mapping
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
    """The columns of one split; texts are checked, labels not yet."""

    text: SourceColumn
    pair: SourceColumn | None
    labels: tuple[SourceColumn, ...]  # empty: the split has none


Splits = Mapping[str, SplitColumns]
Targets = dict[str, pa.Array]  # of the splits that have labels


def read_targets(splits: Splits, task: Task, label_type: LabelType | None) -> tuple[Task, dict[str, pa.Array | None]]:
    """Return the task with its classes, and each split's targets; `label_type` None: labels are class ids already."""
    if label_type is None and task.kind in ("classification", "regression"):
        found = {name: given_labels(split.labels[0], task) if split.labels else None for name, split in splits.items()}
        if found["train"] is None:
            raise SourceError(
                f"{splits['train'].text.where} has no labels.", next_step="Use a train split with labels."
            )
        return task, {name: None if labels is None else pa.array(labels) for name, labels in found.items()}
    labelled = {name: split for name, split in splits.items() if not _is_unlabelled_test(name, split)}
    for split in labelled.values():
        for column in split.labels:
            refuse_missing(column, next_step=FILL)
    task, targets = _READ[task.kind](labelled, task, label_type or "auto")
    return task, {name: targets.get(name) for name in splits}


def _is_unlabelled_test(name: str, split: SplitColumns) -> bool:
    return not split.labels or (
        name == "test" and all(column.values.null_count == len(column.values) for column in split.labels)
    )


def _read_single(splits: Splits, task: Task, label_type: LabelType) -> tuple[Task, Targets]:
    texts = {name: label_texts(split.labels[0]) for name, split in splits.items()}
    rule = learn_labels(texts["train"], label_type)
    kind: TaskKind = "regression" if rule.kind == "numbers" else "classification"
    return _learned(task, kind, rule.classes), {n: pa.array(encode_labels(text, rule)) for n, text in texts.items()}


def _read_several(splits: Splits, task: Task, label_type: LabelType) -> tuple[Task, Targets]:
    rule: SeveralRule = learn_several(splits["train"].labels, label_type)
    kind: TaskKind = "regression" if rule.kind == "numbers" else "multi_label"
    encoded = {name: encode_several(split.labels, rule) for name, split in splits.items()}
    return _learned(task, kind, rule.classes), encoded


def _read_words(splits: Splits, task: Task, _label_type: LabelType) -> tuple[Task, Targets]:
    classes = learn_word_labels(splits["train"].labels[0])
    encoded = {name: encode_word_labels(split.labels[0], classes, words=split.text) for name, split in splits.items()}
    return _learned(task, task.kind, classes), encoded


def _read_answers(splits: Splits, task: Task, _label_type: LabelType) -> tuple[Task, Targets]:
    answers = {}
    for name, split in splits.items():
        if split.pair is None:
            raise SourceError(f"{split.text.where} has no contexts.", next_step="Name their column with --pair.")
        answers[name] = checked_answers(split.labels[0], contexts=split.pair)
    return task, answers


def _read_summaries(splits: Splits, task: Task, _label_type: LabelType) -> tuple[Task, Targets]:
    return task, {name: one_array(text_values(split.labels[0])) for name, split in splits.items()}


def _learned(task: Task, kind: TaskKind, classes: tuple[str, ...]) -> Task:
    return replace(task, kind=kind, classes=classes, metrics=METRICS[kind])


_READ: dict[TaskKind, Callable[[Splits, Task, LabelType], tuple[Task, Targets]]] = {
    "classification": _read_single,
    "regression": _read_single,
    "multi_label": _read_several,
    "token_classification": _read_words,
    "question_answering": _read_answers,
    "seq2seq": _read_summaries,
}
