"""Collect the distinct values of a column, block by block, each with the row of its first occurrence.

For lists, whole rows are kept (list_rows.py). They determine everything about the labels, such as the classes and
whether one is missing, as all rows would. Numbers to predict are not kept, because there may be as many as rows.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.content import is_list
from tdbs.data.labels.list_rows import ListRows
from tdbs.data.labels.single import LabelType, informative_values, label_lists, label_texts

_MERGE_AT = 1 << 18  # values that wait to be compared with those known: the sum of all comparisons stays linear


class DistinctValues:
    """The distinct values of one column, as texts; of lists, rows that hold all there is in them."""

    def __init__(self, label_type: LabelType, *, are_sets: bool = False) -> None:
        """Begin with none; `label_type` decides which numbers matter, and lists may be sets of classes."""
        self._label_type = label_type
        self._found: list[tuple[pa.Array, IntArray]] = []
        self._known = 0
        self._waiting = 0
        self._last: SourceColumn | None = None
        self._lists = ListRows(are_sets=are_sets)

    def add(self, column: SourceColumn) -> None:
        """Add a block; its rows come after those of the blocks before."""
        self._last = column
        if is_list(column.values.type):
            self._lists.add(one_array(label_lists(column).values), column.rows_N)
            return
        self._found.append(_distinct(one_array(label_texts(column).values), column.rows_N))
        self._waiting += len(self._found[-1][0])
        if self._waiting > _MERGE_AT + self._known:
            self._merge()

    def column(self) -> SourceColumn:
        """Return the distinct values in order of their first rows; of lists, the rows that are kept."""
        if self._last is None:
            raise ValueError("no block was added")
        if is_list(self._last.values.type):
            return self._lists.column(self._last)
        self._merge()
        values, rows = self._found[0]
        return replace(self._last, values=pa.chunked_array([values]), rows_N=rows)

    def _merge(self) -> None:
        values = pa.concat_arrays([values for values, _ in self._found])
        values, rows = _distinct(values, np.concatenate([rows for _, rows in self._found]))
        kept = informative_values(values, self._label_type)
        values, rows = values.filter(pa.array(kept)), rows[kept]
        self._found = [(values, rows)]
        self._known, self._waiting = len(self._found[0][0]), 0


def _distinct(values: pa.Array, rows: IntArray) -> tuple[pa.Array, IntArray]:
    """Return the distinct values, null among them, in order, and the first row of each."""
    encoded = values.dictionary_encode(null_encoding="encode")
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    return values.take(pa.array(first)), rows[first]
