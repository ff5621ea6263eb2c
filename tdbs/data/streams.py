"""IterableDatasets: their rows can be taken once only, so they go to a temporary Arrow file, some at a time.

Without features, the rows say the types, and later rows may say more: a None, an empty list and a whole number fit what
comes after them. So these rows are written twice, the second time with the types of all.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.objects import is_a, object_name, sentence
from tdbs.errors import SourceError, reason_of
from tdbs.shown import fitted

_FEATURES = "Give the IterableDataset features, as ds.cast(features) does, and each row values of their types."


@contextmanager
def kept_streams(source: Any, split: str) -> Iterator[Any]:
    """Yield a source, or the rows of a split, with IterableDatasets as Datasets of temporary files.

    Everything else is yielded as it is. The files are removed at the end. Raises SourceError if the
    rows of one do not fit together.
    """
    streams = source if isinstance(source, Mapping) else {split: source}
    if not any(is_a(stream, "datasets", "IterableDataset") for stream in streams.values()):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="tdbs-") as folder:
        kept = {
            name: _kept(stream, Path(folder) / f"{number}.arrow", object_name(str(name)))
            if is_a(stream, "datasets", "IterableDataset")
            else stream
            for number, (name, stream) in enumerate(streams.items())
        }
        yield kept if isinstance(source, Mapping) else kept[split]


def _kept(stream: Any, path: Path, where: str) -> Any:
    """Write the rows of an IterableDataset to a file, and return them as a Dataset."""
    import datasets

    if stream.features is None:
        untyped = path.with_suffix(".rows")
        schema = _write_rows(stream, untyped, where)
        pieces = _typed_rows(untyped, schema)
    else:
        schema = stream.features.arrow_schema
        pieces = _pieces(stream, schema, where)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        rows = 0
        for table in pieces:
            writer.write_table(table)
            rows += table.num_rows
    if not rows:
        raise SourceError(f"{sentence(where)} has no rows.", next_step="Add rows, or leave it out.")
    return datasets.Dataset.from_file(str(path))


def _pieces(stream: Any, schema: pa.Schema, where: str) -> Iterator[pa.Table]:
    """Yield the rows in the types of their features, some at a time."""
    done = 0
    with _converted(where):
        for table in stream.with_format("arrow").iter(ROWS_AT_ONCE):
            try:
                typed = table.select(schema.names).cast(schema)
            except (pa.ArrowException, KeyError) as error:
                raise _misfit(where, done, table, error) from error
            yield typed
            done += table.num_rows


def _write_rows(stream: Any, path: Path, where: str) -> pa.Schema:
    """Write rows without features, each piece in types of its own, and return the types of all."""
    import datasets

    schema: pa.Schema = pa.schema([])
    done = 0
    with pa.OSFile(str(path), "wb") as file:
        for columns in stream.with_format(None).iter(ROWS_AT_ONCE):
            with _converted(where, done):
                table = datasets.Dataset.from_dict(columns).data.table.replace_schema_metadata(None)
            try:
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
            except pa.ArrowException as error:
                raise _misfit(where, done, table, error) from error
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
            done += table.num_rows
    return schema


def _typed_rows(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the pieces of a file in the types of all of them."""
    with pa.OSFile(str(path)) as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as reader:
                table = reader.read_all()
            yield pa.concat_tables([schema.empty_table(), table], promote_options="permissive")


@contextmanager
def _converted(where: str, done: int = 0) -> Iterator[None]:
    """Name the table if values of one column are of types that have none in common."""
    try:
        yield
    except (pa.ArrowException, OverflowError) as error:
        raise SourceError(
            fitted("Rows of {where}, from {row} on, have other types than each other.", where=where, row=done + 1),
            next_step=_FEATURES,
        ) from error


def _misfit(where: str, done: int, table: pa.Table, error: Exception) -> SourceError:
    return SourceError(
        fitted(
            "Rows {numbers} of {where} do not fit those before: {reason}.",
            numbers=f"{done + 1} to {done + table.num_rows}",
            where=where,
            reason=reason_of(error),
        ),
        next_step=_FEATURES,
    )
