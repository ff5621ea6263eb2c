"""A column that knows where it came from, so that every bad value can be named by its row."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.errors import SourceError


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceColumn:
    """Values, with the column's name and the file or table they are from."""

    name: str
    where: str  # "reviews.csv", "the train split of glue/sst2"
    values: pa.ChunkedArray
    rows: IntArray | None = None  # rows of the file where some were held out, from 0; None: all of them

    def row(self, index: int) -> str:
        """Return how an error names a value: rows count from 1, the header does not count."""
        number = index if self.rows is None else int(self.rows[index])
        return f"row {number + 1} of {self.where}"


def take(column: SourceColumn, rows: IntArray) -> SourceColumn:
    """Return some rows of a column, which keep their numbers."""
    return SourceColumn(name=column.name, where=column.where, values=column.values.take(pa.array(rows)), rows=rows)


def first_true(mask: pa.ChunkedArray) -> int | None:
    """Return the index of the first true value."""
    index = int(pc.index(mask, True).as_py())
    return None if index < 0 else index


def refuse_missing(column: SourceColumn, *, next_step: str) -> None:
    """Raise for the first value that is missing."""
    index = first_true(pc.is_null(column.values)) if column.values.null_count else None
    if index is not None:
        raise SourceError(f"{column.row(index)} has no '{column.name}'.", next_step=next_step)


def text_values(column: SourceColumn) -> pa.ChunkedArray:
    """Return a column of texts as strings; none is missing and all are UTF-8 (Parquet files need not be)."""
    kind = column.values.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise SourceError(
            f"'{column.name}' of {column.where} holds {kind}, not texts.", next_step="Name a column of texts."
        )
    refuse_missing(column, next_step="Fill the row or delete it.")
    try:
        column.values.validate(full=True)
        return column.values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"'{column.name}' of {column.where} holds bytes that are not UTF-8.", next_step="Write the file as UTF-8."
        ) from error
