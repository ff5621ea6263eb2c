"""Planning data of a split that is not in memory: a few bytes a sample, from one pass over its shards.

It has lengths, the sizes of droppable words, special tokens, and the shard of each sample, but no token ids.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.shard_checks import check_rows, read_shard
from tdbs.pipeline.split_arrays import Lists, check_sample_ids, lists_of, samples_do_not_fit, sums_of

# Shapes: N samples of the split in sample_id order, W droppable words of all shards, S samples of one shard.

_NONE = -1

SmallArray = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitIndex:
    """A split without its tokens. The words of sample i are `word_counts_N[i]` from `first_words_N[i]` on."""

    name: str
    lengths_N: SmallArray
    special_N: SmallArray  # special tokens of each sample
    word_counts_N: SmallArray
    first_words_N: IntArray
    word_sizes_W: npt.NDArray[np.uint16]
    shards_N: SmallArray  # number of the shard, as the manifest lists them
    target_lengths_N: SmallArray | None  # seq2seq


def read_index(dataset: PreparedDataset, name: str) -> SplitIndex:
    """Read the index of a split; every shard is checked against its hash, and gone before the next one is read."""
    info, manifest = split_info(dataset, name), dataset.manifest
    named = f"The split {name} of {dataset.path}"
    check_rows(dataset.path, info.shards)
    lengths_N, special_N, counts_N, shards_N, targets_N = (np.zeros(info.rows, dtype=np.int32) for _ in range(5))
    first_words_N = np.zeros(info.rows, dtype=np.int64)
    shards_N.fill(_NONE)
    sizes = []
    words_before = 0
    has_targets = info.labelled and manifest.task.kind == "seq2seq"
    for number, shard in enumerate(info.shards):
        table = read_shard(dataset.path, shard, manifest, labelled=info.labelled)
        ids_S = table[schema.SAMPLE_ID].to_numpy()
        check_sample_ids(np.sort(ids_S), named=named, rows=info.rows)
        lengths_N[ids_S] = table[schema.LENGTH].to_numpy()
        special_N[ids_S] = _special_tokens(table, manifest.tokenizer.special_ids)
        words = lists_of(table, schema.DROPPABLE, np.uint16, field="length")
        counts_N[ids_S] = words.sizes_S
        first_words_N[ids_S] = words_before + np.cumsum(words.sizes_S) - words.sizes_S
        sizes.append(words.values_V)
        words_before += len(words.values_V)
        shards_N[ids_S] = number
        if has_targets:
            targets_N[ids_S] = lists_of(table, schema.TARGET_IDS, np.int32).sizes_S
    if (shards_N == _NONE).any():  # as many samples as there are places: one came twice
        raise samples_do_not_fit(named, info.rows)
    del table
    pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
    return SplitIndex(
        name=name,
        lengths_N=lengths_N,
        special_N=special_N,
        word_counts_N=counts_N,
        first_words_N=first_words_N,
        word_sizes_W=np.concatenate([np.empty(0, np.uint16), *sizes]),
        shards_N=shards_N,
        target_lengths_N=targets_N if has_targets else None,
    )


def _special_tokens(table: pa.Table, special_ids: tuple[int, ...]) -> IntArray:
    tokens = lists_of(table, schema.INPUT_IDS, np.int32)
    return sums_of(Lists(values_V=np.isin(tokens.values_V, special_ids), sizes_S=tokens.sizes_S))
