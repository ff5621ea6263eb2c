"""The normal form of texts, by array code over their token ids: words, and which rows are the same in it.

The normal form has the letters and digits of a text in lower case, without what stands between them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.mixing import HashArray, blocks_of, mixed, range_sums
from tdbs.pipeline.duplicates.pieces import Pieces, concatenated, powers
from tdbs.pipeline.duplicates.rows import first_with_same, row_digests, verify
from tdbs.pipeline.duplicates.shingles import Shingles, hash_bits, shingles_of
from tdbs.pipeline.duplicates.spelled import spelled
from tdbs.spilled import forget, joined, kept

# Shapes: N rows, N1 = N + 1, T their tokens, P texts (two a row for pairs), P1 = P + 1, W words, W1 = W + 1,
# G segments of the texts.

_TOKENS_AT_ONCE = 1 << 18  # a block takes 200 bytes a token


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalTexts:
    """What is kept of texts in the normal form to compare them: 24 bytes a text, and 8 a shingle."""

    digests_P: HashArray
    sizes_P: IntArray  # bytes; 0: no letter and no digit
    words: int  # of all texts
    shingles: Shingles


@dataclass(frozen=True, kw_only=True, slots=True)
class TextWords:
    """Texts in the normal form, as hashes; text p has words [p] to [p + 1]."""

    word_hashes_W: HashArray
    word_offsets_P1: IntArray
    digests_P: HashArray
    sizes_P: IntArray


def text_offsets(token_offsets_N1: IntArray, segment_starts_N: IntArray | None) -> IntArray:
    """Return where each text of each row begins among all tokens (P1); a row of a pair has two texts."""
    if segment_starts_N is None:
        return token_offsets_N1
    starts_N2 = np.stack([token_offsets_N1[:-1], token_offsets_N1[:-1] + segment_starts_N], axis=1)
    return np.append(starts_N2.ravel(), token_offsets_N1[-1])


def normal_texts(
    ids_T: npt.NDArray[Any], offsets_P1: IntArray, pieces: Pieces, *, spilled: bool = False
) -> NormalTexts:
    """Return the digest and the shingles of each text. Words are in memory for some texts at a time.

    Args:
        ids_T: Token ids of all texts, one text after the other; special ones may be among them.
        offsets_P1: Text p has tokens [p] to [p + 1], see `text_offsets`.
        pieces: What the ids stand for.
        spilled: Whether the result goes to files, see `spilled.py`.
    """
    bits = hash_bits(len(offsets_P1) - 1)
    blocks = (
        _block(ids_T, offsets_P1[first : end + 1], pieces, bits)
        for first, end in blocks_of(offsets_P1, _TOKENS_AT_ONCE)
    )
    found = joined(blocks, spilled=spilled)
    return NormalTexts(
        digests_P=found["digests"],
        sizes_P=found["sizes"],
        words=int(found["words"].sum()),
        shingles=Shingles(
            hashes_S=found["shingles"], offsets_P1=kept(offsets_of(found["shingles a text"]), spilled=spilled)
        ),
    )


def same_texts(
    ids_T: npt.NDArray[Any],
    offsets_P1: IntArray,
    pieces: Pieces,
    texts: NormalTexts,
    *,
    firsts_N: IntArray,
    counts_N: IntArray,
) -> IntArray:
    """Return for each row the first row whose texts have the same normal forms, in order: itself, if there is none.

    Rows without a letter or digit equal no other.

    Args:
        ids_T: Token ids of all texts, one text after the other; special ones may be among them.
        offsets_P1: Text p has tokens [p] to [p + 1].
        pieces: What the ids stand for.
        texts: The normal forms of the texts.
        firsts_N: First text of each row.
        counts_N: Texts of each row, one or more.
    """
    digests_N, sizes_N = texts.digests_P, texts.sizes_P
    if counts_N.max(initial=0) > 1:
        texts_Q, offsets_N1 = ragged_positions(firsts_N, counts_N), offsets_of(counts_N)
        digests_N = row_digests(texts.digests_P[texts_Q], offsets_N1)
        sizes_N = np.diff(offsets_of(texts.sizes_P[texts_Q])[offsets_N1])
    first_N = np.where(sizes_N > 0, first_with_same(digests_N), np.arange(len(counts_N)))

    def bytes_of(rows_R: IntArray) -> tuple[npt.NDArray[np.uint8], IntArray]:
        counts_R = counts_N[rows_R]
        found = _bytes_of_rows(ids_T, offsets_P1, pieces, ragged_positions(firsts_N[rows_R], counts_R), counts_R)
        forget(ids_T)
        return found

    verify(first_N, offsets_P1[firsts_N + counts_N] - offsets_P1[firsts_N], bytes_of)
    return first_N


def _bytes_of_rows(
    ids_T: npt.NDArray[Any], offsets_P1: IntArray, pieces: Pieces, texts_Q: IntArray, counts_R: IntArray
) -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Return the normal forms of rows with some texts; a NUL stands behind each text, so that they cannot run together.

    A row has as many of the texts as it counts. Returns the bytes, and how many each row has.
    """
    tokens_Q = offsets_P1[texts_Q + 1] - offsets_P1[texts_Q]
    ids, offsets_Q1, pieces = spelled(
        ids_T[ragged_positions(offsets_P1[texts_Q], tokens_Q)], offsets_of(tokens_Q), pieces
    )
    counts = np.diff(pieces.offsets_V1)[ids]
    segments = ragged_positions(pieces.offsets_V1[ids], counts)
    sizes = pieces.sizes_G[segments]
    found = pieces.bytes_B[ragged_positions(pieces.byte_offsets_G1[segments], sizes)]
    through = offsets_of(sizes)
    ends_Q = through[offsets_of(counts)[offsets_Q1[1:]]]
    with_ends = np.insert(found, ends_Q, 0)
    through_Q1 = np.append(0, ends_Q + np.arange(1, len(ends_Q) + 1))
    return with_ends, np.diff(through_Q1[offsets_of(counts_R)])


def _block(ids_T: npt.NDArray[Any], offsets_P1: IntArray, pieces: Pieces, bits: int) -> dict[str, npt.NDArray[Any]]:
    """Return what is kept of some texts."""
    found = text_words(ids_T[offsets_P1[0] : offsets_P1[-1]], offsets_P1 - offsets_P1[0], pieces)
    forget(ids_T)
    shingles = shingles_of(found.word_hashes_W, found.word_offsets_P1, bits=bits)
    return {
        "digests": found.digests_P,
        "sizes": found.sizes_P,
        "words": np.array([len(found.word_hashes_W)]),
        "shingles": shingles.hashes_S,
        "shingles a text": shingles.sizes_P,
    }


def text_words(ids_T: npt.NDArray[Any], offsets_P1: IntArray, pieces: Pieces) -> TextWords:
    """Return the words and the digest of each text.

    Args:
        ids_T: Token ids of the texts, one text after the other.
        offsets_P1: Text p has tokens [p] to [p + 1].
        pieces: What the ids stand for.

    Returns:
        The words of the texts (W), their offsets (P1), digests and sizes (P).
    """
    ids_T, offsets_P1, pieces = spelled(ids_T, offsets_P1, pieces)
    count_T = np.diff(pieces.offsets_V1)[ids_T]
    segment_G = ragged_positions(pieces.offsets_V1[ids_T], count_T)
    offsets_of_tokens_T1 = offsets_of(count_T)
    segment_offsets_P1 = offsets_of_tokens_T1[offsets_P1]
    size_G = pieces.sizes_G[segment_G]
    through_G1 = offsets_of(size_G)

    # A segment begins a word where its id says so, behind an id that ends words, and first in its text.
    ended_T = np.cumsum(pieces.ends_V[ids_T]) - pieces.ends_V[ids_T]
    ended_G = np.repeat(ended_T, count_T)
    begins_G = pieces.begins_G[segment_G] | (np.diff(ended_G, prepend=-1) != 0)
    begins_G[segment_offsets_P1[:-1][np.diff(segment_offsets_P1) > 0]] = True

    words_before_G1 = offsets_of(begins_G)
    word_firsts_W = np.flatnonzero(begins_G)
    word_segments_W1 = np.append(word_firsts_W, len(segment_G))
    in_word_G = through_G1[:-1] - np.repeat(through_G1[word_firsts_W], np.diff(word_segments_W1))
    polynomial_W = concatenated(pieces.hashes_G[segment_G], in_word_G, word_segments_W1)
    word_offsets_P1 = words_before_G1[segment_offsets_P1]
    sizes_P = np.diff(through_G1[segment_offsets_P1])
    text_starts_P = through_G1[segment_offsets_P1[:-1]]
    in_text_W = through_G1[word_firsts_W] - np.repeat(text_starts_P, np.diff(word_offsets_P1))
    size_W = np.diff(through_G1[word_segments_W1])
    return TextWords(
        word_hashes_W=mixed(polynomial_W + size_W.astype(np.uint64)),
        word_offsets_P1=word_offsets_P1,
        digests_P=mixed(
            range_sums(polynomial_W * powers(int(in_text_W.max(initial=0)) + 1)[in_text_W], word_offsets_P1)
            + sizes_P.astype(np.uint64)
        ),
        sizes_P=sizes_P,
    )
