"""What planning needs to know of a split: lengths, sizes of droppable words, lengths of targets; no token ids.

`index_of` takes it from a split in memory. `read_index` reads it from the shards, one at a time, some bytes a sample:
for a plan alone from the few columns that it needs (`index_columns`), and no other byte of the files; for training from
all, so that a shard that cannot be what `prepare` wrote is refused before the first step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.errors import DatasetError
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, Split, split_info
from tdbs.pipeline.lengths import length_histogram
from tdbs.pipeline.sequences import longest_of
from tdbs.pipeline.shard_checks import check_rows, read_shard
from tdbs.pipeline.shards import special_tokens
from tdbs.pipeline.split_arrays import AnyArray, Lists, check_sample_ids, lists_of, samples_do_not_fit, sums_of

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
    sequences_N: Integers | None = None  # embedding, ranking: how many sequences each sample has
    longest_N: Integers | None = None  # tokens of its longest one


def index_of(split: Split, special_ids: Sequence[int]) -> SplitIndex:
    """Return the index of a split in memory."""
    special = np.flatnonzero(np.isin(split.input_ids_T, special_ids))
    sequences = split.sequences
    counts_N = None if sequences is None else np.diff(sequences.offsets_N1)
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
        sequences_N=counts_N,
        longest_N=None
        if sequences is None or counts_N is None
        else longest_of(Lists(values_V=sequences.lengths_Q, sizes_S=counts_N)),
    )


def index_columns(dataset: PreparedDataset, name: str, *, drops: bool) -> tuple[str, ...]:
    """Return the columns that a plan needs of every shard; `drops`: some strategy drops words."""
    needed = {schema.SAMPLE_ID, schema.LENGTH, schema.TARGET_IDS, schema.SEQUENCE_LENGTHS}
    if drops:
        needed |= {schema.DROPPABLE}
    labelled = split_info(dataset, name).labelled
    return tuple(
        column.name for column in schema.columns(dataset.manifest.task, labelled=labelled) if column.name in needed
    )


def read_index(dataset: PreparedDataset, name: str, *, columns: Sequence[str] | None = None) -> SplitIndex:
    """Read the index of a split from some columns of its shards; None: from all.

    Every shard is checked, with all columns also against its hash, and gone before the next one is read. What was read
    must have the histograms of the manifest: without a hash, they reveal damage. Where words may be dropped, one token
    that is not special stays. So special tokens are counted in a shard whose samples do not all have the same number of
    them, or whose manifest is older: from its token ids, which are let go.
    """
    info, manifest = split_info(dataset, name), dataset.manifest
    named = f"The split {name} of {dataset.path}"
    check_rows(dataset.path, info.shards)
    lengths_N, special_N, counts_N, shards_N, targets_N, sequences_N, longest_N = (
        np.zeros(info.rows, dtype=np.int32) for _ in range(7)
    )
    firsts_N = np.zeros(info.rows, dtype=np.int64)
    shards_N.fill(_NONE)
    sizes = [np.empty(0, dtype=np.uint16)]
    words_before = 0
    droppable = [np.empty(0, dtype=np.int32)]  # tokens of the words of each sample
    has_words = columns is None or schema.DROPPABLE in columns
    has_targets = info.labelled and manifest.task.kind == "seq2seq"
    is_grouped = manifest.task.is_grouped
    sequences = [np.empty(0, dtype=np.int32)]  # tokens of the sequences of each sample
    for number, shard in enumerate(info.shards):
        told = None if columns is None else shard.special_tokens  # special tokens of each sample
        chosen = columns
        if columns is not None and has_words and told is None:
            chosen = (*columns, schema.INPUT_IDS)
        table = read_shard(dataset.path, shard, manifest, labelled=info.labelled, columns=chosen)
        ids_S = table[schema.SAMPLE_ID].to_numpy()
        check_sample_ids(np.sort(ids_S), named=named, rows=info.rows)
        lengths_N[ids_S] = table[schema.LENGTH].to_numpy()
        shards_N[ids_S] = number
        if has_words:
            special_N[ids_S] = special_tokens(table, manifest.tokenizer.special_ids) if told is None else told
            words = lists_of(table, schema.DROPPABLE, np.uint16, field="length")
            counts_N[ids_S] = words.sizes_S
            firsts_N[ids_S] = words_before + np.cumsum(words.sizes_S) - words.sizes_S
            sizes.append(words.values_V)
            words_before += len(words.values_V)
            droppable.append(sums_of(words).astype(np.int32))
        if has_targets:
            targets_N[ids_S] = lists_of(table, schema.TARGET_IDS, np.int32).sizes_S
        if is_grouped:
            found = lists_of(table, schema.SEQUENCE_LENGTHS, np.int32)
            sequences_N[ids_S], longest_N[ids_S] = found.sizes_S, longest_of(found)
            sequences.append(found.values_V)
    if (shards_N == _NONE).any():  # as many samples as there are places: one came twice
        raise samples_do_not_fit(named, info.rows)
    counted = {"lengths": (lengths_N, info.length_histogram)}
    if has_words:
        counted["droppable words"] = np.concatenate(droppable), info.droppable_histogram
    if has_targets and info.target_histogram:  # missing in older datasets
        counted["targets"] = targets_N, info.target_histogram
    if is_grouped:
        counted["sequences"] = np.concatenate(sequences), info.sequence_histogram
    _check_histograms(counted, named=named)
    del table
    pa.default_memory_pool().release_unused()  # Arrow keeps what the tables took, for tables to come
    words_of_all = IndexWords(counts_N=counts_N, firsts_N=firsts_N, sizes_V=np.concatenate(sizes), special_N=special_N)
    return SplitIndex(
        name=name,
        lengths_N=lengths_N,
        words=words_of_all if has_words else None,
        shards_N=shards_N,
        target_lengths_N=targets_N if has_targets else None,
        sequences_N=sequences_N if is_grouped else None,
        longest_N=longest_N if is_grouped else None,
    )


def _check_histograms(counted: Mapping[str, tuple[AnyArray, Sequence[int]]], *, named: str) -> None:
    """Refuse values that are, in number, not those of the manifest's histograms."""
    for what, (values_N, histogram) in counted.items():
        found = length_histogram(values_N, len(histogram) - 1)
        if found.tolist() != list(histogram):
            raise DatasetError(
                f"{named} has {what} that are not those of its manifest.",
                next_step="Run tdbs verify to see where, or prepare the dataset again with --overwrite.",
            )
