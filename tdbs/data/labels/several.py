"""Several labels per row: lists of classes, lists or columns of 0 and 1 (multi-label), or columns of numbers.

Columns of 0 and 1 (or true and false) are a multi-label task whose classes are the columns. With `regression`, or if
other numbers occur, each column is a number to predict. Lists of 0 and 1 may be multi-hot (hot.py). Cost: array code
over the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, FloatArray, offsets_of
from tdbs.data.columns import SourceColumn, bad_values, one_array
from tdbs.data.content import is_list
from tdbs.data.labels.hot import encode_hot, hot_classes
from tdbs.data.labels.list_rows import repeating, repeats
from tdbs.data.labels.list_texts import refuse_list_texts
from tdbs.data.labels.notation import in_other_notation
from tdbs.data.labels.numbers import number_shaped, numbers_to_predict
from tdbs.data.labels.single import (
    LabelType,
    label_lists,
    label_texts,
    list_class_ids,
    list_classes,
    named_label_lists,
)
from tdbs.errors import ConfigError, SourceError
from tdbs.shown import fitted

# Shapes: N rows, C classes or columns.

_SHOWN_CLASSES = 5
_NUMBERS = "Write numbers in these columns: 1 and 0 for yes and no."


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralRule:
    """What train's labels are: lists of classes, lists of flags, columns of flags, or numbers to predict."""

    kind: Literal["lists", "hot_lists", "flags", "numbers"]
    classes: tuple[str, ...] = ()


def learn_several(train: Sequence[SourceColumn], label_type: LabelType) -> SeveralRule:
    """Return what train's label columns are."""
    if is_list(train[0].values.type):
        if label_type == "regression" or len(train) > 1:
            raise ConfigError(
                fitted("'{name}' contains lists of classes.", name=train[0].name),
                next_step="Name it alone, without --label-type.",
            )
        hot = hot_classes(train[0])
        if hot is not None:
            return SeveralRule(kind="hot_lists", classes=hot)
        classes = tuple(list_classes(train[0]))
        if len(classes) < 2:
            raise SourceError(
                fitted("The lists of {where} contain {count} classes.", where=train[0].where, count=len(classes)),
                next_step="Give train rows of at least two classes.",
            )
        return SeveralRule(kind="lists", classes=classes)
    names = tuple(column.name for column in train)
    if label_type == "regression":
        return SeveralRule(kind="numbers")
    texts = [_flag_texts(column) for column in train]
    if label_type == "class" or _are_flags(texts):
        return SeveralRule(kind="flags", classes=names)
    for column in train:
        _refuse_classes(column)
        refuse_list_texts(label_texts(column))
    return SeveralRule(kind="numbers")


def encode_several(columns: Sequence[SourceColumn], rule: SeveralRule) -> pa.Array:
    """Return a split's labels: list<int64> of classes that hold, or list<float64> of the targets."""
    if rule.kind == "lists":
        return _encode_lists(columns[0], rule.classes)
    if rule.kind == "hot_lists":
        return encode_hot(columns[0], rule.classes)
    if rule.kind == "numbers":
        numbers_NC: FloatArray = np.stack(
            [numbers_to_predict(label_texts(column), next_step=_NUMBERS) for column in columns], axis=1
        )
        offsets = np.arange(len(numbers_NC) + 1, dtype=np.int32) * len(columns)
        return pa.ListArray.from_arrays(offsets, pa.array(numbers_NC.ravel()))
    flags_NC = np.stack([_flags(column) for column in columns], axis=1)
    offsets = offsets_of(flags_NC.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.nonzero(flags_NC)[1]))


def _encode_lists(column: SourceColumn, classes: tuple[str, ...]) -> pa.Array:
    repeats_N = repeats(one_array(label_lists(column).values))
    if repeats_N.any():
        raise repeating(column, np.flatnonzero(repeats_N).tolist())
    lists = named_label_lists(column)
    ids = list_class_ids(column, lists, classes, of_class="rows")
    rows = pc.list_parent_indices(lists).to_numpy()
    # each class once a row, in order
    pairs = np.unique(np.stack([rows, ids.to_numpy()]), axis=1)
    offsets = offsets_of(np.bincount(pairs[0].astype(np.int64), minlength=len(lists)))
    return pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(pairs[1].astype(np.int64)))


def _refuse_classes(column: SourceColumn) -> None:
    """Raise for class ids among columns that would be numbers to predict."""
    if column.names:
        raise ConfigError(
            fitted(
                "'{name}' of {where} contains classes ({classes}); several label columns contain 0 and 1, or numbers.",
                name=column.name,
                where=column.where,
                classes=", ".join(column.names[:_SHOWN_CLASSES]),
            ),
            next_step="Name one label column, or pass --label-type regression.",
        )


def _flag_texts(column: SourceColumn) -> SourceColumn:
    """Return the values as texts, true and false as 1 and 0."""
    texts = label_texts(column)
    folded = pc.utf8_lower(pc.utf8_trim_whitespace(texts.values))
    numbers = pc.if_else(pc.equal(folded, "true"), "1", pc.if_else(pc.equal(folded, "false"), "0", folded))
    return replace(texts, values=numbers)


def flags_that_hold(column: SourceColumn) -> BoolArray:
    """Return which rows of a column of flags have a 1; where the column holds something else, none."""
    held: BoolArray = pc.is_in(_flag_texts(column).values, pa.array(["1", "1.0"])).to_numpy()
    return held


def _are_flags(texts: Sequence[SourceColumn]) -> bool:
    """Return whether columns contain flags, and no other numbers: a text among them is the fault of its row."""
    are_flags = [_is_flag(column) for column in texts]
    if all(found.all() for found in are_flags):
        return True
    others = [
        replace(column, values=column.values.filter(pa.array(~found)))
        for column, found in zip(texts, are_flags, strict=True)
    ]
    are_numbers = (pc.or_(number_shaped(each), in_other_notation(each.values)) for each in others)
    return any(found.any() for found in are_flags) and not any(pc.any(found).as_py() for found in are_numbers)


def _is_flag(texts: SourceColumn) -> BoolArray:
    flags: BoolArray = pc.is_in(texts.values, pa.array(["0", "1", "0.0", "1.0"])).to_numpy()
    return flags


def _flags(column: SourceColumn) -> BoolArray:
    bad = np.flatnonzero(~_is_flag(_flag_texts(column)))
    if bad.size:
        found = column.values.take(pa.array(bad)).to_pylist()
        wrong = dict(zip(bad.tolist(), map(str, found), strict=True))
        are_numbers = pc.all(number_shaped(label_texts(column))).as_py()
        step = "Fix the row, or pass --label-type regression." if are_numbers else _NUMBERS
        raise bad_values(column, wrong, "has '{value}' in '{name}', which is neither 0 nor 1", next_step=step)
    return flags_that_hold(column)
