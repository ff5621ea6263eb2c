"""The tasks with short names: hub id, columns, classes, metric, and what TokenDrop may do to them.

One table. The first metric of a task is its score, the one of the paper's Table 1.
"""

from dataclasses import dataclass
from typing import Literal

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Names of the columns of a source: the text, the second text of a pair (or None), the label."""

    text: str
    pair: str | None = None
    label: str = "label"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is learned: kind, classes, metrics, and the policies that protect the label from TokenDrop."""

    name: str
    kind: TaskKind
    columns: Columns
    classes: tuple[str, ...] = ()  # in label order; empty for regression
    metrics: tuple[str, ...] = ("accuracy",)
    scored_split: str = "validation"
    drop_forbidden: str | None = None  # why TokenDrop would break the labels
    keep_pronouns: bool = False  # pronouns are not droppable (paper, App. A: WNLI)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubTask:
    """A task with the place of its data on the hub."""

    hub_id: str
    configuration: str
    splits: tuple[str, ...]
    task: Task


def _glue(
    name: str,
    text: str,
    pair: str | None,
    classes: tuple[str, ...],
    *,
    metrics: tuple[str, ...] = ("accuracy",),
    drop_forbidden: str | None = None,
    keep_pronouns: bool = False,
) -> HubTask:
    suffixes = ("_matched", "_mismatched") if name == "mnli" else ("",)
    validation = tuple(f"validation{suffix}" for suffix in suffixes)
    test = tuple(f"test{suffix}" for suffix in suffixes)
    task = Task(
        name=f"glue/{name}",
        kind="classification" if classes else "regression",
        columns=Columns(text=text, pair=pair),
        classes=classes,
        metrics=metrics,
        scored_split=validation[0],
        drop_forbidden=drop_forbidden,
        keep_pronouns=keep_pronouns,
    )
    return HubTask(hub_id="nyu-mll/glue", configuration=name, splits=("train", *validation, *test), task=task)


_ENTAILMENT = ("entailment", "not_entailment")
HUB_TASKS: dict[str, HubTask] = {
    row.task.name: row
    for row in (
        _glue(
            "cola",
            "sentence",
            None,
            ("unacceptable", "acceptable"),
            metrics=("matthews",),
            drop_forbidden="judges grammar; TokenDrop would break its labels (paper, section 3)",
        ),
        _glue("sst2", "sentence", None, ("negative", "positive")),
        _glue("mrpc", "sentence1", "sentence2", ("not_equivalent", "equivalent"), metrics=("accuracy", "f1")),
        _glue("qqp", "question1", "question2", ("not_duplicate", "duplicate"), metrics=("accuracy", "f1")),
        _glue("stsb", "sentence1", "sentence2", (), metrics=("pearson", "spearman")),
        _glue("mnli", "premise", "hypothesis", ("entailment", "neutral", "contradiction")),
        _glue("qnli", "question", "sentence", _ENTAILMENT),
        _glue("rte", "sentence1", "sentence2", _ENTAILMENT),
        _glue("wnli", "sentence1", "sentence2", ("not_entailment", "entailment"), keep_pronouns=True),
    )
}
