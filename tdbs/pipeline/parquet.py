"""The Parquet files of a dataset: written atomically, read only if they are what was written."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.digests import file_sha256
from tdbs.errors import DatasetError
from tdbs.files import new_file, sha256_of, write_bytes
from tdbs.records import Form, opened, read_bytes

_COMPRESSION = "zstd"
AGAIN = "Prepare the dataset again with --overwrite."
_FORM = Form(what="a shard of tdbs", error=DatasetError, next_step=AGAIN)


def write_parquet(table: pa.Table, path: Path) -> str:
    """Write a Parquet file atomically; returns its hash."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), buffer, compression=_COMPRESSION)
    data = buffer.getvalue()
    write_bytes(path, data)
    return sha256_of(data)


def write_parquet_blocks(tables: Iterable[pa.Table], path: Path) -> str:
    """Write tables of one schema as one Parquet file, one after the other; returns its hash."""
    with new_file(path) as hidden:
        writer = None
        for table in tables:
            writer = writer or pq.ParquetWriter(hidden, table.schema, compression=_COMPRESSION)
            writer.write_table(table)
        if writer is not None:
            writer.close()
        return file_sha256(hidden)


def read_checked(path: Path, sha256: str) -> pa.Table:
    """Read a Parquet file that has the given hash. Raises DatasetError, which names it."""
    data = read_bytes(path, _FORM, named=f"The shard {path}", most=None)
    if sha256_of(data) != sha256:
        raise DatasetError(
            f"The shard {path} is damaged: its contents differ from what prepare wrote.", next_step=AGAIN
        )
    # As fast as read_table for a shard, whose threads can abort the process when it ends (apache/arrow#39862).
    with _damage_named(path), pq.ParquetFile(pa.BufferReader(data)) as parquet:
        return parquet.read(use_threads=False)


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a Parquet file, and no byte of the others: its hash is not checked.

    They are in the order of the file, without those that it lacks. Raises DatasetError, which names the file.
    """
    with opened(path, _FORM, named=f"The shard {path}") as file, _damage_named(path), pq.ParquetFile(file) as parquet:
        return parquet.read([name for name in parquet.schema_arrow.names if name in columns], use_threads=False)


def rows_of(path: Path) -> int:
    """Return how many rows a Parquet file of a dataset has, from its footer. Raises DatasetError, which names it."""
    with opened(path, _FORM, named=f"The shard {path}") as file, _damage_named(path), pq.ParquetFile(file) as parquet:
        return int(parquet.metadata.num_rows)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn whatever Arrow raises of a file with a right hash and wrong contents into our error."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise DatasetError(f"The shard {path} is not a readable Parquet file.", next_step=AGAIN) from error
