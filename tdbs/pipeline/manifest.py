"""The manifest of a prepared dataset: its inputs, its shards with their hashes, its lengths.

It is written last: a folder without a manifest is not a dataset.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import KNOWN_METRICS, Task, task_record
from tdbs.errors import DatasetError
from tdbs.fields import Count, InnerPath, Sha256, TokenLength, VocabularySize
from tdbs.files import write_json
from tdbs.pipeline.lengths import bucket_edges
from tdbs.pipeline.schema import SCHEMA_VERSION
from tdbs.records import Form, check_version, read_json, record_of
from tdbs.shown import shown

MANIFEST_NAME = "manifest.json"
SKIPPED_NAME = "skipped.jsonl"  # beside it: rows that were left out, if any
DUPLICATES_NAME = "duplicates.jsonl"  # beside it: rows of train that were left out since others have their text
LIST_NAMES = (SKIPPED_NAME, DUPLICATES_NAME)
FORM = Form(
    what="a manifest of tdbs",
    error=DatasetError,
    next_step="Prepare the dataset again with --overwrite.",
    version=SCHEMA_VERSION,
)
_SPLIT_NAME = re.compile(r"\w[\w.-]*")


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


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` atomically."""
    write_json(folder / MANIFEST_NAME, manifest_record(manifest))


def manifest_record(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as its file has it: what only samples of several sequences have is left out of others."""
    found = {**dataclasses.asdict(manifest), "task": task_record(manifest.task)}
    if manifest.max_sequence_length is None:
        del found["max_sequence_length"]
    for info in found["splits"].values():
        if not info["sequence_histogram"]:
            del info["sequence_histogram"]
    return found


def read_manifest(folder: Path) -> Manifest:
    """Read a dataset's manifest. Raises DatasetError if the folder is not a prepared dataset."""
    path = folder / MANIFEST_NAME
    try:
        found = read_json(path, FORM)
    except DatasetError as error:
        if folder.is_file():
            raise DatasetError(
                f"{folder} is a file, not a prepared dataset.",
                next_step="Prepare it first, and pass the folder that this gives.",
            ) from error
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        missing = "is not a prepared dataset: it has no manifest.json" if folder.is_dir() else "does not exist"
        raise DatasetError(
            f"{folder} {missing}.", next_step="Run tdbs prepare, or pass the folder that it printed."
        ) from error
    if not isinstance(found, dict) or FORM.version_key not in found:
        raise DatasetError(
            f"{path} is not a manifest of tdbs.",
            next_step="Pass another folder: one that tdbs prepare wrote, or a new one.",
        )
    check_version(found, replace(FORM, next_step="Prepare the dataset again."), named=str(path))
    manifest = record_of(found, Manifest, FORM, named=str(path))
    problem = next(_impossible(manifest), None)
    if problem is not None:
        raise FORM.misfit(str(path), problem)
    return manifest


def check_counts(folder: Path, manifest: Manifest, name: str) -> None:
    """Refuse a split whose counts contradict each other. Raises DatasetError, which names the field."""
    info = manifest.splits[name]
    tokens = _tokens_of(info.length_histogram)
    problem = None
    if manifest.bucket_edges != tuple(bucket_edges(manifest.max_length).tolist()):
        problem = "bucket_edges: not those of max_length"
    elif info.rows != sum(shard.rows for shard in info.shards):
        problem = f"splits.{name}.rows: {info.rows}, but {sum(shard.rows for shard in info.shards)} in its shards"
    elif info.tokens != sum(shard.tokens for shard in info.shards):
        problem = f"splits.{name}.tokens: {info.tokens}, but {sum(shard.tokens for shard in info.shards)} in its shards"
    elif (sum(info.length_histogram), tokens) != (info.rows, info.tokens):
        problem = f"splits.{name}.length_histogram: not of {info.rows} rows and {info.tokens} tokens"
    elif sum(info.droppable_histogram) != info.rows:
        problem = f"splits.{name}.droppable_histogram: not of {info.rows} rows"
    elif info.unanswered > info.source_rows:
        problem = f"splits.{name}.unanswered: {info.unanswered}, of {info.source_rows} rows of the source"
    elif info.repeats is not None and info.repeats.most > info.source_rows:
        problem = f"splits.{name}.repeats: {info.repeats.most}, of {info.source_rows} rows of the source"
    elif sum(info.target_histogram) not in (0, info.rows):
        problem = f"splits.{name}.target_histogram: not of {info.rows} rows"
    elif info.sequence_histogram and _tokens_of(info.sequence_histogram) != info.tokens:
        problem = f"splits.{name}.sequence_histogram: not of {info.tokens} tokens"
    if problem is not None:
        raise FORM.misfit(str(folder / MANIFEST_NAME), problem)


def _tokens_of(histogram: Sequence[int]) -> int:
    return sum(length * count for length, count in enumerate(histogram))


def _impossible(manifest: Manifest) -> Iterator[str]:
    """Yield values that no dataset can have, whatever its shards contain; `verify` checks the rest."""
    edges, longest_target = manifest.bucket_edges, manifest.max_target_length or 0
    if len(edges) < 2 or edges[0] != 0 or any(one >= other for one, other in pairwise(edges)):
        yield "bucket_edges: expected increasing numbers from 0"
    if edges and edges[-1] > manifest.max_length + 1:
        yield f"bucket_edges: beyond max_length, {manifest.max_length}"
    task = manifest.task
    unknown = sorted(set(task.metrics) - KNOWN_METRICS[task.kind])
    if unknown:
        yield f"task.metrics: {unknown[0]!r} is not a metric of {task.kind}"
    if not (task.columns.labels or task.is_grouped):
        yield "task.columns.labels: expected one at least"
    if task.is_grouped != (manifest.max_sequence_length is not None):
        yield f"max_sequence_length: {manifest.max_sequence_length}, for {task.kind}"
    if task.is_grouped and task.columns.pair is None:
        yield f"task.columns.pair: missing for {task.kind}"
    for name, info in manifest.splits.items():
        if not _SPLIT_NAME.fullmatch(name):
            yield f"splits: {name!r} is not a name of a split"
        for field, longest in (
            ("length_histogram", manifest.max_length),
            ("droppable_histogram", manifest.max_length),
            ("target_histogram", longest_target),
            ("sequence_histogram", manifest.max_sequence_length or 0),
        ):
            if len(getattr(info, field)) > longest + 1:
                yield f"splits.{name}.{field}: has entries beyond the greatest length, {longest}"
        paths = Counter(shard.path for shard in info.shards)
        twice = next((path for path, times in paths.items() if times > 1), None)
        if twice is not None:
            yield f"splits.{name}.shards: {twice} is duplicated"
