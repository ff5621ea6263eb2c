"""Bucket shards: samples of one length bucket in Parquet files, by length and then by sample id.

`<split>/bucket=000-005/part-00000.parquet`: hive-partitioned, read as it is by polars, pyarrow and duckdb. A bucket has
more parts than one where it holds many tokens; where parts end depends on the samples alone. Shards know bucket edges,
never hardware.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray, offsets_of
from tdbs.pipeline.blocks import BlockInfo, block_path
from tdbs.pipeline.lengths import bucket_name, bucket_of
from tdbs.pipeline.manifest import ShardInfo
from tdbs.pipeline.parquet import write_parquet
from tdbs.pipeline.schema import INPUT_IDS, LENGTH, SAMPLE_ID, WHOLE_LENGTHS, WHOLE_TARGETS
from tdbs.pipeline.split_arrays import Lists, lists_of, sums_of

PART_TOKENS = 1 << 21  # a part ends with the samples that reach this; it is written and read in one piece


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Samples of one length in one block, which are one batch of its file."""

    block: int
    batch: int
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """One shard to write: its slices, in order."""

    split: str
    stored: tuple[str, ...]  # name of the split with each block: rows of some may have been left out
    path: str
    slices: tuple[Slice, ...]
    special_ids: tuple[int, ...]
    samples_before: tuple[int, ...]  # samples of the split before each block

    @property
    def rows(self) -> int:
        """Samples of the shard."""
        return sum(piece.rows for piece in self.slices)


def plan_parts(
    split: str, blocks: Sequence[BlockInfo], edges: IntArray, special_ids: tuple[int, ...]
) -> list[ShardPlan]:
    """Return the shards of a split, short buckets first, from the length histograms of its blocks."""
    samples_before = tuple(offsets_of([block.samples for block in blocks]).tolist())
    stored = tuple(block.split for block in blocks)
    slices: dict[tuple[int, int], list[Slice]] = {}
    bucket, part, tokens = -1, 0, 0
    for length, piece in _slices_by_length(blocks):
        found = int(bucket_of(np.array([length]), edges)[0])
        if found != bucket:
            bucket, part, tokens = found, 0, 0
        elif tokens >= PART_TOKENS:
            part, tokens = part + 1, 0
        slices.setdefault((bucket, part), []).append(piece)
        tokens += piece.rows * length
    return [
        ShardPlan(
            split=split,
            stored=stored,
            path=f"{split}/bucket={bucket_name(edges, bucket)}/part-{part:05d}.parquet",
            slices=tuple(pieces),
            special_ids=special_ids,
            samples_before=samples_before,
        )
        for (bucket, part), pieces in slices.items()
    ]


def write_part(part: ShardPlan, *, blocks: Path, target: Path) -> ShardInfo:
    """Write one shard below `target` from the blocks that are kept below `blocks`."""
    table = _read_slices(part, blocks)
    before = [part.samples_before[piece.block] for piece in part.slices]
    sample_ids = table[SAMPLE_ID].to_numpy() + np.repeat(before, [piece.rows for piece in part.slices])
    place = table.schema.get_field_index(SAMPLE_ID)
    table = table.set_column(place, SAMPLE_ID, pa.array(sample_ids)).replace_schema_metadata(None)
    return ShardInfo(
        path=part.path,
        rows=table.num_rows,
        tokens=int(table[LENGTH].to_numpy().sum()),
        sha256=write_parquet(table, target / part.path),
        special_tokens=_in_each_sample(special_tokens(table, part.special_ids)),
    )


def special_tokens(table: pa.Table, special_ids: tuple[int, ...]) -> IntArray:
    """Return how many special tokens each sample of a shard has, those that its text contains included."""
    tokens = lists_of(table, INPUT_IDS, np.int32)
    return sums_of(Lists(values_V=np.isin(tokens.values_V, special_ids), sizes_S=tokens.sizes_S))


def _in_each_sample(counts_S: IntArray) -> int | None:
    """Return the count that all samples have; None if they differ."""
    return int(counts_S[0]) if len(counts_S) and (counts_S == counts_S[0]).all() else None


def _read_slices(part: ShardPlan, blocks: Path) -> pa.Table:
    """Return the samples of a part, in order, reading no more of each block's file."""
    batches: dict[Slice, pa.RecordBatch] = {}
    for block, pieces in groupby(sorted(part.slices, key=_place), key=lambda piece: piece.block):
        with pa.OSFile(str(block_path(blocks, part.stored[block], block))) as file:
            reader = pa.ipc.open_file(file)
            batches |= {piece: reader.get_batch(piece.batch) for piece in pieces}
    table = pa.Table.from_batches([batches[piece] for piece in part.slices])
    return table.select([name for name in table.schema.names if name not in (WHOLE_LENGTHS, WHOLE_TARGETS)])


def _place(piece: Slice) -> tuple[int, int]:
    return piece.block, piece.batch


def _slices_by_length(blocks: Sequence[BlockInfo]) -> Iterator[tuple[int, Slice]]:
    """Yield each length with its samples, block after block."""
    longest = max((len(block.length_histogram) for block in blocks), default=0)
    counts_BL = np.zeros((len(blocks), longest), dtype=np.int64)
    for row, block in enumerate(blocks):
        counts_BL[row, : len(block.length_histogram)] = block.length_histogram
    batch_BL = np.cumsum(counts_BL > 0, axis=1) - 1
    for length, number in np.argwhere(counts_BL.T).tolist():
        rows = int(counts_BL[number, length])
        yield length, Slice(block=number, batch=int(batch_BL[number, length]), rows=rows)
