"""What is taken of each shard's table into memory: tokens, words, targets, in the smallest types that hold them."""

import numpy as np
import pyarrow as pa

from tdbs.data.tasks import Task
from tdbs.pipeline import schema
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.split_arrays import AnyArray, Lists, lists_of

WORD_STARTS, WORD_SIZES, TARGETS = "word starts", "word sizes", "targets"  # beside the names of columns


def shard_columns(table: pa.Table, manifest: Manifest, *, labelled: bool) -> dict[str, AnyArray | Lists]:
    """Return the columns of a shard that training needs, by name."""
    return sample_columns(table, manifest, labelled=labelled) | {
        WORD_STARTS: lists_of(table, schema.DROPPABLE, np.int32, field="start"),
        WORD_SIZES: lists_of(table, schema.DROPPABLE, np.int32, field="length"),
    }


def sample_columns(table: pa.Table, manifest: Manifest, *, labelled: bool) -> dict[str, AnyArray | Lists]:
    """Return the columns of a shard that say what its samples are, droppable words aside, by name."""
    ids, names = token_type(manifest.tokenizer.vocabulary_size), table.schema.names
    found: dict[str, AnyArray | Lists] = {
        schema.INPUT_IDS: lists_of(table, schema.INPUT_IDS, ids),
        schema.SOURCE_ROW: table[schema.SOURCE_ROW].to_numpy(),
    }
    if schema.SEGMENT_START in names:
        found[schema.SEGMENT_START] = table[schema.SEGMENT_START].to_numpy().astype(np.int64)
    for name in (schema.SEQUENCE_LENGTHS, schema.SEGMENT_STARTS):
        if name in names:
            found[name] = lists_of(table, name, np.int64)
    if labelled and manifest.task.columns.labels:
        found[TARGETS] = shard_targets(table, manifest.task)
    return found


def token_type(vocabulary_size: int) -> type[np.uint16] | type[np.int32]:
    """Return the smallest integers that hold all token ids."""
    return np.uint16 if vocabulary_size <= np.iinfo(np.uint16).max + 1 else np.int32


def shard_targets(table: pa.Table, task: Task) -> AnyArray | Lists:
    """Return the targets of a shard."""
    if task.kind == "question_answering":
        return np.stack([table[name].to_numpy() for name in (schema.ANSWER_START, schema.ANSWER_END)], axis=1)
    name = schema.TARGET_IDS if task.kind == "seq2seq" else schema.LABEL
    is_list = pa.types.is_list(table.schema.field(name).type)
    if task.kind in ("regression", "embedding"):
        if not is_list:
            return table[name].to_numpy().astype(np.float64)
        return lists_of(table, name, np.float64).values_V.reshape(-1, task.outputs)
    return lists_of(table, name, np.int32) if is_list else table[name].to_numpy().astype(np.int64)
