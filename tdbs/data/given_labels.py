"""Check the labels of shared tasks (hub, mirror, sample), which are class ids or scores already; -1 means none."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, FloatArray, IntArray
from tdbs.data.columns import SourceColumn
from tdbs.data.tasks import Task
from tdbs.errors import SourceError

NO_LABEL = -1
_NEXT_STEP = "Write the file from the task's own data again."


def has_labels(column: SourceColumn, task: Task) -> bool:
    """Tell whether any row has a label."""
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


def _plain(column: SourceColumn, task: Task) -> IntArray | FloatArray:
    """Return class ids or scores, -1 where there is none."""
    kind = column.values.type
    of_task = pa.types.is_integer if task.kind == "classification" else pa.types.is_floating
    if not of_task(kind):
        expected = "class ids" if task.kind == "classification" else "floating-point scores"
        raise SourceError(f"'{column.name}' of {column.where} holds {kind}, not {expected}.", next_step=_NEXT_STEP)
    plain = pa.int64() if task.kind == "classification" else pa.float64()
    labels: IntArray | FloatArray = pc.fill_null(column.values.cast(plain), NO_LABEL).to_numpy()
    return labels


def _refuse(column: SourceColumn, bad: BoolArray, problem: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise SourceError(f"{column.row(int(rows[0]))} {problem}.", next_step=_NEXT_STEP)
