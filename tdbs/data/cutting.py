"""Cut the rows of a source into blocks, however the file is split into pieces."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.columns import one_array
from tdbs.data.content import is_list, is_text


def cut_blocks(
    tables: Iterator[pa.Table],
    texts: list[str],
    *,
    rows_at_most: int,
    bytes_at_most: int,
    is_first_repeated: bool = False,
) -> Iterator[pa.Table]:
    """Yield the rows cut into blocks: a block ends where the next row would be too much for it.

    `is_first_repeated`: the first of the texts is read once with each of the others.
    """
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        bytes_N = sum(_bytes_of_rows(table[column]) for column in texts)
        if is_first_repeated:
            others_N = sum(_entries_of_rows(table[column]) for column in texts[1:])
            bytes_N += _bytes_of_rows(table[texts[0]]) * np.maximum(others_N - 1, 0)
        bytes_through_N = np.cumsum(bytes_N)
        first = 0
        while first < table.num_rows:
            before = int(bytes_through_N[first - 1]) if first else 0
            fitting = int(np.searchsorted(bytes_through_N, before + bytes_at_most - size, side="right")) - first
            taken = min(fitting, rows_at_most - rows, table.num_rows - first)
            if taken <= 0 and rows:
                yield pa.concat_tables(waiting)
                waiting, rows, size = [], 0, 0
                continue
            taken = max(taken, 1)  # a text of more than a block is one of its own
            waiting.append(table.slice(first, taken))
            first += taken
            rows += taken
            size += int(bytes_through_N[first - 1]) - before
    if waiting:
        yield pa.concat_tables(waiting)


def _entries_of_rows(column: pa.ChunkedArray) -> IntArray:
    """Return how many texts each row has."""
    values = one_array(column)
    if not is_list(values.type):
        return np.ones(len(values), dtype=np.int64)
    return pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)


def _bytes_of_rows(column: pa.ChunkedArray) -> IntArray:
    """Return how many bytes of text each row has; none where the column holds no texts, which is refused later."""
    values = one_array(column)
    if is_list(values.type) and is_text(values.type.value_type):
        through = offsets_of(pc.fill_null(pc.binary_length(values.flatten()), 0).to_numpy())
        ends = np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy())
        return np.diff(through[ends], prepend=0)
    if not is_text(values.type):
        return np.zeros(len(values), dtype=np.int64)
    return pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
