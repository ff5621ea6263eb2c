"""Lists of 0 and 1, one entry a class (multi-hot vectors, as transformers takes labels): which classes hold for a row.

Certain where all lists of train have one length, of two or more, and hold 0 and 1 (or 0.0, true …) alone: as lists of
class ids they would name each class several times, or both classes in every row. Lists of one entry are ids. Classes
have the names that the file keeps for them, if it keeps one for each place; else their places, from 0.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray
from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.labels import label_lists
from tdbs.errors import SourceError

_ONE, _ZERO = ("1", "1.0", "true"), ("0", "0.0", "false")
_NEXT_STEP = (
    "Give each row one 0 or 1 for each class, or list the names of its classes, "
    "or write one column of 0 and 1 a class: --label joy,anger."
)

# Shapes: N rows, C classes.


def hot_classes(train: SourceColumn) -> tuple[str, ...] | None:
    """Return the classes of multi-hot lists; None if train's lists are not certainly multi-hot."""
    lists = one_array(label_lists(train).values)
    entries = pc.utf8_lower(lists.flatten())
    lengths_N = pc.list_value_length(lists).to_numpy()
    if not len(entries) or not pc.all(pc.is_in(entries, pa.array([*_ZERO, *_ONE]))).as_py():
        return None
    width, names = int(lengths_N[0]), train.names
    is_even = bool((lengths_N == width).all())
    if names:
        return _names(names, width) if is_even and (width == len(names) or len(names) == 2) and width > 1 else None
    if is_even:
        return _names((), width) if width > 1 else None
    ones_N = np.bincount(pc.list_parent_indices(lists).to_numpy(), _is_one(entries), minlength=len(lists))
    repeating = np.flatnonzero((ones_N > 1) | (lengths_N - ones_N > 1))
    if repeating.size:  # no list of ids names a class twice
        row = int(repeating[0])
        other = int(np.flatnonzero(lengths_N != lengths_N[row])[0])
        raise SourceError(
            f"'{train.name}' of {train.where} holds lists of 0 and 1 of different lengths: "
            f"{train.row(row)} has {lengths_N[row]} entries, {train.row(other)} has {lengths_N[other]}.",
            next_step=_NEXT_STEP,
        )
    return None


def encode_hot(column: SourceColumn, classes: tuple[str, ...]) -> pa.Array:
    """Return a split's multi-hot lists as lists of the classes that hold; its own names tell which place is which."""
    lists = one_array(label_lists(column).values)
    entries = pc.utf8_lower(lists.flatten())
    lengths_N = pc.list_value_length(lists).to_numpy()
    is_flag = pc.is_in(entries, pa.array([*_ZERO, *_ONE])).to_numpy(zero_copy_only=False)
    parents = pc.list_parent_indices(lists).to_numpy()
    bad_N = lengths_N != len(classes)
    bad_N[parents[~is_flag]] = True
    if bad_N.any():
        row = int(np.flatnonzero(bad_N)[0])
        raise SourceError(
            f"{column.row(row)} has {str(lists[row].as_py())[:60]} in '{column.name}', "
            f"where other rows have {len(classes)} entries of 0 and 1.",
            next_step=_NEXT_STEP,
        )
    flags_NC = _is_one(entries).reshape(len(lists), len(classes))
    if len(column.names) == len(classes):
        unknown = next((name for name in column.names if name not in classes), None)
        if unknown is not None:
            raise SourceError(
                f"'{column.name}' of {column.where} has a place for the class '{unknown}', which train lacks.",
                next_step="Write the file with the classes of train.",
            )
        flags_NC = flags_NC[:, [column.names.index(name) for name in classes]]
    offsets = np.concatenate([[0], np.cumsum(flags_NC.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.nonzero(flags_NC)[1].astype(np.int64)))


def _names(names: tuple[str, ...], width: int) -> tuple[str, ...]:
    return names if len(names) == width else tuple(map(str, range(width)))


def _is_one(entries: pa.Array) -> BoolArray:
    flags: BoolArray = pc.is_in(entries, pa.array(_ONE)).to_numpy(zero_copy_only=False)
    return flags
