"""The columns of a shard, named here and nowhere else; docs/format.md is generated from this file."""

from dataclasses import dataclass

import pyarrow as pa

from tdbs.data.tasks import Task, TaskKind

SCHEMA_VERSION = 2

SAMPLE_ID = "sample_id"
SOURCE_ROW = "source_row"
INPUT_IDS = "input_ids"
LENGTH = "length"
SEGMENT_START = "segment_start"
DROPPABLE = "droppable"
LABEL = "label"
ANSWER_START, ANSWER_END = "answer_start", "answer_end"
CHAR_STARTS, CHAR_ENDS = "char_starts", "char_ends"
TARGET_IDS = "target_ids"
SEQUENCE_LENGTHS, SEGMENT_STARTS = "sequence_lengths", "segment_starts"
WHOLE_LENGTHS, WHOLE_TARGETS = "whole_lengths", "whole_targets"  # before the cut, in blocks alone: shards lack them

IGNORED = -100  # label of a token that has none: what losses of transformers' models pass over

DROPPABLE_TYPE = pa.list_(pa.struct([("start", pa.int32()), ("length", pa.int32())]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a shard: its name, its Arrow type, what it holds."""

    name: str
    type: pa.DataType
    meaning: str


_PLACES = (
    Column(name=CHAR_STARTS, type=pa.list_(pa.int32()), meaning="first character of each token in its text; 0 special"),
    Column(name=CHAR_ENDS, type=pa.list_(pa.int32()), meaning="character behind each token in its text; 0 special"),
)
_SEQUENCES = Column(
    name=SEQUENCE_LENGTHS,
    type=pa.list_(pa.int32()),
    meaning="tokens of each sequence of the sample: query, positive, negatives; or the query with each of them",
)
_SEGMENTS = Column(
    name=SEGMENT_STARTS,
    type=pa.list_(pa.int32()),
    meaning="ranking: in each sequence, the first position of the second text",
)
_TARGETS: dict[TaskKind, tuple[Column, ...]] = {
    "classification": (
        Column(name=LABEL, type=pa.int64(), meaning="class, an index into the manifest's `task.classes`"),
    ),
    "regression": (Column(name=LABEL, type=pa.float64(), meaning="the number to predict"),),
    "multi_label": (Column(name=LABEL, type=pa.list_(pa.int64()), meaning="the classes that hold, in order"),),
    "token_classification": (
        Column(
            name=LABEL,
            type=pa.list_(pa.int64()),
            meaning=f"class of each token: of a word's first one; {IGNORED} for all others",
        ),
    ),
    "question_answering": (
        Column(name=ANSWER_START, type=pa.int32(), meaning="position of the answer's first token; 0: none here"),
        Column(name=ANSWER_END, type=pa.int32(), meaning="position of the answer's last token; 0: none here"),
    ),
    "seq2seq": (Column(name=TARGET_IDS, type=pa.list_(pa.int32()), meaning="token ids of the target, truncated"),),
    "embedding": (Column(name=LABEL, type=pa.float64(), meaning="the score of the pair"),),
    "ranking": (),
}


def columns(task: Task, *, labelled: bool) -> tuple[Column, ...]:
    """Return the columns of a split of the task, in order."""
    found = [
        Column(name=SAMPLE_ID, type=pa.int64(), meaning="0 to rows - 1, in source order, unique in its split"),
        Column(name=SOURCE_ROW, type=pa.int64(), meaning="row of the source, from 0; windows of one question share it"),
        Column(name=INPUT_IDS, type=pa.list_(pa.int32()), meaning="token ids, special tokens included, truncated"),
        Column(name=LENGTH, type=pa.int32(), meaning="tokens of `input_ids`"),
    ]
    if task.is_grouped:
        found += [_SEQUENCES, _SEGMENTS] if task.is_pair else [_SEQUENCES]
    elif task.is_pair:
        found.append(Column(name=SEGMENT_START, type=pa.int32(), meaning="pairs: first position of the second text"))
    found.append(
        Column(
            name=DROPPABLE,
            type=DROPPABLE_TYPE,
            meaning="droppable words: first position and number of tokens, one entry a word, in order",
        )
    )
    if task.kind == "question_answering":
        found.extend(_PLACES)
    if labelled and task.columns.labels:
        found.extend(_several_targets() if _has_several_targets(task) else _TARGETS[task.kind])
    return tuple(found)


def arrow_schema(task: Task, *, labelled: bool) -> pa.Schema:
    """Return the Arrow schema of a shard of the task."""
    return pa.schema([(column.name, column.type) for column in columns(task, labelled=labelled)])


def _has_several_targets(task: Task) -> bool:
    return task.kind == "regression" and task.outputs > 1


def _several_targets() -> tuple[Column, ...]:
    return (Column(name=LABEL, type=pa.list_(pa.float64()), meaning="several targets: the numbers to predict"),)
