"""The plan of a run as a table, one row per model call: what `tdbs plan --out FILE.parquet` writes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.arrays import FloatArray, IntArray
from tdbs.files import write_bytes
from tdbs.pipeline.lengths import bucket_name, bucket_of
from tdbs.train.planning.epoch_plan import EpochPlan

COLUMNS = ("epoch", "step", "batch", "bucket", "sample_ids", "padded_length", "tokens", "lr")


def plan_table(plans: Sequence[EpochPlan], rates_S: FloatArray, edges: IntArray) -> pa.Table:
    """Return columns epoch, step, batch, bucket, sample_ids, padded_length, tokens, lr.

    `step` counts through the run, `batch` through its epoch; rows with one step form one update. `bucket` is that of
    the batch's longest sample, as the shards name it.
    """
    names = np.array([bucket_name(edges, bucket) for bucket in range(len(edges) - 1)])
    tables = []
    first_step = 0
    for plan in plans:
        batches = len(plan.padded_lengths_B)
        longest_B = np.maximum.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1])
        steps_B = np.repeat(np.arange(first_step, first_step + plan.steps), plan.step_batches_S)
        tables.append(
            pa.table(
                {
                    "epoch": np.full(batches, plan.epoch),
                    "step": steps_B,
                    "batch": np.arange(batches),
                    "bucket": names[bucket_of(longest_B, edges)],
                    "sample_ids": pa.LargeListArray.from_arrays(plan.batch_offsets_B1, plan.sample_ids_N),
                    "padded_length": plan.padded_lengths_B,
                    "tokens": plan.tokens_B,
                    "lr": rates_S[steps_B],
                }
            )
        )
        first_step += plan.steps
    return pa.concat_tables(tables)


def is_plan(path: Path) -> bool:
    """Return whether a file is a plan as `write_plan` writes it: Parquet with these columns."""
    try:
        return tuple(pq.read_schema(path).names) == COLUMNS
    except pa.ArrowException:
        return False


def write_plan(path: Path, table: pa.Table) -> None:
    """Write a plan as Parquet, in one visible step."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    write_bytes(path, buffer.getvalue().to_pybytes())
