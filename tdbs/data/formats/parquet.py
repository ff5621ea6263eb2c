"""Read chosen columns of a Parquet file; null is missing."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.data.columns import plain_name
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.data_file import DataFile, damage_named
from tdbs.files import readable


def read_schema(file: DataFile) -> pa.Schema:
    """Return the names and types of the columns, from the footer alone."""
    with damage_named(file.path, "Parquet"), readable(file.path) as opened:
        return pq.read_schema(opened)


def read_columns(file: DataFile, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the requested columns as they are typed in the file, some rows at a time."""
    with (
        damage_named(file.path, "Parquet"),
        readable(file.path) as opened,
        # ParquetFile reads this one file; read_table would take `split=x` in a folder's name for another column.
        # What it buffers ahead it keeps to the end, so that memory would grow with the rows.
        pq.ParquetFile(opened, page_checksum_verification=True, pre_buffer=False) as parquet,
    ):
        written = {plain_name(name): name for name in parquet.schema_arrow.names}
        rows, stated = 0, int(parquet.metadata.num_rows)
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=[written[column] for column in columns]):
            table = pa.Table.from_batches([batch])
            rows += table.num_rows
            yield pa.table([table[written[column]] for column in columns], names=columns)
        if rows != stated:  # of a damaged footer, which has no checksum
            raise pa.ArrowInvalid(f"its footer says {stated} rows, but {rows} can be read")


def count_rows(file: DataFile) -> int:
    """Return how many rows a file has, from the footer alone."""
    with (
        damage_named(file.path, "Parquet"),
        readable(file.path) as opened,
        pq.ParquetFile(opened) as parquet,
    ):
        return int(parquet.metadata.num_rows)
