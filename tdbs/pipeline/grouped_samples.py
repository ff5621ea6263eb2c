"""Samples of several sequences: a query, a text that answers it, and texts that do not.

embedding: each text is a sequence of its own. ranking: each candidate, the positive first, is a pair with the query.
Sequences are tokenized as texts and pairs of any other task are, each cut to the maximum length. Then all of a row
become one sample: their tokens stand one after the other, and droppable words move with them. A sequence never loses
its last ordinary token: if all of them are droppable, its last word is not.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.columns import row_message
from tdbs.data.negatives import joined_lists
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task
from tdbs.errors import RowError
from tdbs.fields import LONGEST
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.samples import Samples
from tdbs.pipeline.schema import LABEL, SEGMENT_STARTS, SEQUENCE_LENGTHS
from tdbs.pipeline.tokens.block import NO_SEGMENT, TokenBlock
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.spans import DroppableSpans

# Shapes: R rows of the block, R1 = R + 1, Q their sequences, Q1 = Q + 1, T tokens, W droppable words.


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """The samples of a block, one for each row, put together from their sequences."""

    tokens: TokenBlock
    spans: DroppableSpans
    columns: dict[str, pa.Array]  # columns of a shard that say where sequences are


def embedding_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return a sequence for each text of a row: query, positive, negatives."""
    return _sequences(block, tokenizer, limits, joined_lists([_one_each(block.texts), _candidates(block)]), None)


def ranking_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return a sequence for each candidate of a row: the query with the positive, then with each negative."""
    candidates = _candidates(block)
    queries = block.texts.take(pa.array(np.repeat(np.arange(len(block.texts)), candidates.value_lengths().to_numpy())))
    return _sequences(block, tokenizer, limits, candidates, queries)


def group_sequences(sequences: TokenBlock, counts_R: IntArray, spans: DroppableSpans) -> Grouped:
    """Return the samples that some sequences make: the first row has the first `counts_R[0]` of them, and so on."""
    bounds_R1 = offsets_of(counts_R)
    lengths_Q = np.diff(sequences.token_offsets_N1)
    offsets = bounds_R1.astype(np.int32)
    columns = {SEQUENCE_LENGTHS: pa.ListArray.from_arrays(offsets, lengths_Q.astype(np.int32))}
    if sequences.segment_starts_N is not None:
        columns[SEGMENT_STARTS] = pa.ListArray.from_arrays(offsets, sequences.segment_starts_N.astype(np.int32))
    kept = _leave_a_token(spans, sequences)
    before_Q = sequences.token_offsets_N1[:-1] - np.repeat(sequences.token_offsets_N1[bounds_R1[:-1]], counts_R)
    return Grouped(
        tokens=TokenBlock(
            input_ids_T=sequences.input_ids_T,
            token_offsets_N1=sequences.token_offsets_N1[bounds_R1],
            segments_T=sequences.segments_T,
            starts_T=sequences.starts_T,
            ends_T=sequences.ends_T,
        ),
        spans=DroppableSpans(
            span_offsets_N1=kept.span_offsets_N1[bounds_R1],
            starts_W=kept.starts_W + np.repeat(before_Q, np.diff(kept.span_offsets_N1)),
            sizes_W=kept.sizes_W,
        ),
        columns=columns,
    )


def _sequences(
    block: RowBlock, tokenizer: LoadedTokenizer, limits: Limits, texts: pa.ListArray, queries: pa.Array | None
) -> Samples:
    """Return the sequences of all rows, from lists of their texts, and how many each row has."""
    counts_R = texts.value_lengths().to_numpy().astype(np.int64)
    first, second = (texts.flatten(), None) if queries is None else (queries, texts.flatten())
    tokens = tokenize_block(tokenizer, first, second, max_length=limits.max_length)
    _refuse_sizes(block, tokens, counts_R)
    return Samples(
        tokens=tokens,
        texts=first,
        pairs=second,
        rows_S=np.arange(len(counts_R)),
        columns={} if block.targets is None else {LABEL: block.targets},
        sequences_S=counts_R,
    )


def _candidates(block: RowBlock) -> pa.ListArray:
    """Return the texts of each row that may answer its query: the positive, then the negatives."""
    positives = [] if block.pairs is None else [_one_each(block.pairs)]
    negatives = [] if block.negatives is None else [block.negatives]
    return joined_lists([*positives, *negatives])


def _one_each(texts: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.arange(len(texts) + 1, dtype=np.int32), texts)


def _refuse_sizes(block: RowBlock, tokens: TokenBlock, counts_R: IntArray) -> None:
    """Raise for rows with a sequence without a token, and for rows with more tokens than a sample may have."""
    lengths_Q = np.diff(tokens.token_offsets_N1)
    row_Q = np.repeat(np.arange(len(counts_R)), counts_R)
    lengths_R = np.diff(tokens.token_offsets_N1[offsets_of(counts_R)])
    reasons = {row: f"has {lengths_R[row]:,} tokens" for row in np.flatnonzero(lengths_R > LONGEST).tolist()}
    next_step = f"Give it fewer negatives: a row has {LONGEST:,} tokens at most."
    if not reasons:
        reasons = dict.fromkeys(np.unique(row_Q[lengths_Q == 0]).tolist(), "has a text that makes no token")
        next_step = "Fix the row or delete it."
    if reasons:
        first = min(reasons)
        raise RowError(
            row_message(block.row_name(first), reasons[first]),
            next_step=next_step,
            reasons={int(block.rows_N[row]): reason for row, reason in reasons.items()},
        )


def _leave_a_token(spans: DroppableSpans, sequences: TokenBlock) -> DroppableSpans:
    """Return the droppable words without the last one of each sequence whose ordinary tokens are all droppable."""
    counts_Q = np.diff(spans.span_offsets_N1)
    through_W1 = offsets_of(spans.sizes_W)
    droppable_Q = np.diff(through_W1[spans.span_offsets_N1])
    ordinary_T1 = offsets_of(sequences.segments_T != NO_SEGMENT)
    ordinary_Q = np.diff(ordinary_T1[sequences.token_offsets_N1])
    whole_Q = (counts_Q > 0) & (droppable_Q >= ordinary_Q)
    stays_W = np.ones(len(spans.sizes_W), dtype=np.bool_)
    stays_W[spans.span_offsets_N1[1:][whole_Q] - 1] = False
    return DroppableSpans(
        span_offsets_N1=offsets_of(counts_Q - whole_Q), starts_W=spans.starts_W[stays_W], sizes_W=spans.sizes_W[stays_W]
    )
