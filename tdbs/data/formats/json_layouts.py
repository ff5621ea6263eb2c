"""Name forms of JSON that hold rows in another way than as objects in a list, with how to write them as rows.

Python's json and pandas read all of them, but their rows are in columns, below an index, or in several splits. As one
line, such a file would be a row of JSONL, so a model would learn from whole columns.
"""

from collections.abc import Mapping
from typing import Any

from tdbs.data.columns import WORD_NAMES
from tdbs.data.split_names import SPLIT_NAMES
from tdbs.errors import SourceError
from tdbs.shown import fitted

_RECORDS = 'Write rows: in pandas, df.to_json(path, orient="records", lines=True).'
_SPLIT = "Write each split to a file of its own, such as train.jsonl, all in one folder."
_LISTS = "Write each split to a file of its own, such as train.jsonl, with one object per row."
_VIEWED = 'Write one object a line: what each "row" contains.'
_ARTICLES = 'Write SQuAD\'s whole object: {"data": [the articles]}.'


def refuse_other_layout(value: object, where: str) -> None:
    """Raise SourceError if the whole value of a file is a known form that is not a list of rows."""
    if isinstance(value, dict) and "train" in value and all(map(_are_lists, value.values())):  # as CLINC has them
        raise SourceError(f"{where} contains splits in one object, with rows that are lists.", next_step=_LISTS)
    found = _layout(value) if isinstance(value, dict) else None
    if found is not None:
        what, next_step = found
        raise SourceError(fitted("{where} contains {what}.", where=where, what=what), next_step=next_step)


def refuse_bare_articles(first_row: object, where: str) -> None:
    """Raise SourceError if an array begins with an article of SQuAD."""
    if isinstance(first_row, dict) and isinstance(first_row.get("paragraphs"), list):
        raise SourceError(f"{where} contains articles of SQuAD in an array.", next_step=_ARTICLES)


def _layout(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what an object contains in place of rows, and the next step."""
    splits = [
        key for key, rows in value.items() if any(key in names for names in SPLIT_NAMES.values()) and _are_objects(rows)
    ]
    if splits:
        named = ["data", *splits] if _are_objects(value.get("data")) else splits
        several = f"several splits in one object: {', '.join(named)}"
        return (several if len(named) > 1 else f"an object with the split {named[0]}"), _SPLIT
    if _are_objects(value.get("data")):  # rows, or articles of SQuAD; what is beside them may be anything
        return None
    rows: Any = value.get("rows")
    if _are_objects(rows) and all(isinstance(row.get("row"), dict) for row in rows):
        return "the rows of the hub's viewer, each below a key 'row'", _VIEWED
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return 'columns and data, not rows (orient="split")', _RECORDS
    if _are_columns(value):
        return 'columns, not rows (orient="list")', _RECORDS
    return _indexed(value)


def _are_columns(value: Mapping[str, Any]) -> bool:
    """Return whether all values are lists of one length; the words of a row and their tags are that as well."""
    lists = [entry for entry in value.values() if isinstance(entry, list)]
    has_one_length = len(lists) > 1 and len({len(entry) for entry in lists}) == 1
    return has_one_length and len(lists) == len(value) and not set(WORD_NAMES) <= set(value)


def _indexed(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the form of an object of objects with the same keys, if one side's keys are an index."""
    inner = [tuple(entry) for entry in value.values() if isinstance(entry, dict)]
    if not inner or len(inner) < len(value) or not inner[0] or len(set(inner)) > 1:
        return None
    if all(key.isdecimal() for key in inner[0]):
        return 'columns by an index, not rows (orient="columns")', _RECORDS
    if len(value) > 1 or all(key.isdecimal() for key in value):
        return 'rows by an index, not in a list (orient="index")', _RECORDS
    return None


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _are_lists(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)
