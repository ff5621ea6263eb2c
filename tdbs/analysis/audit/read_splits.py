"""The columns of a dataset that an audit looks at, of all splits, in the order of the samples.

One shard's table is in memory at a time. What is kept of it is joined in the order of the shards, which is by length,
and then again in the order of the samples, some samples at a time. Both may be spilled.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, Targets, split_info, split_targets
from tdbs.pipeline.duplicates.mixing import blocks_of
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.shard_checks import read_shard
from tdbs.pipeline.shard_columns import TARGETS, sample_columns
from tdbs.pipeline.split_arrays import AnyArray, JoinedLists, Lists, check_sample_ids, lists_of, sums_of
from tdbs.spilled import forget, joined, kept

# Shapes: N samples of a split in order, R some of them, V values of lists.

DROPPABLE_TOKENS = "droppable tokens"  # beside the names of columns
_SIZES = "sizes of "  # before the name of a column of lists
_TOKENS_AT_ONCE = 1 << 20

Columns = Mapping[str, AnyArray]  # a column of lists is two: its values, and how many each sample has


def read_splits(
    dataset: PreparedDataset, names: Sequence[str], *, spilled: bool
) -> tuple[Columns, tuple[Targets | None, ...]]:
    """Read the columns of some splits, one split after the other, and the targets of each.

    Every shard is checked against its hash.

    Args:
        dataset: The dataset.
        names: Splits with samples.
        spilled: Whether the columns go to files, see `spilled.py`.

    Returns:
        Token ids, rows of the source, numbers of droppable tokens, and what samples have of segments and sequences;
        and the targets of each split, None without labels.

    Raises:
        ConfigError: The folder for temporary files does not take them.
        DatasetError: A shard is damaged.
    """
    splits = [_read(dataset, name, spilled=spilled) for name in names]
    common = [name for name in splits[0].columns if name not in (schema.SAMPLE_ID, TARGETS, sizes_of(TARGETS))]
    columns = joined((block for split in splits for block in _in_order(split, common)), spilled=spilled)
    targets = tuple(
        _targets(split, dataset.manifest, spilled=spilled) if dataset.manifest.splits[name].labelled else None
        for name, split in zip(names, splits, strict=True)
    )
    return columns, targets


def sizes_of(name: str) -> str:
    """Return the name of the column that has the sizes of the lists of another one."""
    return _SIZES + name


@dataclass(frozen=True, kw_only=True, slots=True)
class _Split:
    """The columns of a split in the order of its shards, and where each sample is among them, in their order."""

    columns: Columns
    places_N: IntArray


def _read(dataset: PreparedDataset, name: str, *, spilled: bool) -> _Split:
    info, manifest = split_info(dataset, name), dataset.manifest
    tables = (read_shard(dataset.path, shard, manifest, labelled=info.labelled) for shard in info.shards)
    columns = joined((_columns(table, manifest, labelled=info.labelled) for table in tables), spilled=spilled)
    pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
    sample_ids = columns[schema.SAMPLE_ID]
    places_N = np.argsort(sample_ids)
    check_sample_ids(sample_ids[places_N], named=f"The split {name} of {dataset.path}", rows=info.rows)
    return _Split(columns=columns, places_N=places_N)


def _columns(table: pa.Table, manifest: Manifest, *, labelled: bool) -> Columns:
    """Return the columns of a shard."""
    found = sample_columns(table, manifest, labelled=labelled) | {
        schema.SAMPLE_ID: table[schema.SAMPLE_ID].to_numpy(),
        DROPPABLE_TOKENS: sums_of(lists_of(table, schema.DROPPABLE, np.int64, field="length")),
    }
    flat: dict[str, AnyArray] = {}
    for name, column in found.items():
        flat |= {name: column.values_V, sizes_of(name): column.sizes_S} if isinstance(column, Lists) else {name: column}
    return flat


def _in_order(split: _Split, names: Sequence[str]) -> Iterator[Columns]:
    """Yield some columns of a split in the order of the samples, some samples at a time."""
    columns = split.columns
    firsts = {name: offsets_of(columns[sizes_of(name)])[:-1] for name in names if sizes_of(name) in columns}
    tokens_N = columns[sizes_of(schema.INPUT_IDS)][split.places_N]
    for first, end in blocks_of(offsets_of(tokens_N), _TOKENS_AT_ONCE):
        places_R = split.places_N[first:end]
        block = {}
        for name in names:
            places_V = places_R
            if name in firsts:
                places_V = ragged_positions(firsts[name][places_R], columns[sizes_of(name)][places_R])
            block[name] = columns[name][places_V]
        yield block
        forget(*columns.values())


def _targets(split: _Split, manifest: Manifest, *, spilled: bool) -> Targets:
    """Return the targets of a split with labels."""
    names = [name for name in (schema.SOURCE_ROW, TARGETS, sizes_of(TARGETS)) if name in split.columns]
    read = joined(_in_order(split, names), spilled=spilled)
    if sizes_of(TARGETS) not in read:
        return split_targets(read, manifest.task)
    offsets_N1 = kept(offsets_of(read[sizes_of(TARGETS)]), spilled=spilled)
    return split_targets(read | {TARGETS: JoinedLists(values_V=read[TARGETS], offsets_N1=offsets_N1)}, manifest.task)
