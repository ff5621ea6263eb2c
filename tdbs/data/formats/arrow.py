"""Read chosen columns of an Arrow file, a stream or a file of Arrow's own format; null is missing.

`save_to_disk` of the datasets library writes streams. A stream has no index, so counting its rows reads it through.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from tdbs.data.columns import plain_name
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.data_file import DataFile, damage_named

_MAGIC = b"ARROW1"  # a file begins with it, a stream does not
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream; Arrow takes one that was cut between two batches for whole


def read_schema(file: DataFile) -> pa.Schema:
    """Return the names and types of the columns, from the file's beginning or end alone."""
    with _opened(file.path) as reader:
        return reader.schema


def read_columns(file: DataFile, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the requested columns as they are typed in the file, some rows at a time."""
    with _opened(file.path) as reader:
        written = {plain_name(name): name for name in reader.schema.names}
        for batch in _batches(reader):
            chosen = pa.RecordBatch.from_arrays([batch.column(written[column]) for column in columns], names=columns)
            chosen.validate(full=True)  # Arrow trusts offsets, which a damaged file may have wrong
            for first in range(0, chosen.num_rows, ROWS_AT_ONCE):
                yield pa.Table.from_batches([chosen.slice(first, ROWS_AT_ONCE)])


def count_rows(file: DataFile) -> int:
    """Return how many rows a file has."""
    with _opened(file.path) as reader:
        return sum(int(batch.num_rows) for batch in _batches(reader))


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _refuse_cut(stream: BinaryIO) -> None:
    """Raise if a stream does not have its end."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - len(_END), 0))
    if stream.read() != _END:
        raise pa.ArrowInvalid("its end is missing")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield a reader of a file or stream; damage is our error."""
    with damage_named(path, "Arrow"), path.open("rb") as opened:
        is_file = opened.read(len(_MAGIC)) == _MAGIC
        if not is_file:
            _refuse_cut(opened)
        opened.seek(0)
        with pa.ipc.open_file(opened) if is_file else pa.ipc.open_stream(opened) as reader:
            yield reader
