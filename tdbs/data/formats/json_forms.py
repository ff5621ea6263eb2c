"""Find the form of a file of JSON, whatever its extension, by its first character that is not blank.

| beginning | form |
|---|---|
| `[` | `json`: an array of objects, the rows |
| `{`, one object a line | `jsonl` |
| `{`, one object in the whole file | `squad` if its `data` lists articles with `paragraphs`; `json` if other rows |

A file of one line with one object is JSONL of one row, unless its `data` is a list of objects; forms that hold no list
of rows, on one line or more, are refused by name (json_layouts.py). Anything else is read as JSONL, which names the
first line that is not an object.
"""

import json
from collections.abc import Iterator

from tdbs.data.formats.data_file import DataFile
from tdbs.data.formats.json_layouts import refuse_bare_articles, refuse_other_layout
from tdbs.data.formats.json_rows import ROWS_STEP, array_values, load_whole
from tdbs.data.formats.jsonl import lines_of
from tdbs.errors import SourceError
from tdbs.shown import MESSAGE, clipped


def form_of(file: DataFile) -> str:
    """Return the name of the format of a file of JSON. Raises SourceError for one object that is not a list of rows."""
    lines = lines_of(file, {})
    first = _next(lines)
    if first.startswith("{"):
        return _form_from_object(file, first, lines)
    if not first.startswith("[") or (first.endswith("]") and _is_object(_next(lines))):
        return "jsonl"
    refuse_bare_articles(_first_row(file), file.name)
    return "json"


def _form_from_object(file: DataFile, first: str, others: Iterator[str]) -> str:
    """Return the form of a file that begins with an object, by its first line and the others."""
    try:
        value = json.loads(first)
    except json.JSONDecodeError as error:
        if error.pos < len(first):  # an object of several lines has its fault at the end of the first
            return "jsonl"
    except (ValueError, RecursionError):
        return "jsonl"
    else:
        if _next(others):
            return "jsonl"
        refuse_other_layout(value, file.name)
        return _form_of_object(value) or "jsonl"
    try:
        value = load_whole(file)
    except SourceError:
        if _is_object(_next(others)):  # only the first row is cut short
            return "jsonl"
        raise
    refuse_other_layout(value, file.name)
    form = _form_of_object(value)
    if form is None:
        keys = ", ".join(f"'{key}'" for key in value)
        raise SourceError(
            clipped(f"{clipped(file.name, 40)} contains one JSON object, with {keys or 'no keys'}", MESSAGE - 1) + ".",
            next_step=ROWS_STEP,
        )
    return form


def _next(lines: Iterator[str]) -> str:
    """Return the next line that is not blank, without the blanks around it; "" at the end."""
    return next((line.strip() for line in lines if line.strip()), "")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _form_of_object(value: object) -> str | None:
    rows = value.get("data") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return None
    return "squad" if all("paragraphs" in row for row in rows) else "json"


def _first_row(file: DataFile) -> object:
    """Return the first value of an array, None if it has none; whoever reads the rows names a fault in it."""
    try:
        return next(array_values(file), None)
    except SourceError:
        return None
