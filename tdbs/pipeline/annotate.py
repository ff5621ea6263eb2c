"""A split's rows become the table that its shards are cut from: tokenized and annotated, block by block."""

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.columns import one_array
from tdbs.data.sources import SplitTable
from tdbs.data.tasks import Task, TaskKind
from tdbs.pipeline import schema
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.matches import WordPattern
from tdbs.pipeline.samples import RowBlock, Samples, plain_samples
from tdbs.pipeline.seq2seq import seq2seq_samples
from tdbs.pipeline.spans import DroppableSpans, find_spans
from tdbs.pipeline.tokenizer import LoadedTokenizer
from tdbs.pipeline.windows import window_samples
from tdbs.pipeline.word_pieces import word_samples

_BLOCK_ROWS = 65536  # large enough for all cores, small enough for a moving progress bar

Stage = Literal["read", "tokenize", "annotate", "write"]

SAMPLERS: dict[TaskKind, Callable[[RowBlock, Task, LoadedTokenizer, Limits], Samples]] = {
    "classification": plain_samples,
    "regression": plain_samples,
    "multi_label": plain_samples,
    "token_classification": word_samples,
    "question_answering": window_samples,
    "seq2seq": seq2seq_samples,
}


def annotated_table(
    table: SplitTable,
    task: Task,
    tokenizer: LoadedTokenizer,
    pattern: WordPattern,
    limits: Limits,
    *,
    seconds: dict[str, float],
    progress: Callable[[Stage, int], None],
) -> pa.Table:
    """Return the samples of a split as its shards hold them; adds the time of both stages to `seconds`."""
    lone_space_id = tokenizer.backend.token_to_id("▁")
    blocks: list[pa.Table] = []
    samples_before = 0
    for first in range(0, len(table.texts), _BLOCK_ROWS):
        clock = time.perf_counter()
        rows = table.texts.slice(first, _BLOCK_ROWS)
        block = RowBlock(
            texts=one_array(rows),
            pairs=None if table.pairs is None else one_array(table.pairs.slice(first, _BLOCK_ROWS)),
            targets=None if table.targets is None else table.targets.slice(first, _BLOCK_ROWS),
            row_name=partial(_row_name, table, first),
        )
        samples = SAMPLERS[task.kind](block, task, tokenizer, limits)
        seconds["tokenize"] += time.perf_counter() - clock
        progress("tokenize", first + len(rows))

        clock = time.perf_counter()
        spans = find_spans(
            samples.tokens,
            samples.texts,
            samples.pairs,
            pattern,
            lone_space_id=lone_space_id,
            rows_N=samples.rows_S,
            protected_T=samples.protected_T,
        )
        source_rows = samples.rows_S + first
        if table.source_rows is not None:
            source_rows = table.source_rows[source_rows]
        blocks.append(_block_table(samples, spans, task, source_rows, first_sample=samples_before))
        samples_before += len(source_rows)
        seconds["annotate"] += time.perf_counter() - clock
        progress("annotate", first + len(rows))
    return pa.concat_tables(blocks)


def _row_name(table: SplitTable, first: int, row: int) -> str:
    """Return how an error names a row of the block that begins at row `first`."""
    number = first + row if table.source_rows is None else int(table.source_rows[first + row])
    return f"row {number + 1} of {table.where}"


def _block_table(
    samples: Samples, spans: DroppableSpans, task: Task, source_rows_S: IntArray, *, first_sample: int
) -> pa.Table:
    """Return the shard columns of one block."""
    tokens = samples.tokens
    arrow_schema = schema.arrow_schema(task, labelled=bool(samples.columns))
    offsets = tokens.token_offsets_N1.astype(np.int32)
    words = pa.StructArray.from_arrays(
        [spans.starts_W.astype(np.int32), spans.sizes_W.astype(np.int32)], fields=list(schema.DROPPABLE_TYPE.value_type)
    )
    found = {
        schema.SAMPLE_ID: first_sample + np.arange(len(source_rows_S)),
        schema.SOURCE_ROW: source_rows_S,
        schema.INPUT_IDS: pa.ListArray.from_arrays(offsets, tokens.input_ids_T),
        schema.LENGTH: np.diff(tokens.token_offsets_N1),
        schema.SEGMENT_START: tokens.segment_starts_N,
        schema.CHAR_STARTS: pa.ListArray.from_arrays(offsets, tokens.starts_T.astype(np.int32)),
        schema.CHAR_ENDS: pa.ListArray.from_arrays(offsets, tokens.ends_T.astype(np.int32)),
        schema.DROPPABLE: pa.ListArray.from_arrays(
            spans.span_offsets_N1.astype(np.int32), words, type=schema.DROPPABLE_TYPE
        ),
        **samples.columns,
    }
    return pa.table([pa.array(found[name]).cast(kind) for name, kind in _fields(arrow_schema)], schema=arrow_schema)


def _fields(arrow_schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in arrow_schema]
