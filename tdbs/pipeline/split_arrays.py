"""Columns of some shards as compact arrays, in order of sample_id.

One shard's table is in memory at a time, checked against its hash; what stays of it are arrays as small as their values
allow. Joining scatters them shard by shard, so the whole takes little more memory than its result.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.data.columns import one_array
from tdbs.errors import DatasetError
from tdbs.pipeline import schema

# Shapes: N samples of all shards in sample_id order, N1 = N + 1, S samples of one shard, V values of lists.

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lists:
    """A list for each sample, one after the other."""

    values_V: AnyArray
    sizes_S: IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedLists:
    """A list for each sample: sample i has values [i] to [i + 1]."""

    values_V: AnyArray
    offsets_N1: IntArray


def lists_of(table: pa.Table, column: str, kind: npt.DTypeLike, *, field: str | None = None) -> Lists:
    """Return a column of lists, or of one field of its structs, as integers or floats of a kind."""
    lists = one_array(table[column])
    values = lists.flatten() if field is None else lists.flatten().field(field)
    return Lists(values_V=values.to_numpy().astype(kind), sizes_S=pc.list_value_length(lists).to_numpy())


def sums_of(lists: Lists) -> IntArray:
    """Return the sum of each sample's list."""
    through_V1 = offsets_of(lists.values_V)
    return np.diff(through_V1[np.cumsum(lists.sizes_S)], prepend=0)


def read_arrays(
    tables: Iterable[pa.Table],
    columns: Callable[[pa.Table], dict[str, AnyArray | Lists]],
    *,
    named: str,
    rows: int,
) -> dict[str, Any]:
    """Return the columns that `columns` takes from each shard's table: arrays of N, and JoinedLists.

    The shards are of a split of this many rows, `named` in errors. Raises DatasetError if there are none, or if
    samples are duplicated.
    """
    found: dict[str, list[Any]] = {}
    sample_ids = []
    for table in tables:
        sample_ids.append(table[schema.SAMPLE_ID].to_numpy())
        for name, column in columns(table).items():
            found.setdefault(name, []).append(column)
        del table
    if not sample_ids:
        raise DatasetError(f"{named} has no samples.", next_step="Choose another split.")
    ascending_N = np.sort(np.concatenate(sample_ids))
    check_sample_ids(ascending_N, named=named, rows=rows)
    places = [np.searchsorted(ascending_N, ids_S) for ids_S in sample_ids]
    joined: dict[str, Any] = {}
    for name in list(found):
        pieces = found.pop(name)
        joined[name] = _join_lists(pieces, places) if isinstance(pieces[0], Lists) else _join_flat(pieces, places)
    pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
    return joined


def check_sample_ids(ascending: IntArray, *, named: str, rows: int) -> None:
    """Refuse sample ids that come twice or are beyond the rows of their split."""
    if len(ascending) and (ascending[0] < 0 or ascending[-1] >= rows or (np.diff(ascending) == 0).any()):
        raise samples_do_not_fit(named, rows)


def samples_do_not_fit(named: str, rows: int) -> DatasetError:
    """Return the error for shards whose samples are not those from 0 to `rows`."""
    return DatasetError(
        f"{named} has samples twice, or beyond its {rows}.",
        next_step="Run tdbs verify to see which, or prepare the dataset again with --overwrite.",
    )


def _join_flat(columns: Sequence[AnyArray], places: Sequence[IntArray]) -> AnyArray:
    """Return one value, or row of values, of each sample in its place."""
    joined = np.empty((sum(map(len, columns)), *columns[0].shape[1:]), dtype=columns[0].dtype)
    for column, place_S in zip(columns, places, strict=True):
        joined[place_S] = column
    return joined


def _join_lists(columns: list[Lists], places: Sequence[IntArray]) -> JoinedLists:
    """Return the list of each sample in its place; `columns` is emptied on the way."""
    sizes_N = _join_flat([lists.sizes_S for lists in columns], places)
    offsets_N1 = offsets_of(sizes_N)
    joined = np.empty(offsets_N1[-1], dtype=columns[0].values_V.dtype)
    for place_S in places:
        lists = columns.pop(0)
        joined[ragged_positions(offsets_N1[place_S], lists.sizes_S)] = lists.values_V
    return JoinedLists(values_V=joined, offsets_N1=offsets_N1)
