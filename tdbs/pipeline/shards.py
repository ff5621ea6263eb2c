"""Bucket shards: samples of one length bucket in one Parquet file, rows by length inside.

`<split>/bucket=000-005/part-00000.parquet`: hive-partitioned, read as it is by polars, pyarrow and duckdb. Shards
know bucket edges, never hardware.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.arrays import IntArray
from tdbs.errors import DatasetError
from tdbs.files import sha256_of, write_bytes
from tdbs.pipeline.buckets import bucket_name, bucket_of
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.schema import LENGTH, SAMPLE_ID


def write_shards(table: pa.Table, folder: Path, split: str, edges: IntArray) -> tuple[ShardInfo, ...]:
    """Write a split (rows in sample_id order) as bucket shards below `folder`; returns what the manifest records."""
    lengths_N = table[LENGTH].to_numpy()
    by_length = np.argsort(lengths_N, kind="stable")
    ordered = table.take(pa.array(by_length))
    buckets_N = bucket_of(lengths_N[by_length], edges)
    bounds = np.searchsorted(buckets_N, np.arange(len(edges)))
    return tuple(
        _write_shard(
            ordered.slice(bounds[bucket], bounds[bucket + 1] - bounds[bucket]),
            folder,
            f"{split}/bucket={bucket_name(edges, bucket)}/part-00000.parquet",
        )
        for bucket in range(len(edges) - 1)
        if bounds[bucket] < bounds[bucket + 1]
    )


def _write_shard(table: pa.Table, folder: Path, path: str) -> ShardInfo:
    digest = write_parquet(table, folder / path)
    return ShardInfo(path=path, rows=table.num_rows, tokens=int(table[LENGTH].to_numpy().sum()), sha256=digest)


def write_parquet(table: pa.Table, path: Path) -> str:
    """Write a Parquet file in one visible step; returns its hash."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue().to_pybytes()
    write_bytes(path, data)
    return sha256_of(data)


def read_shards(folder: Path, shards: tuple[ShardInfo, ...]) -> pa.Table:
    """Read shards whole and checked, rows in sample_id order. Raises DatasetError naming the damaged file."""
    table = pa.concat_tables([read_checked(folder / shard.path, shard.sha256) for shard in shards])
    return table.take(pa.array(np.argsort(table[SAMPLE_ID].to_numpy())))


def read_checked(path: Path, sha256: str) -> pa.Table:
    """Read a Parquet file of a dataset that has the given hash."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"The shard {path} cannot be read: {error.strerror}.",
            next_step="Prepare the dataset again with --overwrite.",
        ) from error
    if sha256_of(data) != sha256:
        raise DatasetError(
            f"The shard {path} is damaged: its contents are not those that prepare wrote.",
            next_step="Prepare the dataset again with --overwrite.",
        )
    return pq.read_table(pa.BufferReader(data))
