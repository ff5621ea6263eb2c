"""Turn blocks of texts into tokens, on all cores, with the result of the tokenizer on whole texts.

If the tokenizer allows it, texts are cut at lone spaces into chunks, mostly words (chunks.py). Each distinct chunk is
tokenized and annotated once, and samples are joined from chunks, which is faster (benchmarks/). Other tokenizers get
whole texts. Joining adds special tokens, truncation and segments as the tokenizer does, by array code over runs: a
sample is a row of runs, of special tokens and of its chunks in turn. Cost: array code over the bytes; Python sees each
distinct chunk once (SST-2: 23,000 of 700,000).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.tokens.block import NO_SEGMENT, ChunkedTokens, TokenBlock, flat_block, joined_blocks
from tdbs.pipeline.tokens.chunks import Chunks, chunks_of_rows, cut_texts, rows_of_chunks
from tdbs.pipeline.tokens.rules import Template
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer

# Shapes: N samples, N1 = N + 1, P texts (two a pair), P1 = P + 1, C their chunks, D distinct chunks, R runs,
# T tokens of samples.

Text = str | tuple[str, str]  # or a pair
Made = TypeVar("Made")

_CHARACTERS_AT_ONCE = 1 << 20  # what the library makes of a text takes a hundred times its memory
_TRUNCATION = threading.Lock()  # truncation is a state of the library's tokenizer, which threads share


def tokenize_block(
    tokenizer: LoadedTokenizer, texts: pa.Array, pairs: pa.Array | None, *, max_length: int
) -> TokenBlock:
    """Tokenize a block of strings on all cores, cut to `max_length` tokens; in a pair, the longer text first."""
    layout = tokenizer.layout
    template = None if layout is None else layout.template(pair=pairs is not None)
    if layout is None or template is None:
        inputs = texts.to_pylist() if pairs is None else list(zip(texts.to_pylist(), pairs.to_pylist(), strict=True))
        blocks = encode_in_parts(
            tokenizer.backend,
            inputs,
            truncate=lambda backend: backend.enable_truncation(max_length, strategy="longest_first"),
            make=lambda encodings: flat_block(encodings, is_pair=pairs is not None),
        )
        block = joined_blocks(blocks)
        return replace(block, whole_lengths_N=_whole_lengths(tokenizer.backend, inputs, block, max_length))
    chunks = cut_texts(texts if pairs is None else _alternating(texts, pairs), at_spaces=layout.cuts_at_spaces)
    rows = rows_of_chunks(chunks.distinct, at_spaces=layout.cuts_at_spaces)
    distinct = chunks_of_rows(rows, _tokens_of_texts(tokenizer, rows.texts.to_pylist()))
    return join_chunks(chunks, distinct, template, max_length)


def encode_in_parts(
    backend: Tokenizer,
    texts: Sequence[Text],
    *,
    truncate: Callable[[Tokenizer], None],
    make: Callable[[list[Encoding]], Made],
    special_tokens: bool = True,
) -> list[Made]:
    """Return what is made of the library's encodings of texts or pairs, some at a time: few are in memory at once."""
    found = []
    for part in _parts(texts):
        with _TRUNCATION:
            truncate(backend)
            found.append(make(backend.encode_batch(part, add_special_tokens=special_tokens)))
    return found


def join_chunks(chunks: Chunks, distinct: TokenBlock, template: Template, max_length: int) -> TokenBlock:
    """Return samples made of special tokens and of the tokens of chunks, as the tokenizer itself makes them."""
    texts_a_sample = len(template.text_types)
    room = max_length - template.special_tokens
    parts = len(chunks.offsets_P1) - 1
    part_C = np.repeat(np.arange(parts), np.diff(chunks.offsets_P1))
    size_D = np.diff(distinct.token_offsets_N1)
    before_C1 = offsets_of(size_D[chunks.which_C])
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
    character_T = np.repeat(character_R, size_R)
    sample_lengths_N = length_P.reshape(-1, texts_a_sample).sum(axis=1) + template.special_tokens
    token_offsets_N1 = offsets_of(sample_lengths_N)
    segment_starts_N = None
    if texts_a_sample > 1:
        first_N, second_N = length_P.reshape(-1, texts_a_sample).T
        segment_starts_N = special_sizes[0] + first_N + special_sizes[1]
        if not template.has_types:  # if nothing is left of a second text, segment types alone decide its place
            segment_starts_N = np.where(second_N > 0, segment_starts_N, sample_lengths_N)
    run_starts_R = np.cumsum(size_R) - size_R
    sample_C = part_C // texts_a_sample
    return TokenBlock(
        input_ids_T=np.concatenate([special_ids, distinct.input_ids_T])[source_T],
        token_offsets_N1=token_offsets_N1,
        segments_T=np.repeat(np.where(special_R, NO_SEGMENT, kind_R), size_R),
        starts_T=np.concatenate([nothing, distinct.starts_T])[source_T] + character_T,
        ends_T=np.concatenate([nothing, distinct.ends_T])[source_T] + character_T,
        segment_starts_N=segment_starts_N,
        whole_lengths_N=np.diff(before_P1[::texts_a_sample]) + template.special_tokens,
        chunks=ChunkedTokens(
            texts=chunks.distinct.to_pylist(),
            tokens=distinct,
            which_C=chunks.which_C,
            sample_C=sample_C,
            first_C=run_starts_R[run_C] - token_offsets_N1[sample_C],
            kept_C=kept_C,
        ),
    )


def _whole_lengths(backend: Tokenizer, texts: Sequence[Text], block: TokenBlock, max_length: int) -> IntArray:
    """Return the tokens of each sample before the cut: those that may be cut are encoded once more, to be counted."""
    lengths_N = np.diff(block.token_offsets_N1)
    longest = np.flatnonzero(lengths_N >= max_length)
    counts = encode_in_parts(
        backend,
        [texts[place] for place in longest.tolist()],
        truncate=Tokenizer.no_truncation,
        make=lambda encodings: list(map(len, encodings)),
    )
    lengths_N[longest] = np.fromiter(chain.from_iterable(counts), dtype=np.int64, count=len(longest))
    return lengths_N


def _alternating(texts: pa.Array, pairs: pa.Array) -> pa.Array:
    """Return the texts of all pairs in a row: text, pair, text, pair."""
    order = np.arange(2 * len(texts)).reshape(2, -1).T.ravel()
    return pa.concat_arrays([texts, pairs]).take(pa.array(order))


def _tokens_of_texts(tokenizer: LoadedTokenizer, texts: list[str]) -> TokenBlock:
    """Return the tokens of texts, without special tokens and whole."""
    blocks = encode_in_parts(
        tokenizer.backend,
        texts,
        truncate=Tokenizer.no_truncation,
        make=lambda encodings: flat_block(encodings, is_pair=False),
        special_tokens=False,
    )
    return joined_blocks(blocks)


def _parts(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """Cut a list into parts with about as many characters as the library should get at once."""
    if len(texts) == 1:
        return iter((texts,))
    sizes = (len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) for text in texts)
    ends = np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(texts)))
    bounds = [0, *np.flatnonzero(np.diff(ends // _CHARACTERS_AT_ONCE)) + 1, len(texts)]
    return (texts[first:last] for first, last in pairwise(bounds) if first < last)


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
