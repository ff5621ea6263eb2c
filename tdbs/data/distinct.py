"""Collect the distinct values of a column that is read block by block, each with the row where it comes first.

All that is learned of labels (which classes there are, whether any is missing) is the same for these as for all rows.
Numbers to predict are not kept: there may be as many as rows.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.content import is_list
from tdbs.data.labels import LabelType, label_lists, label_texts, telling_values

_MERGE_AT = 1 << 18  # values that wait to be compared with those known: the sum of all comparisons stays linear


class DistinctValues:
    """The distinct values of one column, as texts; of lists, of what is in them."""

    def __init__(self, label_type: LabelType) -> None:
        """Begin with none; `label_type` decides which numbers matter."""
        self._label_type = label_type
        self._found: list[tuple[pa.Array, IntArray]] = []
        self._known = 0
        self._waiting = 0
        self._last: SourceColumn | None = None

    def add(self, column: SourceColumn) -> None:
        """Add a block; its rows come after those of the blocks before."""
        self._last = column
        if is_list(column.values.type):
            lists = label_lists(column)
            values, rows = lists.flatten(), column.rows_N[lists.value_parent_indices().to_numpy()]
        else:
            values, rows = one_array(label_texts(column).values), column.rows_N
        self._found.append(_distinct(values, rows))
        self._waiting += len(self._found[-1][0])
        if self._waiting > _MERGE_AT + self._known:
            self._merge()

    def column(self) -> SourceColumn:
        """Return the distinct values in order of their first rows; of lists, as lists of one value."""
        if self._last is None:
            raise ValueError("no block was added")
        self._merge()
        values, rows = self._found[0]
        if is_list(self._last.values.type):
            values = pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32), values)
        return replace(self._last, values=pa.chunked_array([values]), rows_N=rows)

    def _merge(self) -> None:
        values = pa.concat_arrays([values for values, _ in self._found])
        values, rows = _distinct(values, np.concatenate([rows for _, rows in self._found]))
        if self._last is not None and not is_list(self._last.values.type):
            kept = telling_values(values, self._label_type)
            values, rows = values.filter(pa.array(kept)), rows[kept]
        self._found = [(values, rows)]
        self._known, self._waiting = len(self._found[0][0]), 0


def _distinct(values: pa.Array, rows: IntArray) -> tuple[pa.Array, IntArray]:
    """Return the distinct values, null among them, in order, and the first row of each."""
    encoded = values.dictionary_encode(null_encoding="encode")
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    return values.take(pa.array(first)), rows[first]
