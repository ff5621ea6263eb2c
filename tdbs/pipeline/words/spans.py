"""Find which tokens of a sample are droppable words.

A droppable word of the text counts if tokens cover it exactly, except for a leading space; if a token reaches over its
edge, or truncation cut it, it is not droppable. A lone "▁" (SentencePiece) belongs to the word after it. A word of
several tokens is one span: it is dropped completely or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.tokens.block import NO_SEGMENT, ChunkedTokens, TokenBlock
from tdbs.pipeline.words.matches import WordPattern, find_droppable

# Shapes: N samples of the block, N1 = N + 1, T its tokens, K its tokens that are not special, P texts of its rows (two
# a row for pairs), M matches in the samples' texts, W droppable words found, C characters of all its texts.

_BEHIND = np.iinfo(np.int64).max  # no text is so long
_SEPARATOR = "\n"  # between texts: no listed word contains it, and it does not count as a neighbour
_IS_SPACE = np.array([chr(c).isspace() for c in range(0x3002)])  # by code point; none lies higher than the last but one


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppableSpans:
    """Droppable words of a block of samples: token positions within each sample, in order."""

    span_offsets_N1: IntArray  # sample i holds spans [i] to [i + 1]
    starts_W: IntArray
    sizes_W: IntArray


def find_spans(
    block: TokenBlock,
    texts: pa.Array,
    pairs: pa.Array | None,
    pattern: WordPattern,
    *,
    lone_space_id: int | None,
    special_ids: Sequence[int],
    rows_N: IntArray | None = None,
    protected_T: BoolArray | None = None,
) -> DroppableSpans:
    """Return the droppable words of a block; `lone_space_id` is the id of a token that is "▁" alone.

    `rows_N` says which row's texts a sample is from, if several windows share a row. A word with a protected token
    (of an answer, an entity, a prefix) is not droppable, and neither is one with a special token. Where samples were
    put together from chunks, words are looked for once in each distinct chunk: a space does not count as a neighbour,
    so no word depends on the chunk before.
    """
    if block.chunks is not None and not pattern.has_spaces:
        spans = _spans_of_chunks(block.chunks, len(block.token_offsets_N1) - 1, pattern, lone_space_id)
    else:
        second = None if pairs is None else pairs.to_pylist()
        spans = _spans_of_texts(block, texts.to_pylist(), second, pattern, lone_space_id, rows_N)
    written_T = np.isin(block.input_ids_T, special_ids) & (block.segments_T != NO_SEGMENT)  # special, in a text
    if written_T.any():
        protected_T = written_T if protected_T is None else protected_T | written_T
    return spans if protected_T is None else _unprotected(spans, block, protected_T)


def _spans_of_chunks(
    chunks: ChunkedTokens, samples: int, pattern: WordPattern, lone_space_id: int | None
) -> DroppableSpans:
    """Return the words of all samples, from those of the distinct chunks; a word that truncation cut is none."""
    distinct = _spans_of_texts(chunks.tokens, chunks.texts, None, pattern, lone_space_id, None)
    count_C = np.diff(distinct.span_offsets_N1)[chunks.which_C]
    word_W = ragged_positions(distinct.span_offsets_N1[chunks.which_C], count_C)
    starts_W, sizes_W = distinct.starts_W[word_W], distinct.sizes_W[word_W]
    whole_W = starts_W + sizes_W <= np.repeat(chunks.kept_C, count_C)
    first_W = np.repeat(chunks.first_C, count_C)
    sample_W = np.repeat(chunks.sample_C, count_C)[whole_W]
    return DroppableSpans(
        span_offsets_N1=offsets_of(np.bincount(sample_W, minlength=samples)),
        starts_W=(first_W + starts_W)[whole_W],
        sizes_W=sizes_W[whole_W],
    )


def _unprotected(spans: DroppableSpans, block: TokenBlock, protected_T: BoolArray) -> DroppableSpans:
    """Return the words without a protected token."""
    samples = len(block.token_offsets_N1) - 1
    sample_W = np.repeat(np.arange(samples), np.diff(spans.span_offsets_N1))
    first_W = block.token_offsets_N1[sample_W] + spans.starts_W
    before_T1 = offsets_of(protected_T)
    free_W = before_T1[first_W + spans.sizes_W] == before_T1[first_W]
    return DroppableSpans(
        span_offsets_N1=offsets_of(np.bincount(sample_W[free_W], minlength=samples)),
        starts_W=spans.starts_W[free_W],
        sizes_W=spans.sizes_W[free_W],
    )


def _spans_of_texts(
    block: TokenBlock,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    pattern: WordPattern,
    lone_space_id: int | None,
    rows_N: IntArray | None,
) -> DroppableSpans:
    """Return the words of all samples, from the characters of their tokens."""
    parts = texts if pairs is None else [part for row in zip(texts, pairs, strict=True) for part in row]
    parts_of_row = 1 if pairs is None else 2
    joined = _SEPARATOR.join(parts)
    part_lengths_P = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    part_starts_P = _starts(part_lengths_P)  # first character of each part in the joined text

    samples = len(block.token_offsets_N1) - 1
    rows_N = np.arange(samples) if rows_N is None else rows_N
    kept_K = np.flatnonzero(block.segments_T != NO_SEGMENT)
    rows_T = np.repeat(np.arange(samples), np.diff(block.token_offsets_N1))
    segment_K = 0 if pairs is None else block.segments_T[kept_K]
    part_K = parts_of_row * rows_N[rows_T[kept_K]] + segment_K
    starts_K = part_starts_P[part_K] + block.starts_T[kept_K]
    ends_K = part_starts_P[part_K] + block.ends_T[kept_K]
    lone_K = block.input_ids_T[kept_K] == (-1 if lone_space_id is None else lone_space_id)
    starts_K = _skip_leading_space(starts_K, ends_K, lone_K, joined)

    # From here on, characters are counted as if every sample had texts of its own, one after the other.
    own_K = parts_of_row * rows_T[kept_K] + segment_K
    part_of_own = (parts_of_row * rows_N[:, None] + np.arange(parts_of_row)).ravel()
    shift_of_own = _starts(part_lengths_P[part_of_own]) - part_starts_P[part_of_own]
    match_starts_M, match_ends_M = _matches_of_samples(
        find_droppable(joined, pattern), starts_K, ends_K, own_K, shift_of_own
    )
    starts_K, ends_K = starts_K + shift_of_own[own_K], ends_K + shift_of_own[own_K]
    first_M = np.searchsorted(starts_K, match_starts_M, side="left")
    last_M = np.searchsorted(ends_K, match_ends_M, side="right") - 1
    # A guard at each end spares the bounds checks: no match starts at -1, none ends at the guard behind the text.
    starts = np.append(starts_K, _BEHIND)
    ends = np.append(ends_K, -1)  # ends[-1] is the guard before the first token
    lone = np.append(lone_K, True)
    exact_M = (
        (last_M >= first_M)
        & ~lone[last_M]  # truncation may have left a lone "▁", which can carry the place of the word that was cut
        & (starts[first_M] == match_starts_M)
        & (ends[last_M] == match_ends_M)
        & (ends[first_M - 1] <= match_starts_M)
        & (starts[last_M + 1] >= match_ends_M)
    )
    first_W, last_W = kept_K[first_M[exact_M]], kept_K[last_M[exact_M]]
    row_W = rows_T[first_W]
    return DroppableSpans(
        span_offsets_N1=offsets_of(np.bincount(row_W, minlength=samples)),
        starts_W=first_W - block.token_offsets_N1[row_W],
        sizes_W=last_W - first_W + 1,
    )


def _starts(lengths_P: IntArray) -> IntArray:
    """Return the first character of each part, once parts stand one after the other with a separator between them."""
    return np.cumsum(lengths_P + len(_SEPARATOR)) - (lengths_P + len(_SEPARATOR))


def _matches_of_samples(
    matches: tuple[IntArray, IntArray], starts_K: IntArray, ends_K: IntArray, own_K: IntArray, shift_of_own: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the matches between the first and the last token of each sample's text, if the sample counts them."""
    match_starts, match_ends = matches
    # own_K ascends: a sample's text begins where its number changes
    first_token = np.flatnonzero(np.append(True, own_K[1:] != own_K[:-1])[: len(own_K)])
    last_token = np.append(first_token, len(own_K))[1:] - 1
    first_match = np.searchsorted(match_starts, starts_K[first_token], side="left")
    behind = np.searchsorted(match_ends, ends_K[last_token], side="right")
    counts = np.maximum(behind - first_match, 0)
    chosen_M = ragged_positions(first_match, counts)
    shift_M = np.repeat(shift_of_own[own_K[first_token]], counts)
    return match_starts[chosen_M] + shift_M, match_ends[chosen_M] + shift_M


def _skip_leading_space(starts_K: IntArray, ends_K: IntArray, lone_K: BoolArray, joined: str) -> IntArray:
    """Move token starts over leading white space, which byte-level BPE keeps inside its tokens.

    A token of white space alone keeps its start, so that it belongs to no word; but "▁" does belong to the next.
    """
    characters_C = np.frombuffer((joined + _SEPARATOR).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    is_space_C = _IS_SPACE[np.minimum(characters_C, len(_IS_SPACE) - 1)]
    moved_K = starts_K.copy()
    moving = np.flatnonzero(is_space_C[moved_K] & (moved_K < ends_K))
    while len(moving):
        moved_K[moving] += 1
        moving = moving[is_space_C[moved_K[moving]] & (moved_K[moving] < ends_K[moving])]
    only_space_K = (moved_K == ends_K) & ~lone_K
    return np.where(only_space_K, starts_K, moved_K)
