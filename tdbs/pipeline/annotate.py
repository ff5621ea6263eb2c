"""Turn rows into samples with the columns of a shard: tokenized by kind of task, droppable words marked."""

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task, TaskKind
from tdbs.pipeline import schema
from tdbs.pipeline.grouped_samples import embedding_samples, group_sequences, ranking_samples
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.qa_windows import qa_window_samples
from tdbs.pipeline.samples import Samples, plain_samples, seq2seq_samples, word_samples
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.matches import WordPattern
from tdbs.pipeline.words.spans import DroppableSpans, find_spans

# Shapes: S samples of the block, W droppable words.

SAMPLERS: dict[TaskKind, Callable[[RowBlock, Task, LoadedTokenizer, Limits], Samples]] = {
    "classification": plain_samples,
    "regression": plain_samples,
    "multi_label": plain_samples,
    "token_classification": word_samples,
    "question_answering": qa_window_samples,
    "seq2seq": seq2seq_samples,
    "embedding": embedding_samples,
    "ranking": ranking_samples,
}


def annotated_table(
    rows: RowBlock,
    task: Task,
    tokenizer: LoadedTokenizer,
    pattern: WordPattern,
    limits: Limits,
    *,
    seconds: dict[str, float],
) -> pa.Table:
    """Return the samples of some rows, in order, with the columns of a shard and of a block; ids count from 0.

    Fills in `seconds`.
    """
    clock = time.perf_counter()
    samples = SAMPLERS[task.kind](rows, task, tokenizer, limits)
    seconds["tokenize"] = time.perf_counter() - clock
    clock = time.perf_counter()
    spans = find_spans(
        samples.tokens,
        samples.texts,
        samples.pairs,
        pattern,
        lone_space_id=tokenizer.backend.token_to_id("▁"),
        special_ids=tokenizer.special_ids,
        rows_N=samples.rows_S if samples.sequences_S is None else None,
        protected_T=samples.protected_T,
    )
    table = _sample_table(samples, spans, task, rows.rows_N[samples.rows_S])
    seconds["annotate"] = time.perf_counter() - clock
    return table


def _sample_table(samples: Samples, spans: DroppableSpans, task: Task, source_rows_S: IntArray) -> pa.Table:
    """Return the columns of a shard and, if texts may be cut, of their whole lengths; sample ids count from 0."""
    tokens, of_sequences = samples.tokens, {}
    whole = _whole_lengths(samples)
    if samples.sequences_S is not None:
        grouped = group_sequences(tokens, samples.sequences_S, spans)
        tokens, spans, of_sequences = grouped.tokens, grouped.spans, grouped.columns
    arrow_schema = schema.arrow_schema(task, labelled=bool(samples.columns))
    offsets = tokens.token_offsets_N1.astype(np.int32)
    words = pa.StructArray.from_arrays(
        [spans.starts_W.astype(np.int32), spans.sizes_W.astype(np.int32)], fields=list(schema.DROPPABLE_TYPE.value_type)
    )
    found = {
        schema.SAMPLE_ID: np.arange(len(source_rows_S)),
        schema.SOURCE_ROW: source_rows_S,
        schema.INPUT_IDS: pa.ListArray.from_arrays(offsets, tokens.input_ids_T),
        schema.LENGTH: np.diff(tokens.token_offsets_N1),
        schema.SEGMENT_START: tokens.segment_starts_N,
        schema.DROPPABLE: pa.ListArray.from_arrays(
            spans.span_offsets_N1.astype(np.int32), words, type=schema.DROPPABLE_TYPE
        ),
        **of_sequences,
        **samples.columns,
    }
    if task.kind == "question_answering":
        found[schema.CHAR_STARTS] = pa.ListArray.from_arrays(offsets, tokens.starts_T.astype(np.int32))
        found[schema.CHAR_ENDS] = pa.ListArray.from_arrays(offsets, tokens.ends_T.astype(np.int32))
    arrays = [pa.array(found[field.name]).cast(field.type) for field in arrow_schema]
    table = pa.table(arrays, schema=arrow_schema)
    for name, lengths in whole.items():
        table = table.append_column(name, lengths)
    return table


def _whole_lengths(samples: Samples) -> dict[str, pa.Array]:
    """Return the tokens of each sample, or of each of its sequences, before the cut, and those of its target."""
    found = {}
    lengths = samples.tokens.whole_lengths_N
    if lengths is not None:
        found[schema.WHOLE_LENGTHS] = pa.array(lengths)
        if samples.sequences_S is not None:
            offsets = offsets_of(samples.sequences_S).astype(np.int32)
            found[schema.WHOLE_LENGTHS] = pa.ListArray.from_arrays(offsets, lengths)
    if samples.whole_targets_S is not None:
        found[schema.WHOLE_TARGETS] = pa.array(samples.whole_targets_S)
    return found
