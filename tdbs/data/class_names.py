"""Names of classes that the hub's Parquet files keep beside integer labels (`ClassLabel` of the datasets library).

Without them the labels of words would be numbers, and none of them the "O" that lets a word be dropped.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from tdbs.data.columns import SourceColumn, one_array
from tdbs.data.content import is_list
from tdbs.errors import SourceError


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """Return the names of the classes that lists of a column hold; nothing where the file does not say."""
    try:
        feature: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        inner = feature[0] if isinstance(feature, list) else feature["feature"]
        names = tuple(inner["names"]) if inner["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        return ()
    return names if all(isinstance(name, str) for name in names) else ()


def named_classes(column: SourceColumn, names: tuple[str, ...]) -> SourceColumn:
    """Return lists of class ids as lists of the classes' names."""
    if not names or not is_list(column.values.type) or not pa.types.is_integer(column.values.type.value_type):
        return column
    lists = one_array(column.values.cast(pa.list_(pa.int64())))
    ids = lists.flatten()
    unknown = np.flatnonzero(~np.isin(ids.fill_null(-1).to_numpy(), np.arange(len(names))))
    if unknown.size:
        row = int(np.searchsorted(np.cumsum(lists.value_lengths().fill_null(0).to_numpy()), unknown[0], side="right"))
        raise SourceError(
            f"{column.row(row)} has the class {ids[int(unknown[0])].as_py()} in '{column.name}', which has no name.",
            next_step="Write the file from the task's own data again.",
        )
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().fill_null(0).to_numpy())]).astype(np.int32)
    values = pa.ListArray.from_arrays(offsets, pa.array(names).take(ids), mask=lists.is_null())
    return SourceColumn(name=column.name, where=column.where, values=pa.chunked_array([values]), rows_N=column.rows_N)
