"""Values of one kind in a column of Python values, and those of another kind, which are the faults of their rows."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tdbs.data.columns import REASON, BadRows, row_message, row_name
from tdbs.errors import RowError
from tdbs.shown import clipped, fitted

_SHOWN = 30  # characters of a value
ONE_TYPE = "Give the column values of one type: lists in every row, or in none."
_EMPTY = "list without values"  # goes with lists of any kind
_FAILURES = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedTable:
    """A table of Python values, some of them of another kind than the others of their column: they are null in it."""

    table: pa.Table
    where: str  # name in errors
    misfits: Mapping[str, BadRows]  # of each such column, what is wrong with its rows


def note_misfits(mixed: MixedTable, asked: Iterable[str], bad: BadRows | None) -> None:
    """Record rows whose values do not fit, of the requested columns; without `bad` the first is an error."""
    for reasons in (mixed.misfits[name] for name in asked if name in mixed.misfits):
        if bad is None:
            row = min(reasons)
            message = row_message(row_name(row, mixed.where), reasons[row])
            raise RowError(message, next_step=ONE_TYPE, reasons=reasons)
        for row, reason in reasons.items():
            bad.setdefault(row, reason)


def fitting_values(values: Any, name: str) -> tuple[pa.Array, BadRows] | None:
    """Return a column in Arrow with nulls in place of values of another kind than most, and what is wrong with these.

    None if no kind is that of most values, or if they do not fit together either.
    """
    listed = list(values)
    kinds = [_kind(value) for value in listed]
    counts = Counter(kind for kind in kinds if kind not in (None, _EMPTY)).most_common(2)
    if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
        return None
    fitting = (None, counts[0][0], _EMPTY if counts[0][0].startswith("list") else None)
    odd = {row for row, kind in enumerate(kinds) if kind not in fitting}
    try:
        array = pa.array([None if row in odd else value for row, value in enumerate(listed)], from_pandas=True)
    except _FAILURES:
        return None
    problem = "has {value} in '{name}', which does not fit"
    return array, {
        row: fitted(problem, width=REASON, value=clipped(repr(listed[row]), _SHOWN), name=name) for row in sorted(odd)
    }


def _kind(value: Any) -> str | None:
    """Return the kind of a value; None if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, Mapping):
        return "object"
    try:
        found = pa.array([value], from_pandas=True).type
    except _FAILURES:
        return "other"
    if pa.types.is_null(found):
        return None
    if pa.types.is_list(found) and pa.types.is_null(found.value_type):
        return _EMPTY
    return str(found).replace("double", "int64")  # whole numbers go with others
