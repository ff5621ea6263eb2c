"""Check the labels of shared tasks (hub, mirror, sample): class ids or scores, with -1 for none.

The hub's Parquet files keep class names beside integer labels (`ClassLabel` of the datasets library). Without them,
classes would have numbers for names, and word labels would have no "O" that allows a word to be dropped. A single label
of -1 means none, as in a mirror. Ids may be floats, which pandas uses if some are missing.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, FloatArray, IntArray, offsets_of
from tdbs.data.columns import SourceColumn, bad_rows, bad_values, one_array, plain_name
from tdbs.data.content import is_list
from tdbs.data.labels.spelling import folded, plain_class
from tdbs.data.tasks import Task
from tdbs.errors import SourceError
from tdbs.shown import fitted, is_utf8

NO_LABEL = -1
_NEXT_STEP = "Write the file again from the task's own data."
_UNNAMED = "Fix the row, or write the file with a name for each class."
_OTHER_NAME = "Write the file with another name for the class."
_MOST = 2.0**53  # of class ids: a float holds each whole number up to here


def has_labels(column: SourceColumn, task: Task) -> bool:
    """Return whether any row has a label."""
    return bool((_plain(column, task) != NO_LABEL).any())


def given_labels(column: SourceColumn, task: Task) -> pa.Array:
    """Return class ids, or scores for regression, of rows that all have one."""
    labels = _plain(column, task)
    _refuse(column, labels == NO_LABEL, "has no label")
    if task.kind == "regression":
        _refuse(column, ~np.isfinite(labels), "has a label that is not finite")
    else:
        last = len(task.classes) - 1
        _refuse(column, (labels < 0) | (labels > last), f"has a label outside 0 to {last}")
    return pa.array(labels)


def class_names(schema: pa.Schema, column: str, *, where: str) -> tuple[str, ...]:
    """Return the names of the classes that a column, or lists in it, hold; nothing if the file does not say."""
    try:
        features: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        feature = next(value for name, value in features.items() if plain_name(name) == column)
        if isinstance(feature, list):
            feature = feature[0]
        inner = feature if feature["_type"] == "ClassLabel" else feature["feature"]
        names = tuple(inner["names"]) if inner["_type"] == "ClassLabel" else ()
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, StopIteration, RecursionError):
        return ()
    if not all(isinstance(name, str) for name in names):
        return ()
    check_names(names, f"'{column}' of {where}")
    return tuple(plain_class(name) for name in names)


def with_names(column: SourceColumn, names: tuple[str, ...]) -> SourceColumn:
    """Return a column of class ids that knows their names; an id of a single label that means none is missing."""
    kind = column.values.type
    inner = kind.value_type if is_list(kind) else kind
    if not names or not (pa.types.is_integer(inner) or pa.types.is_floating(inner)):
        return column
    _refuse_no_ids(column, len(names))
    if is_list(kind):
        return replace(column, values=column.values.cast(pa.list_(pa.int64())), names=names)
    ids = column.values.cast(pa.int64())
    ids = pc.if_else(pc.equal(ids, NO_LABEL), pa.scalar(None, pa.int64()), ids)
    return replace(column, values=ids, names=names)


def named_lists(column: SourceColumn) -> SourceColumn:
    """Return lists of class ids as lists of the classes' names, if the column knows them."""
    if not column.names:
        return column
    lists = one_array(column.values.cast(pa.list_(pa.string())))  # of texts where distinct ids were collected
    ids = lists.flatten().cast(pa.int64())
    offsets = offsets_of(lists.value_lengths().fill_null(0).to_numpy()).astype(np.int32)
    values = pa.ListArray.from_arrays(offsets, pa.array(column.names).take(ids), mask=lists.is_null())
    return replace(column, values=pa.chunked_array([values]), names=())


def named_texts(column: SourceColumn) -> SourceColumn:
    """Return class ids, written as texts, as the classes' names, if the column knows them."""
    if not column.names:
        return column
    encoded = one_array(column.values).dictionary_encode()
    names = pa.array([column.names[int(index)] for index in encoded.dictionary.to_pylist()], pa.string())
    return replace(column, values=pa.chunked_array([names.take(encoded.indices)]), names=())


def _plain(column: SourceColumn, task: Task) -> IntArray | FloatArray:
    """Return class ids or scores, -1 if there is none."""
    kind = column.values.type
    of_task = pa.types.is_integer if task.kind == "classification" else pa.types.is_floating
    if not of_task(kind):
        expected = "class ids" if task.kind == "classification" else "floating-point scores"
        raise SourceError(
            fitted(
                "'{name}' of {where} contains {kind}, not {expected}.",
                name=column.name,
                where=column.where,
                kind=kind,
                expected=expected,
            ),
            next_step=_NEXT_STEP,
        )
    plain = pa.int64() if task.kind == "classification" else pa.float64()
    labels: IntArray | FloatArray = pc.fill_null(column.values.cast(plain), NO_LABEL).to_numpy()
    return labels


def _refuse(column: SourceColumn, bad: BoolArray, problem: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise bad_rows(column, dict.fromkeys(rows.tolist(), problem), next_step=_NEXT_STEP)


def check_names(names: tuple[str, ...], column: str) -> None:
    """Refuse names that are one label, and those that UTF-8 cannot hold."""
    known: dict[str, str] = {}  # by what is the same for one label
    for name in names:
        if not is_utf8(name):
            raise SourceError(
                fitted("A class of {column} has half of a surrogate pair in its name.", column=column),
                next_step=_OTHER_NAME,
            )
        label = folded(plain_class(name))
        if label in known:
            raise SourceError(
                fitted(
                    "The classes '{first}' and '{second}' of {column} are one label.",
                    first=known[label],
                    second=name,
                    column=column,
                ),
                next_step=_OTHER_NAME,
            )
        known[label] = name


def _shown_id(number: float) -> str:
    return str(int(number)) if abs(number) <= _MOST and number == int(number) else str(number)


def _refuse_no_ids(column: SourceColumn, count: int) -> None:
    """Raise for numbers that cannot be ids of `count` classes: a fraction, too many digits, none of their names."""
    array = one_array(column.values)
    flat = array.flatten() if is_list(array.type) else array
    numbers = flat.cast(pa.float64(), safe=False)
    known = numbers.fill_null(0).to_numpy()
    is_bad = (known != np.floor(known)) | (known < 0) | (known >= count)
    if not is_list(array.type):
        is_bad &= known != NO_LABEL
    found = np.flatnonzero(is_bad)
    if found.size:
        rows = pc.list_parent_indices(array).to_numpy()[found] if is_list(array.type) else found
        named: dict[int, str] = {}
        for row, place in zip(rows.tolist(), found.tolist(), strict=True):
            named.setdefault(row, _shown_id(float(known[place])))
        raise bad_values(column, named, "has the class {value} in '{name}', which has no name", next_step=_UNNAMED)
