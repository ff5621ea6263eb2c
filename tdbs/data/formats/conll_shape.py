"""What the first sentences of a CoNLL file say of its lines: what separates columns, and whether the first has words.

A first column that counts the words of each sentence, as in CoNLL-U, contains no words. Nor does one with the same
value in all lines of a sentence, as the document in CoNLL-2012. The schema's metadata say so, and where words and tags
probably are.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tdbs.data.formats.data_file import DataFile, open_text
from tdbs.errors import SourceError

NO_WORDS = b"tdbs.no_words"  # in a schema's metadata
ENTITY_TAG = re.compile(r"O|[BIESLU]-.+")
NOT_A_WORD = re.compile(r"([0-9]{1,9})([-.])([0-9]{1,9})")  # in place of a word's number
_BLANKS = re.compile(r"[ \t]+")  # not all that Python calls white space: a word may contain a no-break space
_TAB = re.compile(r" *\t *")
_TABS = re.compile(r" *\t[ \t]*")
_WORD_AND_TAG = re.compile(r".+\|(?:O|[BIESLU]-.+)")  # as spaCy has them, several on a line
_DOCUMENT = "-DOCSTART-"
_LOOKED_AT = 20  # sentences


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What the first sentences of a file say of its lines."""

    columns: int
    separator: re.Pattern[str]
    has_entity_tags: bool
    is_numbered: bool  # the first column contains each word's number in its sentence
    no_words: tuple[str, int, int] | None = None  # why the first column has none; the likely columns of words and tags

    @property
    def separators(self) -> str:
        """What separates columns, in words."""
        return "tabs or blanks" if self.separator is _BLANKS else "tabs"


def shape_of(file: DataFile) -> Shape:
    """Return the shape of a file; its first word that does not begin with # has as many columns as all."""
    blocks = _first_blocks(file)
    if not blocks:
        raise SourceError(f"{file.name} has no words.", next_step="Write a word and its tag in each line.")
    first = next((line for line in blocks[0] if not line.startswith("#")), blocks[0][-1])
    if all(map(_WORD_AND_TAG.fullmatch, _BLANKS.split(first))):
        raise SourceError(
            f"{file.name} has a sentence in each line (word|tag word|tag).",
            next_step="Write a word and its tag in each line, and a blank line after each sentence.",
        )
    words = [_words(block) for block in blocks]
    separator = _separator(first, [line for lines in words for line in lines])
    fields = separator.split(first)
    split = [[separator.split(line) for line in lines] for lines in words]
    sentences = [rows for rows in split if rows and all(len(row) == len(fields) for row in rows)]
    is_numbered = len(fields) > 2 and _are_numbered(sentences)
    return Shape(
        columns=len(fields),
        separator=separator,
        has_entity_tags=ENTITY_TAG.fullmatch(fields[-1]) is not None,
        is_numbered=is_numbered,
        no_words=_no_words(sentences, len(fields), is_numbered=is_numbered),
    )


def words_elsewhere(schema: pa.Schema) -> tuple[str, int, int] | None:
    """Return why a file's first column contains no words, and the likely columns of words and tags, from 1."""
    written = (schema.metadata or {}).get(NO_WORDS)
    return None if written is None else tuple(json.loads(written))


def is_document(line: str) -> bool:
    """Return whether a line begins a document."""
    return _BLANKS.split(line, maxsplit=1)[0] == _DOCUMENT


def numbered_lines(file: DataFile) -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 1, without the blanks around it."""
    with open_text(file) as text:
        for number, line in enumerate(text, start=1):
            yield number, line.strip(" \t\r\n")


def _first_blocks(file: DataFile) -> list[list[str]]:
    """Return the lines of the first sentences; blocks of comments alone are left out, unless there are no others."""
    blocks, lines, last = list[list[str]](), list[str](), ""
    for _, line in numbered_lines(file):
        if line and not is_document(line):
            lines.append(line)
            last = line
            continue
        if _words(lines):
            blocks.append(lines)
        lines = []
        if len(blocks) == _LOOKED_AT:
            return blocks
    if _words(lines):
        blocks.append(lines)
    return blocks or ([[last]] if last else [])


def _words(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of a sentence from its first one that does not begin with #."""
    first = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[first:]


def _separator(first: str, lines: Sequence[str]) -> re.Pattern[str]:
    """Return what separates columns. Between two tabs is an empty field if more lines have as many columns then."""
    if "\t" not in first:
        return _BLANKS
    fitting = {
        pattern: sum(len(pattern.split(line)) == len(pattern.split(first)) for line in lines)
        for pattern in (_TABS, _TAB)
    }
    return _TAB if fitting[_TAB] > fitting[_TABS] else _TABS


def _are_numbered(sentences: Sequence[list[list[str]]]) -> bool:
    """Return whether the first column counts the words of the sentences.

    It must in all, or in more than half if one of these has two words: a file may have a number wrong.
    """
    counts = [count for rows in sentences if (count := _counted(rows))]
    is_most = 2 * len(counts) > len(sentences) and max(counts) > 1
    return is_most or (sum(counts) > 1 and len(counts) == len(sentences))


def _counted(rows: Sequence[list[str]]) -> int:
    """Return how many words a sentence of CoNLL-U has; 0 if its first column does not count them.

    A span of words stands before its first word (1-2, 1, 2), an omitted word behind another (2, 2.1).
    """
    done = 0
    for number, *_ in rows:
        other = NOT_A_WORD.fullmatch(number)
        if other is None and number == str(done + 1):
            done += 1
            continue
        if other is None:
            return 0
        first, mark, last = other.groups()
        is_in_place = int(first) == done + 1 < int(last) if mark == "-" else int(first) == done
        if not is_in_place:
            return 0
    return done


def _no_words(sentences: Sequence[list[list[str]]], columns: int, *, is_numbered: bool) -> tuple[str, int, int] | None:
    """Return why the first column contains no words, and the likely columns of words and tags.

    Tags are in the first column of tags of entities, else in that of parts of speech: CoNLL-U has lemmas before it.
    """
    if is_numbered:
        words, tags = 2, 4
        why = "its words are numbered, so its first column contains no words"
    elif columns > 2 and any(len(rows) > 1 for rows in sentences) and all(_is_one(rows) for rows in sentences):
        words = next((place + 2 for place in range(1, columns - 1) if _counts_at(sentences, place)), 2)
        tags = words + 1
        why = "its first column has one value per sentence, so it contains no words"
    else:
        return None
    rows = [row for rows in sentences for row in rows if not (is_numbered and NOT_A_WORD.fullmatch(row[0]))]
    tagged = (place + 1 for place in range(words, columns) if all(ENTITY_TAG.fullmatch(row[place]) for row in rows))
    return why, words, next(tagged, min(columns, tags))


def _is_one(rows: Sequence[list[str]]) -> bool:
    return len({first for first, *_ in rows}) == 1


def _counts_at(sentences: Sequence[list[list[str]]], place: int) -> bool:
    """Return whether a column counts the words of each sentence, from 0 or 1."""
    return any(
        all(row[place] == str(number) for rows in sentences for number, row in enumerate(rows, start=first))
        for first in (0, 1)
    )
