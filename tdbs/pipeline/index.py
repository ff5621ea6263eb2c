"""What planning needs of a split that is not held in memory: some bytes a sample, from one pass over its shards.

Lengths, the sizes of droppable words, special tokens, the shard that each sample is in; no token ids.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.columns import one_array
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.parquet import read_checked

# Shapes: N samples of the split in sample_id order, W droppable words of all shards, S samples of one shard.

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
    info, manifest = dataset.manifest.splits[name], dataset.manifest
    lengths_N, special_N, counts_N, shards_N, targets_N = (np.zeros(info.rows, dtype=np.int32) for _ in range(5))
    first_words_N = np.zeros(info.rows, dtype=np.int64)
    sizes = []
    words_before = 0
    has_targets = info.labelled and manifest.task.kind == "seq2seq"
    for number, shard in enumerate(info.shards):
        table = read_checked(dataset.path / shard.path, shard.sha256)
        ids_S = table[schema.SAMPLE_ID].to_numpy()
        lengths_N[ids_S] = table[schema.LENGTH].to_numpy()
        special_N[ids_S] = _special_tokens(table, manifest.tokenizer.special_ids)
        words = one_array(table[schema.DROPPABLE])
        counts_S = words.value_lengths().to_numpy()
        counts_N[ids_S] = counts_S
        first_words_N[ids_S] = words_before + np.cumsum(counts_S) - counts_S
        sizes.append(words.flatten().field("length").to_numpy().astype(np.uint16))
        words_before += len(sizes[-1])
        shards_N[ids_S] = number
        if has_targets:
            targets_N[ids_S] = pc.list_value_length(table[schema.TARGET_IDS]).to_numpy()
    del table, words
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
    tokens = one_array(table[schema.INPUT_IDS])
    through_T1 = np.concatenate([[0], np.cumsum(np.isin(tokens.flatten().to_numpy(), special_ids))])
    ends_S = np.cumsum(tokens.value_lengths().to_numpy())
    return np.diff(through_T1[ends_S], prepend=0)
