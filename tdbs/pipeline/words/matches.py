"""Find droppable words in raw text: places where a listed word stands alone.

The longest match comes first ("you're" before "you"), case-folded, ’ read as '. The neighbours of a word are not a
letter, digit, mark, hyphen, apostrophe or underscore; a punctuation mark is not between two letters or digits. If the
longest match fails this rule, shorter ones at the same place are tried (docs/decisions.md, "Droppable words"). So
neither "of" and "-" in "state-of-the-art" nor "." in "3.5" nor "it" in "item" match. Folding is Unicode's canonical
caseless matching (3.13, D145), so "é" is one letter however it is written; a list with a dotless ı is Turkish or Azeri,
where I is the capital of ı and İ that of i.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from tdbs.arrays import IntArray, ragged_positions

# Shapes: C characters of a text.

_LETTER_OR_DIGIT = r"[^\W_]"  # Python's \w is Unicode L, N and the underscore (a test checks every code point)
_NEVER = re.compile(r"(?!)")
_DOT_ABOVE = "\u0307"
_ASCII_END = 128
_WITH_MARKS = [*range(0x300, 0x20000), *range(0xE0000, 0xE0200)]  # no mark elsewhere: a test looks at all


@dataclass(frozen=True, kw_only=True, slots=True)
class WordPattern:
    """The list of droppable words, compiled: words with letters, and punctuation marks."""

    words: re.Pattern[str]
    marks: re.Pattern[str]
    is_turkish: bool
    has_spaces: bool  # whether a word contains spaces, and so spans spaces of a text
    shared: str  # characters of marks that words contain too, as in "etc."


def compile_words(words: Collection[str]) -> WordPattern:
    """Compile a list of words and punctuation marks, in any order and case."""
    is_turkish = any("ı" in word for word in words)
    folded = sorted({fold(word, is_turkish=is_turkish) for word in words}, key=lambda word: (-len(word), word))
    lettered = [word for word in folded if re.search(_LETTER_OR_DIGIT, word)]
    marks = [word for word in folded if not re.search(_LETTER_OR_DIGIT, word)]
    other = rf"['\-\u2010\u2011{combining_marks()}]"  # U+2010 and U+2011 are hyphens too
    before, after = rf"(?<!\w)(?<!{other})", rf"(?!\w)(?!{other})"  # \w first: it is cheap and mostly decides
    any_word = "|".join(map(re.escape, lettered))
    # Of each mark, longest first: it may follow a letter or digit, or precede one, but not both.
    any_mark = "|".join(f"(?<!{_LETTER_OR_DIGIT}){mark}|{mark}(?!{_LETTER_OR_DIGIT})" for mark in map(re.escape, marks))
    return WordPattern(
        words=re.compile(f"{_first_of(lettered)}{before}(?:{any_word}){after}") if lettered else _NEVER,
        marks=re.compile(f"{_first_of(marks)}(?:{any_mark})") if marks else _NEVER,
        is_turkish=is_turkish,
        has_spaces=any(re.search(r"\s", word) for word in words),
        shared="".join(sorted(set("".join(marks)) & set("".join(lettered)))),
    )


def find_droppable(text: str, pattern: WordPattern) -> tuple[IntArray, IntArray]:
    """Return starts and ends (characters, half-open) of all droppable words of a text, in order.

    Marks are looked up in the text as it is, but for ’, words in the folded text, whose positions are mapped back. A
    mark in a word, as in "etc.", is part of the word.
    """
    word_spans = _spans(pattern.words, fold(text, is_turkish=pattern.is_turkish))
    if not text.isascii():
        word_spans = _origins(text, is_turkish=pattern.is_turkish)[word_spans]
    marked = text.replace("’", "'")
    outside = _without(marked, word_spans, pattern.shared) if pattern.shared else marked
    spans = np.concatenate([word_spans, _spans(pattern.marks, outside)])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    return spans[:, 0], spans[:, 1]


def fold(text: str, *, is_turkish: bool = False) -> str:
    """Return a text in which all ways to write a word are one; it may be longer ("ß" becomes "ss")."""
    text = text.replace("’", "'")
    if text.isascii() and not is_turkish:
        return text.casefold()
    if is_turkish:
        text = text.replace("İ", "i").replace("I" + _DOT_ABOVE, "i").replace("I", "ı")
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


@cache
def combining_marks() -> str:
    """Return all characters of category M as the inside of a character class; `re` has no name for them."""
    marks = [c for c in _WITH_MARKS if unicodedata.category(chr(c))[0] == "M"]
    breaks = np.flatnonzero(np.diff(marks) > 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(marks) - 1)
    return "".join(f"{chr(marks[first])}-{chr(marks[last])}" for first, last in zip(firsts, lasts, strict=True))


def _origins(text: str, *, is_turkish: bool) -> IntArray:
    """Return, for each character of the folded text and for its end, the character of the text that it came from.

    Folding goes character by character, but for marks that change places among themselves, inside of a word.
    """
    codes_C = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    widths_C = np.ones(len(codes_C), dtype=np.int64)
    other = np.flatnonzero(codes_C >= _ASCII_END)
    distinct, which = np.unique(codes_C[other], return_inverse=True)
    lengths = [len(fold(chr(code), is_turkish=is_turkish)) for code in distinct.tolist()]
    widths_C[other] = np.array(lengths, dtype=np.int64)[which]
    if is_turkish:  # I and a dot of its own become one letter
        dotted = np.flatnonzero((codes_C[:-1] == ord("I")) & (codes_C[1:] == ord(_DOT_ABOVE)))
        widths_C[dotted + 1] = 0
    return np.append(np.repeat(np.arange(len(codes_C)), widths_C), len(codes_C))


def _without(text: str, word_spans: IntArray, characters: str) -> str:
    """Return a text with NUL, which is in no list, in place of some characters of its words."""
    codes_C = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).copy()
    inside = ragged_positions(word_spans[:, 0], np.diff(word_spans, axis=1).ravel())
    codes_C[inside[np.isin(codes_C[inside], [ord(each) for each in characters])]] = 0
    return codes_C.tobytes().decode("utf-32-le", "surrogatepass")


def _first_of(words: Collection[str]) -> str:
    """Return the condition that a match begins as one of the words does: it is cheap, and most places fail it."""
    firsts = {re.escape(word[0]) for word in words}
    return f"(?=[{''.join(sorted(firsts))}])"


def _spans(pattern: re.Pattern[str], text: str) -> IntArray:
    return np.array([match.span() for match in pattern.finditer(text)], dtype=np.int64).reshape(-1, 2)
