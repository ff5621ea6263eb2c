"""A prepared dataset, opened: its manifest, and its splits as flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tdbs.arrays import IntArray, TokenArray
from tdbs.data.columns import one_array
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import DatasetError
from tdbs.files import to_path
from tdbs.pipeline import schema
from tdbs.pipeline.manifest import Manifest, ShardInfo, read_manifest
from tdbs.pipeline.shards import read_shards

TOKENIZER_NAME = "tokenizer.json"  # a dataset carries its tokenizer: trained models are saved with it

# Shapes: N samples of the split in sample_id order, N1 = N + 1, T tokens, W droppable words.


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedDataset:
    """A folder that `prepare` wrote, with its manifest."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What is to be predicted, by kind of task.

    classification: classes (N) · regression: numbers (N, or N x outputs) · question_answering: first and last token
    (N x 2) · ragged, sample i has values [i] to [i + 1]: multi_label: classes; token_classification: a class for each
    token; seq2seq: token ids.
    """

    kind: TaskKind
    outputs: int  # of the model's head
    values: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    offsets_N1: IntArray | None

    @property
    def lengths_N(self) -> IntArray | None:
        """Tokens of each target (seq2seq); None where targets are no sequences."""
        return np.diff(self.offsets_N1) if self.kind == "seq2seq" and self.offsets_N1 is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A split in memory, or those of its samples that some shards hold, as flat arrays.

    Sample i holds tokens [i] to [i + 1] and words [i] to [i + 1].
    """

    name: str
    input_ids_T: npt.NDArray[np.uint16] | TokenArray  # two bytes a token where the vocabulary allows it
    token_offsets_N1: IntArray
    word_starts_W: npt.NDArray[np.int32]  # position in its sample
    word_sizes_W: npt.NDArray[np.int32]  # tokens of the word
    word_offsets_N1: IntArray
    segment_starts_N: IntArray | None
    source_rows_N: IntArray
    targets: Targets | None

    @property
    def lengths_N(self) -> IntArray:
        """Tokens of each sample, special ones included."""
        return np.diff(self.token_offsets_N1)


def load(path: str | Path) -> PreparedDataset:
    """Open a prepared dataset. Raises DatasetError where the folder is not one."""
    folder = to_path(path)
    return PreparedDataset(path=folder, manifest=read_manifest(folder))


def read_split(dataset: PreparedDataset, name: str) -> Split:
    """Read one split into memory; every shard is checked against its hash."""
    info = dataset.manifest.splits.get(name)
    if info is None:
        raise DatasetError(
            f"{dataset.path} has no split {name}.",
            next_step=f"Choose one of: {', '.join(dataset.manifest.splits)}.",
        )
    return read_part(dataset, name, info.shards)


def read_part(dataset: PreparedDataset, name: str, shards: Sequence[ShardInfo]) -> Split:
    """Read some shards of a split into memory, in sample_id order."""
    info, manifest = dataset.manifest.splits[name], dataset.manifest
    table = read_shards(dataset.path, shards)
    tokens = one_array(table[schema.INPUT_IDS])
    words = one_array(table[schema.DROPPABLE])
    return Split(
        name=name,
        input_ids_T=tokens.flatten().to_numpy().astype(token_type(manifest.tokenizer.vocabulary_size)),
        token_offsets_N1=_offsets(tokens),
        word_starts_W=words.flatten().field("start").to_numpy(),
        word_sizes_W=words.flatten().field("length").to_numpy(),
        word_offsets_N1=_offsets(words),
        segment_starts_N=(
            table[schema.SEGMENT_START].to_numpy().astype(np.int64)
            if schema.SEGMENT_START in table.schema.names
            else None
        ),
        source_rows_N=table[schema.SOURCE_ROW].to_numpy(),
        targets=_targets(table, manifest.task) if info.labelled else None,
    )


def read_tokenizer(dataset: PreparedDataset) -> Tokenizer:
    """Return the tokenizer that the dataset carries."""
    return Tokenizer.from_str((dataset.path / TOKENIZER_NAME).read_text(encoding="utf-8"))


def token_type(vocabulary_size: int) -> type[np.uint16] | type[np.int32]:
    """Return the smallest integers that hold all token ids."""
    return np.uint16 if vocabulary_size <= np.iinfo(np.uint16).max + 1 else np.int32


def read_char_places(dataset: PreparedDataset, name: str) -> tuple[IntArray, IntArray]:
    """Return the characters that each token of a question-answering split stands for: starts (T) and ends (T)."""
    table = read_shards(dataset.path, dataset.manifest.splits[name].shards)
    starts, ends = (one_array(table[column]).flatten() for column in (schema.CHAR_STARTS, schema.CHAR_ENDS))
    return starts.to_numpy().astype(np.int64), ends.to_numpy().astype(np.int64)


def _targets(table: pa.Table, task: Task) -> Targets:
    values: npt.NDArray[Any]
    offsets_N1 = None
    if task.kind == "question_answering":
        values = np.stack([table[name].to_numpy() for name in (schema.ANSWER_START, schema.ANSWER_END)], axis=1)
    else:
        name = schema.TARGET_IDS if task.kind == "seq2seq" else schema.LABEL
        if pa.types.is_list(table.schema.field(name).type):
            lists = one_array(table[name])
            values, offsets_N1 = lists.flatten().to_numpy(), _offsets(lists)
            if task.kind == "regression":
                values, offsets_N1 = values.reshape(-1, task.outputs), None
        else:
            values = table[name].to_numpy()
    values = values.astype(np.float64 if task.kind == "regression" else np.int64)
    return Targets(kind=task.kind, outputs=task.outputs, values=values, offsets_N1=offsets_N1)


def _offsets(lists: pa.ListArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]).astype(np.int64)
