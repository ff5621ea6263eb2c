"""Tables that a Python program has already: Datasets, DataFrames, pyarrow Tables, lists of dicts.

DataFrames and lists become Arrow tables in memory. A Dataset stays as it is and is read in batches, by its chosen rows;
streams.py makes one of an IterableDataset. Libraries are never imported here: an object of theirs shows that they are.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from tdbs.data.columns import BadRows, plain_names, repeated
from tdbs.data.content import plain_values
from tdbs.data.folders import chosen_splits
from tdbs.data.misfits import ONE_TYPE, MixedTable, fitting_values
from tdbs.data.stores import DatasetRows, Store, store_rows
from tdbs.errors import SourceError, reason_of
from tdbs.shown import clipped, fitted

OBJECTS_NAME = "table"  # of the folder below data/
_OTHER = "Pass a Dataset, a DataFrame, a pyarrow Table, a list of dicts, or a dict of splits with one of these each."
_NAMED = 40  # characters of a name
_ROWS = "Make each row a dict of its columns."


class Table(Protocol):
    """A table of datasets, pandas, polars or pyarrow: what all of them have, so that none must be installed."""

    def filter(self, *arguments: Any, **options: Any) -> Any:
        """Return some of the rows."""


Rows = Table | Sequence[Mapping[str, Any]]
Objects = Rows | Mapping[str, Rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectSplit:
    """A split that is an object, and why some of its columns cannot be read, if they should be asked for."""

    store: Store
    unreadable: Mapping[str, SourceError] = field(default_factory=dict)


def object_splits(source: Objects) -> tuple[dict[str, ObjectSplit], tuple[str, ...]]:
    """Return the table of each split, in order, and notes on what is left out; one table alone is train.

    Raises SourceError for an object that is not a table, and if there is no train split.
    """
    if not isinstance(source, Mapping):
        return {"train": object_split(source, "train")}, ()
    if source and "train" not in source and all(map(_is_column, source.values())):
        named = clipped(", ".join(map(str, source)), _NAMED)
        raise SourceError(
            f"The source is a dict of columns ({named}), not of splits.",
            next_step="Pass Dataset.from_dict(columns) of the datasets library, or a DataFrame of them.",
        )
    chosen, notes = chosen_splits(map(str, source), where="The source")
    return {split: object_split(source[name], split) for split, name in chosen.items()}, notes


def object_split(rows: Rows, split: str) -> ObjectSplit:
    """Return one table as a split. Raises SourceError for an object that is not a table, and for one without rows."""
    where = object_name(split)
    found = _object_split(rows, where)
    if store_rows(found.store, "") == 0:
        raise SourceError(f"{sentence(where)} has no rows.", next_step="Add rows, or leave it out.")
    return found


def _object_split(rows: Rows, where: str) -> ObjectSplit:
    given: Any = rows
    if is_a(given, "datasets", "Dataset"):
        return ObjectSplit(store=_of_dataset(given, where))
    if isinstance(given, pa.Table):
        return _of_columns(
            dict(zip(_names(given.column_names, where), given.columns, strict=True)), where, given.schema
        )
    if is_a(given, "polars", "LazyFrame"):
        given = _collected(given, where)
    if is_a(given, "polars", "DataFrame"):
        return _of_columns(dict(zip(_names(given.columns, where), given.get_columns(), strict=True)), where)
    if is_a(given, "pandas", "DataFrame"):
        names = _names([str(name) for name in given.columns], where)
        return _of_columns({name: _dense(given.iloc[:, place]) for place, name in enumerate(names)}, where)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return _of_columns(_columns_of(given, where), where)
    raise SourceError(
        f"{sentence(where)} is of type {clipped(type(given).__name__, _NAMED)}, not a table.", next_step=_OTHER
    )


def _collected(frame: Any, where: str) -> Any:
    """Return the rows of a LazyFrame; what it was made of may fail only now."""
    try:
        return frame.collect()
    except (sys.modules["polars"].exceptions.PolarsError, OSError) as error:
        raise SourceError(
            fitted("{where} cannot be collected: {reason}.", where=sentence(where), reason=reason_of(error)),
            next_step="Call its collect() yourself, and fix what fails.",
        ) from error


def _dense(column: Any) -> Any:
    """Return a column of pandas; Arrow sees only the stored values of a sparse one."""
    return column.sparse.to_dense() if is_a(column.dtype, "pandas", "SparseDtype") else column


def object_name(split: str) -> str:
    """Return what errors call the table of a split."""
    return f"the {clipped(split, _NAMED)} table"


def sentence(where: str) -> str:
    """Return a table's name as the beginning of a sentence."""
    return where[:1].upper() + where[1:]


def _of_dataset(dataset: Any, where: str) -> DatasetRows:
    if dataset.format["type"] == "custom":
        raise SourceError(
            f"{sentence(where)} has a transform, which changes rows as they are read.",
            next_step="Apply it with ds.map, or take it off with ds.reset_format().",
        )
    plain = dataset.with_format("arrow")
    _names(plain.column_names, where)
    return DatasetRows(dataset=plain, schema=plain_names(plain.features.arrow_schema))


def _of_columns(columns: Mapping[str, Any], where: str, schema: pa.Schema | None = None) -> ObjectSplit:
    """Return columns as a table; one that Arrow cannot hold is null, or some values of it, with the reason."""
    arrays: dict[str, Any] = {}
    unreadable: dict[str, SourceError] = {}
    misfits: dict[str, BadRows] = {}
    for name, values in columns.items():
        try:
            arrays[name] = _plain(_in_arrow(values))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            fitting = None if is_a(values, "polars", "Series") else fitting_values(values, name)
            if fitting is None:
                unreadable[name] = _misfit(name, values, where, error)
                arrays[name] = pa.nulls(len(values))
            else:
                arrays[name], misfits[name] = _plain(fitting[0]), fitting[1]
    table = pa.table(list(arrays.values()), names=list(arrays))
    metadata = None if schema is None else schema.metadata
    table = table.replace_schema_metadata(metadata)
    store = MixedTable(table=table, where=where, misfits=misfits) if misfits else table
    return ObjectSplit(store=store, unreadable=unreadable)


def _in_arrow(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        return values
    return values.to_arrow() if is_a(values, "polars", "Series") else pa.array(values, from_pandas=True)


def _plain(values: Any) -> Any:
    """Return values without dictionaries and views, which pandas and polars have for texts."""
    return plain_values(values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values]))


def _columns_of(rows: Sequence[Any], where: str) -> dict[str, list[Any]]:
    """Return the columns of a list of dicts: every key of any; a key that a row lacks is missing there."""
    names: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            kind = clipped(type(row).__name__, _NAMED)
            raise SourceError(f"Row {number} of {where} is of type {kind}, not a dict.", next_step=_ROWS)
        if not all(isinstance(name, str) for name in row):
            raise SourceError(f"Row {number} of {where} has keys that are not texts.", next_step=_ROWS)
        names.update(dict.fromkeys(row))
    plain = _names(list(names), where)
    return {name: [row.get(written) for row in rows] for name, written in zip(plain, names, strict=True)}


def _misfit(name: str, values: Any, where: str, error: Exception) -> SourceError:
    """Return the error for a column, with the first row whose value does not fit those before."""
    if is_a(values, "polars", "Series"):
        return SourceError(
            fitted(
                "'{name}' of {where} contains {kind}, which Arrow does not have.",
                name=name,
                where=where,
                kind=values.dtype,
            ),
            next_step="Cast it to another type, such as Int64.",
        )
    low, high = 0, len(values)  # the first `low` values fit, the first `high` do not
    listed = list(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pa.array(listed[:middle], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            high = middle
        else:
            low = middle
    shown = clipped(repr(listed[low]), 30) if listed else ""
    has_lists = any(isinstance(value, list) for value in listed)
    reason = clipped(reason_of(error), 60)
    return SourceError(
        fitted(
            "Row {row} of {where} has {value} in '{name}', which does not fit.",
            row=low + 1,
            where=where,
            value=shown,
            name=name,
        ),
        next_step=ONE_TYPE if has_lists else f"Give the column values of one type. Arrow reports: {reason}",
    )


def _names(names: Sequence[str], where: str) -> list[str]:
    """Return the plain names of columns. Raises SourceError if two are one."""
    plain = plain_names(pa.schema([(name, pa.null()) for name in names])).names
    twice = repeated(plain)
    if twice is not None:
        raise SourceError(
            f"{sentence(where)} has two columns named '{clipped(twice, _NAMED)}'.", next_step="Rename one of them."
        )
    return list(plain)


def _is_column(values: object) -> bool:
    """Return whether a value is a list of values, rather than of rows."""
    is_list = isinstance(values, list | tuple) or is_a(values, "numpy", "ndarray") or is_a(values, "pandas", "Series")
    given: Any = values
    return is_list and not any(isinstance(value, Mapping) for value in given[:1])


def is_a(value: object, module: str, kind: str) -> bool:
    """Return whether a value is of a library's type; a library that is not loaded has made none."""
    return isinstance(value, getattr(sys.modules.get(module), kind, ()))
