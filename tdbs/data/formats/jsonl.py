"""Read chosen keys of a file with one JSON object a line; a missing key or a null is missing.

Row numbers are line numbers. The keys of the first 8,192 lines are the file's columns. Blank lines are allowed at the
end only. Objects of other forms of JSON (json_rows.py, squad.py) become columns by the same functions.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from tdbs.data.answers import answers_of_json, is_answer_object
from tdbs.data.columns import REASON, BadRows, plain_name, refuse_or_note
from tdbs.data.content import ANSWERS, ROWS_AT_ONCE, Content
from tdbs.data.formats.data_file import UTF8, DataFile, open_bytes, open_text, undecodable_line
from tdbs.errors import RowError, SourceError
from tdbs.shown import clipped, fitted, is_utf8

_NAMES: dict[Content, str] = {
    "text": "a text",
    "label": "a text or a number",
    "words": "a list of texts",
    "texts": "a list of texts",
    "labels": "a list of texts or numbers",
    "name": "anything",
    "any": "anything",
    "answers": "answers",
}
_SHOWN = 40  # characters of a value that does not fit
_ANSWERS = 'Write answers such as {"text": ["Paris"], "answer_start": [17]}.'
_TYPES: dict[Content, pa.DataType] = {
    "text": pa.string(),
    "label": pa.string(),
    "words": pa.list_(pa.string()),
    "texts": pa.list_(pa.string()),
    "labels": pa.list_(pa.string()),
    "answers": ANSWERS,
    "name": pa.string(),
    "any": pa.string(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedKey:
    """What is read in place of an object that has a key twice, in it or in an object below: one would be lost."""

    name: str


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any] | RepeatedKey:
    """Return an object of JSON from its keys and values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        return RepeatedKey(name=next(name for name in names if names.count(name) > 1))
    for value in found.values():
        below = value if isinstance(value, list) and value and isinstance(value[0], dict | RepeatedKey) else (value,)
        for entry in below:
            if isinstance(entry, RepeatedKey):
                return entry
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_distinct)


def read_schema(file: DataFile) -> pa.Schema:
    """Return the keys of the first lines, with the types of their values."""
    return schema_of(lambda bad: _objects(file, bad), file.name, if_empty="Write one JSON object per line.")


def read_columns(file: DataFile, columns: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested keys, some rows at a time; a value that is not what its column should hold is an error.

    With `bad`, such rows and lines that are not JSON are recorded there instead, and their values are nulls.
    """
    return tables_of_objects(_objects(file, bad), columns, file.name, bad)


def schema_of(objects: Callable[[BadRows | None], Iterator[dict[str, Any]]], where: str, *, if_empty: str) -> pa.Schema:
    """Return the keys of the first rows, in order, each with the type of the first value that says what is in it.

    A null says nothing, an empty list little. Rows with a fault say nothing either, unless all of these have one: then
    the first fault is raised. Otherwise whoever reads the rows meets it, and may skip it.
    """
    examples: dict[str, Any] = {}
    bad: BadRows = {}
    for place, row in enumerate(islice(objects(bad), ROWS_AT_ONCE)):
        if place in bad:
            continue
        if not examples and not all(map(is_utf8, row)):
            raise SourceError(
                f"Row {place + 1} of {where} contains half of a surrogate pair in a key.", next_step="Fix the row."
            )
        for key, value in row.items():
            is_column = key in examples or is_utf8(key)
            if is_column and (key not in examples or _says(value) > _says(examples[key])):
                examples[key] = value
    if not examples and next(objects(None), None) is None:
        raise SourceError(f"{where} is empty.", next_step=if_empty)
    return pa.schema([(key, _type_of(value)) for key, value in examples.items()])


def _says(value: object) -> int:
    """Return how much a value says of its type: a text says most if it has a character."""
    if value is None:
        return 0
    return 1 if value in ([], "") else 2


def tables_of_objects(
    objects: Iterator[dict[str, Any]], columns: Mapping[str, Content], where: str, bad: BadRows | None
) -> Iterator[pa.Table]:
    """Yield the requested keys of objects, some rows at a time, as `read_columns` does."""
    values: dict[str, list[Any]] = {column: [] for column in columns}
    number = 0
    for number, row in enumerate(objects, start=1):
        for column, content in columns.items():
            value = row.get(column)
            if value is not None:
                value = _READ[content](value)
                if value is None:
                    error = _misfit(column, number, where, row[column], content)
                    if bad is None:
                        raise error
                    bad.setdefault(number - 1, error.reasons[number - 1])
            values[column].append(value)
        if number % ROWS_AT_ONCE == 0:
            yield _table(values, columns, number - ROWS_AT_ONCE, where, bad)
            values = {column: [] for column in columns}
    yield _table(values, columns, number - number % ROWS_AT_ONCE, where, bad)


def _misfit(column: str, number: int, where: str, found: object, content: Content) -> RowError:
    problem, value = f"is {{value}}, not {_NAMES[content]}", clipped(json.dumps(found), _SHOWN)
    return RowError(
        fitted("'{name}' in row {row} of {where} " + problem + ".", name=column, row=number, where=where, value=value),
        next_step=_step_for(found, content),
        reasons={number - 1: fitted("'{name}' " + problem, width=REASON, name=column, value=value)},
    )


def _step_for(found: object, content: Content) -> str:
    """Return what to do about a value that is not what its column should hold."""
    if content == "answers":
        return _ANSWERS
    if content == "text" and isinstance(found, int | float):
        return "Write it as a text, in quotes."
    if (content, isinstance(found, list)) in (("text", True), ("words", False), ("texts", False)):
        return "Write a text in every row, or a list of texts in every row."
    return "Write each entry of the list as a text." if content == "texts" else "Fix the row."


def plain_object(row: object, place: int, where: str, bad: BadRows | None, *, next_step: str) -> dict[str, Any]:
    """Return an object of JSON with plain names; a row that is not one is refused, or recorded and empty."""
    if isinstance(row, RepeatedKey):
        refuse_or_note(bad, place, where, f"has two keys '{clipped(row.name, 40)}'", next_step="Rename one of them.")
        return {}
    if not isinstance(row, dict):
        refuse_or_note(bad, place, where, "is not a JSON object", next_step=next_step)
        return {}
    plain = {plain_name(key): value for key, value in row.items()}
    if len(plain) < len(row):
        names = [plain_name(key) for key in row]
        twice = next(name for name in names if names.count(name) > 1)
        refuse_or_note(bad, place, where, f"has two keys '{clipped(twice, 40)}'", next_step="Rename one of them.")
        return {}
    return plain


def lines_of(file: DataFile, bad: BadRows | None) -> Iterator[str]:
    """Yield the lines; with `bad`, one that is not UTF-8 is recorded there and is an empty object."""
    if file.encoding != UTF8:
        with open_text(file) as lines:
            yield from (line for line in lines)  # if left halfway, `yield from lines` closes them before open_text
        return
    with open_bytes(file) as coded:
        for place, data in enumerate(coded):
            try:
                yield data.decode(UTF8 if place else "utf-8-sig")
            except UnicodeDecodeError as error:
                if bad is None:
                    raise undecodable_line(file.name, place + 1, error) from error
                bad[place] = "is not UTF-8"
                yield "{}"


def _objects(file: DataFile, bad: BadRows | None) -> Iterator[dict[str, Any]]:
    blank: list[int] = []  # lines since the last row
    for place, text in enumerate(lines_of(file, bad)):
        if not text.strip():
            blank.append(place)
            continue
        for empty in blank:
            refuse_or_note(bad, empty, file.name, "is a blank line", next_step="Delete the line.")
            yield {}
        blank = []
        yield _object(text, place, file.name, bad)


def _object(text: str, place: int, where: str, bad: BadRows | None) -> dict[str, Any]:
    next_step = 'Write one JSON object a line, such as {"text": "a fine film", "label": 1}.'
    try:
        row = DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        refuse_or_note(bad, place, where, clipped(f"is not JSON: {error}", REASON), next_step=next_step)
        return {}
    return plain_object(row, place, where, bad, next_step=next_step)


def _type_of(value: object) -> pa.DataType:
    if is_answer_object(value[0] if isinstance(value, list) and value else value):
        return ANSWERS
    if isinstance(value, list):
        return pa.list_(pa.string())
    if isinstance(value, dict):
        return pa.struct([(key, pa.string()) for key in value])
    return pa.string()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _label(value: object) -> str | None:
    """Return a label's number or bool as it is written in Python; NaN and Infinity are neither."""
    is_label = isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    return str(value) if is_label else None


def _words(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(word, str) for word in value) else None


def _texts(value: object) -> list[str | None] | None:
    return value if isinstance(value, list) and all(text is None or isinstance(text, str) for text in value) else None


def _labels(value: object) -> list[str] | None:
    labels = [_label(label) for label in value] if isinstance(value, list) else [None]
    known = [label for label in labels if label is not None]
    return known if len(known) == len(labels) else None


def _table(
    values: dict[str, list[Any]], columns: Mapping[str, Content], before: int, where: str, bad: BadRows | None
) -> pa.Table:
    try:
        arrays = [pa.array(values[column], _TYPES[content]) for column, content in columns.items()]
    except UnicodeEncodeError as error:  # JSON can spell half a surrogate pair, UTF-8 cannot
        if bad is None:
            raise _lone_surrogate(values, before, where) from error
        for found in values.values():
            for index in [index for index, value in enumerate(found) if not _is_utf8(value)]:
                bad.setdefault(before + index, "contains half of a surrogate pair")
                found[index] = None
        return _table(values, columns, before, where, None)
    except (OverflowError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"{where} has a number of more than 64 bits near row {before + 1}.", next_step="Fix the row."
        ) from error
    return pa.table(arrays, names=list(columns))


def _lone_surrogate(values: dict[str, list[Any]], rows_before: int, where: str) -> SourceError:
    number, column = min(
        (index, column)
        for column, found in values.items()
        for index, value in enumerate(found, start=rows_before + 1)
        if not _is_utf8(value)
    )
    reason = "contains half of a surrogate pair"
    return RowError(
        fitted("'{name}' in row {row} of {where} " + reason + ".", name=column, row=number, where=where),
        next_step="Fix the row.",
        reasons={number - 1: reason},
    )


def _is_utf8(value: object) -> bool:
    return is_utf8(json.dumps(value, ensure_ascii=False))


_READ: dict[Content, Callable[[object], Any]] = {
    "text": _text,
    "label": _label,
    "words": _words,
    "texts": _texts,
    "labels": _labels,
    "answers": answers_of_json,
    "name": lambda value: json.dumps(value) if value else "",
    "any": lambda _value: "",
}
