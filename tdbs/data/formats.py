"""One table of the file formats: how each names its columns and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tdbs.data import delimited, jsonl, parquet
from tdbs.errors import SourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """What is done with a file by its extension."""

    name: str
    column_names: Callable[[Path], list[str]]
    read: Callable[[Path, list[str], list[str]], pa.Table]  # path, columns, those of them that are texts


_CSV = Format(
    name="csv", column_names=delimited.column_names, read=lambda path, columns, _: delimited.read_columns(path, columns)
)
_TSV = Format(name="tsv", column_names=_CSV.column_names, read=_CSV.read)
_JSONL = Format(
    name="jsonl",
    column_names=jsonl.column_names,
    read=lambda path, columns, texts: jsonl.read_columns(path, columns, texts=texts),
)
_PARQUET = Format(
    name="parquet",
    column_names=parquet.column_names,
    read=lambda path, columns, _: parquet.read_columns(path, columns),
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
            f"{path.name} has an extension that tdbs does not read.", next_step=f"Use one of {', '.join(FORMATS)}."
        ) from None


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns; two columns of one name are an error."""
    names = format_of(path).column_names(path)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{path.name} has two columns named '{twice}'.", next_step="Rename one of them.")
    return names
