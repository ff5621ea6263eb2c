"""Read chosen columns of a Parquet file; null is missing."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.data.content import ROWS_AT_ONCE
from tdbs.errors import SourceError, reason_of
from tdbs.files import readable


def read_schema(path: Path) -> pa.Schema:
    """Return the names and types of the columns, from the footer alone."""
    try:
        with readable(path) as file:
            return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def read_columns(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the asked columns as they are typed in the file, some rows at a time."""
    try:
        # ParquetFile reads this one file; read_table would take `split=x` in a folder's name for another column.
        # What it buffers ahead it keeps to the end, so that memory would grow with the rows.
        with readable(path) as file, pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=columns):
                yield pa.Table.from_batches([batch]).select(columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def count_rows(path: Path) -> int:
    """Return how many rows a file has, from the footer alone."""
    try:
        with readable(path) as file, pq.ParquetFile(file) as parquet:
            return int(parquet.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{path.name} is not a readable Parquet file: {reason_of(error)}.", next_step="Copy or write the file again."
    )
