"""Open a source of text: the sample, a hub task, or the user's files; reading.py reads its rows later.

The cost is finding and hashing the files, which is all that a cache hit pays. This file also finds the tables of a
short name, in a mirror folder or on the hub, and the user's validation rows: a file, or a held-out fraction of train.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa

from tdbs.data.columns import no_column
from tdbs.data.formats import ReadOptions, data_file, read_schema
from tdbs.data.formats.data_file import UTF8, DataFile
from tdbs.data.formats.dialect import USUAL_DIALECTS
from tdbs.data.labels.answer_columns import are_answer_columns
from tdbs.data.labels.shape import label_shape
from tdbs.data.labels.single import LabelType
from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER, sample_tables
from tdbs.data.tasks import HUB_TASKS, METRICS, HubTask, Task
from tdbs.data.user_files import choose_columns, source_name, split_files
from tdbs.digests import file_sha256, parts_sha256, table_sha256
from tdbs.errors import ConfigError, SourceError, reason_of
from tdbs.files import Stamp, is_remote, stamp_of, to_path
from tdbs.settings import Option

HUB_TOKENIZER = "roberta-base"
HUB_SEQ2SEQ_TOKENIZER = "t5-small"
# 2: multi-hot lists, names of class ids, blanks and booleans, classes that are held out
# 3: marks of no width, accents, printed scalars, names of class ids that are floats, NaN
_LABEL_READING = 3
_DRAWING = 2  # version of the rules by which a fraction is held out (data/held_out.py)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One split: a file, or a table that is in memory already."""

    name: str
    where: str  # name in errors
    content: DataFile | pa.Table
    has_labels: bool  # columns of them; that any is filled is seen when they are read
    stamp: Stamp | None = None  # state of the file when it was digested


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Texts that can be prepared: what they are called, what is learned from them, and the digest of their contents."""

    name: str  # folder under data/
    task: Task  # the user's files get their classes when they are read
    content_sha256: str  # hash of bytes or values and of what changes their reading; never of paths
    default_tokenizer: str | None
    splits: tuple[Split, ...]
    label_type: LabelType | None = None  # None: labels are class ids or scores already
    held_out: float | None = None  # fraction of train that becomes validation
    label_names: tuple[str, ...] = ()  # of class ids or places, in order
    label_separator: str | None = None  # between the classes of one text
    has_list_texts: bool = False  # lists of labels, and of words, are written as texts
    skips_bad_rows: bool = False  # rows that cannot be used are left out, and listed

    @property
    def label_reading(self) -> int | None:
        """The version of the rules by which labels are read, part of the cache key; None: they are used as they are."""
        is_used_as_is = self.label_type is None or self.task.kind in ("question_answering", "seq2seq")
        return None if is_used_as_is else _LABEL_READING


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOptions(ReadOptions):
    """What a user says of files: how they are written, columns, how labels are read, validation."""

    text: Annotated[
        str | None, Option("Column of the text, the words or the question.", default="text, else sentence")
    ] = None
    pair: Annotated[str | None, Option("Column of the second text, or of the context.")] = None
    label: Annotated[
        str | None, Option("Column of the label or of answers; several separated by commas.", default="label")
    ] = None
    label_type: Annotated[LabelType, Option("auto, class or regression.")] = "auto"
    label_names: Annotated[str | None, Option("File with the names of class ids 0, 1, …, one per line.")] = None
    label_separator: Annotated[
        str | None, Option("What separates the classes of a row in one text, such as a comma.")
    ] = None
    target: Annotated[str | None, Option("Column of the text to write (sequence to sequence).")] = None
    forbid_drop: Annotated[str | None, Option("Forbid TokenDrop on this dataset, and give the reason.")] = None
    validation: Annotated[str | None, Option("Validation file, or share of rows to hold out (0.1).")] = None
    skip_bad_rows: Annotated[
        bool, Option("Skip rows that cannot be used, and list them in skipped.jsonl beside the manifest.")
    ] = False


def changed_file_options(options: FileOptions) -> dict[str, Any]:
    """Return the options that do not have their default."""
    return {
        field.name: value for field in fields(FileOptions) if (value := getattr(options, field.name)) != field.default
    }


def open_source(spec: str, *, mirror: Path | None, files: FileOptions, prefix: str | None = None) -> Source:
    """Return what `spec` names: `sample`, a short name of a hub task, a file or a folder (first match wins)."""
    if spec == SAMPLE_TASK.name or spec in HUB_TASKS:
        _refuse_file_options(spec, files)
        source = _open_named(spec, mirror)
    else:
        path = to_path(spec).expanduser()
        if not path.exists():
            raise SourceError(
                f"Unknown task '{spec}', and no file or folder {path} exists.",
                next_step=f"Pass a path, {SAMPLE_TASK.name}, or one of {', '.join(HUB_TASKS)}.",
            )
        source = _open_files(path, files)
    if prefix is None:
        return source
    if source.task.kind != "seq2seq":
        raise ConfigError(
            "--prefix only applies to sequence to sequence tasks.",
            next_step="Leave it out, or name the targets with --target.",
        )
    return replace(source, task=replace(source.task, prefix=prefix))


def mirror_files(hub: HubTask, mirror: Path) -> dict[str, Path]:
    """Return DIR/<short name>/<split>.parquet of every split that is there; train must be."""
    folder = mirror / hub.task.name
    files = {split: folder / f"{split}.parquet" for split in hub.splits}
    if not files["train"].is_file():
        raise SourceError(
            f"The mirror has no file {files['train']}.",
            next_step="Put it there, or pass --mirror (or set TDBS_MIRROR) with the folder that contains "
            f"{hub.task.name}.",
        )
    return {split: path for split, path in files.items() if path.is_file()}


def hub_tables(hub: HubTask) -> dict[str, pa.Table]:
    """Return the tables of a task from the hub, or from the cache that `datasets` keeps of it."""
    import datasets

    try:
        loaded = datasets.load_dataset(hub.hub_id, hub.configuration)
    except Exception as error:  # no network, HF_HUB_OFFLINE, a proxy, nothing in the cache: a dozen kinds
        raise SourceError(
            f"Cannot load {hub.task.name} from the hub: {reason_of(error)}.",
            next_step="Without a network, pass --mirror DIR (or set TDBS_MIRROR) "
            f"with the files DIR/{hub.task.name}/<split>.parquet.",
        ) from error
    return {split: loaded[split].with_format("arrow")[:] for split in hub.splits if split in loaded}


def file_or_fraction(validation: str) -> Path | float:
    """Return what `--validation` means."""
    try:
        fraction = float(validation)
    except ValueError:
        path = to_path(validation)
        if path.is_file():
            return path
        raise SourceError(
            f"--validation '{validation}' is neither a file nor a fraction.",
            next_step="Pass the path of a file, or a fraction such as 0.1.",
        ) from None
    if not 0 < fraction < 1:
        raise ConfigError(
            f"--validation must be between 0 and 1, got {validation}.", next_step="Pass a fraction such as 0.1."
        )
    return fraction


def _open_named(name: str, mirror: Path | None) -> Source:
    if name in HUB_TASKS:
        return _open_hub(HUB_TASKS[name]) if mirror is None else _open_mirror(HUB_TASKS[name], mirror)
    return _open_tables(SAMPLE_TASK, sample_tables(), tokenizer=str(TOKENIZER_FOLDER))


def _refuse_file_options(spec: str, files: FileOptions) -> None:
    for name in changed_file_options(files):
        raise ConfigError(
            f"--{name.replace('_', '-')} only applies to your own files; {spec} has its columns and splits.",
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
    files = {split: data_file(path, ReadOptions()) for split, path in mirror_files(hub, mirror).items()}
    names = {split: read_schema(file).names for split, file in files.items()}
    splits = []
    for name, file in files.items():
        where = f"{hub.task.name}/{file.name}"
        columns = hub.task.columns
        needed = [columns.text, columns.pair, *(columns.labels if name == "train" else ())]
        for column in needed:
            if column is not None and column not in names[name]:
                raise no_column(where, column, names[name], option=None)
        has_labels = set(columns.labels) <= set(names[name])
        splits.append(_file_split(name, file, where=where, has_labels=has_labels))
    return Source(
        name=hub.task.name,
        task=hub.task,
        content_sha256=parts_sha256({name: file_sha256(file.path) for name, file in files.items()}),
        default_tokenizer=_hub_tokenizer(hub.task),
        splits=tuple(splits),
    )


def _open_files(path: Path, options: FileOptions) -> Source:
    files = split_files(path, options)
    held_out = None
    if options.validation is not None:
        if "validation" in files:
            raise ConfigError(
                f"{path} already has a validation split: {files['validation'].name}.",
                next_step="Leave --validation out.",
            )
        match file_or_fraction(options.validation):
            case float() as fraction:
                held_out = fraction
            case given:
                files = {"train": files["train"], "validation": data_file(given, options)} | files
    chosen = choose_columns(files, text=options.text, pair=options.pair, label=options.label, target=options.target)
    shape = label_shape(files["train"], chosen, options)
    kind = "regression" if (shape.kind, options.label_type) == ("classification", "regression") else shape.kind
    may_be_answers = kind == "multi_label" and options.label_type == "auto"
    if may_be_answers and are_answer_columns(files["train"], chosen.columns):
        kind = "question_answering"
    splits = tuple(
        _file_split(name, file, where=file.name, has_labels=name in chosen.labelled) for name, file in files.items()
    )
    parts = {
        "files": {name: [file.format, file_sha256(file.path)] for name, file in files.items()},
        "columns": asdict(chosen.columns),
        "label_type": options.label_type,
        "held_out": held_out,
        **_unusual_reading(files),
        **({} if held_out is None else {"drawing": _DRAWING}),
        **shape.digest_parts(),
        **({"skip_bad_rows": True} if options.skip_bad_rows else {}),
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
        splits=splits,
        label_type=options.label_type,
        held_out=held_out,
        label_names=shape.names,
        label_separator=shape.separator,
        has_list_texts=shape.has_list_texts,
        skips_bad_rows=options.skip_bad_rows,
    )


def _unusual_reading(files: Mapping[str, DataFile]) -> dict[str, object]:
    """Return how files are read, as part of a content's digest, if another reading would be a usual one."""
    found = {
        name: [file.encoding, None if file.dialect is None else asdict(file.dialect)]
        for name, file in files.items()
        if file.encoding != UTF8 or file.dialect not in (None, USUAL_DIALECTS.get(file.format))
    }
    return {"reading": found} if found else {}


def _file_split(name: str, file: DataFile, *, where: str, has_labels: bool) -> Split:
    """Return a split that is a file; its stamp is taken before its digest, so no later change goes unseen."""
    if not is_remote(file.path):
        file = replace(file, path=file.path.absolute())  # workers elsewhere have another current folder
    return Split(name=name, where=where, content=file, has_labels=has_labels, stamp=stamp_of(file.path))
