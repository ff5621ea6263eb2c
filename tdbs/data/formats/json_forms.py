"""Find the form of a file of JSON, whatever its extension, by its first character that is not blank.

| beginning | form |
|---|---|
| `[` | `json`: an array of objects, the rows |
| `{`, one object a line | `jsonl` |
| `{`, one object in the whole file | `squad` if its `data` lists articles with `paragraphs`; `json` if other rows |

A file of one line with one object is JSONL of one row, unless its `data` is a list of objects. Anything else is read as
JSONL, which names the first line that is not an object.
"""

import json
from collections.abc import Iterator

from tdbs.data.columns import clipped
from tdbs.data.formats.data_file import DataFile
from tdbs.data.formats.json_rows import ROWS_STEP, load_whole
from tdbs.data.formats.jsonl import lines_of
from tdbs.errors import SourceError

_LINE = 120  # characters of an error's line


def form_of(file: DataFile) -> str:
    """Return the name of the format of a file of JSON. Raises SourceError for one object that is not a list of rows."""
    lines = lines_of(file, {})
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("["):
        return "json"
    if not first.startswith("{"):
        return "jsonl"
    try:
        value = json.loads(first)
    except json.JSONDecodeError as error:
        if error.pos < len(first):  # an object of several lines has its fault at the end of the first
            return "jsonl"
        value = load_whole(file)
    except (ValueError, RecursionError):
        return "jsonl"
    else:
        form = _form_of_object(value)
        return "jsonl" if form is None or _has_more(lines) else form
    form = _form_of_object(value)
    if form is None:
        keys = ", ".join(f"'{key}'" for key in value)
        raise SourceError(
            clipped(f"{clipped(file.name, 40)} contains one JSON object, with {keys or 'no keys'}", _LINE - 1) + ".",
            next_step=ROWS_STEP,
        )
    return form


def _form_of_object(value: object) -> str | None:
    rows = value.get("data") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return None
    return "squad" if all("paragraphs" in row for row in rows) else "json"


def _has_more(lines: Iterator[str]) -> bool:
    return any(line.strip() for line in lines)
