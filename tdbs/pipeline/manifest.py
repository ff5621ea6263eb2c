"""The manifest of a prepared dataset: what it was made from, its shards with their hashes, its lengths.

It is written last: a folder without a manifest is not a dataset.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import Columns, Task
from tdbs.errors import DatasetError, reason_of
from tdbs.files import write_json
from tdbs.pipeline.schema import SCHEMA_VERSION

MANIFEST_NAME = "manifest.json"
HISTOGRAMS = ("length_histogram", "droppable_histogram", "target_histogram")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One Parquet file: its path below the dataset's folder, and what proves that it is whole."""

    path: str
    rows: int
    tokens: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInfo:
    """Another file of a dataset: its path below the dataset's folder, and what proves that it is whole."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitInfo:
    """One split: counts, the length histogram (entry l: samples of l tokens) and the droppable histogram."""

    rows: int  # samples
    source_rows: int  # fewer where a question has several windows
    tokens: int
    droppable_words: int
    droppable_tokens: int
    labelled: bool
    length_histogram: tuple[int, ...]
    droppable_histogram: tuple[int, ...]  # entry d: samples with d droppable tokens
    shards: tuple[ShardInfo, ...]
    target_histogram: tuple[int, ...] = ()  # seq2seq, entry t: samples with t target tokens
    references: FileInfo | None = None  # texts that predictions are scored against, where targets are texts

    @property
    def lengths_L1(self) -> IntArray:
        """The length histogram as an array."""
        return np.array(self.length_histogram, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerInfo:
    """The tokenizer of a dataset: what a model has to agree with, and what batches need."""

    name: str
    source: str
    sha256: str
    vocabulary_sha256: str
    vocabulary_size: int
    pad_id: int
    special_ids: tuple[int, ...]
    special_tokens: int  # added to each sample
    end_id: int | None = None  # ends a text: where a model that writes stops


@dataclass(frozen=True, kw_only=True, slots=True)
class WordsInfo:
    """The list of words that TokenDrop may drop."""

    source: str  # paper, nltk:<language>, the name of a file, none
    kept: tuple[str, ...]  # words and groups of words that were taken off the list
    count: int
    sha256: str


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
    max_length: int
    bucket_edges: tuple[int, ...]
    splits: Mapping[str, SplitInfo]
    seconds: Mapping[str, float]
    stride: int | None = None  # question answering: tokens that neighbouring windows share
    max_target_length: int | None = None  # seq2seq
    origin: Mapping[str, str | None] | None = None  # where the texts came from (edited.py); datasets of before: None
    notes: tuple[str, ...] = ()  # what prepare said of how rows were taken


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` in one visible step."""
    write_json(folder / MANIFEST_NAME, dataclasses.asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read a dataset's manifest. Raises DatasetError where the folder is not a prepared dataset."""
    path = folder / MANIFEST_NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        missing = "is not a prepared dataset: it has no manifest.json" if folder.is_dir() else "does not exist"
        raise DatasetError(
            f"{folder} {missing}.", next_step="Run tdbs prepare, or name the folder that it printed."
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read: {reason_of(error)}.", next_step="Prepare the dataset again with --overwrite."
        ) from error
    if not isinstance(fields, dict) or "schema_version" not in fields:
        raise DatasetError(
            f"{path} is not a manifest of tdbs.",
            next_step="Name another folder: one that tdbs prepare wrote, or a new one.",
        )
    version = fields["schema_version"]
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{path} has schema version {version}; this tdbs reads version {SCHEMA_VERSION}.",
            next_step="Prepare the dataset again.",
        )
    try:
        return _parse(fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(
            f"{path} is not a manifest of tdbs: {error!r}.", next_step="Prepare the dataset again with --overwrite."
        ) from error


def _parse(fields: dict[str, Any]) -> Manifest:
    task, tokenizer, words = fields["task"], fields["tokenizer"], fields["words"]
    columns = task["columns"]
    return Manifest(
        **{
            **fields,
            "task": Task(
                **{
                    **task,
                    "columns": Columns(**{**columns, "labels": tuple(columns["labels"])}),
                    "classes": tuple(task["classes"]),
                    "metrics": tuple(task["metrics"]),
                }
            ),
            "tokenizer": TokenizerInfo(**{**tokenizer, "special_ids": tuple(tokenizer["special_ids"])}),
            "words": WordsInfo(**{**words, "kept": tuple(words["kept"])}),
            "bucket_edges": tuple(fields["bucket_edges"]),
            "notes": tuple(fields.get("notes", ())),
            "splits": {name: _parse_split(split) for name, split in fields["splits"].items()},
        }
    )


def _parse_split(fields: dict[str, Any]) -> SplitInfo:
    shards = tuple(ShardInfo(**shard) for shard in fields["shards"])
    references = None if fields["references"] is None else FileInfo(**fields["references"])
    for path in [shard.path for shard in shards] + ([] if references is None else [references.path]):
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts:
            raise KeyError(path)  # a manifest from elsewhere must not reach outside its folder
    return SplitInfo(
        **{
            **fields,
            **{name: tuple(fields[name]) for name in HISTOGRAMS},
            "shards": shards,
            "references": references,
        }
    )
