"""One table of the file formats: how each lists its columns, and how it is read, some rows at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tdbs.data.columns import BadRows, plain_names
from tdbs.data.formats import delimited, jsonl, parquet
from tdbs.errors import SourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """What is done with a file by its extension."""

    name: str
    read_schema: Callable[[Path], pa.Schema]  # columns and their types, without reading the rows
    # path, what each of the requested columns holds, where bad rows are noted (left out: the first is an error)
    read: Callable[..., Iterator[pa.Table]]
    count_rows: Callable[[Path], int] | None = None  # without reading the rows; None: they are read to be counted


_CSV = Format(
    name="csv",
    read_schema=delimited.read_schema,
    read=lambda path, columns, bad=None: delimited.read_columns(path, list(columns), bad),
)
_TSV = Format(name="tsv", read_schema=_CSV.read_schema, read=_CSV.read)
_JSONL = Format(name="jsonl", read_schema=jsonl.read_schema, read=jsonl.read_columns)
_PARQUET = Format(
    name="parquet",
    read_schema=parquet.read_schema,
    read=lambda path, columns, _bad=None: parquet.read_columns(path, list(columns)),
    count_rows=parquet.count_rows,
)
FORMATS: dict[str, Format] = {
    ".csv": _CSV,
    ".tsv": _TSV,
    ".jsonl": _JSONL,
    ".json": _JSONL,
    ".ndjson": _JSONL,
    ".parquet": _PARQUET,
}


def format_of(path: Path) -> Format:
    """Return the format that a file's extension names."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise SourceError(
            f"{path.name} has an extension that tdbs does not support.", next_step=f"Use one of {', '.join(FORMATS)}."
        ) from None


def read_schema(path: Path) -> pa.Schema:
    """Return the names, without blanks around them, and types of a file's columns; no two may have one name."""
    schema = plain_names(format_of(path).read_schema(path))
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{path.name} has two columns named '{twice}'.", next_step="Rename one of them.")
    return schema


def count_rows(path: Path, column: str, bad: BadRows | None = None) -> int:
    """Return how many rows a file has; formats that do not say are read through, by one of their columns.

    With `bad`, malformed rows count too, and are recorded there.
    """
    its_format = format_of(path)
    if its_format.count_rows is not None:
        return its_format.count_rows(path)
    return sum(table.num_rows for table in its_format.read(path, {column: "any"}, bad))
