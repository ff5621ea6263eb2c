"""One table of the file formats: how each lists its columns, counts its rows, and is read, some rows at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pyarrow as pa

from tdbs.data.columns import SHOWN_WHERE, BadRows, plain_names, repeated
from tdbs.data.content import Content
from tdbs.data.formats import arrow, conll, delimited, json_rows, jsonl, parquet, squad
from tdbs.data.formats.data_file import COMPRESSIONS, UTF8, DataFile, checked_encoding, compression_of, inner_suffix
from tdbs.data.formats.dialect import dialect_of
from tdbs.data.formats.json_forms import form_of
from tdbs.data.header import conll_step
from tdbs.errors import ConfigError, SourceError
from tdbs.files import is_remote
from tdbs.option import Option
from tdbs.settings import changed_fields
from tdbs.shown import clipped, fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """What the user says of how files are written; None: as it is found."""

    delimiter: Annotated[str | None, Option("Character between the fields of a table.", default="found")] = None
    quote: Annotated[str | None, Option("Character around fields of a table, or none.", default="found")] = None
    no_header: Annotated[bool, Option("The first row is data; columns are called 1, 2 and so on.")] = False
    encoding: Annotated[str, Option("Encoding of text files, such as cp1252.")] = UTF8


def refuse_options(options: ReadOptions, why: str, *, but: Sequence[str] = ()) -> None:
    """Raise ConfigError for an option of reading that is given without use; `but`: those that are of use."""
    for name in changed_fields(options, ReadOptions):
        if name not in but:
            raise ConfigError(f"--{name.replace('_', '-')} {why}.", next_step="Leave it out.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """What is done with a file of a format."""

    name: str
    suffixes: tuple[str, ...]  # none for forms of JSON that are found by their beginning (json_forms.py)
    read_schema: Callable[[DataFile], pa.Schema]  # columns and their types, without reading the rows
    # what each of the requested columns holds, and where bad rows are noted (None: the first is an error)
    read: Callable[[DataFile, Mapping[str, Content], BadRows | None], Iterator[pa.Table]]
    count_rows: Callable[[DataFile], int] | None = None  # None: the file is read through
    is_table: bool = False  # of text: it has a dialect
    is_text: bool = True  # it has an encoding, and may be compressed


def _table(name: str, *suffixes: str) -> Format:
    return Format(
        name=name,
        suffixes=suffixes,
        read_schema=delimited.read_schema,
        read=lambda file, columns, bad: delimited.read_columns(file, list(columns), bad),
        is_table=True,
    )


FORMATS = {
    format_.name: format_
    for format_ in (
        _table("csv", ".csv"),
        _table("tsv", ".tsv", ".tab"),
        _table("txt", ".txt"),
        Format(
            name="jsonl",
            suffixes=(".jsonl", ".json", ".ndjson"),
            read_schema=jsonl.read_schema,
            read=jsonl.read_columns,
        ),
        Format(name="json", suffixes=(), read_schema=json_rows.read_schema, read=json_rows.read_columns),
        Format(name="squad", suffixes=(), read_schema=squad.read_schema, read=squad.read_columns),
        Format(
            name="parquet",
            suffixes=(".parquet",),
            read_schema=parquet.read_schema,
            read=lambda file, columns, _bad: parquet.read_columns(file, list(columns)),
            count_rows=parquet.count_rows,
            is_text=False,
        ),
        Format(
            name="arrow",
            suffixes=(".arrow",),
            read_schema=arrow.read_schema,
            read=lambda file, columns, _bad: arrow.read_columns(file, list(columns)),
            count_rows=arrow.count_rows,
            is_text=False,
        ),
        Format(
            name="conll",
            suffixes=(".conll", ".conllu", ".iob", ".bio"),
            read_schema=conll.read_schema,
            read=lambda file, columns, bad: conll.read_columns(file, list(columns), bad),
        ),
    )
}
SUFFIXES = {suffix: format_ for format_ in FORMATS.values() for suffix in format_.suffixes}


def data_file(path: Path, options: ReadOptions) -> DataFile:
    """Return a file of rows with how it is read: by its extensions, its beginning, and what the user says.

    Raises SourceError if the extension is none of tdbs's, and ConfigError for an option that does not apply.
    """
    suffix, compression = inner_suffix(path), compression_of(path)
    found = SUFFIXES.get(suffix)
    if found is None:
        raise _other_extension(path, suffix, compression)
    if compression is not None and not found.is_text:
        raise SourceError(
            fitted("{file} is a compressed " + found.name + " file.", file=path.name), next_step="Unpack it."
        )
    of_table = ("delimiter", "quote", "no_header") if found.is_table else ()
    of_text = ("encoding",) if found.is_text else ()
    refuse_options(options, f"does not apply to {clipped(path.name, SHOWN_WHERE)}", but=of_table + of_text)
    path = path if is_remote(path) else path.absolute()  # workers elsewhere have another current folder
    file = DataFile(path=path, format=found.name, compression=compression, encoding=checked_encoding(options.encoding))
    if found.name == "jsonl":
        return replace(file, format=form_of(file))
    if not found.is_table:
        return file
    dialect = dialect_of(file, delimiter=options.delimiter, quote=options.quote, has_header=not options.no_header)
    return replace(file, dialect=dialect)


def _other_extension(path: Path, suffix: str, compression: str | None) -> SourceError:
    """Return the error for a file of no format that tdbs reads, by its extension or that of the file in it."""
    known = f"Use one of {', '.join(SUFFIXES)}."
    if compression == "zip":
        what = f"a file that ends in {clipped(suffix, 20)}" if suffix else "a file without an extension"
        step = "Unpack it, and pass the file." if suffix in COMPRESSIONS else known
        return SourceError(fitted("{file} contains " + what + ".", file=path.name), next_step=step)
    if compression is not None and not suffix:
        return SourceError(
            fitted("{file} has no extension of a format before that of its compression.", file=path.name),
            next_step=f"Name it such as {clipped(path.stem, 40)}.csv{path.suffix}.",
        )
    return SourceError(fitted("{file} has an extension that tdbs does not support.", file=path.name), next_step=known)


def read_schema(file: DataFile) -> pa.Schema:
    """Return the names, without blanks around them, and types of a file's columns; no two may have one name.

    Columns without a name may be several.
    """
    schema = plain_names(FORMATS[file.format].read_schema(file))
    twice = repeated(schema.names)
    if twice is not None:
        raise SourceError(
            f"{clipped(file.name, 40)} has two columns named '{clipped(twice, 40)}'.",
            next_step=conll_step(schema.names) or "Rename one of them.",
        )
    return schema


def read_tables(file: DataFile, columns: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns, some rows at a time; with `bad`, rows that cannot be read are recorded there."""
    return FORMATS[file.format].read(file, columns, bad)


def count_rows(file: DataFile, column: str, bad: BadRows | None = None) -> int:
    """Return how many rows a file has; formats that do not say are read through, by one of their columns.

    With `bad`, malformed rows count too, and are recorded there.
    """
    count = FORMATS[file.format].count_rows
    return sum(table.num_rows for table in read_tables(file, {column: "any"}, bad)) if count is None else count(file)
