"""Droppable words by plain loops over the raw text: the slow oracle for stopword spans.

Two steps. `droppable_matches` looks at the text alone and finds the listed words and marks. `droppable_spans` then
asks which runs of tokens cover such a match exactly. Cost: (characters x longest word) + (matches x tokens).
"""

import unicodedata
from collections.abc import Collection

# Typed from App. A of the paper, one printed run after the other: 128 words, then 6 marks. No negation, no comma.
PAPER_STOPWORDS: tuple[str, ...] = (
    *("i", "me", "my", "myself", "we", "our", "ours", "ourselves", "you", "you're", "you've", "you'll", "you'd"),
    *("your", "yours", "yourself", "yourselves", "he", "him", "his", "himself", "she", "she's", "her", "hers"),
    *("herself", "it", "it's", "its", "itself", "they", "them", "their", "theirs", "themselves", "what", "which"),
    *("who", "whom", "this", "that", "that'll", "these", "those", "am", "is", "are", "was", "were", "be", "been"),
    *("being", "have", "has", "had", "having", "do", "does", "did", "doing", "a", "an", "the", "and", "but", "if"),
    *("or", "because", "as", "until", "while", "of", "at", "by", "for", "with", "about", "against", "between"),
    *("into", "through", "during", "before", "after", "above", "below", "to", "from", "up", "down", "in", "out"),
    *("on", "off", "over", "under", "again", "further", "then", "once", "here", "there", "when", "where", "why"),
    *("how", "all", "any", "both", "each", "few", "more", "most", "other", "some", "such", "only", "own", "so"),
    *("than", "too", "very", "can", "will", "just", "should", "should've", "now"),
    *("-", ".", ";", "...", "(", ")"),
)

HYPHENS = ("-", "\u2010", "\u2011")  # hyphen-minus, hyphen, non-breaking hyphen
APOSTROPHES = ("'", "\u2019")
LONE_PREFIX = "\u2581"  # SentencePiece's "▁" as a token of its own


def fold(piece: str, *, turkish: bool = False) -> str:
    """Return the piece as it is compared: case-folded and decomposed, ’ read as '; Turkish knows two letters i."""
    lowered = ""
    for place, character in enumerate(piece.replace("\u2019", "'")):
        if turkish and character == "I":
            dotted = piece[place + 1 : place + 2] == "\u0307"
            lowered += "i" if dotted else "\u0131"
        elif turkish and character == "\u0130":
            lowered += "i"
        elif turkish and character == "\u0307" and piece[place - 1 : place] == "I":
            continue
        else:
            lowered += character
    folded = ""
    for character in unicodedata.normalize("NFD", lowered):
        folded += character.casefold()
    return unicodedata.normalize("NFD", folded)


def is_letter_or_digit(character: str) -> bool:
    """Tell whether the character is of Unicode category L or N; the empty string (no neighbour) is not."""
    return character != "" and unicodedata.category(character)[0] in "LN"


def is_mark(character: str) -> bool:
    """Tell whether the character is of Unicode category M (a combining mark)."""
    return character != "" and unicodedata.category(character)[0] == "M"


def joins_a_word(character: str) -> bool:
    """Tell whether this neighbour makes a listed word a mere part of something longer."""
    if is_letter_or_digit(character) or is_mark(character):
        return True
    return character in HYPHENS or character in APOSTROPHES or character == "_"


def is_word_entry(entry: str) -> bool:
    """Tell a listed word from a listed punctuation mark: a word holds at least one letter, digit or mark."""
    return any(is_letter_or_digit(character) or is_mark(character) for character in entry)


def neighbours_allow(text: str, start: int, end: int) -> bool:
    """Apply the rule of neighbours to the slice [start, end): one rule for words, another for punctuation."""
    before = text[start - 1] if start > 0 else ""
    after = text[end] if end < len(text) else ""
    if is_word_entry(text[start:end]):
        return not joins_a_word(before) and not joins_a_word(after)
    return not (is_letter_or_digit(before) and is_letter_or_digit(after))


def droppable_matches(text: str, words: Collection[str]) -> list[tuple[int, int]]:
    """Return the character spans [start, end) of the listed words and marks of the text, from left to right."""
    turkish = any("\u0131" in word for word in words)
    listed: set[str] = set()
    for word in words:
        listed.add(fold(word, turkish=turkish))
    listed.discard("")
    longest = 0
    for entry in listed:
        # folding shortens nothing but I and its dot, in Turkish: no slice longer than this can match
        longest = max(longest, len(entry) * (2 if turkish else 1))

    lettered = {entry for entry in listed if any(is_letter_or_digit(character) for character in entry)}
    matches: list[tuple[int, int]] = []
    taken: set[int] = set()
    for kind in (lettered, listed - lettered):  # a mark in a word is part of the word
        start = 0
        while start < len(text):
            found_end = None
            for end in range(min(start + longest, len(text)), start, -1):  # the longest slice first
                is_listed = fold(text[start:end], turkish=turkish) in kind
                if is_listed and taken.isdisjoint(range(start, end)) and neighbours_allow(text, start, end):
                    found_end = end
                    break
            if found_end is None:
                start += 1
            else:
                matches.append((start, found_end))
                start = found_end
        for match in matches:
            taken.update(range(*match))
    return sorted(matches)


def without_leading_whitespace(text: str, offsets: tuple[int, int]) -> tuple[int, int]:
    """Move the start of a token's offsets behind the whitespace that its own slice of the text begins with."""
    start, end = offsets
    while start < end and text[start].isspace():
        start += 1
    return start, end


def droppable_spans(
    text: str, token_offsets: list[tuple[int, int]], token_strings: list[str], words: Collection[str]
) -> list[tuple[int, int]]:
    """Return (first token index, number of tokens) of every match that whole tokens cover exactly.

    The token lists hold one segment's tokens without special ones, possibly truncated.
    """
    if len(token_offsets) != len(token_strings):
        raise ValueError(f"{len(token_offsets)} offsets for {len(token_strings)} token strings")
    spans: list[tuple[int, int]] = []
    for match_start, match_end in droppable_matches(text, words):
        span = tokens_of_match(text, match_start, match_end, token_offsets, token_strings)
        if span is not None:
            spans.append(span)
    return spans


def tokens_of_match(
    text: str,
    match_start: int,
    match_end: int,
    token_offsets: list[tuple[int, int]],
    token_strings: list[str],
) -> tuple[int, int] | None:
    """Return (first token index, number of tokens) of one match, or None where tokens do not cover it exactly."""
    members: list[int] = []
    covered: set[int] = set()
    for index, offsets in enumerate(token_offsets):
        if token_strings[index] == LONE_PREFIX:
            continue  # its offsets may be the space before or the next token's first character: trust neither
        start, end = without_leading_whitespace(text, offsets)
        if start >= end or end <= match_start or start >= match_end:
            continue  # only whitespace, or no character in common with the match
        if start < match_start or end > match_end:
            return None  # the token reaches over an edge
        members.append(index)
        covered.update(range(start, end))

    for position in range(match_start, match_end):
        if position not in covered:
            return None  # truncation cut the word

    first, last = members[0], members[-1]
    for index in range(first, last + 1):
        if index not in members and token_strings[index] != LONE_PREFIX:
            return None  # a token that belongs to nobody stands between: this is no run of the word's own tokens
    while first > 0 and token_strings[first - 1] == LONE_PREFIX:
        first -= 1  # "▁" belongs to the word after it
    return first, last - first + 1
