"""The columns of queries, positives and negatives, each by itself: lengths, droppable words, and what padding costs.

Plans see all sequences of an update together. Where each column is padded by itself, as sentence-transformers does, a
short query is not padded to a long passage: that padding is shown beside the plans' own.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.tasks import Task
from tdbs.fields import Count
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, Split, split_info
from tdbs.pipeline.lengths import expected_longest
from tdbs.pipeline.sequences import SampleSequences
from tdbs.pipeline.shard_checks import read_shard
from tdbs.pipeline.split_arrays import Lists, lists_of

# Shapes: N samples, Q their sequences, P places of a sequence in its sample, L1 = greatest length + 1, W words.

_FIRST_NEGATIVE = 2  # its place: behind the query and its positive
_LENGTHS = (schema.LENGTH, schema.SEQUENCE_LENGTHS)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextColumn:
    """One column of a split, or the columns of negatives together; the fields are JSON keys of `tdbs inspect`."""

    column: str
    sequences: Count
    tokens: Count
    longest: Count  # tokens
    at_limit: Count  # sequences of as many tokens as a sequence may have: most of them are cut
    droppable_tokens: Count


def text_columns(split: Split, task: Task, *, most: int) -> list[TextColumn]:
    """Return the columns of an embedding's split in order; none for other tasks, or of one without samples.

    `most` is the greatest length of a sequence. Columns of negatives are one entry: a row has any number of texts.
    """
    if split.sequences is None or task.kind != "embedding" or not len(split.lengths_N):
        return []
    lengths_Q = split.sequences.lengths_Q
    column_Q = np.minimum(_places(np.diff(split.sequences.offsets_N1)), _FIRST_NEGATIVE)
    droppable_Q = _droppable(split, split.sequences)
    names = [task.columns.text, task.columns.pair or "", ", ".join(task.columns.negatives)]
    found = []
    for column, name in enumerate(names):
        own_Q = column_Q == column
        if own_Q.any():
            found.append(
                TextColumn(
                    column=name,
                    sequences=int(own_Q.sum()),
                    tokens=int(lengths_Q[own_Q].sum()),
                    longest=int(lengths_Q[own_Q].max()),
                    at_limit=int((lengths_Q[own_Q] == most).sum()),
                    droppable_tokens=int(droppable_Q[own_Q].sum()),
                )
            )
    return found


def padding_by_column(dataset: PreparedDataset, split: str, *, batch_size: int) -> float | None:
    """Return the share of pad tokens if each column of a random batch is padded by itself; None for other tasks.

    A negative is in the column of its place. The share is exact for batches drawn with replacement from rows with the
    same number of negatives. Shards are read one after the other, lengths alone.
    """
    manifest, info = dataset.manifest, split_info(dataset, split)
    if manifest.task.kind != "embedding":
        return None
    counts_PL1 = np.zeros((0, manifest.longest_input + 1), dtype=np.int64)
    for shard in info.shards:
        table = read_shard(dataset.path, shard, manifest, labelled=info.labelled, columns=_LENGTHS)
        own_PL1 = _histograms(lists_of(table, schema.SEQUENCE_LENGTHS, np.int64), manifest.longest_input)
        short, long_PL1 = sorted((counts_PL1, own_PL1), key=len)
        long_PL1[: len(short)] += short
        counts_PL1 = long_PL1
    rows_P = batch_size * counts_PL1.sum(axis=1) / max(info.rows, 1)  # texts of each place in a batch; a mean
    padded = sum(rows * expected_longest(counts_L1, rows) for rows, counts_L1 in zip(rows_P, counts_PL1, strict=True))
    real = batch_size * info.tokens / max(info.rows, 1)
    return 1 - real / padded if padded else None


def _places(sizes_N: IntArray) -> IntArray:
    """Return the place of each sequence in its sample, from 0 (Q)."""
    return np.arange(sizes_N.sum()) - np.repeat(np.cumsum(sizes_N) - sizes_N, sizes_N)


def _histograms(lengths: Lists, most: int) -> IntArray:
    """Return how many sequences of each place have each length (P, L1)."""
    places = int(lengths.sizes_S.max(initial=0))
    keys_Q = _places(lengths.sizes_S) * (most + 1) + lengths.values_V
    return np.bincount(keys_Q, minlength=places * (most + 1)).reshape(places, most + 1)


def _droppable(split: Split, sequences: SampleSequences) -> IntArray:
    """Return the droppable tokens of each sequence."""
    sample_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(split.word_offsets_N1))
    place_W = split.token_offsets_N1[sample_W] + split.word_starts_W
    sequence_W = np.searchsorted(offsets_of(sequences.lengths_Q), place_W, side="right") - 1
    return np.bincount(sequence_W, weights=split.word_sizes_W, minlength=len(sequences.lengths_Q)).astype(np.int64)
