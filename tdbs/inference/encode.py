"""Turn rows into samples with the code of `prepare`: flat arrays of tokens and droppable words.

A block contains the samples of some rows in order. Targets are unknown here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.data.columns import BadRows
from tdbs.data.row_block import RowBlock
from tdbs.errors import RowError
from tdbs.inference.checkpoints import Checkpoint
from tdbs.pipeline.annotate import SAMPLERS
from tdbs.pipeline.dataset import Split
from tdbs.pipeline.duplicates.rows import same_rows
from tdbs.pipeline.grouped_samples import leave_a_token
from tdbs.pipeline.qa_windows import long_questions
from tdbs.pipeline.samples import first_pieces, words_of_tokens
from tdbs.pipeline.tokens.block import TokenBlock
from tdbs.pipeline.words.matches import WordPattern
from tdbs.pipeline.words.spans import DroppableSpans, find_spans
from tdbs.train.scores.scoring import shortened_split

# Shapes: R rows of the block, R1 = R + 1, N samples (windows of a row are several), T their tokens, W words, Q texts of
# queries with candidates.

NAME = "predict"  # of the block as a split: one of the keys of what TokenDrop takes out
_FEW = 4  # rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """The samples of some rows, and the values that identify their predictions."""

    split: Split
    rows_R: IntArray  # rows of the source
    contexts: Sequence[str] | None = None  # question answering
    char_places_T: tuple[IntArray, IntArray] | None = None  # question answering: characters of each token
    word_of_T: IntArray | None = None  # token classification: the word that begins here, through all rows; else -1
    word_offsets_R1: IntArray | None = None  # token classification: row i has words [i] to [i + 1]
    # queries with candidates: row i has samples [i] to [i + 1], a pair each; of embeddings the query, then the others
    candidate_offsets_R1: IntArray | None = None
    sample_of_Q: IntArray | None = None  # those offsets count texts: the sample of each; None: each has its own


def encode_rows(
    rows: RowBlock, checkpoint: Checkpoint, pattern: WordPattern | None, bad: BadRows | None = None
) -> Encoded:
    """Tokenize rows, and find the words that may be dropped; `pattern` None: none is looked for.

    With `bad`, rows that make no samples are recorded there and skipped: questions that are too long for their windows,
    texts without a token.
    """
    if bad is None or not checkpoint.task.is_grouped:
        return _encoded(rows, checkpoint, pattern, bad)
    while True:  # an error names all rows with one fault
        try:
            return _encoded(rows, checkpoint, pattern, bad)
        except RowError as error:
            bad.update(error.reasons)
            rows = rows.without(error.reasons)


def _encoded(rows: RowBlock, checkpoint: Checkpoint, pattern: WordPattern | None, bad: BadRows | None) -> Encoded:
    kind = checkpoint.task.kind
    if kind == "question_answering" and bad is not None:
        rows = _without_long_questions(rows, checkpoint, bad)
    tokenizer = checkpoint.tokenizer
    if len(rows.rows_N) <= _FEW and rows.negatives is None:
        tokenizer = replace(tokenizer, layout=None)  # whole texts: the same tokens, in half the time for one of them
    samples = SAMPLERS[kind](rows, checkpoint.task, tokenizer, checkpoint.limits)
    tokens = samples.tokens
    spans = None
    if pattern is not None:
        spans = find_spans(
            tokens,
            samples.texts,
            samples.pairs,
            pattern,
            lone_space_id=checkpoint.tokenizer.backend.token_to_id("▁"),
            special_ids=checkpoint.tokenizer.special_ids,
            rows_N=samples.rows_S if samples.sequences_S is None else None,
            protected_T=samples.protected_T,
        )
        if samples.sequences_S is not None:
            spans = leave_a_token(spans, tokens)  # as in training
    rows_S = samples.rows_S if samples.sequences_S is None else np.repeat(samples.rows_S, samples.sequences_S)
    split = split_of(tokens, spans, rows.rows_N[rows_S])
    if kind == "question_answering":
        contexts = None if rows.pairs is None else rows.pairs.to_pylist()
        return Encoded(
            split=split, rows_R=rows.rows_N, contexts=contexts, char_places_T=(tokens.starts_T, tokens.ends_T)
        )
    if kind == "token_classification":
        words = rows.texts.to_pylist()
        _, last_T = words_of_tokens(words, tokens)
        word_of_T = np.full(len(last_T), -1, dtype=np.int64)
        pieces = first_pieces(last_T)
        word_of_T[pieces] = last_T[pieces]
        offsets_R1 = offsets_of([len(row) for row in words])
        return Encoded(split=split, rows_R=rows.rows_N, word_of_T=word_of_T, word_offsets_R1=offsets_R1)
    bounds_R1 = None if rows.negatives is None or samples.sequences_S is None else offsets_of(samples.sequences_S)
    return Encoded(split=split, rows_R=rows.rows_N, candidate_offsets_R1=bounds_R1)


def split_of(tokens: TokenBlock, spans: DroppableSpans | None, source_rows_N: IntArray) -> Split:
    """Return a block of tokenized samples as a split without targets."""
    none = np.zeros(0, dtype=np.int32)
    return Split(
        name=NAME,
        input_ids_T=tokens.input_ids_T,
        token_offsets_N1=tokens.token_offsets_N1,
        word_starts_W=none if spans is None else spans.starts_W.astype(np.int32),
        word_sizes_W=none if spans is None else spans.sizes_W.astype(np.int32),
        word_offsets_N1=np.zeros_like(tokens.token_offsets_N1) if spans is None else spans.span_offsets_N1,
        segment_starts_N=tokens.segment_starts_N,
        source_rows_N=source_rows_N,
        targets=None,
    )


def without_tokens(encoded: Encoded, dropped_T: BoolArray) -> Encoded:
    """Return the samples as TokenDrop leaves them; nothing is droppable any more."""
    places_T = encoded.char_places_T
    return replace(
        encoded,
        split=shortened_split(encoded.split, dropped_T),
        char_places_T=None if places_T is None else (places_T[0][~dropped_T], places_T[1][~dropped_T]),
        word_of_T=None if encoded.word_of_T is None else encoded.word_of_T[~dropped_T],
    )


def without_repeats(encoded: Encoded) -> Encoded:
    """Return texts to embed with one sample for all that have the same tokens; nothing is droppable any more."""
    split = encoded.split
    first_Q = same_rows(split.input_ids_T, split.token_offsets_N1)
    chosen_N, sample_of_Q = np.unique(first_Q, return_inverse=True)
    lengths_N = split.lengths_N[chosen_N]
    distinct = replace(
        split,
        input_ids_T=split.input_ids_T[ragged_positions(split.token_offsets_N1[chosen_N], lengths_N)],
        token_offsets_N1=offsets_of(lengths_N),
        word_starts_W=split.word_starts_W[:0],
        word_sizes_W=split.word_sizes_W[:0],
        word_offsets_N1=np.zeros(len(chosen_N) + 1, dtype=np.int64),
        source_rows_N=split.source_rows_N[chosen_N],
    )
    return replace(encoded, split=distinct, sample_of_Q=sample_of_Q)


def part_of(encoded: Encoded, first: int, last: int) -> Encoded:
    """Return the samples of the rows from `first` up to, not including, `last`."""
    split = encoded.split
    rows_R = encoded.rows_R[first:last]
    samples = slice(*np.searchsorted(split.source_rows_N, [rows_R[0], rows_R[-1] + 1]))
    ends = slice(samples.start, samples.stop + 1)
    tokens = slice(split.token_offsets_N1[samples.start], split.token_offsets_N1[samples.stop])
    words = slice(split.word_offsets_N1[samples.start], split.word_offsets_N1[samples.stop])
    part = replace(
        split,
        input_ids_T=split.input_ids_T[tokens],
        token_offsets_N1=split.token_offsets_N1[ends] - tokens.start,
        word_starts_W=split.word_starts_W[words],
        word_sizes_W=split.word_sizes_W[words],
        word_offsets_N1=split.word_offsets_N1[ends] - words.start,
        segment_starts_N=None if split.segment_starts_N is None else split.segment_starts_N[samples],
        source_rows_N=split.source_rows_N[samples],
    )
    places_T, word_of_T, offsets_R1 = encoded.char_places_T, encoded.word_of_T, encoded.word_offsets_R1
    if word_of_T is not None and offsets_R1 is not None:
        word_of_T = np.where(word_of_T[tokens] < 0, -1, word_of_T[tokens] - offsets_R1[first])
        offsets_R1 = offsets_R1[first : last + 1] - offsets_R1[first]
    return Encoded(
        split=part,
        rows_R=rows_R,
        contexts=None if encoded.contexts is None else encoded.contexts[first:last],
        char_places_T=None if places_T is None else (places_T[0][tokens], places_T[1][tokens]),
        word_of_T=word_of_T,
        word_offsets_R1=offsets_R1,
        candidate_offsets_R1=None
        if encoded.candidate_offsets_R1 is None
        else encoded.candidate_offsets_R1[first : last + 1] - encoded.candidate_offsets_R1[first],
    )


def _without_long_questions(rows: RowBlock, checkpoint: Checkpoint, bad: BadRows) -> RowBlock:
    questions = [question.lstrip() for question in rows.texts.to_pylist()]
    long = long_questions(questions, checkpoint.tokenizer, checkpoint.limits)
    bad.update({int(rows.rows_N[row]): reason for row, reason in long.items()})
    kept = pa.array([row for row in range(len(questions)) if row not in long], pa.int64())
    return replace(
        rows,
        rows_N=rows.rows_N[kept.to_numpy()],
        texts=rows.texts.take(kept),
        pairs=None if rows.pairs is None else rows.pairs.take(kept),
    )
