"""What each token id stands for in the normal form of a text: letters and digits, in lower case, cut into words.

A text is not in the shards, but its tokens are, so each distinct id is decoded once. Behind an anchor, an id decodes to
what it adds to a text, with the space before a new word, whatever the tokenizer's family. An id that is unknown is a
word of its own that equals itself alone, and so is a part of a character, unless `spelled.py` joins it with the others.
Cost: Python sees each distinct id once.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders

from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.pipeline.duplicates.mixing import HashArray, mixed, range_sums

# Shapes: V ids of the vocabulary, V1 = V + 1, G segments of the ids (stretches of letters and digits), B their bytes.

REPLACEMENT = "\ufffd"  # what part of a character decodes to
_ANCHOR = "a"
_RARE = ("\U00010c00", "\U00010c01")  # two letters of Old Turkic: who spells both alike knows neither
_BASE = 0xD1342543DE82EF95  # of the polynomial; odd, so that no power of it is 0
_BYTE_VALUES = mixed(np.arange(1, 257, dtype=np.uint64))
# Scripts without spaces: each letter is a word.
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
_UNSPACED_BEYOND = 0x20000

Found = tuple[list[tuple[bytes, bool]], bool]  # segments, each with whether a word begins there; whether it ends one


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """The segments of each id; id v has segments [v] to [v + 1]."""

    offsets_V1: IntArray
    bytes_B: npt.NDArray[np.uint8]
    byte_offsets_G1: IntArray
    hashes_G: HashArray  # of the bytes, as `concatenated` joins them
    begins_G: BoolArray  # no segment before it belongs to its word
    ends_V: BoolArray  # nothing behind the id belongs to a word before it
    is_part_V: BoolArray  # the id is a part of a character, with or without whole ones
    texts: dict[int, str]  # what each decoded id adds to a text
    tokenizer: Tokenizer

    @property
    def sizes_G(self) -> IntArray:
        """Bytes of each segment."""
        return np.diff(self.byte_offsets_G1)


def pieces_of(tokenizer: Tokenizer, ids: npt.ArrayLike, *, special_ids: Iterable[int] = ()) -> Pieces:
    """Return the segments of some ids of a tokenizer.

    Args:
        tokenizer: The tokenizer that made the ids.
        ids: The distinct ids; all others get no segments.
        special_ids: Ids outside of texts: they have no segment, and end words.

    Returns:
        The segments of ids 0 to the greatest one.
    """
    unknown = unknown_id(tokenizer)
    special = set(special_ids) - {unknown}  # some tokenizers call it special, but it stands for a word of the text
    wanted = np.unique(np.asarray(ids, dtype=np.int64))
    wanted = wanted[~np.isin(wanted, list(special))]
    texts = _added_texts(tokenizer, wanted.tolist())
    count = int(max([-1, *wanted.tolist(), *special])) + 1
    found: list[Found] = [([], True)] * count
    is_part_V = np.zeros(count, dtype=np.bool_)
    for number, text in texts.items():
        is_part_V[number] = number != unknown and REPLACEMENT in text
        itself_alone = number == unknown or is_part_V[number]
        found[number] = alone([number]) if itself_alone else segments_of(text)
    return flat_pieces(found, is_part_V=is_part_V, texts=texts, tokenizer=tokenizer)


def flat_pieces(found: Sequence[Found], *, is_part_V: BoolArray, texts: dict[int, str], tokenizer: Tokenizer) -> Pieces:
    """Return the segments of ids 0, 1, ... as flat arrays."""
    segments = [segment for each, _ in found for segment, _ in each]
    bytes_B = np.frombuffer(b"".join(segments), dtype=np.uint8)
    byte_offsets_G1 = offsets_of([len(segment) for segment in segments])
    return Pieces(
        offsets_V1=offsets_of([len(each) for each, _ in found]),
        bytes_B=bytes_B,
        byte_offsets_G1=byte_offsets_G1,
        hashes_G=_byte_hashes(bytes_B, byte_offsets_G1),
        begins_G=np.array([begins for each, _ in found for _, begins in each], dtype=np.bool_),
        ends_V=np.array([ends for _, ends in found], dtype=np.bool_),
        is_part_V=is_part_V,
        texts=texts,
        tokenizer=tokenizer,
    )


def alone(ids: Iterable[int]) -> Found:
    """Return some ids as a word of its own: no UTF-8 begins as it does."""
    return [(b"\xff" + b"".join(number.to_bytes(4) for number in ids), True)], True


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id that stands for what a tokenizer does not know; None if it spells everything in bytes."""
    named = getattr(tokenizer.model, "unk_token", None)
    if named is not None:
        found: int | None = tokenizer.token_to_id(named)
        return found
    one, other = (tokenizer.encode(letter, add_special_tokens=False).ids for letter in _RARE)
    return int(one[-1]) if one and one == other else None


def concatenated(hashes_G: HashArray, before_G: IntArray, offsets_N1: IntArray) -> HashArray:
    """Return the hashes of texts whose segments have these hashes: of the same bytes the same, however they are cut.

    Args:
        hashes_G: Hashes of segments, in order.
        before_G: Bytes of the text before each segment.
        offsets_N1: Text i has segments [i] to [i + 1].

    Returns:
        The hash of each text (N): the polynomial of its bytes modulo 2 ** 64.
    """
    return range_sums(hashes_G * powers(int(before_G.max(initial=0)) + 1)[before_G], offsets_N1)


def powers(count: int) -> HashArray:
    """Return powers 0 to `count` - 1 of the polynomial's base, modulo 2 ** 64."""
    found = np.full(count, _BASE, dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)


def _byte_hashes(bytes_B: npt.NDArray[np.uint8], offsets_G1: IntArray) -> HashArray:
    before_B = np.arange(len(bytes_B)) - np.repeat(offsets_G1[:-1], np.diff(offsets_G1))
    return concatenated(_BYTE_VALUES[bytes_B], before_B, offsets_G1)


def added_texts(tokenizer: Tokenizer, runs: Sequence[Sequence[int]]) -> list[str]:
    """Return what ids in a row add to a text; a part of a character adds U+FFFD, and so does what is unknown."""
    anchor = tokenizer.encode(_ANCHOR, add_special_tokens=False).ids
    before = tokenizer.decode(anchor, skip_special_tokens=False)
    behind = tokenizer.decode_batch([[*anchor, *run] for run in runs], skip_special_tokens=False)
    return [text[len(before) :] if text.startswith(before) else REPLACEMENT for text in behind]


def _added_texts(tokenizer: Tokenizer, ids: list[int]) -> dict[int, str]:
    """Return what each id adds to a text."""
    if isinstance(tokenizer.decoder, decoders.WordPiece):  # its decoder would move punctuation to the word before
        prefix = tokenizer.decoder.prefix
        tokens = ((number, tokenizer.id_to_token(number) or "") for number in ids)
        return {i: token[len(prefix) :] if token.startswith(prefix) else f" {token}" for i, token in tokens}
    return dict(zip(ids, added_texts(tokenizer, [[number] for number in ids]), strict=True))


def segments_of(text: str) -> Found:
    """Return the segments of what an id adds to a text, with whether a word begins at each, and whether it ends one."""
    word = text.removeprefix(" ")
    if word.isascii() and word.isalnum():  # nearly all ids
        return [(word.lower().encode(), word != text)], False
    found: list[tuple[bytes, bool]] = []
    begins = False
    for kind, characters in groupby(text, _kind_of):
        if kind == "word":
            found.append(("".join(characters).lower().encode(), begins))
            begins = False
        elif kind == "letters":
            found.extend((character.encode(), True) for character in characters)
            begins = True
        else:
            begins = True
    return found, begins


def _kind_of(character: str) -> str:
    """Return what a character is to words: part of one, a word of its own, or the end of one."""
    code = ord(character)
    if code >= _UNSPACED_BEYOND or any(first <= code <= last for first, last in _UNSPACED):
        return "letters" if unicodedata.category(character)[0] in "LMN" else "gap"
    return "word" if character.isalnum() or unicodedata.category(character)[0] == "M" else "gap"
