"""Read chosen keys of a file with one JSON object a line; a missing key or a null is missing.

Row numbers are line numbers. The keys of the first line are the file's columns. Blank lines are allowed at the end
only.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tdbs.data.undecodable import undecodable_line
from tdbs.errors import SourceError

_ROWS_PER_CHUNK = 65_536


def column_names(path: Path) -> list[str]:
    """Return the keys of the first line."""
    first = next(_objects(path), None)
    if first is None:
        raise SourceError(f"{path.name} is empty.", next_step="Give it one JSON object a line.")
    return list(first)


def read_columns(path: Path, columns: list[str], *, texts: list[str]) -> pa.Table:
    """Return the asked keys as strings; those named in `texts` must hold strings, the others any plain value."""
    chunks: list[pa.RecordBatch] = []
    values: dict[str, list[str | None]] = {column: [] for column in columns}
    for number, row in enumerate(_objects(path), start=1):
        for column in columns:
            value = row.get(column)
            if value is not None and not isinstance(value, str):
                value = _plain(value, column, number, path.name, is_text=column in texts)
            values[column].append(value)
        if number % _ROWS_PER_CHUNK == 0:
            chunks.append(_batch(values, number - _ROWS_PER_CHUNK, path.name))
            values = {column: [] for column in columns}
    done = sum(chunk.num_rows for chunk in chunks)
    chunks.append(_batch(values, done, path.name))
    return pa.Table.from_batches(chunks)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    first_blank = None
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise undecodable_line(path.name, number, error) from error
            if not text.strip():
                first_blank = first_blank or number
                continue
            if first_blank:
                raise SourceError(f"row {first_blank} of {path.name} is a blank line.", next_step="Delete the line.")
            yield _object(text, number, path.name)


def _object(text: str, number: int, where: str) -> dict[str, Any]:
    next_step = 'Write one JSON object a line, such as {"text": "a fine film", "label": 1}.'
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"row {number} of {where} is not JSON: {error}.", next_step=next_step) from error
    if not isinstance(row, dict):
        raise SourceError(f"row {number} of {where} is not a JSON object.", next_step=next_step)
    return row


def _plain(value: object, column: str, number: int, where: str, *, is_text: bool) -> str:
    """Return a label's number or bool as it is written in Python; texts, lists and objects are refused."""
    if is_text or not isinstance(value, (bool, int, float)):
        kind = "a text" if is_text else "a text or a number"
        raise SourceError(
            f"'{column}' in row {number} of {where} is {json.dumps(value)[:40]}, not {kind}.",
            next_step="Fix the row.",
        )
    return str(value)


def _batch(values: dict[str, list[str | None]], rows_before: int, where: str) -> pa.RecordBatch:
    try:
        return pa.record_batch([pa.array(column, pa.string()) for column in values.values()], names=list(values))
    except UnicodeEncodeError as error:  # JSON can spell half a surrogate pair, UTF-8 cannot
        raise _lone_surrogate(values, rows_before, where) from error


def _lone_surrogate(values: dict[str, list[str | None]], rows_before: int, where: str) -> SourceError:
    number, column = min(
        (index, column)
        for column, texts in values.items()
        for index, text in enumerate(texts, start=rows_before + 1)
        if text is not None and any("\ud800" <= character <= "\udfff" for character in text)
    )
    return SourceError(
        f"'{column}' in row {number} of {where} holds half of a surrogate pair.", next_step="Fix the row."
    )
