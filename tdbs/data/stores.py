"""What holds the rows of a split, and how each is read in pieces: a file, several files, folders of texts, a table.

Files are read some rows at a time; of class folders each file is one row. A Dataset of the datasets library is read in
batches, so one that is mapped from the disk, filtered or shuffled is never in memory as a whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pyarrow as pa

from tdbs.data.columns import SHOWN_WHERE, BadRows, SplitName, plain_name
from tdbs.data.content import ROWS_AT_ONCE, Content, is_list, is_text, plain_type
from tdbs.data.formats import FORMATS, count_rows, read_schema, read_tables
from tdbs.data.formats.data_file import UTF8, DataFile, open_text
from tdbs.data.misfits import MixedTable, note_misfits
from tdbs.digests import file_sha256, parts_sha256, tables_sha256
from tdbs.errors import SourceError
from tdbs.files import Stamp, stamp_of
from tdbs.shown import clipped, fitted

TEXT, LABEL = "text", "label"  # the columns of class folders
_BYTES_AT_ONCE = 8 << 20  # of text files


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """Several files that are one split, in order."""

    files: tuple[DataFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFolders:
    """A folder with a folder a class, whose text files are the rows."""

    folder: Path
    files: tuple[tuple[str, str], ...]  # class and name of each file, in order
    encoding: str = UTF8

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.folder.joinpath(*self.files[row])


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRows:
    """A Dataset of the datasets library, in Arrow's format."""

    dataset: Any
    schema: pa.Schema  # with plain names


Store: TypeAlias = DataFile | Shards | ClassFolders | DatasetRows | MixedTable | pa.Table


def store_schema(store: Store) -> pa.Schema:
    """Return the columns; several files share those of the first."""
    match store:
        case DataFile():
            return read_schema(store)
        case Shards():
            return read_schema(store.files[0])
        case ClassFolders():
            return pa.schema([(TEXT, pa.string()), (LABEL, pa.string())])
        case MixedTable():
            return store.table.schema
    return store.schema


def store_rows(store: Store, column: str, bad: BadRows | None = None) -> int:
    """Return how many rows there are; formats that do not say are read through, by one of their columns."""
    match store:
        case DataFile():
            return count_rows(store, column, bad)
        case Shards():
            return sum(count_rows(file, column, bad) for file in store.files)
        case ClassFolders():
            return len(store.files)
        case DatasetRows():
            return len(store.dataset)
        case MixedTable():
            return int(store.table.num_rows)
    return int(store.num_rows)


def store_tables(store: Store, asked: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns, some rows at a time; with `bad`, rows that cannot be read are recorded there."""
    match store:
        case DataFile():
            return read_tables(store, asked, bad)
        case Shards():
            return _of_shards(store, asked, bad)
        case ClassFolders():
            return _of_class_folders(store, list(asked))
        case DatasetRows():
            return _of_dataset(store, list(asked))
        case MixedTable():
            note_misfits(store, asked, bad)
            store = store.table
    batches = store.select(list(asked)).to_batches(max_chunksize=ROWS_AT_ONCE)
    return (pa.Table.from_batches([batch]) for batch in batches)


def store_stamps(store: Store) -> tuple[Stamp, ...]:
    """Return the states of all files; none of a table in memory."""
    return tuple(stamp_of(path) for path in _paths(store))


def store_files(store: Store) -> tuple[DataFile, ...]:
    """Return the files, with how they are read; of class folders one that stands for all, which are read alike."""
    match store:
        case DataFile():
            return (store,)
        case Shards():
            return store.files
        case ClassFolders():
            return (DataFile(path=store.folder, format="txt", encoding=store.encoding),)
    return ()


def is_digestible(kind: pa.DataType) -> bool:
    """Return whether a type is of texts, numbers, decimals too, booleans, or lists and objects of such."""
    kind = digested_type(kind)
    if is_list(kind):
        return is_digestible(kind.value_type)
    if pa.types.is_struct(kind):
        return all(is_digestible(field.type) for field in kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(is_number or pa.types.is_decimal(kind) or is_text(kind) or pa.types.is_null(kind))


def store_digest(store: Store, columns: list[str]) -> list[str]:
    """Return the form of the contents, and their digest: that of a file's bytes, or of the columns' values."""
    match store:
        case DataFile():
            return [store.format, file_sha256(store.path)]
        case Shards():
            parts = {str(number): file_sha256(file.path) for number, file in enumerate(store.files)}
            return [store.files[0].format, parts_sha256(parts)]
        case ClassFolders():
            rows = ((name, file_sha256(store.path(row))) for row, (name, _) in enumerate(store.files))
            return ["class folders", parts_sha256({str(row): each for row, each in enumerate(rows)})]
    schema = pa.schema(
        [field.with_type(digested_type(field.type)) for field in map(store_schema(store).field, columns)]
    )
    pieces = store_tables(store, dict.fromkeys(columns, "any"), {})
    return ["table", tables_sha256(schema, (piece.cast(schema) for piece in pieces))]


def digested_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that values are digested as: pandas, polars and Arrow have several for the same values.

    Whole numbers have one; uint64 keeps its own, since its values may be too large for it.
    """
    kind = plain_type(kind)
    if is_list(kind):
        return pa.list_(digested_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(digested_type(field.type)) for field in kind])
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    return kind


def store_name(store: Store, name: str) -> str:
    """Return what errors call a split: a name that knows the file of each row, if rows are from several."""
    match store:
        case Shards():
            return SplitName(name, partial(_row_of_shards, store))
        case ClassFolders():
            return SplitName(name, partial(_row_of_class_folders, store))
    return name


def _paths(store: Store) -> Iterator[Path]:
    match store:
        case DataFile():
            yield store.path
        case Shards():
            yield from (file.path for file in store.files)
        case ClassFolders():
            yield from (store.path(row) for row in range(len(store.files)))


def refuse_other_columns(shards: Shards) -> None:
    """Raise for the first file that has other columns than the first one, or other types of them.

    Lines of JSON are each their own; where a key is missing, the row is refused when it is read.
    """
    first, *others = shards.files
    form = FORMATS[first.format]
    if form.is_text and not form.is_table:
        return
    expected = _types(first)
    for file in others:
        found = _types(file)
        name = next((name for name in [*expected, *found] if expected.get(name) != found.get(name)), None)
        if name is not None:
            raise SourceError(
                fitted(
                    "'{name}' is {kind} in {first}, but {other} in {file}.",
                    name=name,
                    kind=_shown(expected, name),
                    first=first.name,
                    other=_shown(found, name),
                    file=file.name,
                ),
                next_step="Write all files of a split with the same columns.",
            )


def _types(file: DataFile) -> dict[str, pa.DataType]:
    return {field.name: plain_type(field.type) for field in read_schema(file)}


def _shown(types: Mapping[str, pa.DataType], name: str) -> str:
    return str(types[name]) if name in types else "missing"


def _of_shards(shards: Shards, asked: Mapping[str, Content], bad: BadRows | None) -> Iterator[pa.Table]:
    before = 0
    for file in shards.files:
        noted: BadRows | None = None if bad is None else {}
        rows = 0
        for table in read_tables(file, asked, noted):
            rows += table.num_rows
            if bad is not None and noted:
                bad.update({before + row: reason for row, reason in noted.items()})
            yield table
        if bad is not None and noted:
            bad.update({before + row: reason for row, reason in noted.items()})
        before += rows


def _of_class_folders(store: ClassFolders, columns: list[str]) -> Iterator[pa.Table]:
    texts: list[str | None] = []
    size = first = 0
    for row in range(len(store.files)):
        text = _text_of(store, row) if TEXT in columns else ""
        texts.append(text or None)  # an empty file has no text, as an empty field has none
        size += len(text)
        if size >= _BYTES_AT_ONCE or len(texts) == ROWS_AT_ONCE or row + 1 == len(store.files):
            labels = [name for name, _ in store.files[first : row + 1]]
            yield pa.table({TEXT: pa.array(texts, pa.string()), LABEL: pa.array(labels, pa.string())}).select(columns)
            texts, size, first = [], 0, row + 1


def _text_of(store: ClassFolders, row: int) -> str:
    file = DataFile(path=store.path(row), format="txt", encoding=store.encoding)
    try:
        with open_text(file) as text:
            return text.read()
    except SourceError as error:  # its encoding: what is not compressed has no other
        raise SourceError(
            f"{_row_of_class_folders(store, row)} is not {store.encoding.upper()}.",
            next_step="Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
        ) from error


def _of_dataset(store: DatasetRows, columns: list[str]) -> Iterator[pa.Table]:
    written = {plain_name(name): name for name in store.dataset.column_names}
    rows = store.dataset.select_columns([written[name] for name in columns])
    for table in rows.iter(ROWS_AT_ONCE):
        yield pa.table([table[written[name]] for name in columns], names=columns)


def _row_of_shards(shards: Shards, row: int) -> str:
    for file in shards.files[:-1]:
        rows = count_rows(file, read_schema(file).names[0], {})
        if row < rows:
            break
        row -= rows
    else:
        file = shards.files[-1]
    return f"Row {row + 1} of {file.name}"


def _row_of_class_folders(store: ClassFolders, row: int) -> str:
    return f"File {clipped(PurePosixPath(store.folder.name, *store.files[row]), SHOWN_WHERE)}"
