"""Which rows have which labels, contexts or documents: what must be known before a fraction is held out.

For each row integers are kept, not the values. Shapes: U rows that can be used, E pairs of a row and a class that it
has, G groups.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn, one_array, refuse_other_bytes
from tdbs.data.content import is_list
from tdbs.data.labels.hot import is_hot
from tdbs.data.labels.several import flags_that_hold
from tdbs.data.labels.single import LabelType, informative_values, label_lists, label_texts, row_classes
from tdbs.errors import RowError

DOCUMENT = "title"  # the column of a context's document, as SQuAD has it


class RowValues:
    """Which rows have which values, labels or contexts: for each row integers are kept, not the values."""

    def __init__(self, label_type: LabelType) -> None:
        """Begin with no rows; `label_type` decides whether numbers are classes."""
        self._label_type = label_type
        self._codes: dict[str, int] = {}
        self._documents: RowValues | None = None
        self._found: list[tuple[IntArray, IntArray]] = []
        self._rows: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        self._last: SourceColumn | None = None
        self._are_numbers = False

    def add_rows(self, rows_N: IntArray) -> None:
        """Add rows that can be used."""
        self._rows.append(rows_N)

    def add_labels(self, column: SourceColumn) -> None:
        """Add the labels of some rows, one or a list of them."""
        self._last = column
        if is_list(column.values.type):
            lists = one_array(label_lists(column).values)
            self._add(lists.flatten(), column.rows_N[pc.list_parent_indices(lists).to_numpy()])
            return
        texts = one_array(label_texts(column).values)
        self._are_numbers |= not informative_values(pc.unique(texts.drop_null()), self._label_type).all()
        if not self._are_numbers:  # numbers to predict may be as many as rows
            self._add(texts.fill_null(""), column.rows_N)

    def add_flags(self, columns: Sequence[SourceColumn]) -> None:
        """Add the rows in which each column of flags has a 1; a class is the place of its column."""
        for place, column in enumerate(columns):
            if is_list(column.values.type):
                return  # refused later
            rows_N = column.rows_N[flags_that_hold(column)]
            self._found.append((np.full(len(rows_N), place, dtype=np.int64), rows_N))

    def add_contexts(self, columns: Sequence[SourceColumn]) -> None:
        """Add the contexts of some rows, and the documents that they are from, if a second column names them."""
        for column in columns:
            refuse_other_bytes(column)
        contexts, *documents = (one_array(column.values.cast(pa.string())).fill_null("") for column in columns)
        rows_N = columns[0].rows_N
        self._add(contexts, rows_N, key=_digest)
        for names in documents:
            self._documents = self._documents or RowValues(self._label_type)
            self._documents._add(pc.if_else(pc.equal(names, ""), contexts, names), rows_N, key=_digest)

    def documents(self) -> IntArray | None:
        """Return the document of each context, a number; contexts of two documents make them one. None: unknown."""
        if self._documents is None:
            return None
        contexts_U, named_U = self.codes()[0], self._documents.codes()[0]
        found_U = named_U
        while True:
            joined_U = _least_of(_least_of(found_U, contexts_U), named_U)
            if (joined_U == found_U).all():
                return np.unique(found_U, return_inverse=True)[1]
            found_U = joined_U

    def rows(self) -> IntArray:
        """Return all rows, in order."""
        return np.concatenate(self._rows)

    def codes(self) -> tuple[IntArray, IntArray]:
        """Return the number of each value, in order of their first rows, and its row."""
        codes, rows = zip(*self._found, strict=True) if self._found else ([], [])
        empty = np.zeros(0, dtype=np.int64)
        return np.concatenate([empty, *codes]), np.concatenate([empty, *rows])

    def classes(self, classes: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the class id of each label, and its row."""
        codes_E, rows_E = self.codes()
        if self._last is None or not self._codes:
            return codes_E, rows_E
        texts = pa.chunked_array([pa.array(list(self._codes), pa.string())])
        named = SourceColumn(
            name=self._last.name,
            where=self._last.where,
            values=texts,
            rows_N=np.arange(len(self._codes)),
            names=self._last.names,
        )
        try:
            ids = row_classes(named, classes)[0]
        except RowError as error:  # of odd lists, which are refused or skipped later
            is_known = ~np.isin(np.arange(len(self._codes)), list(error.reasons))
            known = replace(named, values=texts.filter(pa.array(is_known)), rows_N=named.rows_N[is_known])
            ids = np.full(len(self._codes), -1, dtype=np.int64)
            ids[is_known] = row_classes(known, classes)[0]
        ids_E = ids[codes_E]
        return ids_E[ids_E >= 0], rows_E[ids_E >= 0]

    def hot_places(self, classes: int) -> tuple[IntArray, IntArray]:
        """Return the place of each 1 in multi-hot lists of that many classes, and its row."""
        codes_E, rows_E = self.codes()  # every list gives its entries in order
        places_E = np.arange(len(codes_E)) - np.searchsorted(rows_E, rows_E)
        holds_E = np.array([is_hot(text) for text in self._codes], dtype=np.bool_)[codes_E]
        holds_E &= places_E < classes  # a list of another length is refused or skipped later
        return places_E[holds_E], rows_E[holds_E]

    def _add(self, texts: pa.Array, rows_N: IntArray, key: Callable[[str], str] = str) -> None:
        encoded = texts.dictionary_encode()
        known = [self._codes.setdefault(key(text), len(self._codes)) for text in encoded.dictionary.to_pylist()]
        self._found.append((np.array(known, dtype=np.int64)[encoded.indices.to_numpy()], rows_N))


def _least_of(values_U: IntArray, groups_U: IntArray) -> IntArray:
    """Return for each row the least value of its group's rows."""
    least_G = np.full(groups_U.max(initial=0) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least_G, groups_U, values_U)
    return least_G[groups_U]


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
