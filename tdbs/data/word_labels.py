"""Labels of words (token classification): one list a row, as long as its list of words."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.labels import list_class_ids, named_label_lists
from tdbs.data.spelling import one_spelling
from tdbs.errors import SourceError


def learn_word_labels(train: SourceColumn) -> tuple[str, ...]:
    """Return the classes of train: sorted, numbers by value."""
    found = pc.unique(named_label_lists(train).flatten()).to_pylist()
    distinct = sorted(set(one_spelling(found).values()))
    if len(distinct) < 2:
        raise SourceError(
            f"The words of {train.where} have {len(distinct)} classes.",
            next_step="Give train words of at least two classes.",
        )
    is_number = all(label.isascii() and label.isdigit() for label in distinct)
    return tuple(sorted(distinct, key=Decimal) if is_number else distinct)


def encode_word_labels(column: SourceColumn, classes: tuple[str, ...], *, words: SourceColumn) -> pa.Array:
    """Return a split's labels as class ids, one a word."""
    lists = named_label_lists(column)
    labels_of_row = pc.list_value_length(lists).to_numpy()
    words_of_row = pc.list_value_length(one_array(words.values)).to_numpy()
    uneven = np.flatnonzero(labels_of_row != words_of_row)
    if uneven.size:
        row = int(uneven[0])
        raise SourceError(
            f"{column.row(row)} has {words_of_row[row]} words, but {labels_of_row[row]} labels.",
            next_step="Give each word one label.",
        )
    ids = list_class_ids(column, lists, classes, of_class="words")
    offsets = np.concatenate([[0], np.cumsum(labels_of_row)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, ids)
