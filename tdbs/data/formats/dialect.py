"""Find how a table of text is written: delimiter and quote.

The extension's own dialect counts if the rows at the file's beginning have one number of fields in it, two or more.
Otherwise the standard library's sniffer is asked, then every other pair of delimiter and quote; the first in which the
rows agree is taken. Reading checks it on the whole file: a row of another number of fields is an error.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tdbs.data.formats.data_file import DataFile, Dialect, not_in_encoding, open_text
from tdbs.errors import ConfigError, SourceError

DELIMITERS = (",", ";", "\t", "|")
QUOTES = ('"', "'")
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SAMPLE = 1 << 16  # characters of the file that are looked at
USUAL_DIALECTS = {
    "csv": Dialect(delimiter=",", quote='"'),
    "tsv": Dialect(delimiter="\t", quote=None),  # like GLUE's own files: a quote is a character
    "txt": Dialect(delimiter="\t", quote='"'),
}


def dialect_of(file: DataFile, *, delimiter: str | None, quote: str | None, has_header: bool) -> Dialect:
    """Return the dialect of a file: what the user says of it, and the rest as it is found.

    Raises ConfigError for a delimiter or quote of more than one character, and SourceError if a `.txt` file has one
    column in every dialect.
    """
    usual = USUAL_DIALECTS[file.format]
    if delimiter is not None or quote is not None:
        quoted = usual.quote or ('"' if file.format != "tsv" else None)
        return Dialect(
            delimiter=usual.delimiter if delimiter is None else _one("--delimiter", _NAMES.get(delimiter, delimiter)),
            quote=quoted if quote is None else None if quote == "none" else _one("--quote", quote),
            has_header=has_header,
        )
    sample, is_whole = _beginning(file)
    for dialect in _candidates(usual, sample):
        names = _fields(sample, dialect, is_whole=is_whole)
        if len(names) > 1 and not _is_quoted_otherwise(names, dialect):
            return replace(dialect, has_header=has_header)
    if file.format == "txt":
        raise SourceError(
            f"{file.name} has no delimiter: tdbs looked for comma, semicolon, tab and |.",
            next_step="Pass its --delimiter.",
        )
    return replace(usual, has_header=has_header)


def _candidates(usual: Dialect, sample: str) -> Iterator[Dialect]:
    yield usual
    try:
        found = csv.Sniffer().sniff(sample, "".join(DELIMITERS))
    except csv.Error:
        pass  # it found none
    else:
        if found.quotechar == '"' or _has_quoted_field(sample, found.delimiter, "'"):
            yield Dialect(delimiter=found.delimiter, quote=found.quotechar or '"')
    for delimiter in DELIMITERS:
        yield Dialect(delimiter=delimiter, quote='"')
        if _has_quoted_field(sample, delimiter, "'"):
            yield Dialect(delimiter=delimiter, quote="'")


def _has_quoted_field(sample: str, delimiter: str, quote: str) -> bool:
    """Return whether a field stands in these quotes: else a row whose usual quotes are broken would be read by them."""
    ends = re.escape(delimiter)
    return re.search(rf"(?:^|{ends}){quote}[^{quote}]*{quote}(?:{ends}|$)", sample, re.MULTILINE) is not None


def _fields(sample: str, dialect: Dialect, *, is_whole: bool) -> list[str]:
    """Return the fields of the first row, if all rows have as many; none if they do not, or if a quote is not closed.

    The last row of a sample that is cut is left out.
    """
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(sample.splitlines(keepends=True), **reader_options(dialect)))
    except csv.Error:  # at the end of a sample: a quote that the cut left open
        if is_whole:
            return []
    if not is_whole:
        rows = rows[:-1] or rows
    while rows and not rows[-1]:
        rows.pop()
    return rows[0] if rows and len({len(row) for row in rows}) == 1 else []


def reader_options(dialect: Dialect) -> dict[str, Any]:
    """Return a dialect as options of `csv.reader`."""
    if dialect.quote is None:
        return {"delimiter": dialect.delimiter, "quoting": csv.QUOTE_NONE, "strict": True}
    return {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "strict": True}


def _is_quoted_otherwise(names: list[str], dialect: Dialect) -> bool:
    """Return whether every field of the first row stands in quotes that the dialect does not know."""
    if dialect.quote is None:
        return False
    others = [quote for quote in QUOTES if quote != dialect.quote]
    return any(all(len(name) > 1 and name[0] == name[-1] == quote for name in names) for quote in others)


def _beginning(file: DataFile) -> tuple[str, bool]:
    """Return the first characters of a file, and whether they are all."""
    try:
        with open_text(file) as text:
            sample = text.read(_SAMPLE + 1)
    except UnicodeDecodeError as error:
        raise not_in_encoding(file) from error
    return sample[:_SAMPLE], len(sample) <= _SAMPLE


def _one(option: str, value: str) -> str:
    if len(value) != 1 or value in "\r\n":
        raise ConfigError(
            f"{option} must be one character, got '{value}'.", next_step="Pass one, such as ; or tab, or leave it out."
        )
    return value
