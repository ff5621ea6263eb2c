"""What planning needs to know of a split: lengths, sizes of droppable words, lengths of targets; no token ids.

`index_of` takes it from a split in memory. `read_index` reads it from the shards, one at a time, some bytes a sample:
for a plan alone from the few columns that it needs (`index_columns`), for training from all, so that a shard that
cannot be what `prepare` wrote is refused before the first step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, Split, split_info
from tdbs.pipeline.shard_checks import check_rows, read_shard
from tdbs.pipeline.split_arrays import Lists, check_sample_ids, lists_of, samples_do_not_fit, sums_of

# Shapes: N samples of the split in sample_id order, V their droppable words in any order, T tokens, S samples of one
# shard.

_NONE = -1

Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexWords:
    """The droppable words of a split. Sample i has `counts_N[i]` of them, from `firsts_N[i]` on."""

    counts_N: Integers
    firsts_N: IntArray
    sizes_V: Integers  # tokens of each word
    special_N: Integers  # special tokens of each sample, which never go


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitIndex:
    """A split without its tokens."""

    name: str
    lengths_N: Integers
    words: IndexWords | None  # None: not read, since nothing is dropped
    shards_N: Integers | None  # number of the shard, as the manifest lists them; None: the split is in memory
    target_lengths_N: Integers | None  # seq2seq


def index_of(split: Split, special_ids: Sequence[int]) -> SplitIndex:
    """Return the index of a split in memory."""
    special = np.flatnonzero(np.isin(split.input_ids_T, special_ids))
    return SplitIndex(
        name=split.name,
        lengths_N=split.lengths_N,
        words=IndexWords(
            counts_N=np.diff(split.word_offsets_N1),
            firsts_N=split.word_offsets_N1[:-1],
            sizes_V=split.word_sizes_W,
            special_N=np.diff(np.searchsorted(special, split.token_offsets_N1)),
        ),
        shards_N=None,
        target_lengths_N=None if split.targets is None else split.targets.lengths_N,
    )


def index_columns(dataset: PreparedDataset, name: str, *, drops: bool) -> tuple[str, ...]:
    """Return the columns that a plan needs; `drops`: some strategy drops words.

    Token ids are among them only then: how many tokens of a sample are special, so that one other stays, is in no
    other column. They are counted and let go.
    """
    needed = {schema.SAMPLE_ID, schema.LENGTH, schema.TARGET_IDS}
    if drops:
        needed |= {schema.INPUT_IDS, schema.DROPPABLE}
    labelled = split_info(dataset, name).labelled
    return tuple(
        column.name for column in schema.columns(dataset.manifest.task, labelled=labelled) if column.name in needed
    )


def read_index(dataset: PreparedDataset, name: str, *, columns: Sequence[str] | None = None) -> SplitIndex:
    """Read the index of a split from some columns of its shards; None: from all.

    Every shard is checked against its hash, what is read of it as in training, and gone before the next one is read.
    """
    info, manifest = split_info(dataset, name), dataset.manifest
    named = f"The split {name} of {dataset.path}"
    check_rows(dataset.path, info.shards)
    lengths_N, special_N, counts_N, shards_N, targets_N = (np.zeros(info.rows, dtype=np.int32) for _ in range(5))
    firsts_N = np.zeros(info.rows, dtype=np.int64)
    shards_N.fill(_NONE)
    sizes = [np.empty(0, dtype=np.uint16)]
    words_before = 0
    has_words = columns is None or schema.DROPPABLE in columns
    has_targets = info.labelled and manifest.task.kind == "seq2seq"
    for number, shard in enumerate(info.shards):
        table = read_shard(dataset.path, shard, manifest, labelled=info.labelled, columns=columns)
        ids_S = table[schema.SAMPLE_ID].to_numpy()
        check_sample_ids(np.sort(ids_S), named=named, rows=info.rows)
        lengths_N[ids_S] = table[schema.LENGTH].to_numpy()
        shards_N[ids_S] = number
        if has_words:
            special_N[ids_S] = _special_tokens(table, manifest.tokenizer.special_ids)
            words = lists_of(table, schema.DROPPABLE, np.uint16, field="length")
            counts_N[ids_S] = words.sizes_S
            firsts_N[ids_S] = words_before + np.cumsum(words.sizes_S) - words.sizes_S
            sizes.append(words.values_V)
            words_before += len(words.values_V)
        if has_targets:
            targets_N[ids_S] = lists_of(table, schema.TARGET_IDS, np.int32).sizes_S
    if (shards_N == _NONE).any():  # as many samples as there are places: one came twice
        raise samples_do_not_fit(named, info.rows)
    del table
    pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
    words_of_all = IndexWords(counts_N=counts_N, firsts_N=firsts_N, sizes_V=np.concatenate(sizes), special_N=special_N)
    return SplitIndex(
        name=name,
        lengths_N=lengths_N,
        words=words_of_all if has_words else None,
        shards_N=shards_N,
        target_lengths_N=targets_N if has_targets else None,
    )


def _special_tokens(table: pa.Table, special_ids: tuple[int, ...]) -> IntArray:
    tokens = lists_of(table, schema.INPUT_IDS, np.int32)
    return sums_of(Lists(values_V=np.isin(tokens.values_V, special_ids), sizes_S=tokens.sizes_S))
