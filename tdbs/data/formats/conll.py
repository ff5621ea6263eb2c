"""Read words and their tags from columns: CoNLL, IOB and BIO files (.conll, .iob, .bio). A sentence is a row.

A line is a word, with its columns separated by tabs or blanks, so no field contains one; a blank line ends a sentence.
Every line has as many columns as the first. The file's columns are lists: `tokens` is the first column, `ner_tags` the
last, and each has its number from 1 as well. Tags are kept as they are, whether IOB1, BIO or BIOES. Lines of -DOCSTART-
are left out.

A line that begins with # before the first word of a sentence may be a comment, or a word such as #:

1. A line of another number of columns, and a line such as `# id = 7`, is a comment.
2. In files whose words are numbered (CoNLL-U: four columns or more, and the first word has number 1), all are comments.
3. In files with tags of entities (O, B-PER), it is a word if its last column is such a tag, else a comment.
4. In files with other tags (NN), #word is a word, and # alone is an error: it could be either.

Inside a sentence there are no comments. In files whose words are numbered, lines numbered 1-2 or 1.1 are left out: they
are not words, but spans of words and what the sentence omits.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from tdbs.data.columns import WORD_NAMES, BadRows, refuse_or_note
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.data_file import DataFile, not_in_encoding, open_text
from tdbs.errors import RowError, SourceError

_BLANKS = re.compile(r"[ \t]+")  # not all that Python calls white space: a word may contain a no-break space
_ENTITY_TAG = re.compile(r"O|[BIESLU]-.+")
_FIRST_NUMBER = re.compile(r"1|1-[0-9]+|0\.1")
_NOT_A_WORD = re.compile(r"[0-9]+[-.][0-9]+")  # in place of a word's number
_DOCUMENT = "-DOCSTART-"
_WORDS = pa.list_(pa.string())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """What the first word of a file says of its lines."""

    columns: int
    has_entity_tags: bool
    is_numbered: bool  # the first column contains each word's number in its sentence


def read_schema(file: DataFile) -> pa.Schema:
    """Return `tokens`, `ner_tags` if there are two columns or more, and the numbers of the columns; all are lists."""
    return pa.schema([(name, _WORDS) for name in _places(_shape(file).columns)])


def read_columns(file: DataFile, columns: list[str], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns, some sentences at a time.

    With `bad`, sentences that have a line of another number of columns are recorded there, and are nulls.
    """
    shape = _shape(file)
    places = [_places(shape.columns)[column] for column in columns]
    values: list[list[list[str] | None]] = [[] for _ in places]
    for sentence in _sentences(file, shape, bad):
        for place, found in zip(places, values, strict=True):
            found.append(None if sentence is None else [fields[place] for fields in sentence])
        if values and len(values[0]) == ROWS_AT_ONCE:
            yield pa.table([pa.array(found, _WORDS) for found in values], names=columns)
            values = [[] for _ in places]
    yield pa.table([pa.array(found, _WORDS) for found in values], names=columns)


def _places(columns: int) -> dict[str, int]:
    """Return the place of each column in a line, by its names."""
    tokens, tags = WORD_NAMES
    named = {tokens: 0} | ({tags: columns - 1} if columns > 1 else {})
    return named | {str(place + 1): place for place in range(columns)}


def _shape(file: DataFile) -> _Shape:
    """Return the shape of a file, by its first word that does not begin with #, if there is one."""
    first: list[str] = []
    for _, fields in _lines(file):
        if fields and fields[0] != _DOCUMENT:
            first = fields
            if not fields[0].startswith("#"):
                break
    if not first:
        raise SourceError(f"{file.name} has no words.", next_step="Write a word and its tag in each line.")
    return _Shape(
        columns=len(first),
        has_entity_tags=_ENTITY_TAG.fullmatch(first[-1]) is not None,
        is_numbered=len(first) > 3 and _FIRST_NUMBER.fullmatch(first[0]) is not None,
    )


def _sentences(file: DataFile, shape: _Shape, bad: BadRows | None) -> Iterator[list[list[str]] | None]:
    """Yield the fields of each word of a sentence; None for one with a fault, which `bad` records."""
    row, words, is_bad = 0, list[list[str]](), False
    for number, fields in _lines(file):
        if not fields or fields[0] == _DOCUMENT:
            if words:
                yield None if is_bad else words
                row, words, is_bad = row + 1, [], False
            continue
        if not words and _is_comment(fields, shape, f"Line {number} of {file.name}"):
            continue
        if len(fields) != shape.columns:
            reason = f"has {len(fields)} columns, the first word has {shape.columns}"
            if bad is None:
                raise RowError(
                    f"Line {number} of {file.name} {reason}.",
                    next_step="Give each line as many, separated by tabs or blanks; end a sentence with a blank line.",
                    reasons={row: f"contains line {number}, which {reason}"},
                )
            refuse_or_note(bad, row, file.name, f"contains line {number}, which {reason}", next_step="")
            is_bad = True
        if not (shape.is_numbered and _NOT_A_WORD.fullmatch(fields[0])):
            words.append(fields)
    if words:
        yield None if is_bad else words


def _is_comment(fields: list[str], shape: _Shape, name: str) -> bool:
    """Return whether a line before the first word of a sentence is a comment."""
    if not fields[0].startswith("#"):
        return False
    if len(fields) != shape.columns or shape.is_numbered or fields[2:3] == ["="]:
        return True
    if _ENTITY_TAG.fullmatch(fields[-1]):
        return False
    if fields[0] == "#" and not shape.has_entity_tags:
        raise SourceError(
            f"{name} can be a comment or the word #: it has as many columns as a word.",
            next_step="Delete the line if it is a comment; if # is a word, write the file as JSONL.",
        )
    return shape.has_entity_tags


def _lines(file: DataFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line with its number from 1; a blank line has none."""
    try:
        with open_text(file) as text:
            for number, line in enumerate(text, start=1):
                plain = line.strip(" \t\r\n")
                yield number, _BLANKS.split(plain) if plain else []
    except UnicodeDecodeError as error:
        raise not_in_encoding(file) from error
