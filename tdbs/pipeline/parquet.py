"""The Parquet files of a dataset: written in one visible step, read only if they are what was written."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.data.digests import file_sha256
from tdbs.errors import DatasetError, system_errors_as
from tdbs.files import new_file, sha256_of, write_bytes

_COMPRESSION = "zstd"
_NEXT_STEP = "Prepare the dataset again with --overwrite."


def write_parquet(table: pa.Table, path: Path) -> str:
    """Write a Parquet file in one visible step; returns its hash."""
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
    """Read a Parquet file of a dataset that has the given hash. Raises DatasetError, which names it."""
    with system_errors_as(DatasetError, f"The shard {path} cannot be read", next_step=_NEXT_STEP):
        data = path.read_bytes()
    if sha256_of(data) != sha256:
        raise DatasetError(
            f"The shard {path} is damaged: its contents are not those that prepare wrote.", next_step=_NEXT_STEP
        )
    # As fast as read_table for a shard, whose threads can abort the process when it ends (apache/arrow#39862).
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            return parquet.read(use_threads=False)
    except pa.ArrowException as error:
        raise DatasetError(f"The shard {path} is not a readable Parquet file.", next_step=_NEXT_STEP) from error
