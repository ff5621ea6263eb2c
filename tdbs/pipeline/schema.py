"""The columns of a shard, named here and nowhere else; docs/format.md is generated from this file."""

from dataclasses import dataclass

import pyarrow as pa

from tdbs.data.tasks import Task

SCHEMA_VERSION = 1

SAMPLE_ID = "sample_id"
SOURCE_ROW = "source_row"
INPUT_IDS = "input_ids"
LENGTH = "length"
SEGMENT_START = "segment_start"
DROPPABLE = "droppable"
LABEL = "label"

DROPPABLE_TYPE = pa.list_(pa.struct([("start", pa.int32()), ("length", pa.int32())]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a shard: its name, its Arrow type, what it holds."""

    name: str
    type: pa.DataType
    meaning: str


def columns(task: Task, *, labelled: bool) -> tuple[Column, ...]:
    """Return the columns of a split of the task, in order."""
    found = [
        Column(name=SAMPLE_ID, type=pa.int64(), meaning="0 to rows - 1, in source order, unique in its split"),
        Column(name=SOURCE_ROW, type=pa.int64(), meaning="row of the source, from 0"),
        Column(name=INPUT_IDS, type=pa.list_(pa.int32()), meaning="token ids, special tokens included, truncated"),
        Column(name=LENGTH, type=pa.int32(), meaning="tokens of `input_ids`"),
    ]
    if task.columns.pair is not None:
        found.append(Column(name=SEGMENT_START, type=pa.int32(), meaning="pairs: first position of the second segment"))
    found.append(
        Column(
            name=DROPPABLE,
            type=DROPPABLE_TYPE,
            meaning="droppable words: first position and number of tokens, one entry a word, in order",
        )
    )
    if labelled and task.kind == "classification":
        found.append(Column(name=LABEL, type=pa.int64(), meaning="class, an index into the manifest's `task.classes`"))
    elif labelled:
        found.append(Column(name=LABEL, type=pa.float64(), meaning="the number to predict"))
    return tuple(found)


def arrow_schema(task: Task, *, labelled: bool) -> pa.Schema:
    """Return the Arrow schema of a shard of the task."""
    return pa.schema([(column.name, column.type) for column in columns(task, labelled=labelled)])
