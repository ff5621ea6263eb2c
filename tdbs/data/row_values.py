"""Which rows have which labels, contexts or documents: what must be known before a fraction is held out.

For each row integers are kept, not the values. Shapes: U rows that can be used, E pairs of a row and a class that it
has, C contexts, V contexts and documents.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn, one_array, refuse_other_bytes
from tdbs.data.connected import connected
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
        documents = len(self._documents._codes)
        return self._joined(documents + np.arange(len(self._codes)))

    def texts(self) -> IntArray | None:
        """Return the group of each row, a number: rows that share a context or document, one as the other, too.

        It differs from `documents` where a text is a context in one row and a document in another, as texts of pairs
        in both directions are. None: documents are unknown.
        """
        if self._documents is None:
            return None
        of_documents = self._documents._codes
        others = range(len(of_documents), len(of_documents) + len(self._codes))
        nodes = [of_documents.get(key, other) for key, other in zip(self._codes, others, strict=True)]
        return self._joined(np.array(nodes, dtype=np.int64))

    def _joined(self, node_C: IntArray) -> IntArray:
        """Return the component of each row (U), in order of first rows; documents are the first nodes, contexts these.

        Each row joins its document and its context.
        """
        documents_U = np.empty(0, dtype=np.int64) if self._documents is None else self._documents.codes()[0]
        nodes = int(max(documents_U.max(initial=-1), node_C.max(initial=-1))) + 1
        root_V = connected(documents_U, node_C[self.codes()[0]], nodes=nodes)
        return np.unique(root_V[documents_U], return_inverse=True)[1]

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


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
