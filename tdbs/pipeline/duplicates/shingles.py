"""Shingles of texts: three words in a row, as a set of hashes for each text, ascending.

A text of one or two words has one shingle, of all its words; so it is near only to a text of the same words.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, mixed

# Shapes: P texts, P1 = P + 1, W words, S shingles.

WORDS = 3
_PLACE_BITS = 63  # of the number of a text and the hash of a shingle together, which are sorted as one number


@dataclass(frozen=True, kw_only=True, slots=True)
class Shingles:
    """The set of each text: text p has shingles [p] to [p + 1], without repeats, ascending."""

    hashes_S: HashArray
    offsets_P1: IntArray

    @property
    def sizes_P(self) -> IntArray:
        """Shingles of each text."""
        return np.diff(self.offsets_P1)

    def sizes_of(self, texts_Q: IntArray) -> IntArray:
        """Return the shingles of some texts (Q)."""
        return self.offsets_P1[texts_Q + 1] - self.offsets_P1[texts_Q]


def hash_bits(texts: int) -> int:
    """Return the bits of a shingle's hash that this number of texts leaves of 63: 39 of ten million texts."""
    return _PLACE_BITS - (texts + 1).bit_length()


def shingles_of(word_hashes_W: HashArray, offsets_P1: IntArray, *, bits: int | None = None) -> Shingles:
    """Return the sets of shingles of texts.

    Args:
        word_hashes_W: Hashes of the words of all texts, in order.
        offsets_P1: Text p has words [p] to [p + 1].
        bits: Hashes are cut to these bits: the number that `hash_bits` gives for all texts, if these are a part of
            them. None: these are all.

    Returns:
        The sets. Cost: 80 bytes a word on the way.
    """
    bits = hash_bits(len(offsets_P1) - 1) if bits is None else bits
    words_P = np.diff(offsets_P1)
    count_P = np.where(words_P >= WORDS, words_P - (WORDS - 1), np.minimum(words_P, 1))
    first_S = ragged_positions(offsets_P1[:-1], count_P)
    text_S = np.repeat(np.arange(len(words_P)), count_P)
    size_S = np.minimum(words_P, WORDS)[text_S]
    hash_S = word_hashes_W[first_S]
    for more in range(1, WORDS):
        has_S = size_S > more
        next_S = word_hashes_W[np.where(has_S, first_S + more, first_S)]
        hash_S = np.where(has_S, mixed(hash_S * GOLDEN + next_S), hash_S)
    packed_S = (text_S.astype(np.uint64) << np.uint64(bits)) | (hash_S >> np.uint64(64 - bits))
    packed_S.sort()
    is_new_S = np.append(True, packed_S[1:] != packed_S[:-1])[: len(packed_S)]
    packed_S = packed_S[is_new_S]
    sizes_P = np.bincount((packed_S >> np.uint64(bits)).astype(np.int64), minlength=len(words_P))
    return Shingles(hashes_S=packed_S & np.uint64((1 << bits) - 1), offsets_P1=offsets_of(sizes_P))
