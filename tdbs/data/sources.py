"""Open a source of text (the sample, a hub task, the user's files), then read it: every problem is named by its row.

`open_source` costs finding and hashing the files, which is all that a cache hit pays; `read_source` parses and checks.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from tdbs.arrays import FloatArray, IntArray
from tdbs.data.columns import SourceColumn, refuse_missing, take, text_values
from tdbs.data.digests import file_sha256, parts_sha256, table_sha256
from tdbs.data.formats import column_names, format_of
from tdbs.data.given_labels import given_labels
from tdbs.data.hub import hub_tables, mirror_files
from tdbs.data.labels import LabelType, encode_labels, label_texts, learn_labels
from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER, sample_tables
from tdbs.data.tasks import HUB_TASKS, Columns, HubTask, Task
from tdbs.data.user_files import choose_columns, source_name, split_files
from tdbs.data.validation import file_or_fraction, held_out_rows
from tdbs.errors import ConfigError, SourceError

HUB_TOKENIZER = "roberta-base"
Labels = IntArray | FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One split: a file, or a table that is in memory already."""

    name: str
    where: str  # how errors call it
    content: Path | pa.Table
    has_labels: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Texts that can be prepared: what they are called, what is learned from them, and the digest of their contents."""

    name: str  # folder under data/
    task: Task  # of the user's files, the classes are not known before they are read
    content_sha256: str  # of bytes or values and of what changes how they are read; never of paths
    default_tokenizer: str | None
    splits: tuple[Split, ...]
    label_type: LabelType | None = None  # None: labels are class ids or scores already
    held_out: float | None = None  # fraction of train that becomes validation


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitTable:
    """The rows of one split, in the order of the source."""

    texts: pa.ChunkedArray  # strings, none missing
    pairs: pa.ChunkedArray | None
    source_rows: IntArray | None  # rows of the source file where some were held out, from 0; None: all of them
    labels: Labels | None  # int64 class ids, or float64 for regression; None: the split has no labels


def open_source(
    spec: str,
    *,
    mirror: Path | None,
    text: str | None,
    pair: str | None,
    label: str | None,
    label_type: LabelType,
    validation: str | None,
) -> Source:
    """Return what `spec` names: `sample`, a short name of a hub task, a file or a folder (first match wins)."""
    if spec == SAMPLE_TASK.name or spec in HUB_TASKS:
        _refuse_file_options(spec, text=text, pair=pair, label=label, label_type=label_type, validation=validation)
        if spec in HUB_TASKS:
            return _open_hub(HUB_TASKS[spec]) if mirror is None else _open_mirror(HUB_TASKS[spec], mirror)
        return _open_tables(SAMPLE_TASK, sample_tables(), tokenizer=str(TOKENIZER_FOLDER))
    path = Path(spec).expanduser()
    if not path.exists():
        raise SourceError(
            f"Unknown task '{spec}', and there is no file or folder {path}.",
            next_step=f"Pass a path, {SAMPLE_TASK.name}, or one of {', '.join(HUB_TASKS)}.",
        )
    return _open_files(path, text=text, pair=pair, label=label, label_type=label_type, validation=validation)


def read_source(source: Source) -> tuple[Task, dict[str, SplitTable]]:
    """Return the task with its classes, and the checked rows of every split: train, validation, test."""
    columns = {split.name: _read_split(split, source.task.columns) for split in source.splits}
    if source.held_out is not None:
        train = columns["train"]
        train_rows, validation_rows = held_out_rows(len(train["text"].values), source.held_out)
        held_out = {role: take(column, validation_rows) for role, column in train.items()}
        kept = {role: take(column, train_rows) for role, column in train.items()}
        columns = {"train": kept, "validation": held_out} | {k: v for k, v in columns.items() if k != "train"}
    if source.label_type is None:
        task, labels = source.task, _given_labels(columns, source.task)
    else:
        task, labels = _learned_labels(columns, source.task, source.label_type)
    return task, {
        name: SplitTable(
            texts=parts["text"].values,
            pairs=parts["pair"].values if "pair" in parts else None,
            source_rows=parts["text"].rows,
            labels=labels[name],
        )
        for name, parts in columns.items()
    }


def _refuse_file_options(spec: str, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None and (name, value) != ("label_type", "auto"):
            raise ConfigError(
                f"--{name.replace('_', '-')} is for files of your own; {spec} has its columns and splits.",
                next_step="Leave the option out.",
            )


def _open_hub(hub: HubTask) -> Source:
    return _open_tables(hub.task, hub_tables(hub), tokenizer=HUB_TOKENIZER)


def _open_tables(task: Task, tables: dict[str, pa.Table], *, tokenizer: str) -> Source:
    return Source(
        name=task.name,
        task=task,
        content_sha256=parts_sha256({name: table_sha256(table) for name, table in tables.items()}),
        default_tokenizer=tokenizer,
        splits=tuple(
            Split(name=name, where=f"the {name} split of {task.name}", content=table, has_labels=True)
            for name, table in tables.items()
        ),
    )


def _open_mirror(hub: HubTask, mirror: Path) -> Source:
    files = mirror_files(hub, mirror)
    names = {split: column_names(path) for split, path in files.items()}
    splits = []
    for name, path in files.items():
        where = f"{hub.task.name}/{path.name}"
        columns = hub.task.columns
        needed = [columns.text, columns.pair, columns.label if name == "train" else None]
        for column in needed:
            if column is not None and column not in names[name]:
                raise SourceError(
                    f"{where} has no column '{column}'; it has: {', '.join(names[name])}.",
                    next_step="Write it with the columns that the task has on the hub.",
                )
        splits.append(Split(name=name, where=where, content=path, has_labels=columns.label in names[name]))
    return Source(
        name=hub.task.name,
        task=hub.task,
        content_sha256=parts_sha256({name: file_sha256(path) for name, path in files.items()}),
        default_tokenizer=HUB_TOKENIZER,
        splits=tuple(splits),
    )


def _open_files(
    path: Path, *, text: str | None, pair: str | None, label: str | None, label_type: LabelType, validation: str | None
) -> Source:
    files = split_files(path)
    held_out = None
    if validation is not None:
        if "validation" in files:
            raise ConfigError(
                f"{path} has a validation split already: {files['validation'].name}.",
                next_step="Leave --validation out.",
            )
        match file_or_fraction(validation):
            case Path() as file:
                files = {"train": files["train"], "validation": file} | files
            case fraction:
                held_out = fraction
    columns, labelled = choose_columns(files, text=text, pair=pair, label=label)
    parts = {
        "files": {name: [format_of(file).name, file_sha256(file)] for name, file in files.items()},
        "columns": [columns.text, columns.pair, columns.label],
        "label_type": label_type,
        "held_out": held_out,
    }
    return Source(
        name=source_name(path),
        task=_user_task(source_name(path), columns, classes=(), is_regression=label_type == "regression"),
        content_sha256=parts_sha256(parts),
        default_tokenizer=None,
        splits=tuple(
            Split(name=name, where=file.name, content=file, has_labels=name in labelled) for name, file in files.items()
        ),
        label_type=label_type,
        held_out=held_out,
    )


def _user_task(name: str, columns: Columns, *, classes: tuple[str, ...], is_regression: bool) -> Task:
    return Task(
        name=name,
        kind="regression" if is_regression else "classification",
        columns=columns,
        classes=classes,
        metrics=("pearson", "spearman") if is_regression else ("accuracy",),
    )


def _read_split(split: Split, columns: Columns) -> dict[str, SourceColumn]:
    """Return the columns of one split by their role; texts are checked, labels not yet."""
    names = {"text": columns.text, "pair": columns.pair, "label": columns.label if split.has_labels else None}
    asked = {role: name for role, name in names.items() if name is not None}
    if isinstance(split.content, Path):
        texts = [name for role, name in asked.items() if role != "label"]
        table = format_of(split.content).read(split.content, list(asked.values()), texts)
    else:
        table = split.content
    if table.num_rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Give it rows, or leave it out.")
    found = {role: SourceColumn(name=name, where=split.where, values=table[name]) for role, name in asked.items()}
    return {
        role: column if role == "label" else replace(column, values=text_values(column))
        for role, column in found.items()
    }


def _given_labels(columns: dict[str, dict[str, SourceColumn]], task: Task) -> dict[str, Labels | None]:
    labels = {name: given_labels(parts["label"], task) if "label" in parts else None for name, parts in columns.items()}
    if labels["train"] is None:
        raise SourceError(
            f"{columns['train']['label'].where} has no labels.", next_step="Use a train split with labels."
        )
    return labels


def _learned_labels(
    columns: dict[str, dict[str, SourceColumn]], task: Task, label_type: LabelType
) -> tuple[Task, dict[str, Labels | None]]:
    """Return the task with the classes of train, and the labels; only a test split may have none."""
    texts: dict[str, SourceColumn] = {}
    for name, parts in columns.items():
        if name == "test" and ("label" not in parts or parts["label"].values.null_count == len(parts["label"].values)):
            continue
        refuse_missing(parts["label"], next_step="Fill the row or delete it.")
        texts[name] = label_texts(parts["label"])
    rule = learn_labels(texts["train"], label_type)
    labels = {name: encode_labels(texts[name], rule) if name in texts else None for name in columns}
    return _user_task(task.name, task.columns, classes=rule.classes, is_regression=rule.kind == "numbers"), labels
