"""Collect the distinct values of a column, block by block, each with the row of its first occurrence.

For lists, whole rows are kept: the first one of each value, the first of another length, the first with a duplicate.
They determine everything about the labels, such as the classes and whether one is missing, as all rows would. Numbers
to predict are not kept, because there may be as many as rows.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.content import is_list
from tdbs.data.labels.single import LabelType, informative_values, label_lists, label_texts

_MERGE_AT = 1 << 18  # values that wait to be compared with those known: the sum of all comparisons stays linear


class DistinctValues:
    """The distinct values of one column, as texts; of lists, rows that hold all there is in them."""

    def __init__(self, label_type: LabelType) -> None:
        """Begin with none; `label_type` decides which numbers matter."""
        self._label_type = label_type
        self._found: list[tuple[pa.Array, IntArray]] = []
        self._known = 0
        self._waiting = 0
        self._last: SourceColumn | None = None
        self._lists = _TellingLists()

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
            values, rows = self._lists.kept()
        else:
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


class _TellingLists:
    """Rows of a column of lists that say what all rows do: which values there are, and whether lists are multi-hot."""

    def __init__(self) -> None:
        self._rows: dict[int, list[str]] = {}
        self._known: set[str] = set()
        self._length: int | None = None
        self._is_uneven = False
        self._has_repeat = False

    def add(self, lists: pa.ListArray, rows_N: IntArray) -> None:
        """Add a block of lists of texts, none missing."""
        if not len(lists):
            return
        encoded = lists.flatten().dictionary_encode()
        codes, parents = encoded.indices.to_numpy(), pc.list_parent_indices(lists).to_numpy()
        _, first = np.unique(codes, return_index=True)
        new = [place for place, text in zip(first, encoded.dictionary.to_pylist(), strict=True) if self._is_new(text)]
        telling = {int(parents[place]) for place in new}
        lengths_N = pc.list_value_length(lists).to_numpy()
        if self._length is None:
            self._length = int(lengths_N[0])
            telling.add(0)
        if not self._is_uneven and (uneven := np.flatnonzero(lengths_N != self._length)).size:
            self._is_uneven = True
            telling.add(int(uneven[0]))
        if not self._has_repeat:
            order = np.lexsort((codes, parents))
            same = (np.diff(codes[order]) == 0) & (np.diff(parents[order]) == 0)
            repeats = parents[order][1:][same]
            if repeats.size:
                self._has_repeat = True
                telling.add(int(repeats[0]))
        self._rows |= {int(rows_N[row]): lists[row].as_py() for row in sorted(telling)}

    def _is_new(self, text: str) -> bool:
        is_new = text not in self._known
        self._known.add(text)
        return is_new

    def kept(self) -> tuple[pa.Array, IntArray]:
        """Return the rows that are kept, in order, and their numbers."""
        numbers = sorted(self._rows)
        return pa.array([self._rows[row] for row in numbers], pa.list_(pa.string())), np.array(numbers, dtype=np.int64)


def _distinct(values: pa.Array, rows: IntArray) -> tuple[pa.Array, IntArray]:
    """Return the distinct values, null among them, in order, and the first row of each."""
    encoded = values.dictionary_encode(null_encoding="encode")
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    return values.take(pa.array(first)), rows[first]
