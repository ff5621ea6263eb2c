"""Read chosen columns of a Parquet file; null is missing."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.errors import SourceError, reason_of


def read_schema(path: Path) -> pa.Schema:
    """Return the names and types of the columns, from the footer alone."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Return the asked columns as they are typed in the file."""
    try:
        # ParquetFile reads this one file; read_table would take `split=x` in a folder's name for another column
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=columns).select(columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{path.name} is not a readable Parquet file: {reason_of(error)}.", next_step="Copy or write the file again."
    )
