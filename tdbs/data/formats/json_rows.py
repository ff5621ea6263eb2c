"""Read rows of JSON that is not written one object a line: `[{…}, …]`, or `{"data": [{…}, …]}` as exports have it.

An array is read some rows at a time, so that memory does not grow with the file. An object with `data` is loaded as a
whole (`load_whole`), each time that the file is gone through: for large files an array or JSONL is better. The keys of
the first 8,192 rows are the file's columns.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pyarrow as pa

from tdbs.data.columns import BadRows
from tdbs.data.content import Content
from tdbs.data.formats.data_file import DataFile, open_text
from tdbs.data.formats.jsonl import DECODER, RepeatedKey, plain_object, schema_of, tables_of_objects
from tdbs.errors import SourceError
from tdbs.shown import fitted

ROWS_STEP = 'Write an array of objects, such as [{"text": "a fine film", "label": 1}], or one object a line.'
_CHUNK = 1 << 20  # characters that are read at once
_BLANKS = re.compile(r"[ \t\r\n]*")
_CUT = 16  # characters before the end of what was read, where an error may only mean that there is more


def read_schema(file: DataFile) -> pa.Schema:
    """Return the keys of the first rows, with the types of their values."""
    return schema_of(lambda bad: _rows(file, bad), file.name, if_empty=ROWS_STEP)


def read_columns(file: DataFile, columns: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested keys, some rows at a time; a value that is not what its column should hold is an error.

    With `bad`, such rows and rows that are not objects are recorded there instead. Text that is not JSON is always an
    error, since nothing shows where the next row begins.
    """
    return tables_of_objects(_rows(file, bad), columns, file.name, bad)


def load_whole(file: DataFile) -> Any:
    """Return the value that a whole file contains. Raises SourceError if it is not JSON."""
    with open_text(file) as text:
        written = text.read()
    try:
        value = DECODER.decode(written)
    except ValueError as error:
        raise SourceError(_not_json(file.name, error), next_step=ROWS_STEP) from error
    except RecursionError as error:
        raise SourceError(f"{file.name} is nested too deeply.", next_step=ROWS_STEP) from error
    if isinstance(value, RepeatedKey):
        raise SourceError(
            fitted("{file} has two keys '{name}' in one object.", file=file.name, name=value.name),
            next_step="Rename one of them.",
        )
    return value


def _rows(file: DataFile, bad: BadRows | None) -> Iterator[dict[str, Any]]:
    for place, value in enumerate(array_values(file)):
        yield plain_object(value, place, file.name, bad, next_step=ROWS_STEP)


def _not_json(where: str, reason: object) -> str:
    return fitted("{where} is not JSON: {reason}.", where=where, reason=reason)


def array_values(file: DataFile) -> Iterator[object]:
    """Yield what the file's array contains, or that of `data`."""
    with open_text(file) as text:
        reader = _Reader(text)
        if reader.next_character() == "[":
            yield from _of_array(reader, file.name)
            return
    yield from load_whole(file)["data"]


class _Reader:
    """The values of a text one after the other, with no more of it in memory than they need."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._held = ""
        self._at = 0  # of what is held

    def next_character(self) -> str:
        """Return the next character that is not blank, without going past it; "" at the end."""
        while True:
            blanks = _BLANKS.match(self._held, self._at)
            self._at = self._at if blanks is None else blanks.end()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._reads_more():
                return ""

    def skip(self) -> None:
        """Go past the next character."""
        self._at += 1

    def value(self) -> object:
        """Return the next value. Raises ValueError if it is not JSON."""
        self.next_character()  # the decoder takes no blanks
        while True:
            try:
                value, self._at = DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._held) - _CUT or error.msg.startswith("Unterminated string")
                if not (is_cut and self._reads_more()):
                    raise
            else:
                return value

    def _reads_more(self) -> bool:
        """Read on, twice as much if one value needs it; return whether there was more."""
        rest = self._held[self._at :]
        more = self._text.read(max(_CHUNK, len(rest)))
        self._held, self._at = rest + more, 0
        return bool(more)


def _of_array(reader: _Reader, where: str) -> Iterator[object]:
    reader.skip()
    number = 0
    is_last = reader.next_character() == "]"
    while not is_last:
        number += 1
        try:
            value = reader.value()
        except json.JSONDecodeError as error:
            raise SourceError(_not_json(f"Row {number} of {where}", error.msg), next_step=ROWS_STEP) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists in lists
            raise SourceError(_not_json(f"Row {number} of {where}", error), next_step=ROWS_STEP) from error
        yield value
        found = reader.next_character()
        if found not in ("", ",", "]"):
            raise SourceError(f"Row {number} of {where} is followed by {found}, not by a comma.", next_step=ROWS_STEP)
        if not found:
            raise SourceError(f"The array in {where} is not closed after row {number}.", next_step="Add a ].")
        is_last = found == "]"
        if not is_last:
            reader.skip()
    reader.skip()
    if reader.next_character():
        raise SourceError(f"{where} has more text after its array.", next_step=ROWS_STEP)
