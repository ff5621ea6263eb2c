"""The samples of a dataset for other libraries: polars, pandas and datasets, each imported when it is asked for.

polars gets a lazy scan of the shards: it opens the files that a query needs, and checks no hash. pandas and datasets
get tables in memory, made of shards that were checked as for training. Rows are in sample_id order everywhere.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tdbs.errors import DatasetError, require
from tdbs.files import is_remote, sha256_of
from tdbs.pipeline import schema
from tdbs.pipeline.manifest import Manifest, ShardInfo
from tdbs.pipeline.parquet import AGAIN
from tdbs.pipeline.shard_checks import read_shard
from tdbs.pipeline.split_arrays import check_sample_ids

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl

BUCKET, SPLIT = "bucket", "split"  # of the folders; no shard has them as columns
_PIECE = 1 << 17  # samples sorted at once: lists of one piece have less than 2 ** 31 tokens, the most of Arrow's lists


def scan_shards(folder: Path, manifest: Manifest, splits: Sequence[str], *, with_split: bool) -> "pl.LazyFrame":
    """Return a lazy scan of some splits, one after the other.

    Raises ConfigError if polars is not installed, and DatasetError if a shard of a local dataset is missing.
    """
    require("polars", "dataset.to_polars()", "polars")
    import polars as pl

    scans = []
    for name in splits:
        scan = _scan(folder, manifest, name).sort(schema.SAMPLE_ID)
        scans.append(scan.select(pl.lit(name).alias(SPLIT), pl.all()) if with_split else scan)
    return pl.concat(scans, how="diagonal")


def read_frame(folder: Path, manifest: Manifest, splits: Sequence[str], *, with_split: bool) -> "pd.DataFrame":
    """Read some splits, one after the other.

    Raises ConfigError if pandas is not installed, and DatasetError if a shard is damaged.
    """
    require("pandas", "dataset.to_pandas()", "pandas")
    import pandas as pd

    tables = []
    for name in splits:
        table = _sorted_table(folder, manifest, name, with_bucket=True)
        tables.append(table.add_column(0, SPLIT, pa.repeat(name, table.num_rows)) if with_split else table)
    table = pa.concat_tables(tables, promote_options="default")
    frame = table.to_pandas()
    # A split without labels makes gaps; pandas would turn all classes into floats.
    whole = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    for name in table.schema.names:
        if table[name].null_count and table[name].type in whole:
            frame[name] = table[name].to_pandas(types_mapper=whole.get)
    return frame


def read_datasets(folder: Path, manifest: Manifest, splits: Sequence[str]) -> "datasets.DatasetDict":
    """Read some splits.

    Raises ConfigError if datasets is not installed, and DatasetError if a shard is damaged.
    """
    require("datasets", "dataset.to_datasets()", "datasets")
    import datasets

    found = datasets.DatasetDict()
    for name in splits:
        table = _sorted_table(folder, manifest, name, with_bucket=False)
        features = datasets.Features.from_arrow_schema(table.schema)
        if schema.LABEL in features and manifest.task.classes:
            _name_classes(features, manifest)
        # Without a fingerprint the library hashes every value: a second for 130 MB.
        found[name] = datasets.Dataset(
            table, info=datasets.DatasetInfo(features=features), fingerprint=_fingerprint(manifest, name)
        )
    return found


def _fingerprint(manifest: Manifest, name: str) -> str:
    """Return what stands for a split's contents: datasets keys what it makes of them by it."""
    parts = [manifest.key, name, *(shard.sha256 for shard in manifest.splits[name].shards)]
    return sha256_of("\n".join(parts).encode())[:16]


def _name_classes(features: Any, manifest: Manifest) -> None:
    """Give labels that are classes their names; labels of tokens stay numbers, since a ClassLabel refuses -100."""
    import datasets

    label = datasets.ClassLabel(names=list(manifest.task.classes))
    if manifest.task.kind == "classification":
        features[schema.LABEL] = label
    elif manifest.task.kind == "multi_label":
        features[schema.LABEL] = datasets.Sequence(label)


def _scan(folder: Path, manifest: Manifest, name: str) -> "pl.LazyFrame":
    """Return a lazy scan of a split, in the order of its shards."""
    import polars as pl

    info = manifest.splits[name]
    columns = schema.arrow_schema(manifest.task, labelled=info.labelled)
    empty: Any = pl.from_arrow(columns.append(pa.field(BUCKET, pa.string())).empty_table())
    if not info.shards:
        return empty.lazy()
    if is_remote(folder):
        return _scan_by_arrow(folder, info.shards, columns)
    there = folder.absolute()  # a frame may be collected after the current folder has changed
    for shard in info.shards:
        if not (there / shard.path).is_file():
            raise DatasetError(f"The shard {folder / shard.path} is missing.", next_step=AGAIN)
    if "=" in str(there):  # polars would take a folder above, such as label=3, for a column of values
        return _scan_by_arrow(there, info.shards, columns)
    return pl.scan_parquet(
        [there / shard.path for shard in info.shards],
        glob=False,
        schema={column: kind for column, kind in empty.schema.items() if column != BUCKET},
        hive_partitioning=True,
        hive_schema={BUCKET: pl.String},
    )


def _scan_by_arrow(folder: Path, shards: Sequence[ShardInfo], columns: pa.Schema) -> "pl.LazyFrame":
    """Return a lazy scan that pyarrow reads: by the same file system, and with the same credentials, as training."""
    import polars as pl
    import pyarrow.dataset as ds

    bucket = pa.schema([(BUCKET, pa.string())])
    files: Any = folder
    remote = is_remote(folder)
    return pl.scan_pyarrow_dataset(
        ds.dataset(
            [(files / shard.path).path if remote else str(files / shard.path) for shard in shards],
            schema=pa.schema([*columns, *bucket]),
            format="parquet",
            filesystem=files.fs if remote else None,
            partitioning=ds.partitioning(bucket, flavor="hive"),
        )
    )


def _sorted_table(folder: Path, manifest: Manifest, name: str, *, with_bucket: bool) -> pa.Table:
    """Return a split as one table in sample_id order, in pieces that are contiguous. Raises DatasetError."""
    info = manifest.splits[name]
    columns = schema.arrow_schema(manifest.task, labelled=info.labelled)
    empty = (columns.append(pa.field(BUCKET, pa.string())) if with_bucket else columns).empty_table()
    tables = []
    for shard in info.shards:
        table = read_shard(folder, shard, manifest, labelled=info.labelled)
        if with_bucket:
            bucket = Path(shard.path).parent.name.removeprefix(f"{BUCKET}=")
            table = table.append_column(BUCKET, pa.repeat(bucket, table.num_rows))
        tables.append(table.replace_schema_metadata(None))
    ids = [table[schema.SAMPLE_ID].to_numpy() for table in tables]
    ascending = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *ids]))
    check_sample_ids(ascending, named=f"The split {name} of {folder}", rows=info.rows)
    return pa.concat_tables([empty, *_pieces(tables, rows=info.rows)])


def _pieces(tables: Sequence[pa.Table], *, rows: int) -> Iterator[pa.Table]:
    """Yield the samples of all tables in sample_id order, some at a time."""
    orders = [np.argsort(table[schema.SAMPLE_ID].to_numpy()) for table in tables]
    sorted_ids = [table[schema.SAMPLE_ID].to_numpy()[order] for table, order in zip(tables, orders, strict=True)]
    for first in range(0, rows, _PIECE):
        parts = []
        for table, order, ids in zip(tables, orders, sorted_ids, strict=True):
            low, end = np.searchsorted(ids, [first, first + _PIECE])
            parts.append(table.take(order[low:end]))
        piece = pa.concat_tables(parts)
        yield piece.take(np.argsort(piece[schema.SAMPLE_ID].to_numpy()))
