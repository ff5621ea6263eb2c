"""Check a shard when it is read: hash, columns, rows, lengths, ids, and what its samples can be.

A plan reads some columns of a shard: then all of these are checked but the hash, which needs every byte.

Array code relies on positions and ids without checking again, so this file refuses what does not fit, by the shard's
name. Every list is as long as its sample, every position inside, every id known. These checks hold for everything that
`prepare` writes, so they reveal faults of tdbs itself or of the shard's writer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, ragged_positions
from tdbs.data.columns import one_array
from tdbs.errors import DatasetError
from tdbs.files import is_remote
from tdbs.pipeline import schema
from tdbs.pipeline.manifest import Manifest, ShardInfo
from tdbs.pipeline.parquet import AGAIN, read_checked, read_columns, rows_of
from tdbs.pipeline.split_arrays import lists_of, sums_of


def read_shard(
    folder: Path, shard: ShardInfo, manifest: Manifest, *, labelled: bool, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table of a shard, or some of its columns, checked. Raises DatasetError, which names it."""
    path = folder / shard.path
    table = read_checked(path, shard.sha256) if columns is None else read_columns(path, columns)
    problem = table_problem(table, manifest, labelled=labelled, columns=columns)
    if problem is None and table.num_rows != shard.rows:
        problem = f"has {table.num_rows} samples, not the {shard.rows} of its manifest"
    if problem is None and schema.INPUT_IDS not in table.schema.names:
        problem = _length_problem(table[schema.LENGTH].to_numpy(), shard)
    if problem is not None:
        raise DatasetError(f"The shard {path} {problem}.", next_step=AGAIN)
    return table


def _length_problem(lengths_N: IntArray, shard: ShardInfo) -> str | None:
    """Return in what lengths, read without their tokens, are not those that the manifest promises."""
    if int(lengths_N.sum()) != shard.tokens:
        return f"has other lengths than the {shard.tokens} tokens of its manifest"
    if len(lengths_N) and lengths_N.min() < (shard.special_tokens or 0):
        return f"has samples of fewer tokens than the {shard.special_tokens} special tokens of its manifest"
    return None


def table_problem(
    table: pa.Table, manifest: Manifest, *, labelled: bool, columns: Sequence[str] | None = None
) -> str | None:
    """Return what is wrong with a shard's table, or with some of its columns; None where nothing is."""
    problem = schema_problem(table, manifest, labelled=labelled, columns=columns) or next(missing_values(table), None)
    if problem is not None:
        return problem
    lengths_N = table[schema.LENGTH].to_numpy()
    if len(lengths_N) and lengths_N.max() > manifest.max_length:
        return f"has lengths beyond {manifest.max_length}"
    return next(sample_problems(table, manifest, lengths_N), None)


def schema_problem(
    table: pa.Table, manifest: Manifest, *, labelled: bool, columns: Sequence[str] | None = None
) -> str | None:
    """Return in what the columns of a shard are not those of its dataset, None where they are."""
    expected = schema.arrow_schema(manifest.task, labelled=labelled)
    if columns is not None:
        expected = pa.schema([field for field in expected if field.name in columns])
    if table.schema.names != expected.names:
        return f"has the columns {', '.join(table.schema.names)}, not those of this dataset"
    other = next((name for name in expected.names if table.schema.field(name).type != expected.field(name).type), None)
    if other is not None:
        return f"has {other} as {table.schema.field(other).type}, not as {expected.field(other).type}"
    return None


def check_rows(folder: Path, shards: Sequence[ShardInfo]) -> None:
    """Compare the manifest's rows with the footers of the files, before arrays of this size are made.

    Raises DatasetError, which names the shard. An object store is not asked: that would be a request for each shard.
    """
    if is_remote(folder):
        return
    for shard in shards:
        found = rows_of(folder / shard.path)
        if found != shard.rows:
            raise DatasetError(
                f"The shard {folder / shard.path} has {found} samples, not the {shard.rows} of its manifest.",
                next_step=AGAIN,
            )


# Shapes: N samples of the shard, W their droppable words, T their tokens.


def missing_values(table: pa.Table) -> Iterator[str]:
    """Yield what a shard lacks: no value of any column is ever missing, nor any in a list."""
    for name in table.schema.names:
        values = one_array(table[name])
        inner = values.flatten() if pa.types.is_list(values.type) else values
        if values.null_count or inner.null_count:
            yield f"has missing values in {name}"


def sample_problems(table: pa.Table, manifest: Manifest, lengths_N: IntArray) -> Iterator[str]:
    """Yield what is wrong with the samples of a shard, as far as the columns show them."""
    names = table.schema.names
    if schema.INPUT_IDS in names:
        tokens = one_array(table[schema.INPUT_IDS])
        if (_sizes(tokens) != lengths_N).any():
            yield "has lengths that are not those of its tokens"
            return
        if not _within(tokens.flatten().to_numpy(), 0, manifest.tokenizer.vocabulary_size):
            yield "has token ids beyond the vocabulary"
    elif len(lengths_N) and lengths_N.min() < 0:
        yield "has lengths below 0"
        return
    if schema.SOURCE_ROW in names and (table[schema.SOURCE_ROW].to_numpy() < 0).any():
        yield "has rows before the first one of the source"
    if schema.SEQUENCE_LENGTHS in names:
        yield from _sequence_problems(table, manifest, lengths_N)
    if schema.DROPPABLE in names:
        yield from _word_problems(table, manifest, lengths_N)
    if schema.SEGMENT_START in names and _outside(table, schema.SEGMENT_START, lengths_N + 1):
        yield f"has a {schema.SEGMENT_START} outside of its sample"
    yield from _label_problems(table, manifest, lengths_N)


def _sequence_problems(table: pa.Table, manifest: Manifest, lengths_N: IntArray) -> Iterator[str]:
    """Yield what is wrong with the sequences of samples: they are their tokens, cut into two or more."""
    names, sequences = table.schema.names, lists_of(table, schema.SEQUENCE_LENGTHS, np.int64)
    most = manifest.max_sequence_length or 0
    if (sequences.sizes_S < (1 if manifest.task.is_pair else 2)).any():
        yield "has samples of too few sequences"
    elif (sums_of(sequences) != lengths_N).any():
        yield "has sequences that are not those of its tokens"
    elif not _within(sequences.values_V, 1, most + 1):
        yield f"has sequences that are not of 1 to {most} tokens"
    elif schema.SEGMENT_STARTS in names:
        starts = lists_of(table, schema.SEGMENT_STARTS, np.int64)
        if (starts.sizes_S != sequences.sizes_S).any():
            yield f"has a number of {schema.SEGMENT_STARTS} that differs from its sequences"
        elif ((starts.values_V < 0) | (starts.values_V > sequences.values_V)).any():
            yield f"has {schema.SEGMENT_STARTS} outside of their sequences"


def _word_problems(table: pa.Table, manifest: Manifest, lengths_N: IntArray) -> Iterator[str]:
    words = one_array(table[schema.DROPPABLE])
    sample_W = np.repeat(np.arange(len(lengths_N)), _sizes(words))
    starts_W, sizes_W = (words.flatten().field(name).to_numpy().astype(np.int64) for name in ("start", "length"))
    ends_W = starts_W + sizes_W
    follows_W = sample_W[1:] == sample_W[:-1]
    if (starts_W < 0).any() or (sizes_W < 1).any() or (ends_W > lengths_N[sample_W]).any():
        yield "has droppable words outside of their samples"
    elif (follows_W & (starts_W[1:] < ends_W[:-1])).any():
        yield "has droppable words that overlap or are not in order"
    elif schema.INPUT_IDS in table.schema.names:
        ids_T = one_array(table[schema.INPUT_IDS]).flatten().to_numpy()
        first_T = np.cumsum(lengths_N) - lengths_N
        if np.isin(
            ids_T[ragged_positions(first_T[sample_W] + starts_W, sizes_W)], manifest.tokenizer.special_ids
        ).any():
            yield "has special tokens that are droppable"


def _label_problems(table: pa.Table, manifest: Manifest, lengths_N: IntArray) -> Iterator[str]:
    names, task = table.schema.names, manifest.task
    for name in (schema.CHAR_STARTS, schema.CHAR_ENDS):
        if name in names and (_sizes(one_array(table[name])) != lengths_N).any():
            yield f"has a number of {name} that differs from its tokens"
    if schema.ANSWER_START in names:
        if _outside(table, schema.ANSWER_START, lengths_N) or _outside(table, schema.ANSWER_END, lengths_N):
            yield "has answers outside of their samples"
        elif (table[schema.ANSWER_START].to_numpy() > table[schema.ANSWER_END].to_numpy()).any():
            yield "has answers that end before they start"
    if schema.TARGET_IDS in names:
        targets = one_array(table[schema.TARGET_IDS])
        if not _within(targets.flatten().to_numpy(), 0, manifest.tokenizer.vocabulary_size):
            yield "has target token ids beyond the vocabulary"
        if (_sizes(targets) > (manifest.max_target_length or 0)).any():
            yield f"has targets beyond {manifest.max_target_length} tokens"
    if schema.LABEL in names:
        labels = one_array(table[schema.LABEL])
        if task.kind == "token_classification" and (_sizes(labels) != lengths_N).any():
            yield "has a number of labels that differs from its tokens"
        if pa.types.is_list(labels.type) and task.kind == "regression" and (_sizes(labels) != task.outputs).any():
            yield "has a number of labels that differs from its targets"
        values = (labels.flatten() if pa.types.is_list(labels.type) else labels).to_numpy()
        if task.classes and not _within(values[values != schema.IGNORED], 0, len(task.classes)):
            yield "has labels that are not classes of the task"


def _outside(table: pa.Table, column: str, ends_N: IntArray) -> bool:
    places_N = table[column].to_numpy()
    return bool(((places_N < 0) | (places_N >= ends_N)).any())


def _within(values: IntArray, low: int, end: int) -> bool:
    return len(values) == 0 or bool(low <= values.min() <= values.max() < end)


def _sizes(lists: pa.ListArray) -> IntArray:
    sizes: IntArray = pc.list_value_length(lists).to_numpy()
    return sizes
