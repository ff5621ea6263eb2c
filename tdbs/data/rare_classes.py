"""Classes that a drawn fraction would take from train altogether: the first row of each stays in train.

A drawn row of a class that train lacks could not be scored, and its user gave one file, which has the class.
"""

from collections.abc import Sequence

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.columns import SourceColumn
from tdbs.data.labels import row_classes
from tdbs.errors import ConfigError

_SHOWN = 5


def missing_in_train(
    train: SourceColumn, drawn: SourceColumn, classes: Sequence[str]
) -> tuple[IntArray, tuple[str, ...]]:
    """Return the first drawn row of each class that no row of train has, and these classes.

    The columns hold distinct values of the label, as DistinctValues keeps them: the first row of each is among them.
    """
    known = np.unique(row_classes(train, classes)[0])
    ids, rows_N = row_classes(drawn, classes)
    missing = np.setdiff1d(ids, known)
    rows = {int(rows_N[ids == index].min()) for index in missing}
    return np.array(sorted(rows), dtype=np.int64), tuple(classes[index] for index in missing)


def kept_note(rows: IntArray, classes: Sequence[str], *, fraction: float) -> str:
    """Return what `prepare` says of rows that stay in train."""
    shown = ", ".join(classes[:_SHOWN]) + (", …" if len(classes) > _SHOWN else "")
    drawn = "1 row that it drew stays" if len(rows) == 1 else f"{len(rows)} rows that it drew stay"
    return f"--validation {fraction}: {drawn} in train, which has no other row of: {shown}."


def refuse_nothing_drawn(rows: int, *, fraction: float, where: str) -> None:
    """Raise if no row is left to validation."""
    if rows == 0:
        raise ConfigError(
            f"--validation {fraction} draws only rows of {where} whose classes have no other row.",
            next_step="Pass a larger fraction, or a file.",
        )
