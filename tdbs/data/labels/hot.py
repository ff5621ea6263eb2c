"""Multi-hot lists of 0 and 1, as transformers takes labels: which they are, their classes, and the classes of rows.

Lists are multi-hot if all of train have one length of two or more and contain only 0 and 1 (or 0.0, true …). As lists
of class ids they would name a class several times, or both classes in every row. Lists of one entry are ids. Names of
classes come from the file if it has one for each position; else they are positions, from 0.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, offsets_of
from tdbs.data.columns import SourceColumn, bad_values, one_array
from tdbs.data.labels.list_rows import ONE, ROW_STEP, are_flags, repeats
from tdbs.data.labels.single import label_lists
from tdbs.errors import SourceError
from tdbs.shown import fitted

# Shapes: N rows, C classes.


def hot_classes(train: SourceColumn) -> tuple[str, ...] | None:
    """Return the classes of multi-hot lists; None if train's lists are not certainly multi-hot.

    Raises SourceError if they are, and the names of the classes are not one for each position.
    """
    lists = one_array(label_lists(train).values)
    lengths_N = pc.list_value_length(lists).to_numpy()
    width, names = int(lengths_N[0]), train.names
    if width < 2 or not (are_flags(lists) & (lengths_N == width)).all():
        return None
    if len(names) == width:
        return names
    if names and len(names) != 2:  # two names are those of the flags
        if not repeats(lists).any():
            return None
        raise SourceError(
            fitted(
                "'{name}' of {where} contains lists of {length} entries of 0 and 1, but {count} classes have names.",
                name=train.name,
                where=train.where,
                length=width,
                count=len(names),
            ),
            next_step=f"Pass --label-names a file with {width} names, one for each entry.",
        )
    return tuple(map(str, range(width)))


def is_hot(text: str) -> bool:
    """Return whether an entry of a multi-hot list says that a class holds."""
    return text.lower() in ONE


def encode_hot(column: SourceColumn, classes: tuple[str, ...]) -> pa.Array:
    """Return a split's multi-hot lists as lists of the classes that hold; its own names say which place is which."""
    lists = one_array(label_lists(column).values)
    bad_N = ~are_flags(lists) | (pc.list_value_length(lists).to_numpy() != len(classes))
    if bad_N.any():
        problem = f"has {{value}} in '{{name}}', where other rows have {len(classes)} entries of 0 and 1"
        found = {row: str(lists[row].as_py()) for row in np.flatnonzero(bad_N).tolist()}
        raise bad_values(column, found, problem, next_step=ROW_STEP)
    are_ones: BoolArray = pc.is_in(pc.utf8_lower(lists.flatten()), pa.array(ONE)).to_numpy(zero_copy_only=False)
    flags_NC = are_ones.reshape(len(lists), len(classes))
    if len(column.names) == len(classes):
        unknown = next((name for name in column.names if name not in classes), None)
        if unknown is not None:
            raise SourceError(
                fitted(
                    "'{name}' of {where} has a position for the class '{unknown}', which train lacks.",
                    name=column.name,
                    where=column.where,
                    unknown=unknown,
                ),
                next_step="Write the file with the classes of train.",
            )
        flags_NC = flags_NC[:, [column.names.index(name) for name in classes]]
    offsets = offsets_of(flags_NC.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.nonzero(flags_NC)[1].astype(np.int64)))
