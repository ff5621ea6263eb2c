"""Put samples together from tokenized chunks, with special tokens, truncation and segments as the tokenizer makes them.

Array code over runs: a sample is a row of runs of tokens, of special ones and of its chunks in turn.
"""

import numpy as np

from tdbs.arrays import IntArray, ragged_positions
from tdbs.pipeline.chunks import Chunks
from tdbs.pipeline.layout import Template
from tdbs.pipeline.token_block import NO_SEGMENT, ChunkedTokens, TokenBlock

# Shapes: N samples, N1 = N + 1, P texts (two a pair), C their chunks, D distinct chunks, R runs, T tokens of samples.


def put_together(chunks: Chunks, distinct: TokenBlock, template: Template, max_length: int) -> TokenBlock:
    """Return samples made of special tokens and of the tokens of chunks, as the tokenizer itself makes them."""
    texts_a_sample = len(template.text_types)
    room = max_length - template.special_tokens
    parts = len(chunks.offsets_P1) - 1
    part_C = np.repeat(np.arange(parts), np.diff(chunks.offsets_P1))
    size_D = np.diff(distinct.token_offsets_N1)
    before_C1 = np.concatenate([[0], np.cumsum(size_D[chunks.which_C])])
    before_P1 = before_C1[chunks.offsets_P1]
    length_P = _truncated(np.diff(before_P1).reshape(-1, texts_a_sample), room).ravel()
    in_part_C = before_C1[:-1] - before_P1[part_C]
    kept_C = np.clip(length_P[part_C] - in_part_C, 0, size_D[chunks.which_C])

    # Runs in order: special tokens before each text of a sample, its chunks, special tokens behind the last text.
    special_before_P = np.arange(parts) + np.arange(parts) // texts_a_sample + 1
    run_C = np.arange(len(part_C)) + special_before_P[part_C]
    runs = len(part_C) + parts + parts // texts_a_sample
    special_R = np.ones(runs, dtype=np.bool_)
    special_R[run_C] = False
    kind_R = np.zeros(runs, dtype=np.int64)  # which of a sample's special runs, or the segment of a chunk
    kind_R[special_R] = np.tile(np.arange(texts_a_sample + 1), parts // texts_a_sample)
    kind_R[run_C] = part_C % texts_a_sample
    special_sizes = np.array([len(ids) for ids in template.special_ids])
    special_firsts = np.cumsum(special_sizes) - special_sizes
    first_R = np.where(special_R, special_firsts[kind_R], 0)
    first_R[run_C] = template.special_tokens + distinct.token_offsets_N1[chunks.which_C]
    size_R = np.where(special_R, special_sizes[kind_R], 0)
    size_R[run_C] = kept_C
    character_R = np.zeros(runs, dtype=np.int64)
    character_R[run_C] = chunks.starts_C

    special_ids = np.array([i for ids in template.special_ids for i in ids], dtype=np.int32)
    nothing = np.zeros(template.special_tokens, dtype=np.int64)  # a special token stands for no character
    source_T = ragged_positions(first_R, size_R)
    run_T = np.repeat(np.arange(runs), size_R)
    segments_T = np.where(special_R, NO_SEGMENT, kind_R)[run_T]
    sample_lengths_N = length_P.reshape(-1, texts_a_sample).sum(axis=1) + template.special_tokens
    token_offsets_N1 = np.concatenate([[0], np.cumsum(sample_lengths_N)])
    segment_starts_N = None
    if texts_a_sample > 1:
        first_N, second_N = length_P.reshape(-1, texts_a_sample).T
        segment_starts_N = special_sizes[0] + first_N + special_sizes[1]
        if not template.has_types:  # where nothing is left of a second text, its place is told by types alone
            segment_starts_N = np.where(second_N > 0, segment_starts_N, sample_lengths_N)
    run_starts_R = np.cumsum(size_R) - size_R
    sample_C = part_C // texts_a_sample
    return TokenBlock(
        input_ids_T=np.concatenate([special_ids, distinct.input_ids_T])[source_T],
        token_offsets_N1=token_offsets_N1,
        segments_T=segments_T,
        starts_T=np.concatenate([nothing, distinct.starts_T])[source_T] + character_R[run_T],
        ends_T=np.concatenate([nothing, distinct.ends_T])[source_T] + character_R[run_T],
        segment_starts_N=segment_starts_N,
        chunks=ChunkedTokens(
            texts=chunks.distinct,
            tokens=distinct,
            which_C=chunks.which_C,
            sample_C=sample_C,
            first_C=run_starts_R[run_C] - token_offsets_N1[sample_C],
            kept_C=kept_C,
        ),
    )


def _truncated(lengths_NP: IntArray, room: int) -> IntArray:
    """Return how many tokens of each text stay: one text is cut at its end, of two the longer one first.

    The library's rule: the shorter keeps all that it has up to a half of the room; an odd token goes to the longer.
    """
    if lengths_NP.shape[1] == 1:
        return np.minimum(lengths_NP, room)
    shorter_N, longer_N = lengths_NP.min(axis=1), lengths_NP.max(axis=1)
    fits_N = shorter_N + longer_N <= room
    kept_shorter_N = np.where(fits_N, shorter_N, np.minimum(shorter_N, room // 2))
    kept_longer_N = np.where(fits_N, longer_N, room - kept_shorter_N)
    first_is_longer_N = lengths_NP[:, 0] > lengths_NP[:, 1]
    return np.stack(
        [
            np.where(first_is_longer_N, kept_longer_N, kept_shorter_N),
            np.where(first_is_longer_N, kept_shorter_N, kept_longer_N),
        ],
        axis=1,
    )
