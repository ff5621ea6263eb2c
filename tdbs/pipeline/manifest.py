"""The manifest of a prepared dataset: its inputs, its shards with their hashes, its lengths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.fields import Count, CutLengths, InnerPath, Sha256, TokenLength, VocabularySize
from tdbs.shown import shown

SKIPPED_NAME = "skipped.jsonl"  # beside the manifest: rows that were left out, if any
DUPLICATES_NAME = "duplicates.jsonl"  # beside it: rows of train that were left out since others have their text
LIST_NAMES = (SKIPPED_NAME, DUPLICATES_NAME)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One Parquet file: its path below the dataset's folder, and what proves that it is whole."""

    path: InnerPath
    rows: Count
    tokens: Count
    sha256: Sha256
    special_tokens: Count | None = None  # of each sample; None: samples differ, or an older dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    """Another file of a dataset: its path below the dataset's folder, and what proves that it is whole."""

    path: InnerPath
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatCounts:
    """Rows of a split that have the token ids of another row, among the rows that stay."""

    duplicates: Count  # that repeat an earlier row of the split
    conflicts: Count  # with another label elsewhere in the split
    leaks: Count | None  # that stand in train; None: the split is train, or there is none

    @property
    def most(self) -> int:
        """The largest of the counts."""
        return max(self.duplicates, self.conflicts, self.leaks or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitInfo:
    """One split: counts, the length histogram (entry l: samples of l tokens) and the droppable histogram."""

    rows: Count  # samples
    source_rows: Count  # fewer if a question has several windows
    tokens: Count
    droppable_words: Count
    droppable_tokens: Count
    labelled: bool
    length_histogram: tuple[Count, ...]
    droppable_histogram: tuple[Count, ...]  # entry d: samples with d droppable tokens
    shards: tuple[ShardInfo, ...]
    target_histogram: tuple[Count, ...] = ()  # seq2seq, entry t: samples with t target tokens
    references: FileInfo | None = None  # texts that predictions are scored against, if targets are texts
    skipped: Count = 0  # rows of the source that were left out
    unanswered: Count = 0  # question answering: rows of the source without an answer
    sequence_histogram: tuple[Count, ...] = ()  # embedding, ranking: entry l: sequences of l tokens
    cut_lengths: CutLengths | None = None  # of samples, or of sequences; None: an older dataset, so not known
    cut_target_lengths: CutLengths | None = None  # the same of targets
    repeats: RepeatCounts | None = None  # missing in older datasets

    @property
    def lengths_L1(self) -> IntArray:
        """The length histogram as an array."""
        return np.array(self.length_histogram, dtype=np.int64)

    @property
    def sequences_L1(self) -> IntArray:
        """The histogram of what the model reads at once: of sequences, which are the samples in most kinds of tasks."""
        return np.array(self.sequence_histogram or self.length_histogram, dtype=np.int64)

    @property
    def sequences_a_sample(self) -> float:
        """Mean number of sequences that the model reads for a sample."""
        return sum(self.sequence_histogram) / self.rows if self.sequence_histogram and self.rows else 1

    def __repr__(self) -> str:
        return f"<SplitInfo {self.rows:,} samples, {self.tokens:,} tokens, {len(self.shards):,} shards>"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerInfo:
    """The tokenizer of a dataset: what a model has to agree with, and what batches need."""

    name: str
    source: str
    sha256: Sha256
    vocabulary_sha256: Sha256
    vocabulary_size: VocabularySize
    pad_id: Count
    special_ids: tuple[Count, ...]
    special_tokens: Count  # added to each sample
    end_id: Count | None = None  # ends a text: where a model stops generating
    model_max_length: Count | None = None  # tokens that the model takes; None: not known, as in older datasets


@dataclass(frozen=True, kw_only=True, slots=True)
class WordsInfo:
    """The list of words that TokenDrop may drop."""

    source: str  # paper, nltk:<language>, the name of a file, none
    kept: tuple[str, ...]  # words and groups of words that were taken off the list
    count: Count
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatesInfo:
    """The rows of train that were left out since another row has their text."""

    left_out: Mapping[str, Mapping[str, Count]]  # by the split of the other row, and by kind
    conflicts: Count  # rows of train that stay, whose text stands in train with another label
    listing: FileInfo | None = None  # each with the row that it repeats; None: no row, or a dataset of the hub

    @property
    def rows(self) -> int:
        """How many rows were left out."""
        return sum(count for kinds in self.left_out.values() for count in kinds.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All that a prepared dataset says of itself."""

    schema_version: int
    key: str
    key_parts: Mapping[str, str]
    source: str
    task: Task
    tokenizer: TokenizerInfo
    words: WordsInfo
    max_length: TokenLength
    bucket_edges: tuple[Count, ...]
    splits: Mapping[str, SplitInfo]
    seconds: Mapping[str, float]
    stride: Count | None = None  # question answering: tokens that neighbouring windows share
    max_target_length: TokenLength | None = None  # seq2seq
    origin: Mapping[str, Any] | None = None  # source and options of the texts (edits.py); missing in older datasets
    notes: tuple[str, ...] = ()  # messages of prepare about its rows
    skipped: FileInfo | None = None  # list of the rows that were left out
    duplicates: DuplicatesInfo | None = None  # None: not looked for
    max_sequence_length: TokenLength | None = None  # most tokens of one sequence of a sample; None: samples are one

    @property
    def longest_input(self) -> int:
        """Most tokens that the model reads at once: of a sequence, or of a sample that is one."""
        return self.max_sequence_length or self.max_length

    @property
    def lists(self) -> tuple[FileInfo, ...]:
        """The lists of rows that were left out."""
        found = (self.skipped, None if self.duplicates is None else self.duplicates.listing)
        return tuple(each for each in found if each is not None)

    def __repr__(self) -> str:
        splits = ", ".join(f"{info.rows:,} {name}" for name, info in self.splits.items())
        return shown(f"<Manifest {self.source}, {self.task.kind.replace('_', ' ')}: {splits or 'no splits'}>")
