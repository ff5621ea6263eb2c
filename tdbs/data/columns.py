"""Columns of a source that can name the row of every bad value.

Column names are compared without the invisible blanks and marks around them. The first unusable row is an error, unless
the command skips and records bad rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.content import is_list, is_text
from tdbs.errors import RowError, SourceError
from tdbs.shown import MESSAGE, clipped, fitted, shown

FILL = "Fill the row or delete it."
NUMBERS_AS_TEXTS = "Name a column of texts, or write its numbers as texts, in quotes."
_LAST_BLANK = 0x3000
# Marks without a width: joiners, marks of direction and of byte order, soft hyphens.
_NO_WIDTH = (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
UNSEEN = "".join([*filter(str.isspace, map(chr, range(_LAST_BLANK + 1))), *map(chr, _NO_WIDTH)])
BadRows = dict[int, str]  # what is wrong with a row, by its number from 0; the first reason found stands
WORD_NAMES = ("tokens", "ner_tags")  # of the first and the last column of CoNLL files
REASON = 90  # characters of what is wrong with a row
_LEAST_REASON = 72  # a sentence about two values, each cut
_LEAST_ROW = 21  # characters of the row and its file before the longest reason
SHOWN_WHERE = 44  # characters of the file or table of a row: the longest split of a hub's task is whole


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceColumn:
    """Values, with the column's name and the file or table they are from."""

    name: str
    where: str  # "reviews.csv", "the train split of glue/sst2"
    values: pa.ChunkedArray
    rows_N: IntArray  # the row of the file that each one is from, from 0
    names: tuple[str, ...] = ()  # class names for values that are ids, if the file has them

    def number(self, index: int) -> int:
        """Return the number of a value's row: rows count from 1, the header does not count."""
        return int(self.rows_N[index]) + 1

    def row(self, index: int) -> str:
        """Return how an error names a value, as the beginning of a sentence."""
        return row_name(int(self.rows_N[index]), self.where)


class SplitName(str):
    """The name of a split of several files, which knows the file of each row.

    It is a text, so what takes the name of a file takes this one. Asking for a row may count the rows of files: only
    errors do.
    """

    place: Callable[[int], str]  # the beginning of a sentence, by a row's number from 0

    def __new__(cls, text: str, place: Callable[[int], str]) -> Self:
        """Return the name with its rows."""
        name = super().__new__(cls, text)
        name.place = place
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a name travel between processes with its rows."""
        return type(self), (str(self), self.place)


def row_name(row: int, where: str) -> str:
    """Return how an error names a row, by its number from 0, as the beginning of a sentence."""
    return where.place(row) if isinstance(where, SplitName) else f"Row {row + 1} of {clipped(where, SHOWN_WHERE)}"


def row_message(row: str, reason: str) -> str:
    """Return the sentence about a row, by how errors name it; that name is cut before what is wrong."""
    room = max(MESSAGE - len(reason) - len(" ."), _LEAST_ROW)
    return clipped(f"{clipped(row, room)} {reason}.", MESSAGE)


def other_type(column: SourceColumn, wanted: str, *, next_step: str) -> SourceError:
    """Return the error for a column of another type than the one that is wanted."""
    kind = _type_name(column.values.type)
    message = f"'{{name}}' of {{where}} contains {{kind}}, not {wanted}."
    return SourceError(fitted(message, name=column.name, where=column.where, kind=kind), next_step=next_step)


def first_true(mask: pa.ChunkedArray) -> int | None:
    """Return the index of the first true value."""
    index = int(pc.index(mask, True).as_py())
    return None if index < 0 else index


def refuse_missing(column: SourceColumn, *, next_step: str) -> None:
    """Raise for values that are missing."""
    if column.values.null_count:
        missing = np.flatnonzero(one_array(pc.is_null(column.values)).to_numpy(zero_copy_only=False))
        raise bad_values(column, dict.fromkeys(missing.tolist(), ""), "has no '{name}'", next_step=next_step)


def bad_rows(column: SourceColumn, reasons: Mapping[int, str], *, next_step: str) -> RowError:
    """Return the error for some values of a column, by their index; it names the first."""
    first = min(reasons)
    rows = {int(column.rows_N[index]): reason for index, reason in reasons.items()}
    return RowError(row_message(column.row(first), reasons[first]), next_step=next_step, reasons=rows)


def bad_values(column: SourceColumn, found: Mapping[int, str], problem: str, *, next_step: str) -> RowError:
    """Return the error for some values, by their index; `problem` has the places {value} and {name}, the column's."""
    room = max(MESSAGE - len(column.row(min(found))) - len(" ."), _LEAST_REASON)
    reasons = {
        index: fitted(problem, width=room, value=value, name=column.name) for index, value in sorted(found.items())
    }
    return bad_rows(column, reasons, next_step=next_step)


def text_values(column: SourceColumn, *, next_step: str = FILL) -> pa.ChunkedArray:
    """Return a column of texts as strings; none is missing and all are UTF-8 (Parquet files need not be)."""
    if not is_text(column.values.type):
        is_number = _is_number(column.values.type)
        raise other_type(column, "texts", next_step=NUMBERS_AS_TEXTS if is_number else "Name a column of texts.")
    refuse_missing(column, next_step=next_step)
    return _valid(column, pa.string())


def word_lists(column: SourceColumn) -> pa.ChunkedArray:
    """Return a column of lists of words as such; no list and no word is missing, and all words are UTF-8."""
    kind = column.values.type
    if not (is_list(kind) and is_text(kind.value_type)):
        raise other_type(column, "lists of words", next_step="Name a column of lists of texts.")
    refuse_missing(column, next_step=FILL)
    lists = _valid(column, pa.list_(pa.string()))
    _refuse_missing_values(column, lists)
    return lists


def one_array(values: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column in one array."""
    combined = values.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def refuse_other_bytes(column: SourceColumn) -> None:
    """Raise if texts are not UTF-8, which Parquet files can have."""
    try:
        column.values.validate(full=True)
    except pa.ArrowInvalid as error:
        raise other_bytes(column) from error


def other_bytes(column: SourceColumn) -> SourceError:
    """Return the error for bytes that are not text."""
    return SourceError(
        fitted("'{name}' of {where} contains bytes that are not UTF-8.", name=column.name, where=column.where),
        next_step="Write the file as UTF-8.",
    )


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_name(name: str) -> str:
    """Return a column's name without what cannot be seen around it."""
    return name.strip(UNSEEN)


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_names(schema: pa.Schema) -> pa.Schema:
    """Return a schema with plain names, its metadata kept."""
    return pa.schema([field.with_name(plain_name(field.name)) for field in schema], metadata=schema.metadata)


def repeated(names: Sequence[str]) -> str | None:
    """Return the first name that comes twice; those without a character may."""
    return next((name for name in names if name and names.count(name) > 1), None)


def with_classes(sentence: str, classes: Sequence[str], *, width: int = MESSAGE) -> str:
    """Return a sentence with as many classes behind it as its line holds; without any if it holds none."""
    listed = f"{sentence}; its classes are: "
    found = sentence
    for place, name in enumerate(classes):
        listed += (", " if place else "") + shown(name)
        if len(listed) > width:
            break
        text = listed if place == len(classes) - 1 else f"{listed}, …"
        found = text if len(text) <= width else found
    return found


def refuse_or_note(bad: BadRows | None, row: int, where: str, reason: str, *, next_step: str) -> None:
    """Raise for a row, or record it if bad rows are skipped; errors count rows from 1."""
    if bad is None:
        raise RowError(row_message(row_name(row, where), reason), next_step=next_step, reasons={row: reason})
    bad.setdefault(row, reason)


def _type_name(kind: pa.DataType) -> str:
    """Return an Arrow type as an error names it, without the names of its parts."""
    return f"list<{_type_name(kind.value_type)}>" if is_list(kind) else str(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _refuse_missing_values(column: SourceColumn, lists: pa.ChunkedArray) -> None:
    array = one_array(lists)
    rows = pc.unique(pc.list_parent_indices(array).filter(pc.is_null(array.flatten()))).to_pylist()
    if rows:
        raise bad_values(column, dict.fromkeys(rows, ""), "has an empty entry in '{name}'", next_step=FILL)


def _valid(column: SourceColumn, kind: pa.DataType) -> pa.ChunkedArray:
    refuse_other_bytes(column)
    return column.values.cast(kind)
