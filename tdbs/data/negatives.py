"""Texts that do not answer a query: columns of texts, or of lists of them, of which a row has any number."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, offsets_of, ragged_positions
from tdbs.data.columns import FILL, UNSEEN, SourceColumn, bad_values, one_array, text_values, word_lists
from tdbs.data.content import is_list
from tdbs.errors import SourceError
from tdbs.shown import fitted

# Shapes: N rows, K columns.

_WRITTEN_LIST = r"""(?s)^\s*\[\s*["'].*["']\s*\]\s*$"""  # as pandas and JSON write them into a cell


def negative_lists(columns: Sequence[SourceColumn]) -> pa.ListArray:
    """Return the texts of all columns as one list a row, in order; a list may be empty.

    Raises RowError for a list or a text that is missing or blank, SourceError for lists written as texts.
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


def refuse_blank(column: SourceColumn) -> None:
    """Raise for texts without a character that can be seen; none is missing."""
    blank_N = _is_blank(one_array(column.values))
    if blank_N.any():
        rows = np.flatnonzero(blank_N).tolist()
        raise bad_values(column, dict.fromkeys(rows, ""), "has a blank '{name}'", next_step=FILL)


def _list_column(column: SourceColumn) -> pa.ListArray:
    """Return a column as lists of texts: of one text a row, if it contains texts."""
    if not is_list(column.values.type):
        texts = one_array(text_values(column))
        refuse_blank(column)
        _refuse_written_lists(column, texts)
        return pa.ListArray.from_arrays(np.arange(len(texts) + 1, dtype=np.int32), texts)
    if pa.types.is_null(column.values.type.value_type):  # of lists that are all empty
        column = replace(column, values=column.values.cast(pa.list_(pa.string())))
    lists = one_array(word_lists(column))
    blank = np.flatnonzero(_is_blank(lists.flatten()))
    if blank.size:
        rows = np.unique(pc.list_parent_indices(lists).to_numpy()[blank]).tolist()
        raise bad_values(column, dict.fromkeys(rows, ""), "has an empty entry in '{name}'", next_step=FILL)
    offsets = offsets_of(lists.value_lengths().to_numpy()).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, lists.flatten())


def _refuse_written_lists(column: SourceColumn, texts: pa.Array) -> None:
    """Raise if every text is a list of quoted texts: each would be one text, brackets and all."""
    if len(texts) and pc.all(pc.match_substring_regex(texts, _WRITTEN_LIST)).as_py():
        raise SourceError(
            fitted("'{name}' of {where} contains lists, written as texts.", name=column.name, where=column.where),
            next_step="Write them as lists, in JSONL or Parquet, or one text in each of several columns.",
        )


def _is_blank(texts: pa.Array) -> BoolArray:
    blank: BoolArray = pc.equal(pc.utf8_trim(texts, characters=UNSEEN), "").to_numpy(zero_copy_only=False)
    return blank
