"""Read a shard only if it is what `prepare` wrote and what its samples can be: hash, columns, rows, lengths, ids.

Array code goes on positions and ids without looking again, so what does not fit is refused here, by the shard's name.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tdbs.errors import DatasetError
from tdbs.files import is_remote
from tdbs.pipeline import schema
from tdbs.pipeline.manifest import Manifest, ShardInfo
from tdbs.pipeline.parquet import AGAIN, read_checked, rows_of
from tdbs.pipeline.sample_checks import missing_values, sample_problems


def read_shard(folder: Path, shard: ShardInfo, manifest: Manifest, *, labelled: bool) -> pa.Table:
    """Return the table of a shard. Raises DatasetError, which names it."""
    table = read_checked(folder / shard.path, shard.sha256)
    problem = table_problem(table, manifest, labelled=labelled)
    if problem is None and table.num_rows != shard.rows:
        problem = f"has {table.num_rows} samples, not the {shard.rows} of its manifest"
    if problem is not None:
        raise DatasetError(f"The shard {folder / shard.path} {problem}.", next_step=AGAIN)
    return table


def table_problem(table: pa.Table, manifest: Manifest, *, labelled: bool) -> str | None:
    """Return what is wrong with a shard's table, None where nothing is."""
    problem = schema_problem(table, manifest, labelled=labelled) or next(missing_values(table), None)
    if problem is not None:
        return problem
    lengths_N = table[schema.LENGTH].to_numpy()
    if len(lengths_N) and lengths_N.max() > manifest.max_length:
        return f"has lengths beyond {manifest.max_length}"
    return next(sample_problems(table, manifest, lengths_N), None)


def schema_problem(table: pa.Table, manifest: Manifest, *, labelled: bool) -> str | None:
    """Return in what the columns of a shard are not those of its dataset, None where they are."""
    expected = schema.arrow_schema(manifest.task, labelled=labelled)
    if table.schema.names != expected.names:
        return f"has the columns {', '.join(table.schema.names)}, not those of this dataset"
    other = next((name for name in expected.names if table.schema.field(name).type != expected.field(name).type), None)
    if other is not None:
        return f"has {other} as {table.schema.field(other).type}, not as {expected.field(other).type}"
    return None


def check_rows(folder: Path, shards: Sequence[ShardInfo]) -> None:
    """Compare the manifest's rows with the footers of the files, before arrays of so many entries are made.

    Raises DatasetError, which names the shard. An object store is not asked: that would be a request for each shard.
    """
    if is_remote(folder):
        return
    for shard in shards:
        found = rows_of(folder / shard.path)
        if found != shard.rows:
            raise DatasetError(
                f"The shard {folder / shard.path} has {found} samples, not the {shard.rows} of its manifest.",
                next_step=AGAIN,
            )
