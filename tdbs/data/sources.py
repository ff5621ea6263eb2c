"""Open a source of text: the sample, a hub task, the user's files or tables; reading.py reads its rows later.

The cost is finding and hashing the files, which is all that a cache hit pays. The user's validation rows are found in
validation.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from tdbs.data.content import is_text
from tdbs.data.file_options import FileOptions
from tdbs.data.folders import folder_splits
from tdbs.data.formats import ReadOptions, data_file, read_schema, refuse_options
from tdbs.data.grouped_columns import choose_grouped_columns
from tdbs.data.header import no_column
from tdbs.data.hub import hub_tables, mirror_files
from tdbs.data.labels.answer_columns import are_answer_columns
from tdbs.data.labels.shape import label_shape
from tdbs.data.labels.single import LabelType
from tdbs.data.objects import OBJECTS_NAME, Objects, ObjectSplit, Rows, object_splits, sentence
from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER, sample_tables
from tdbs.data.stores import Store, store_digest, store_files, store_schema, store_stamps
from tdbs.data.tasks import GROUPED_KINDS, HUB_TASKS, HubTask, Task, columns_record, metrics_of, short_names
from tdbs.data.user_files import choose_columns, source_name
from tdbs.data.user_splits import document_column, names_of_classes, refuse_unreadable, split_where, unusual_reading
from tdbs.data.validation import with_validation
from tdbs.digests import file_sha256, parts_sha256, table_sha256
from tdbs.errors import ConfigError, SourceError
from tdbs.files import Stamp, exists, to_path
from tdbs.settings import changed_fields
from tdbs.shown import fitted

HUB_TOKENIZER = "roberta-base"
HUB_SEQ2SEQ_TOKENIZER = "t5-small"
# 2: multi-hot lists, names of class ids, blanks and booleans, classes that are held out
# 3: marks of no width, accents, printed scalars, names of class ids that are floats, NaN
# 4: strings side by side, decimals, decimal commas
# 5: odd rows among multi-hot lists, ids that come twice, a text among lists or flags, empty labels and texts, infinity,
#    marks of direction and joiners around labels
_LABEL_READING = 5
_NEGATIVES_READING = 2  # 2: lists that are written as texts are lists
_DRAWING = 5  # version of the rules by which a fraction is held out (data/held_out.py)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One split, and what holds its rows."""

    name: str
    where: str  # name in errors
    content: Store
    has_labels: bool  # columns of them; that any is filled is seen when they are read
    stamps: tuple[Stamp, ...] = ()  # states of the files when they were digested


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
    document: str | None = None  # column of the document of a context, which is held out as a whole
    notes: tuple[str, ...] = ()  # messages about splits that are left out
    label_names: tuple[str, ...] = ()  # of class ids or places, in order
    label_separator: str | None = None  # between the classes of one text
    has_list_texts: bool = False  # lists of labels, and of words, are written as texts
    skips_bad_rows: bool = False  # rows that cannot be used are left out, and listed

    @property
    def readings(self) -> dict[str, int]:
        """The versions of the rules by which labels and negatives are read, which are parts of the cache key.

        Labels that are used as they are have none, nor have negatives that are lists already.
        """
        columns = self.task.columns
        has_rules = columns.labels and self.task.kind not in ("question_answering", "seq2seq")
        found = {"label reading": _LABEL_READING} if has_rules and self.label_type is not None else {}
        schemas = (store_schema(split.content) for split in self.splits) if columns.negatives else ()
        types = (schema.field(name).type for schema in schemas for name in columns.negatives if name in schema.names)
        return found | ({"negatives reading": _NEGATIVES_READING} if any(map(is_text, types)) else {})


def open_source(
    spec: str | Path | Objects,
    *,
    mirror: Path | None,
    files: FileOptions,
    prefix: str | None = None,
    validation: Rows | None = None,
) -> Source:
    """Return what `spec` names: `sample`, a short name of a hub task, a file or a folder (first match wins).

    Tables are taken as they are, also as `validation`. Raises SourceError or ConfigError.
    """
    if not isinstance(spec, str | Path):
        splits, notes = object_splits(spec)
        source = _open_objects(splits, files, validation, notes)
    elif isinstance(spec, str) and (spec == SAMPLE_TASK.name or spec in HUB_TASKS):
        _refuse_file_options(spec, files, validation)
        source = _open_named(spec, mirror)
    else:
        path = to_path(spec).expanduser()
        if not exists(path):
            raise SourceError(
                fitted("Unknown task '{spec}', and no file or folder {path} exists.", spec=spec, path=path),
                next_step=f"Pass a path, {SAMPLE_TASK.name}, {short_names()}.",
            )
        source = _open_files(path, files, validation)
    if prefix is None:
        return source
    if source.task.kind != "seq2seq":
        raise ConfigError(
            "--prefix only applies to sequence to sequence tasks.",
            next_step="Leave it out, or name the targets with --target.",
        )
    return replace(source, task=replace(source.task, prefix=prefix))


def _open_named(name: str, mirror: Path | None) -> Source:
    if name in HUB_TASKS:
        return _open_hub(HUB_TASKS[name]) if mirror is None else _open_mirror(HUB_TASKS[name], mirror)
    return _open_tables(SAMPLE_TASK, sample_tables(), tokenizer=str(TOKENIZER_FOLDER))


def _refuse_file_options(spec: str, files: FileOptions, validation: Rows | None) -> None:
    for name in [*changed_fields(files, FileOptions), *([] if validation is None else ["validation"])]:
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
                raise no_column(where, column, names[name], option=None, is_table=False)
        has_labels = set(columns.labels) <= set(names[name])
        splits.append(_split(name, file, where=where, has_labels=has_labels))
    return Source(
        name=hub.task.name,
        task=hub.task,
        content_sha256=parts_sha256({name: file_sha256(file.path) for name, file in files.items()}),
        default_tokenizer=_hub_tokenizer(hub.task),
        splits=tuple(splits),
    )


def _open_files(path: Path, options: FileOptions, validation: Rows | None) -> Source:
    notes: tuple[str, ...] = ()
    if path.is_file():
        stores: dict[str, Store] = {"train": data_file(path, options)}
    elif not path.is_dir():  # a device or a pipe, which could not be read twice
        raise SourceError(
            fitted("{path} is neither a file nor a folder.", path=path),
            next_step="Write what comes out of it to a file, and pass that.",
        )
    else:
        stores, notes = folder_splits(path, options)
    splits = {name: ObjectSplit(store=store) for name, store in stores.items()}
    return _open_splits(splits, options, validation, name=source_name(path), source=path, notes=notes)


def _open_objects(
    splits: dict[str, ObjectSplit], options: FileOptions, validation: Rows | None, notes: tuple[str, ...]
) -> Source:
    refuse_options(options, "only applies to files, not to tables")
    return _open_splits(splits, options, validation, name=OBJECTS_NAME, source="The source", notes=notes)


def _open_splits(
    splits: dict[str, ObjectSplit],
    options: FileOptions,
    validation: Rows | None,
    *,
    name: str,
    source: str | Path,
    notes: tuple[str, ...],
) -> Source:
    given = options.validation if validation is None else validation
    splits, held_out = with_validation(splits, given, options, where=source)
    names = {split: split_where(split, each.store) for split, each in splits.items()}
    schemas = {split: store_schema(each.store) for split, each in splits.items()}
    where = {split: name if store_files(splits[split].store) else sentence(name) for split, name in names.items()}
    tables = [split for split, each in splits.items() if any(file.dialect for file in store_files(each.store))]
    chosen = choose_grouped_columns(schemas, where, tables, options) or choose_columns(
        schemas,
        where,
        tables,
        text=options.text,
        pair=options.pair,
        label=options.label,
        target=options.target,
    )
    label_type: LabelType = "regression" if chosen.kind in GROUPED_KINDS else options.label_type
    columns = {
        split: [column for column in chosen.columns.every if column in schema.names]
        for split, schema in schemas.items()
    }
    for split, each in splits.items():
        refuse_unreadable(each, columns[split], names[split])
    shape = label_shape(splits["train"].store, schemas["train"], chosen, options)
    kind = "regression" if (shape.kind, label_type) == ("classification", "regression") else shape.kind
    may_be_answers = kind == "multi_label" and options.label_type == "auto"
    if may_be_answers and are_answer_columns(splits["train"].store, chosen.columns, where=names["train"]):
        kind = "question_answering"
    document = None
    if held_out is not None and kind == "question_answering":
        document = document_column(splits["train"], schemas["train"], chosen.columns)
    opened = tuple(
        _split(split, each.store, where=names[split], has_labels=split in chosen.labelled)
        for split, each in splits.items()
    )
    drawn_by = [] if document is None else [document]
    parts = {
        "files": {
            split: store_digest(each.store, columns[split] + (drawn_by if split == "train" else []))
            for split, each in splits.items()
        },
        "columns": columns_record(chosen.columns),
        "label_type": label_type,
        "held_out": held_out,
        **unusual_reading({split: each.store for split, each in splits.items()}),
        **names_of_classes(splits, chosen.columns.labels, names),
        **({} if held_out is None else {"drawing": _DRAWING}),
        **shape.digest_parts(),
        **({"skip_bad_rows": True} if options.skip_bad_rows else {}),
    }
    return Source(
        name=name,
        task=Task(
            name=name,
            kind=kind,
            columns=chosen.columns,
            metrics=metrics_of(kind, chosen.columns),
            drop_forbidden=options.forbid_drop,
        ),
        content_sha256=parts_sha256(parts),
        default_tokenizer=None,
        splits=opened,
        label_type=label_type,
        held_out=held_out,
        document=document,
        notes=notes,
        label_names=shape.names,
        label_separator=shape.separator,
        has_list_texts=shape.has_list_texts,
        skips_bad_rows=options.skip_bad_rows,
    )


def _split(name: str, store: Store, *, where: str, has_labels: bool) -> Split:
    """Return a split; the stamps of its files are taken before their digest, so no later change goes unseen."""
    return Split(name=name, where=where, content=store, has_labels=has_labels, stamps=store_stamps(store))
