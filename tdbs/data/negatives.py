"""Texts that do not answer a query: columns of texts, or of lists of them, of which a row has any number."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, offsets_of, ragged_positions
from tdbs.data.columns import (
    FILL,
    UNSEEN,
    SourceColumn,
    bad_values,
    one_array,
    other_type,
    refuse_other_bytes,
    text_values,
)
from tdbs.data.content import is_list, is_text

# Shapes: N rows, K columns.

_FILL_TEXT = 'Fill the row or delete it; or write a list in every row, such as ["a text"]: [] has none.'
_SHORTEN = "Leave the empty entries out of the lists; a list may be empty."


def negative_lists(columns: Sequence[SourceColumn]) -> pa.ListArray:
    """Return the texts of all columns as one list a row, in order; a list may be empty, and a missing one is.

    Raises RowError for a text that is missing or blank, also in a list.
    """
    return joined_lists([_list_column(column) for column in columns])


def joined_lists(lists: Sequence[pa.ListArray]) -> pa.ListArray:
    """Return the entries of several lists a row as one list: those of the first, then those of the second, …"""
    if len(lists) == 1:
        return lists[0]
    values = [each.flatten() for each in lists]
    before_K = offsets_of([len(each) for each in values])[:-1]
    sizes_NK = np.stack([each.value_lengths().to_numpy() for each in lists], axis=1).astype(np.int64)
    firsts_NK = before_K + np.cumsum(sizes_NK, axis=0) - sizes_NK
    order = ragged_positions(firsts_NK.ravel(), sizes_NK.ravel())
    offsets = offsets_of(sizes_NK.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(values).take(pa.array(order)))


def refuse_blank(column: SourceColumn, *, next_step: str = FILL) -> None:
    """Raise for texts without a character that can be seen; none is missing."""
    blank_N = _is_blank(one_array(column.values))
    if blank_N.any():
        rows = np.flatnonzero(blank_N).tolist()
        raise bad_values(column, dict.fromkeys(rows, ""), "has a blank '{name}'", next_step=next_step)


def _list_column(column: SourceColumn) -> pa.ListArray:
    """Return a column as lists of texts: of one text a row, if it contains texts."""
    kind = column.values.type
    if is_list(kind) or pa.types.is_null(kind):  # null: every one is missing
        return _text_lists(column)
    texts = one_array(text_values(column, next_step=_FILL_TEXT))
    refuse_blank(column, next_step=_FILL_TEXT)
    return pa.ListArray.from_arrays(np.arange(len(texts) + 1, dtype=np.int32), texts)


def _text_lists(column: SourceColumn) -> pa.ListArray:
    """Return a column of lists, in which those that are missing are empty."""
    kind = column.values.type
    entries = kind.value_type if is_list(kind) else kind
    if not (is_text(entries) or pa.types.is_null(entries)):  # null: all lists are empty
        raise other_type(column, "lists of texts", next_step='Write lists of texts: ["a text", "another"].')
    refuse_other_bytes(column)
    lists = one_array(column.values.cast(pa.list_(pa.string())))
    empty = np.flatnonzero(_is_blank(lists.flatten()))
    if empty.size:
        rows = np.unique(pc.list_parent_indices(lists).to_numpy()[empty]).tolist()
        raise bad_values(column, dict.fromkeys(rows, ""), "has an empty entry in '{name}'", next_step=_SHORTEN)
    offsets = offsets_of(pc.fill_null(lists.value_lengths(), 0).to_numpy()).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, lists.flatten())


def _is_blank(texts: pa.Array) -> BoolArray:
    """Return which texts are missing, or without a character that can be seen."""
    trimmed = pc.utf8_trim(texts.fill_null(""), characters=UNSEEN)
    blank: BoolArray = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
    return blank
