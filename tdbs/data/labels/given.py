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
from tdbs.data.columns import SourceColumn, bad_rows, first_true, one_array, plain_name
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
    _refuse_no_ids(column)
    if is_list(kind):
        return replace(column, values=column.values.cast(pa.list_(pa.int64())), names=names)
    ids = column.values.cast(pa.int64())
    ids = pc.if_else(pc.equal(ids, NO_LABEL), pa.scalar(None, pa.int64()), ids)
    unknown = first_true(pc.fill_null(pc.or_(pc.less(ids, 0), pc.greater_equal(ids, len(names))), False))
    if unknown is not None:
        raise _nameless(column, unknown, ids[unknown].as_py())
    return replace(column, values=ids, names=names)


def named_lists(column: SourceColumn) -> SourceColumn:
    """Return lists of class ids as lists of the classes' names, if the column knows them."""
    if not column.names:
        return column
    lists = one_array(column.values.cast(pa.list_(pa.string())))  # of texts where distinct ids were collected
    ids = lists.flatten().cast(pa.int64())
    unknown = np.flatnonzero(~np.isin(ids.fill_null(-1).to_numpy(), np.arange(len(column.names))))
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    if unknown.size:
        row = int(np.searchsorted(np.cumsum(lengths), unknown[0], side="right"))
        raise _nameless(column, row, ids[int(unknown[0])].as_py())
    offsets = offsets_of(lengths).astype(np.int32)
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


def _refuse_no_ids(column: SourceColumn) -> None:
    """Raise for the first number that has a fraction or too many digits."""
    array = one_array(column.values)
    flat = array.flatten() if is_list(array.type) else array
    numbers = flat.cast(pa.float64(), safe=False).fill_null(0).to_numpy()
    found = np.flatnonzero((numbers != np.floor(numbers)) | (np.abs(numbers) > _MOST))
    if found.size:
        row = int(pc.list_parent_indices(array)[int(found[0])].as_py()) if is_list(array.type) else int(found[0])
        raise _nameless(column, row, float(numbers[found[0]]))


def _nameless(column: SourceColumn, row: int, found: float | None) -> SourceError:
    return SourceError(
        fitted(
            "{row} has the class {found} in '{name}', which has no name.",
            row=column.row(row),
            found=found,
            name=column.name,
        ),
        next_step=_UNNAMED,
    )
