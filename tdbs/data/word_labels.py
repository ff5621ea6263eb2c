"""Labels of words (token classification): one list a row, as long as its list of words."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import SourceColumn, one_array, word_lists
from tdbs.data.content import is_list
from tdbs.errors import SourceError


def learn_word_labels(train: SourceColumn) -> tuple[str, ...]:
    """Return the classes of train: sorted, numbers by value."""
    distinct = pc.unique(_label_lists(train).flatten()).to_pylist()
    if len(distinct) < 2:
        raise SourceError(
            f"The words of {train.where} have {len(distinct)} classes.",
            next_step="Give train words of at least two classes.",
        )
    is_number = all(label.isascii() and label.isdigit() for label in distinct)
    return tuple(sorted(distinct, key=Decimal) if is_number else sorted(distinct))


def encode_word_labels(column: SourceColumn, classes: tuple[str, ...], *, words: SourceColumn) -> pa.Array:
    """Return a split's labels as class ids, one a word."""
    lists = _label_lists(column)
    labels_of_row = pc.list_value_length(lists).to_numpy()
    words_of_row = pc.list_value_length(one_array(words.values)).to_numpy()
    uneven = np.flatnonzero(labels_of_row != words_of_row)
    if uneven.size:
        row = int(uneven[0])
        raise SourceError(
            f"{column.row(row)} has {words_of_row[row]} words, but {labels_of_row[row]} labels.",
            next_step="Give each word one label.",
        )
    ids = pc.index_in(lists.flatten(), pa.array(classes, pa.string()))
    unknown = np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))
    if unknown.size:
        first = int(unknown[0])
        row = int(pc.list_parent_indices(lists)[first].as_py())
        raise SourceError(
            f"{column.row(row)} has the label '{lists.flatten()[first].as_py()}', which train lacks.",
            next_step="Fix the row, or add words of this class to train.",
        )
    offsets = np.concatenate([[0], np.cumsum(labels_of_row)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, ids.cast(pa.int64()))


def _label_lists(column: SourceColumn) -> pa.ListArray:
    kind = column.values.type
    if is_list(kind) and pa.types.is_integer(kind.value_type):
        values = column.values.cast(pa.list_(pa.string()))
        column = SourceColumn(name=column.name, where=column.where, values=values, rows=column.rows)
    return one_array(word_lists(column))
