"""Find droppable words in raw text: where a listed word stands alone.

Longest match first ("you're" before "you"), case-folded, ’ read as '. A word's neighbours are no letter, digit,
mark, hyphen, apostrophe or underscore; a punctuation mark does not stand between two letters or digits. If the
longest match fails its neighbours, shorter ones at the same place are tried (docs/decisions.md, "Droppable words").
So neither "of" and "-" in "state-of-the-art" nor "." in "3.5" nor "it" in "item".
"""

import re
import sys
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from tdbs.arrays import IntArray

_LETTER_OR_DIGIT = r"[^\W_]"  # Python's \w is Unicode L, N and the underscore (a test checks every code point)
_NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, kw_only=True, slots=True)
class WordPattern:
    """The list of droppable words, compiled: words with letters, and punctuation marks."""

    words: re.Pattern[str]
    marks: re.Pattern[str]


def compile_words(words: Collection[str]) -> WordPattern:
    """Compile a list of words and punctuation marks, in any order and case."""
    folded = sorted({_fold(word) for word in words}, key=lambda word: (-len(word), word))
    lettered = [re.escape(word) for word in folded if re.search(_LETTER_OR_DIGIT, word)]
    marks = [re.escape(word) for word in folded if not re.search(_LETTER_OR_DIGIT, word)]
    other = rf"['\-\u2010\u2011{_combining_marks()}]"  # U+2010 and U+2011 are hyphens too
    before, after = rf"(?<!\w)(?<!{other})", rf"(?!\w)(?!{other})"  # \w first: it is cheap and mostly decides
    # Of each mark, longest first: it may follow a letter or digit, or precede one, but not both.
    alone = [f"(?<!{_LETTER_OR_DIGIT}){mark}|{mark}(?!{_LETTER_OR_DIGIT})" for mark in marks]
    return WordPattern(
        words=re.compile(f"{before}(?:{'|'.join(lettered)}){after}") if lettered else _NEVER,
        marks=re.compile("|".join(alone)) if marks else _NEVER,
    )


def find_droppable(text: str, pattern: WordPattern) -> tuple[IntArray, IntArray]:
    """Return starts and ends (characters, half-open) of all droppable words of a text, in order.

    Words and marks never overlap, so the two scans do not need to know of each other. Marks are looked up in the
    text as it is, words in the case-folded text; folding may lengthen it ("ß" becomes "ss"), then positions are
    mapped back.
    """
    folded = _fold(text)
    word_spans = _spans(pattern.words, folded)
    if len(folded) != len(text):
        # origin[i] is the character of the text that character i of the folded text came from
        widths = np.fromiter((len(_fold(character)) for character in text), dtype=np.int64, count=len(text))
        origin = np.append(np.repeat(np.arange(len(text)), widths), len(text))
        word_spans = origin[word_spans]
    spans = np.concatenate([word_spans, _spans(pattern.marks, text)])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    return spans[:, 0], spans[:, 1]


def _fold(text: str) -> str:
    return text.replace("’", "'").casefold()


def _spans(pattern: re.Pattern[str], text: str) -> IntArray:
    return np.array([match.span() for match in pattern.finditer(text)], dtype=np.int64).reshape(-1, 2)


@cache
def _combining_marks() -> str:
    """Return all characters of category M as the inside of a character class; `re` has no name for them."""
    marks = [c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c))[0] == "M"]
    breaks = np.flatnonzero(np.diff(marks) > 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(marks) - 1)
    return "".join(f"{chr(marks[first])}-{chr(marks[last])}" for first, last in zip(firsts, lasts, strict=True))
