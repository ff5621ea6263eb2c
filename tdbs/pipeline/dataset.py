"""A prepared dataset, opened: its manifest, and its splits as flat arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from tdbs.arrays import IntArray, TokenArray
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import DatasetError, reason_of
from tdbs.files import to_path
from tdbs.given import Place, checked
from tdbs.pipeline import schema
from tdbs.pipeline.frames import read_datasets, read_frame, scan_shards
from tdbs.pipeline.manifest import Manifest, ShardInfo, SplitInfo
from tdbs.pipeline.manifest_file import check_counts, read_manifest
from tdbs.pipeline.sequences import SampleSequences, sample_sequences
from tdbs.pipeline.shard_checks import read_shard
from tdbs.pipeline.shard_columns import TARGETS, WORD_SIZES, WORD_STARTS, shard_columns
from tdbs.pipeline.split_arrays import AnyArray, JoinedLists, Lists, lists_of, read_arrays
from tdbs.pipeline.summary import dataset_html, dataset_line
from tdbs.pipeline.tokens.tokenizer import backend_of
from tdbs.records import MOST_BYTES_OF_A_TOKENIZER, Form, read_text

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl

TOKENIZER_NAME = "tokenizer.json"  # a dataset carries its tokenizer: trained models are saved with it
_TOKENIZER = Form(what="a tokenizer", error=DatasetError, next_step="Prepare the dataset again with --overwrite.")

# Shapes: N samples of the split in sample_id order, N1 = N + 1, T tokens, W droppable words.


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedDataset:
    """A folder that `prepare` wrote, with its manifest. `len` counts the samples of all splits; it is a path, too."""

    path: Path
    manifest: Manifest

    def __len__(self) -> int:
        return sum(info.rows for info in self.manifest.splits.values())

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return dataset_line(self.path, self.manifest)

    def _repr_html_(self) -> str:
        """Return what notebooks show."""
        return dataset_html(self.path, self.manifest)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them. Empty if the task predicts no classes."""
        return self.manifest.task.classes

    def to_polars(self, split: str | None = None) -> "pl.LazyFrame":
        """Return the samples as a lazy frame of polars; nothing is read before it is collected.

        Columns are those of docs/format.md, and `bucket`: a filter on it opens the files of these buckets alone.
        Hashes are not checked; `tdbs verify` does that.

        Args:
            split: The split to scan. None takes all of them and adds a column `split`, the first one, so that the
                frame has len(dataset) rows and no split is left out unseen. A filter on `split` still opens the
                files of the others: name the split to leave them closed.

        Returns:
            The frame, by split and sample_id; labels are as stored, null in splits without labels.

        Raises:
            ConfigError: polars is not installed.
            DatasetError: There is no such split, or a shard is missing.
        """
        return scan_shards(self.path, self.manifest, self._splits(split), with_split=split is None)

    def to_pandas(self, split: str | None = None) -> "pd.DataFrame":
        """Read the samples into a data frame of pandas; every shard is checked against its hash.

        Columns are those of docs/format.md, and `bucket`.

        Args:
            split: The split to read. None reads all of them and adds a column `split`, the first one.

        Returns:
            The frame, by split and sample_id; lists are arrays of numpy, labels are as stored. Splits without labels
            have missing ones (`Int64`).

        Raises:
            ConfigError: pandas is not installed.
            DatasetError: There is no such split, or a shard is damaged.
        """
        return read_frame(self.path, self.manifest, self._splits(split), with_split=split is None)

    def to_datasets(self) -> "datasets.DatasetDict":
        """Read all splits into a DatasetDict in memory; every shard is checked against its hash.

        Columns are those of docs/format.md. Classes of samples are ClassLabels with their names; classes of tokens
        are numbers, -100 among them, whose names are `dataset.classes`.

        Returns:
            A Dataset for each split, in sample_id order.

        Raises:
            ConfigError: datasets is not installed.
            DatasetError: A shard is damaged.
        """
        return read_datasets(self.path, self.manifest, self._splits(None))

    def _splits(self, split: str | None) -> list[str]:
        """Return one split or all, with counts that are sane."""
        names = list(self.manifest.splits) if split is None else [split]
        for name in names:
            split_info(self, name)
        return names


AnyDataset = PreparedDataset | Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What is to be predicted, by kind of task.

    classification: classes (N) · regression: numbers (N, or N x outputs) · question_answering: first and last token
    (N x 2) · ragged, sample i has values [i] to [i + 1]: multi_label: classes; token_classification: a class for each
    token; seq2seq: token ids. embedding and ranking: scores (N), NaN without them.
    """

    kind: TaskKind
    outputs: int  # outputs of the model's head
    values: AnyArray
    offsets_N1: IntArray | None

    @property
    def lengths_N(self) -> IntArray | None:
        """Tokens of each target (seq2seq); None if targets are not sequences."""
        return np.diff(self.offsets_N1) if self.kind == "seq2seq" and self.offsets_N1 is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A split in memory, or those of its samples that some shards hold, as flat arrays.

    Sample i holds tokens [i] to [i + 1] and words [i] to [i + 1].
    """

    name: str
    input_ids_T: npt.NDArray[np.uint16] | TokenArray  # two bytes a token if the vocabulary allows it
    token_offsets_N1: IntArray
    word_starts_W: npt.NDArray[np.int32]  # position in its sample
    word_sizes_W: npt.NDArray[np.int32]  # tokens of the word
    word_offsets_N1: IntArray
    segment_starts_N: IntArray | None
    source_rows_N: IntArray
    targets: Targets | None
    sequences: SampleSequences | None = None  # embedding, ranking; None: a sample is one sequence

    @property
    def lengths_N(self) -> IntArray:
        """Tokens of each sample, special ones included."""
        return np.diff(self.token_offsets_N1)


@checked
def load(path: Place) -> PreparedDataset:
    """Open a prepared dataset. Only its manifest is read.

    Args:
        path: Folder that `prepare` wrote, its URL on an object store, or what `prepare` returned.

    Returns:
        The dataset: its folder and its manifest.

    Raises:
        DatasetError: The folder is not a prepared dataset, or its manifest is damaged.
    """
    folder = to_path(path)
    return PreparedDataset(path=folder, manifest=read_manifest(folder))


@checked
def opened(dataset: AnyDataset) -> PreparedDataset:
    """Return a dataset that is open, or open it. Raises DatasetError as `load` does."""
    return dataset if isinstance(dataset, PreparedDataset) else load(dataset)


def split_info(dataset: PreparedDataset, name: str) -> SplitInfo:
    """Return what the manifest says of a split. Raises DatasetError if there is none, or its counts are not sane."""
    info = dataset.manifest.splits.get(name)
    if info is None:
        raise DatasetError(
            f"{dataset.path} has no split {name}.",
            next_step=f"Choose one of: {', '.join(dataset.manifest.splits)}.",
        )
    check_counts(dataset.path, dataset.manifest, name)
    return info


def read_split(dataset: PreparedDataset, name: str) -> Split:
    """Read one split into memory; every shard is checked against its hash."""
    return read_part(dataset, name, split_info(dataset, name).shards)


def read_part(dataset: PreparedDataset, name: str, shards: Sequence[ShardInfo]) -> Split:
    """Read some shards of a split into memory, in sample_id order."""
    info, manifest = dataset.manifest.splits[name], dataset.manifest
    read = _arrays(dataset, name, shards, lambda table: shard_columns(table, manifest, labelled=info.labelled))
    tokens, words = read[schema.INPUT_IDS], read[WORD_SIZES]
    return Split(
        name=name,
        input_ids_T=tokens.values_V,
        token_offsets_N1=tokens.offsets_N1,
        word_starts_W=read[WORD_STARTS].values_V,
        word_sizes_W=words.values_V,
        word_offsets_N1=words.offsets_N1,
        segment_starts_N=read.get(schema.SEGMENT_START),
        source_rows_N=read[schema.SOURCE_ROW],
        targets=split_targets(read, manifest.task) if info.labelled else None,
        sequences=sample_sequences(read[schema.SEQUENCE_LENGTHS], read.get(schema.SEGMENT_STARTS))
        if manifest.task.is_grouped
        else None,
    )


def read_tokenizer(dataset: PreparedDataset) -> Tokenizer:
    """Return the tokenizer that the dataset carries. Raises DatasetError if its file is damaged."""
    text = tokenizer_text(dataset)
    try:
        return backend_of(text)
    except ValueError as error:
        raise _TOKENIZER.unreadable(str(dataset.path / TOKENIZER_NAME), reason_of(error)) from error


def tokenizer_text(dataset: PreparedDataset) -> str:
    """Return the file of the tokenizer that the dataset carries. Raises DatasetError if it cannot be read."""
    return read_text(dataset.path / TOKENIZER_NAME, _TOKENIZER, most=MOST_BYTES_OF_A_TOKENIZER)


def read_char_places(dataset: PreparedDataset, name: str) -> tuple[IntArray, IntArray]:
    """Return the characters that each token of a question-answering split stands for: starts (T) and ends (T)."""
    read = _arrays(
        dataset,
        name,
        split_info(dataset, name).shards,
        lambda table: {column: lists_of(table, column, np.int64) for column in (schema.CHAR_STARTS, schema.CHAR_ENDS)},
    )
    return read[schema.CHAR_STARTS].values_V, read[schema.CHAR_ENDS].values_V


def _arrays(
    dataset: PreparedDataset,
    name: str,
    shards: Sequence[ShardInfo],
    columns: Callable[[pa.Table], dict[str, AnyArray | Lists]],
) -> dict[str, Any]:
    info = dataset.manifest.splits[name]
    tables = (read_shard(dataset.path, shard, dataset.manifest, labelled=info.labelled) for shard in shards)
    return read_arrays(tables, columns, named=f"The split {name} of {dataset.path}", rows=info.rows)


def split_targets(read: Mapping[str, Any], task: Task) -> Targets:
    """Return the targets of a split from the columns of its shards: TARGETS, if there are any, and source rows."""
    found = read.get(TARGETS)
    if found is None:  # rows teach by their texts
        found = np.full(len(read[schema.SOURCE_ROW]), np.nan)
    values, offsets_N1 = (found.values_V, found.offsets_N1) if isinstance(found, JoinedLists) else (found, None)
    return Targets(kind=task.kind, outputs=task.outputs, values=values, offsets_N1=offsets_N1)
