"""Open a source of text (the sample, a hub task, the user's files), then read it: every problem is named by its row.

`open_source` costs finding and hashing the files, which is all that a cache hit pays; `read_source` parses and checks.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.class_names import class_names, named_classes
from tdbs.data.columns import SourceColumn, take, text_values, word_lists
from tdbs.data.content import Content, is_list
from tdbs.data.digests import file_sha256, parts_sha256, table_sha256
from tdbs.data.formats import format_of, read_schema
from tdbs.data.hub import hub_tables, mirror_files
from tdbs.data.labels import LabelType
from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER, sample_tables
from tdbs.data.targets import SplitColumns, read_targets
from tdbs.data.tasks import HUB_TASKS, METRICS, HubTask, Task, TaskKind
from tdbs.data.user_files import choose_columns, source_name, split_files
from tdbs.data.validation import file_or_fraction, held_out_rows
from tdbs.errors import ConfigError, SourceError

HUB_TOKENIZER = "roberta-base"
HUB_SEQ2SEQ_TOKENIZER = "t5-small"


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

    where: str  # how errors call it
    texts: pa.ChunkedArray  # strings, none missing; lists of words for token classification
    pairs: pa.ChunkedArray | None
    source_rows: IntArray | None  # rows of the source file where some were held out, from 0; None: all of them
    targets: pa.Array | None  # by kind as data/targets.py says; None: the split has no labels


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOptions:
    """What a user says of files: columns, how labels are read, validation; all None or `auto` for other sources."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    target: str | None = None
    label_type: LabelType = "auto"
    validation: str | None = None
    forbid_drop: str | None = None


def open_source(spec: str, *, mirror: Path | None, files: FileOptions, prefix: str | None = None) -> Source:
    """Return what `spec` names: `sample`, a short name of a hub task, a file or a folder (first match wins)."""
    if spec == SAMPLE_TASK.name or spec in HUB_TASKS:
        _refuse_file_options(spec, files)
        source = _open_named(spec, mirror)
    else:
        path = Path(spec).expanduser()
        if not path.exists():
            raise SourceError(
                f"Unknown task '{spec}', and there is no file or folder {path}.",
                next_step=f"Pass a path, {SAMPLE_TASK.name}, or one of {', '.join(HUB_TASKS)}.",
            )
        source = _open_files(path, files)
    if prefix is None:
        return source
    if source.task.kind != "seq2seq":
        raise ConfigError(
            "--prefix is for sequence to sequence tasks.", next_step="Leave it out, or name the targets with --target."
        )
    return replace(source, task=replace(source.task, prefix=prefix))


def _open_named(name: str, mirror: Path | None) -> Source:
    if name in HUB_TASKS:
        return _open_hub(HUB_TASKS[name]) if mirror is None else _open_mirror(HUB_TASKS[name], mirror)
    return _open_tables(SAMPLE_TASK, sample_tables(), tokenizer=str(TOKENIZER_FOLDER))


def read_source(source: Source) -> tuple[Task, dict[str, SplitTable]]:
    """Return the task with its classes, and the checked rows of every split: train, validation, test."""
    splits = {split.name: _read_split(split, source.task) for split in source.splits}
    if source.held_out is not None:
        rows = len(splits["train"].text.values)
        train_rows, validation_rows = held_out_rows(rows, source.held_out)
        train, rest = splits["train"], {name: split for name, split in splits.items() if name != "train"}
        splits = {"train": _take(train, train_rows), "validation": _take(train, validation_rows)} | rest
    task, targets = read_targets(splits, source.task, source.label_type)
    return task, {
        name: SplitTable(
            where=split.text.where,
            texts=split.text.values,
            pairs=None if split.pair is None else split.pair.values,
            source_rows=split.text.rows,
            targets=targets[name],
        )
        for name, split in splits.items()
    }


def _refuse_file_options(spec: str, files: FileOptions) -> None:
    for name, value in asdict(files).items():
        if value is not None and (name, value) != ("label_type", "auto"):
            raise ConfigError(
                f"--{name.replace('_', '-')} is for files of your own; {spec} has its columns and splits.",
                next_step="Leave the option out.",
            )


def _open_hub(hub: HubTask) -> Source:
    return _open_tables(hub.task, hub_tables(hub), tokenizer=_hub_tokenizer(hub.task))


def _hub_tokenizer(task: Task) -> str:
    return HUB_SEQ2SEQ_TOKENIZER if task.kind == "seq2seq" else HUB_TOKENIZER


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
    names = {split: read_schema(path).names for split, path in files.items()}
    splits = []
    for name, path in files.items():
        where = f"{hub.task.name}/{path.name}"
        columns = hub.task.columns
        needed = [columns.text, columns.pair, *(columns.labels if name == "train" else ())]
        for column in needed:
            if column is not None and column not in names[name]:
                raise SourceError(
                    f"{where} has no column '{column}'; it has: {', '.join(names[name])}.",
                    next_step="Write it with the columns that the task has on the hub.",
                )
        has_labels = set(columns.labels) <= set(names[name])
        splits.append(Split(name=name, where=where, content=path, has_labels=has_labels))
    return Source(
        name=hub.task.name,
        task=hub.task,
        content_sha256=parts_sha256({name: file_sha256(path) for name, path in files.items()}),
        default_tokenizer=_hub_tokenizer(hub.task),
        splits=tuple(splits),
    )


def _open_files(path: Path, options: FileOptions) -> Source:
    files = split_files(path)
    held_out = None
    if options.validation is not None:
        if "validation" in files:
            raise ConfigError(
                f"{path} has a validation split already: {files['validation'].name}.",
                next_step="Leave --validation out.",
            )
        match file_or_fraction(options.validation):
            case Path() as file:
                files = {"train": files["train"], "validation": file} | files
            case fraction:
                held_out = fraction
    chosen = choose_columns(files, text=options.text, pair=options.pair, label=options.label, target=options.target)
    kind = "regression" if (chosen.kind, options.label_type) == ("classification", "regression") else chosen.kind
    parts = {
        "files": {name: [format_of(file).name, file_sha256(file)] for name, file in files.items()},
        "columns": asdict(chosen.columns),
        "label_type": options.label_type,
        "held_out": held_out,
    }
    return Source(
        name=source_name(path),
        task=Task(
            name=source_name(path),
            kind=kind,
            columns=chosen.columns,
            metrics=METRICS[kind],
            drop_forbidden=options.forbid_drop,
        ),
        content_sha256=parts_sha256(parts),
        default_tokenizer=None,
        splits=tuple(
            Split(name=name, where=file.name, content=file, has_labels=name in chosen.labelled)
            for name, file in files.items()
        ),
        label_type=options.label_type,
        held_out=held_out,
    )


def _read_split(split: Split, task: Task) -> SplitColumns:
    """Return the columns of one split; texts are checked, labels not yet."""
    columns = task.columns
    labels = columns.labels if split.has_labels else ()
    asked: dict[str, Content] = {columns.text: "words" if task.kind == "token_classification" else "text"}
    asked |= {} if columns.pair is None else {columns.pair: "text"}
    asked |= dict.fromkeys(labels, _label_content(split, task))
    content = split.content
    table = format_of(content).read(content, asked) if isinstance(content, Path) else content
    if table.num_rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Give it rows, or leave it out.")
    found = {name: SourceColumn(name=name, where=split.where, values=table[name]) for name in asked}
    for name, content in asked.items():
        if name in labels:
            found[name] = named_classes(found[name], class_names(table.schema, name))
        else:
            checked = word_lists(found[name]) if content == "words" else text_values(found[name])
            found[name] = replace(found[name], values=checked)
    return SplitColumns(
        text=found[columns.text],
        pair=None if columns.pair is None else found[columns.pair],
        labels=tuple(found[name] for name in labels),
    )


def _label_content(split: Split, task: Task) -> Content:
    """Return what the label columns of a split hold, which a reader of JSON has to know."""
    by_kind: dict[TaskKind, Content] = {
        "token_classification": "labels",
        "question_answering": "answers",
        "seq2seq": "text",
    }
    if task.kind == "multi_label" and split.has_labels and isinstance(split.content, Path):
        return "labels" if is_list(read_schema(split.content).field(task.columns.labels[0]).type) else "label"
    return by_kind.get(task.kind, "label")


def _take(split: SplitColumns, rows: IntArray) -> SplitColumns:
    return SplitColumns(
        text=take(split.text, rows),
        pair=None if split.pair is None else take(split.pair, rows),
        labels=tuple(take(column, rows) for column in split.labels),
    )
