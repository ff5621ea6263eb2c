"""Cut texts at lone spaces into chunks, and put distinct chunks into rows for the tokenizer.

A chunk, mostly a word, starts with the space before it: " film". Chunks tile their texts; a text without a safe cut is
one chunk. Only the two characters around a space decide a cut: tokens before it and behind it do not depend on each
other (rules.py). So plain chunks of any texts may follow each other in a row, as if they were a text. A row of many
chunks takes the library half the time of as many texts.
"""

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray, offsets_of, ragged_positions
from tdbs.pipeline.tokens.block import TokenBlock

# Shapes: P texts, P1 = P + 1, C their chunks, D distinct chunks, D1 = D + 1, R rows of them, R1 = R + 1, B bytes of all
# texts, S spaces, T tokens of distinct chunks.

ByteArray = npt.NDArray[np.uint8]

_SPACE = 0x20
_LONGEST_CHARACTER = 4  # bytes
_BEFORE, _AFTER = "LNPSM", "LNPS"  # a mark would join the space before it; control characters may vanish
_ROW_BYTES = 1 << 10  # more makes it no faster, and leaves cores without a row


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunks:
    """Texts as rows of chunks: text p has the chunks [p] to [p + 1]."""

    offsets_P1: IntArray
    which_C: IntArray  # the distinct chunk that each one is
    starts_C: IntArray  # first character in its text
    distinct: pa.StringArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkRows:
    """Distinct chunks in rows that the tokenizer may get as texts; `order_D` says which chunk is where."""

    texts: pa.StringArray
    order_D: IntArray
    bounds_D1: IntArray  # first character of each chunk, through all rows
    chunks_R1: IntArray  # row r has the chunks [r] to [r + 1]


def cut_texts(texts: pa.Array, *, at_spaces: bool) -> Chunks:
    """Return texts cut before each lone space whose neighbours are letters, digits, marks or symbols, or not at all."""
    bounds_P1, bytes_B = _bytes_of(texts)
    is_cut_B = np.zeros(len(bytes_B) + 1, dtype=np.bool_)
    if at_spaces:
        is_cut_B[_lone_spaces(bytes_B)] = True
    starts_text_B = np.bincount(bounds_P1, minlength=len(is_cut_B)) > 0
    is_cut_B[:-1] &= ~starts_text_B[1:]  # the character behind a space that ends a text is another text's
    is_cut_B |= starts_text_B
    cuts = np.flatnonzero(is_cut_B)
    chunks = _strings_of(cuts, bytes_B).dictionary_encode()
    which_C = chunks.indices.to_numpy().astype(np.int64)
    offsets_P1 = np.searchsorted(cuts, bounds_P1)  # an empty text has no chunk
    before_C1 = offsets_of(_characters_of(chunks.dictionary)[which_C])
    first_C = np.repeat(before_C1[offsets_P1[:-1]], np.diff(offsets_P1))
    return Chunks(offsets_P1=offsets_P1, which_C=which_C, starts_C=before_C1[:-1] - first_C, distinct=chunks.dictionary)


def rows_of_chunks(distinct: pa.StringArray, *, at_spaces: bool) -> ChunkRows:
    """Return plain chunks in rows of about a thousand bytes, and a row for each other one.

    Plain: a space and printable ASCII, which no normalizer removes or makes longer. Behind other characters a library's
    own places can be off, and with them the chunk of a token.
    """
    bounds_D1, bytes_B = _bytes_of(distinct)
    other_B1 = offsets_of(~_is_plain_ascii(bytes_B))
    is_plain_D = (np.diff(bounds_D1) > 1) & (bytes_B[bounds_D1[:-1]] == _SPACE) & at_spaces
    is_plain_D &= np.diff(other_B1[bounds_D1]) == 1  # the space
    order_D = np.argsort(~is_plain_D, kind="stable")
    distinct = distinct.take(pa.array(order_D))
    bounds_D1, bytes_B = _bytes_of(distinct)
    is_first_D = ~is_plain_D[order_D]
    is_first_D[:1] = True
    is_first_D[1:] |= np.diff(bounds_D1[:-1] // _ROW_BYTES) > 0
    chunks_R1 = np.append(np.flatnonzero(is_first_D), len(distinct))
    return ChunkRows(
        texts=_strings_of(bounds_D1[chunks_R1], bytes_B),
        order_D=order_D,
        bounds_D1=offsets_of(_characters_of(distinct)),
        chunks_R1=chunks_R1,
    )


def chunks_of_rows(rows: ChunkRows, tokens: TokenBlock) -> TokenBlock:
    """Return the tokens of each distinct chunk, in the order before the rows, from those of the rows."""
    row_T = np.repeat(np.arange(len(rows.texts)), np.diff(tokens.token_offsets_N1))
    first_T = rows.bounds_D1[rows.chunks_R1[row_T]]
    # A token of white space alone may stand, without a character, at the end of its row, where the next one begins.
    chunk_T = np.searchsorted(rows.bounds_D1, first_T + tokens.starts_T, side="right") - 1
    chunk_T = np.minimum(chunk_T, rows.chunks_R1[row_T + 1] - 1)
    shift_T = rows.bounds_D1[chunk_T] - first_T
    offsets_D1 = offsets_of(np.bincount(chunk_T, minlength=len(rows.order_D)))
    place_D = np.argsort(rows.order_D)
    sizes_D = np.diff(offsets_D1)[place_D]
    source_T = ragged_positions(offsets_D1[place_D], sizes_D)
    return TokenBlock(
        input_ids_T=tokens.input_ids_T[source_T],
        token_offsets_N1=offsets_of(sizes_D),
        segments_T=tokens.segments_T[source_T],
        starts_T=(tokens.starts_T - shift_T)[source_T],
        ends_T=(tokens.ends_T - shift_T)[source_T],
    )


def _bytes_of(texts: pa.StringArray) -> tuple[IntArray, ByteArray]:
    """Return where each text begins and the last one ends in the bytes of all of them, and these bytes."""
    bounds_P1 = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    bytes_B = np.frombuffer(data if data is not None else b"", dtype=np.uint8)[bounds_P1[0] : bounds_P1[-1]]
    return bounds_P1.astype(np.int64) - bounds_P1[0], bytes_B


def _strings_of(bounds: IntArray, bytes_B: ByteArray) -> pa.StringArray:
    """Return the texts between these bounds."""
    offsets = pa.py_buffer(bounds.astype(np.int32))
    return pa.StringArray.from_buffers(max(len(bounds) - 1, 0), offsets, pa.py_buffer(bytes_B))


def _characters_of(texts: pa.StringArray) -> IntArray:
    """Return the characters of each text."""
    return pc.utf8_length(texts).to_numpy().astype(np.int64)


def _lone_spaces(bytes_B: ByteArray) -> IntArray:
    """Return the places of spaces between two characters that stand for themselves."""
    spaces_S = np.flatnonzero(bytes_B[1:-1] == _SPACE) + 1
    before_S, after_S = bytes_B[spaces_S - 1], bytes_B[spaces_S + 1]
    safe_S = _is_plain_ascii(before_S) & _is_plain_ascii(after_S)
    unknown = np.flatnonzero((before_S >= 0x80) | (after_S >= 0x80))
    if len(unknown):
        padded_B = np.append(bytes_B, np.zeros(_LONGEST_CHARACTER, dtype=np.uint8))
        before, after = spaces_S[unknown] - 1, spaces_S[unknown] + 1
        for _ in range(_LONGEST_CHARACTER - 1):  # back to the first byte of the character
            before = np.where((padded_B[before] & 0xC0) == 0x80, before - 1, before)
        safe_S[unknown] = _are_of(_BEFORE, padded_B, before) & _are_of(_AFTER, padded_B, after)
    return spaces_S[safe_S]


def _is_plain_ascii(bytes_S: ByteArray) -> BoolArray:
    return (bytes_S > _SPACE) & (bytes_S < 0x7F)


def _are_of(categories: str, bytes_B: ByteArray, places: IntArray) -> BoolArray:
    """Return whether the characters that begin at these places are of the Unicode categories."""
    lead, second, third, fourth = (bytes_B[places + i].astype(np.int64) for i in range(_LONGEST_CHARACTER))
    second, third, fourth = second & 0x3F, third & 0x3F, fourth & 0x3F
    codes = np.select(
        [lead < 0x80, lead < 0xE0, lead < 0xF0],
        [lead, (lead & 0x1F) << 6 | second, (lead & 0x0F) << 12 | second << 6 | third],
        (lead & 0x07) << 18 | second << 12 | third << 6 | fourth,
    )
    distinct, which = np.unique(codes, return_inverse=True)
    found = np.array([unicodedata.category(chr(code))[0] in categories for code in distinct.tolist()], dtype=np.bool_)
    is_one: BoolArray = found[which]
    return is_one
