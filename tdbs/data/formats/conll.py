"""Read words and their tags from columns: CoNLL, IOB and BIO files (.conll, .conllu, .iob, .bio). A sentence is a row.

A line is a word; a blank line ends a sentence. If the first word's line has a tab, only tabs separate columns, so
that a word may contain a blank; else blanks do too. Every line has as many columns as the first. The file's columns
are lists: `tokens` is the first column, `ner_tags` the last, and each has its number from 1 as well. Tags are kept as
they are, whether IOB1, BIO or BIOES. Lines of -DOCSTART- are left out.

A line that begins with # before the first word of a sentence may be a comment, or a word such as #:

1. A line of another number of columns, and a line such as `# id = 7`, is a comment.
2. In files whose words are numbered (CoNLL-U: the first column counts the words of each sentence), all are comments.
3. In files with tags of entities (O, B-PER), it is a word if its last column is such a tag, else a comment.
4. In files with other tags (NN), #word is a word, and # alone is an error: it could be either.

Inside a sentence there are no comments. In files whose words are numbered, lines numbered 1-2 or 1.1 are left out: they
are not words, but spans of words and what the sentence omits. An empty field between two tabs is missing. What the
first sentences say of all that is in conll_shape.py.
"""

import json
from collections.abc import Iterator

import pyarrow as pa

from tdbs.data.columns import WORD_NAMES, BadRows, refuse_or_note
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.conll_shape import (
    ENTITY_TAG,
    NO_WORDS,
    NOT_A_WORD,
    Shape,
    is_document,
    numbered_lines,
    shape_of,
)
from tdbs.data.formats.data_file import DataFile
from tdbs.errors import RowError, SourceError
from tdbs.shown import fitted

_WORDS = pa.list_(pa.string())


def read_schema(file: DataFile) -> pa.Schema:
    """Return `tokens`, `ner_tags` if there are two columns or more, and the numbers of the columns; all are lists."""
    shape = shape_of(file)
    schema = pa.schema([(name, _WORDS) for name in _places(shape.columns)])
    return schema if shape.no_words is None else schema.with_metadata({NO_WORDS: json.dumps(shape.no_words)})


def read_columns(file: DataFile, columns: list[str], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns, some sentences at a time.

    With `bad`, sentences that have a line of another number of columns are recorded there, and are nulls.
    """
    shape = shape_of(file)
    places = [_places(shape.columns)[column] for column in columns]
    values: list[list[list[str | None] | None]] = [[] for _ in places]
    for sentence in _sentences(file, shape, bad):
        for place, found in zip(places, values, strict=True):
            found.append(None if sentence is None else [fields[place] or None for fields in sentence])
        if values and len(values[0]) == ROWS_AT_ONCE:
            yield pa.table([pa.array(found, _WORDS) for found in values], names=columns)
            values = [[] for _ in places]
    yield pa.table([pa.array(found, _WORDS) for found in values], names=columns)


def _places(columns: int) -> dict[str, int]:
    """Return the place of each column in a line, by its names."""
    tokens, tags = WORD_NAMES
    named = {tokens: 0} | ({tags: columns - 1} if columns > 1 else {})
    return named | {str(place + 1): place for place in range(columns)}


def _sentences(file: DataFile, shape: Shape, bad: BadRows | None) -> Iterator[list[list[str]] | None]:
    """Yield the fields of each word of a sentence; None for one with a fault, which `bad` records."""
    row, words, is_bad = 0, list[list[str]](), False
    for number, line in numbered_lines(file):
        if not line or is_document(line):
            if words:
                yield None if is_bad else words
                row, words, is_bad = row + 1, [], False
            continue
        fields = shape.separator.split(line)
        if not words and _is_comment(fields, shape, f"Line {number} of {file.name}"):
            continue
        if len(fields) != shape.columns:
            reason = f"has {len(fields)} columns, the first word has {shape.columns}"
            if bad is None:
                how = f"separated by {shape.separators}"
                raise RowError(
                    f"Line {number} of {file.name} {reason}.",
                    next_step=f"Give each line as many, {how}; end a sentence with a blank line.",
                    reasons={row: f"contains line {number}, which {reason}"},
                )
            refuse_or_note(bad, row, file.name, f"contains line {number}, which {reason}", next_step="")
            is_bad = True
        if not (shape.is_numbered and NOT_A_WORD.fullmatch(fields[0])):
            words.append(fields)
    if words:
        yield None if is_bad else words


def _is_comment(fields: list[str], shape: Shape, name: str) -> bool:
    """Return whether a line before the first word of a sentence is a comment."""
    if not fields[0].startswith("#"):
        return False
    if len(fields) != shape.columns or shape.is_numbered or fields[2:3] == ["="]:
        return True
    if ENTITY_TAG.fullmatch(fields[-1]):
        return False
    if fields[0] == "#" and not shape.has_entity_tags:
        raise SourceError(
            fitted("{name} can be a comment or the word #: it has as many columns as a word.", name=name),
            next_step="Delete the line if it is a comment; if # is a word, write the file as JSONL.",
        )
    return shape.has_entity_tags
