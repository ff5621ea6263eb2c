"""Read chosen columns of a table of text, such as CSV or TSV; an empty field, and only that, is missing.

Line breaks are allowed in quoted fields. `None`, `NA`, `null` and `nan` are texts. Blank lines are allowed at the end
only. How a file is written, its dialect, is found by dialect.py.

The parser is the standard library's, in strict mode: pyarrow's takes a quote that is never closed as one long field and
loses the rows in it without a word. It costs 1 to 2 seconds per million rows, about a hundredth of tokenizing them.
"""

import csv
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import BadRows, plain_name, refuse_or_note
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.data_file import DataFile, Dialect, open_text
from tdbs.data.formats.quotes import reader_options
from tdbs.errors import SourceError
from tdbs.shown import fitted

_OTHER_WIDTH = "Quote fields that contain the delimiter, fix the row, or pass another --delimiter."
_LITERAL = """If quotes enclose fields, pass --quote '"'; else fix the row or pass a --delimiter."""
_NO_LIMIT = 2**31 - 1  # the csv module refuses fields over 128 KiB; a document can be longer


class _LongFields:
    """Lifts the csv module's limit, which belongs to the process, while any reader of ours is in the parser."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._before = 0

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Lift the limit; the last reader to leave puts back the one that the first found, unless it was set again."""
        with self._lock:
            if self._readers == 0:
                self._before = csv.field_size_limit(_NO_LIMIT)
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0 and csv.field_size_limit() == _NO_LIMIT:
                    csv.field_size_limit(self._before)


_LONG_FIELDS = _LongFields()


def read_schema(file: DataFile) -> pa.Schema:
    """Return the names in the header, or numbers from 1; every column holds texts."""
    rows = _rows(file, at_once=1)
    names = _names(next(rows, []), _dialect(file))
    if not names and any(rows):
        raise SourceError(f"{file.name} begins with a blank line.", next_step="Delete the line.")
    if not names:
        raise SourceError(f"{file.name} is empty.", next_step="Add a header and rows.")
    return pa.schema([(name, pa.string()) for name in names])


def read_columns(file: DataFile, columns: list[str], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns as strings, null if the field is empty, some rows at a time.

    With `bad`, rows of another number of fields are recorded there, and are rows of nulls.
    """
    dialect, rows = _dialect(file), _rows(file)
    first = next(rows, [])
    names = [plain_name(name) for name in _names(first, dialect)]
    places = [names.index(column) for column in columns]
    if not dialect.has_header:
        rows = itertools.chain([first] if first else [], rows)
    for chunk in _chunks(rows, width=len(names), file=file, bad=bad):
        fields = list(zip(*chunk, strict=True))
        yield pa.table([_empty_is_null(fields[place]) for place in places], names=columns)


def _dialect(file: DataFile) -> Dialect:
    if file.dialect is None:
        raise ValueError(f"{file.name} is not a table of text")
    return file.dialect


def _names(first: list[str], dialect: Dialect) -> list[str]:
    """Return the names of the columns, by the first row."""
    return first if dialect.has_header else [str(number) for number in range(1, len(first) + 1)]


def _rows(file: DataFile, *, at_once: int = ROWS_AT_ONCE) -> Iterator[list[str]]:
    """Yield the header, if there is one, and every row; an unreadable row is an error with its number (from 1)."""
    dialect = _dialect(file)
    done = 0 if dialect.has_header else 1
    try:
        with open_text(file) as text:
            for row in _unlimited(csv.reader(text, **reader_options(dialect)), at_once=at_once):
                yield row
                done += 1
    except csv.Error as error:
        raise SourceError(
            fitted("{row} of {file} is not well-formed: {error}.", row=_row(done), file=file.name, error=error),
            next_step="Close its quotes, and write a quote inside a quoted field twice; or pass --quote none.",
        ) from error


def _chunks(rows: Iterator[list[str]], *, width: int, file: DataFile, bad: BadRows | None) -> Iterator[list[list[str]]]:
    """Yield lists of rows that all have `width` fields."""
    where = file.name
    chunk: list[list[str]] = []
    blank: list[int] = []  # lines since the last row
    for place, row in enumerate(rows):
        if not row:
            blank.append(place)
            continue
        for line in blank:
            refuse_or_note(bad, line, where, "is a blank line", next_step="Delete the line.")
            chunk.append([""] * width)
        blank = []
        if len(row) != width:
            refuse_or_note(
                bad,
                place,
                where,
                f"has a different number of fields ({len(row)}) than the header ({width})",
                next_step=_LITERAL if _dialect(file).quote is None and '"' in "".join(row) else _OTHER_WIDTH,
            )
        chunk.append(row if len(row) == width else [""] * width)
        if len(chunk) >= ROWS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _empty_is_null(fields: tuple[str, ...]) -> pa.Array:
    texts = pa.array(fields, pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _row(number: int) -> str:
    return f"Row {number}" if number else "The header"


def _unlimited(rows: Iterator[list[str]], *, at_once: int) -> Iterator[list[str]]:
    """Yield rows with fields of any length. No row is handed out while the limit of the whole process is lifted."""
    error: Exception | None = None
    while error is None:
        found: list[list[str]] = []
        with _LONG_FIELDS.allowed():
            try:
                found.extend(islice(rows, at_once))
            except (csv.Error, UnicodeError) as caught:
                error = caught
        yield from found
        if error is None and len(found) < at_once:
            return
    raise error
