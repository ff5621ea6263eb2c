"""Read words and their tags from columns: CoNLL, IOB and BIO files (.conll, .conllu, .iob, .bio). A sentence is a row.

A line is a word; a blank line ends a sentence. If the first word's line has a tab, only tabs separate columns, so
that a word may contain a blank; else blanks do too. Every line has as many columns as the first. The file's columns
are lists: `tokens` is the first column, `ner_tags` the last, and each has its number from 1 as well. Tags are kept as
they are, whether IOB1, BIO or BIOES. Lines of -DOCSTART- are left out.

A line that begins with # before the first word of a sentence may be a comment, or a word such as #:

1. A line of another number of columns, and a line such as `# id = 7`, is a comment.
2. In files whose words are numbered (CoNLL-U: four columns or more, and the first word has number 1), all are comments.
3. In files with tags of entities (O, B-PER), it is a word if its last column is such a tag, else a comment.
4. In files with other tags (NN), #word is a word, and # alone is an error: it could be either.

Inside a sentence there are no comments. In files whose words are numbered, lines numbered 1-2 or 1.1 are left out: they
are not words, but spans of words and what the sentence omits. The schema's metadata say whether `tokens` are numbers:
whether the first column counts the words of each of the first sentences.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from tdbs.data.columns import WORD_NAMES, BadRows, refuse_or_note
from tdbs.data.content import ROWS_AT_ONCE
from tdbs.data.formats.data_file import DataFile, open_text
from tdbs.errors import RowError, SourceError
from tdbs.shown import fitted

NUMBERED = b"tdbs.numbered"  # in a schema's metadata: words have numbers, and the value is the tags' likely column
_BLANKS = re.compile(r"[ \t]+")  # not all that Python calls white space: a word may contain a no-break space
_TABS = re.compile(r" *\t[ \t]*")
_ENTITY_TAG = re.compile(r"O|[BIESLU]-.+")
_FIRST_NUMBER = re.compile(r"1|1-[0-9]+|0\.1")
_NOT_A_WORD = re.compile(r"[0-9]+[-.][0-9]+")  # in place of a word's number
_DOCUMENT = "-DOCSTART-"
_WORDS = pa.list_(pa.string())
_LOOKED_AT = 20  # sentences that say whether words are numbered


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """What the first word of a file says of its lines."""

    columns: int
    has_entity_tags: bool
    is_numbered: bool  # the first column contains each word's number in its sentence
    has_tabs: bool  # alone between columns


def read_schema(file: DataFile) -> pa.Schema:
    """Return `tokens`, `ner_tags` if there are two columns or more, and the numbers of the columns; all are lists."""
    shape = _shape(file)
    schema = pa.schema([(name, _WORDS) for name in _places(shape.columns)])
    tags = _tags_of_numbered(file, shape)
    return schema if tags is None else schema.with_metadata({NUMBERED: str(tags).encode()})


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
    line = ""
    for _, text in _lines(file):
        if text and not _is_document(text):
            line = text
            if not text.startswith("#"):
                break
    if not line:
        raise SourceError(f"{file.name} has no words.", next_step="Write a word and its tag in each line.")
    has_tabs = "\t" in line
    first = _fields(line, has_tabs=has_tabs)
    return _Shape(
        columns=len(first),
        has_entity_tags=_ENTITY_TAG.fullmatch(first[-1]) is not None,
        is_numbered=len(first) > 3 and _FIRST_NUMBER.fullmatch(first[0]) is not None,
        has_tabs=has_tabs,
    )


def _tags_of_numbered(file: DataFile, shape: _Shape) -> int | None:
    """Return the likely column of tags if the first column counts the words of each of the first sentences.

    That is the first column of tags of entities, else that of parts of speech in CoNLL-U. One word alone is not enough.
    """
    looked_at = [
        [fields for fields in sentence if not _NOT_A_WORD.fullmatch(fields[0])]
        for sentence in islice(_sentences(file, shape, {}), _LOOKED_AT)
        if sentence is not None
    ]
    words = [fields for sentence in looked_at for fields in sentence]
    counts = (fields[0] == str(number) for sentence in looked_at for number, fields in enumerate(sentence, start=1))
    if shape.columns < 3 or len(words) < 2 or not all(counts):
        return None
    tagged = (
        place + 1 for place in range(2, shape.columns) if all(_ENTITY_TAG.fullmatch(fields[place]) for fields in words)
    )
    return next(tagged, min(shape.columns, 4))


def _sentences(file: DataFile, shape: _Shape, bad: BadRows | None) -> Iterator[list[list[str]] | None]:
    """Yield the fields of each word of a sentence; None for one with a fault, which `bad` records."""
    row, words, is_bad = 0, list[list[str]](), False
    for number, line in _lines(file):
        if not line or _is_document(line):
            if words:
                yield None if is_bad else words
                row, words, is_bad = row + 1, [], False
            continue
        fields = _fields(line, has_tabs=shape.has_tabs)
        if not words and _is_comment(fields, shape, f"Line {number} of {file.name}"):
            continue
        if len(fields) != shape.columns:
            reason = f"has {len(fields)} columns, the first word has {shape.columns}"
            if bad is None:
                separators = "tabs" if shape.has_tabs else "tabs or blanks"
                raise RowError(
                    f"Line {number} of {file.name} {reason}.",
                    next_step=f"Give each line as many, separated by {separators}; end a sentence with a blank line.",
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
            fitted("{name} can be a comment or the word #: it has as many columns as a word.", name=name),
            next_step="Delete the line if it is a comment; if # is a word, write the file as JSONL.",
        )
    return shape.has_entity_tags


def _is_document(line: str) -> bool:
    return _BLANKS.split(line, maxsplit=1)[0] == _DOCUMENT


def _fields(line: str, *, has_tabs: bool) -> list[str]:
    return (_TABS if has_tabs else _BLANKS).split(line)


def _lines(file: DataFile) -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 1, without the blanks around it."""
    with open_text(file) as text:
        for number, line in enumerate(text, start=1):
            yield number, line.strip(" \t\r\n")
