"""Rows in the forms that people have them in, written by other libraries, with what must be read from them."""

import bz2
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tests.fuzz.mutations import damaged

Row = tuple[Any, Any, Any]  # text, second text, target

# A mark of byte order is none of a text's characters where a file begins with it.
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), min_size=1, max_size=8)
ODD = st.text(st.sampled_from("ab é,;|\t'\"\n\r\\#[]{}:"), min_size=1, max_size=8)
texts = st.one_of(ANY, ODD, ODD, st.sampled_from(("a fine film", "it's; bad, or not", 'say "no"', "NA", "null", "1")))
SOME_LABELS = st.sampled_from((("bad", "good", "fair"), ("0", "1", "2")))
ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32", "shift_jis", "gb18030")


@dataclass(frozen=True, kw_only=True)
class Written:
    """Files below a folder, how to read them, and the rows that they hold."""

    source: str  # the file or folder to read
    files: dict[str, bytes]
    rows: list[Row]
    options: dict[str, Any] = field(default_factory=dict)
    is_certain: bool = True  # False: what was meant is not, so it may be refused

    def write(self, place: Path) -> Path:
        """Write the files below a folder, and return the source."""
        for name, data in self.files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return place / self.source


@dataclass(frozen=True, kw_only=True)
class Form:
    """How rows become the contents of one file, or of each shard."""

    ending: str
    encode: Callable[[list[Row]], bytes]
    options: dict[str, Any]
    is_certain: bool = True


@st.composite
def labelled_rows(draw: st.DrawFn, of: st.SearchStrategy[str] = texts) -> list[Row]:
    """Return rows of at least two classes."""
    labels = draw(SOME_LABELS)
    given = draw(st.lists(st.tuples(of, st.sampled_from(labels)), min_size=2, max_size=6))
    given[:2] = [(text, label) for (text, _), label in zip(given, labels, strict=False)]
    return [(text, None, label) for text, label in given]


def fitting(rows: list[Row], encoding: str) -> list[Row]:
    """Return rows without the characters that an encoding lacks."""
    kept = [(text.encode(encoding, "ignore").decode(encoding), *others) for text, *others in rows]
    return [(text or "a", pair, label) for text, pair, label in kept]


def with_options(encoding: str, **options: Any) -> dict[str, Any]:
    """Return the options that say how files are written."""
    return options | ({} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding})


@st.composite
def table_forms(draw: st.DrawFn) -> tuple[Form, list[Row]]:
    """Return a dialect that is said or can be found, and rows."""
    encoding, rows = draw(st.sampled_from(ENCODINGS)), draw(labelled_rows())
    how = draw(st.sampled_from(("said", "quoted", "plain")))
    if how == "plain":  # without what only quotes tell apart
        rows = [("".join(" " if mark in "'\"\r\n" else mark for mark in text), *others) for text, *others in rows]
    rows = fitting(rows, encoding)
    delimiter = draw(st.sampled_from(",;\t|" if how != "said" else ",;\t|^: "))
    quote = draw(st.sampled_from("\"'")) if how != "plain" else '"'
    names = draw(st.permutations(("text", "label", "id")))
    has_header, end = draw(st.booleans()), draw(st.sampled_from(("\r\n", "\n", "\r")))
    has_breaks = any("\n" in text or "\r" in text for text, *_ in rows)
    is_whole = how == "quoted" or has_breaks  # the writer quotes no break but its own
    options = {} if has_header else {"no_header": True}
    if not has_header:
        options |= {name: str(names.index(name) + 1) for name in ("text", "label")}
    if how == "said":
        options |= {"delimiter": delimiter, "quote": quote}

    def encode(given: list[Row]) -> bytes:
        text = io.StringIO()
        quoting = csv.QUOTE_ALL if is_whole else csv.QUOTE_MINIMAL
        out = csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator=end, quoting=quoting)
        values = [{"text": first, "label": label, "id": f"n{number}"} for number, (first, _, label) in enumerate(given)]
        out.writerows([*([names] if has_header else []), *([row[name] for name in names] for row in values)])
        return text.getvalue().encode(encoding)

    is_certain = how == "said" or has_header
    ending = draw(st.sampled_from((".csv", ".csv", ".tsv", ".txt")))
    return Form(ending=ending, encode=encode, options=with_options(encoding, **options), is_certain=is_certain), rows


@st.composite
def json_forms(draw: st.DrawFn) -> tuple[Form, list[Row]]:
    """Return rows as an array, below `data`, or in lines."""
    encoding, layout = draw(st.sampled_from(ENCODINGS)), draw(st.sampled_from(("array", "data", "lines")))
    rows = draw(labelled_rows())
    is_ascii = draw(st.booleans())
    rows = rows if is_ascii else fitting(rows, encoding)
    indent = draw(st.sampled_from((None, None, 1))) if layout != "lines" else None
    end = draw(st.sampled_from(("\n", "\r\n", "\n\n")))
    more = draw(st.sampled_from(({}, {"id": 7}, {"tags": ["a", None]}, {"about": {"by": [{"name": "x"}]}})))
    as_numbers = draw(st.booleans())

    def encode(given: list[Row]) -> bytes:
        def value(label: str) -> object:
            return int(label) if as_numbers and label.isdigit() else label

        objects = [{"text": text, **more, "label": value(label)} for text, _, label in given]
        if layout == "lines":
            written = end[-2:].replace("\n\n", "\n").join(json.dumps(each, ensure_ascii=is_ascii) for each in objects)
        else:
            whole = objects if layout == "array" else {"version": "1", "data": objects}
            written = json.dumps(whole, ensure_ascii=is_ascii, indent=indent)
        return (written + end).encode(encoding)

    ending = draw(st.sampled_from((".json", ".jsonl", ".ndjson")))
    return Form(ending=ending, encode=encode, options=with_options(encoding)), rows


@st.composite
def squad_forms(draw: st.DrawFn) -> tuple[Form, list[Row]]:
    """Return questions in SQuAD's own form, some of them without an answer."""
    rows: list[Row] = []
    for context in draw(st.lists(texts, min_size=1, max_size=3)):
        for question in draw(st.lists(texts, min_size=1, max_size=2)):
            first = draw(st.integers(0, len(context) - 1))
            last = draw(st.integers(first + 1, len(context)))
            has_answer = draw(st.booleans()) or not rows
            answer = {"text": [context[first:last]], "answer_start": [first]}
            rows.append((question, context, answer if has_answer else {"text": [], "answer_start": []}))
    has_one_article, indent = draw(st.booleans()), draw(st.sampled_from((None, 2)))

    def encode(given: list[Row]) -> bytes:
        paragraphs = [{"context": context, "qas": [_question(*row)]} for row in given for context in [row[1]]]
        groups = [paragraphs] if has_one_article else [[each] for each in paragraphs]
        articles = [{"title": "t", "paragraphs": group} for group in groups]
        return json.dumps({"version": "v2.0", "data": articles}, indent=indent).encode()

    return Form(ending=".json", encode=encode, options={}), rows


def _question(question: str, _context: str, answer: dict[str, list[Any]]) -> dict[str, Any]:
    pairs = zip(answer["text"], answer["answer_start"], strict=True)
    answers = [{"text": text, "answer_start": start} for text, start in pairs]
    return {"id": "q", "question": question, "answers": answers, "is_impossible": not answers}


@st.composite
def word_forms(draw: st.DrawFn) -> tuple[Form, list[Row]]:
    """Return sentences in columns, with tags of entities."""
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "latin-1", "utf-16")))
    separator, columns = draw(st.sampled_from(("\t", " ", "  ", " \t"))), draw(st.integers(2, 3))
    word = ANY.map(lambda text: "".join(mark for mark in text if mark not in " \t\r\n"))
    if separator == "\t":
        word = word | st.just("New York")
    tags = st.sampled_from(("O", "B-PER", "I-PER", "B-a.b"))
    given = draw(st.lists(st.lists(st.tuples(word, tags), min_size=1, max_size=4), min_size=1, max_size=4))
    given[0][0] = (given[0][0][0], "B-LOC")
    given[-1].append(("end", "O"))
    rows: list[Row] = [
        ([text for text, *_ in fitting([(word, None, None) for word, _ in each], encoding)], None, [t for _, t in each])
        for each in given
    ]
    end, gap = draw(st.sampled_from(("\n", "\r\n"))), draw(st.sampled_from((1, 2)))
    head = draw(st.sampled_from(("", f"-DOCSTART-{separator}O", f"-DOCSTART- -X-{separator}O")))

    def encode(given: list[Row]) -> bytes:
        middle = ["NN"] * (columns - 2)
        sentences = [
            [separator.join([word, *middle, tag]) for word, tag in zip(words, tags, strict=True)]
            for words, _, tags in given
        ]
        blocks = [[head], *sentences] if head else sentences
        return ((end * gap).join(end.join(lines) + end for lines in blocks)).encode(encoding)

    ending = draw(st.sampled_from((".conll", ".iob", ".bio")))
    return Form(ending=ending, encode=encode, options=with_options(encoding), is_certain=columns == 2), rows


forms = st.one_of(table_forms(), table_forms(), json_forms(), squad_forms(), word_forms())


def zipped(data: bytes, name: str, method: int) -> bytes:
    """Return a zip with one file."""
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w", method) as archive:
        archive.writestr(name, data)
    return place.getvalue()


PACKINGS = (*("plain",) * 3, "gz", "gz, two", "bz2", "bz2, two", "zst", "zst, two", "zip")
CHECKED = ("gz", "gz, two", "bz2", "bz2, two", "zip")  # by sums; frames of Zstandard need not have one
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


@st.composite
def packed(draw: st.DrawFn, name: str, data: bytes, packing: str) -> tuple[str, bytes]:
    """Return a file's name and contents, compressed: as a whole, or in two pieces, as `cat a.gz b.gz` makes them."""
    kind, *is_in_two = packing.split(", ")
    if kind == "plain":
        return name, data
    if kind == "zip":
        return f"{name}.zip", zipped(data, f"x/{name.rpartition('/')[2]}", draw(st.sampled_from(METHODS)))
    cut = draw(st.integers(0, len(data))) if is_in_two else len(data)
    parts = [data[:cut], data[cut:]] if is_in_two else [data]
    return f"{name}.{kind}", b"".join(PACK[kind](part) for part in parts)


@st.composite
def one_file(draw: st.DrawFn, packings: Sequence[str] = PACKINGS) -> Written:
    """Return rows in one file."""
    form, rows = draw(forms)
    name, data = draw(packed(f"data{form.ending}", form.encode(rows), draw(st.sampled_from(packings))))
    return Written(source=name, files={name: data}, rows=rows, options=form.options, is_certain=form.is_certain)


@st.composite
def shards(draw: st.DrawFn) -> Written:
    """Return rows in the shards of a split, as folders of the hub have them."""
    form, rows = draw(forms)
    cuts = sorted({0, *draw(st.lists(st.integers(0, len(rows) - 1), max_size=2)), len(rows)})
    parts = [rows[first:last] for first, last in pairwise(cuts)]
    pattern = draw(st.sampled_from(("train-{:05}-of-{:05}", "data/train-{:05}-of-{:05}", "train/{:04}")))
    packing = draw(st.sampled_from(PACKINGS))
    named = [pattern.format(number, len(parts)) + form.ending for number in range(len(parts))]
    files = [draw(packed(name, form.encode(part), packing)) for name, part in zip(named, parts, strict=True)]
    files = {f"folder/{name}": data for name, data in files}
    return Written(source="folder", files=files, rows=rows, options=form.options, is_certain=form.is_certain)


@st.composite
def class_folders(draw: st.DrawFn) -> Written:
    """Return a folder a class, with a file a text."""
    encoding = draw(st.sampled_from(ENCODINGS))
    rows = fitting(draw(labelled_rows()), encoding)
    files = {
        f"folder/train/{label}/{number:02}_x.txt": text.encode(encoding) for number, (text, _, label) in enumerate(rows)
    }
    in_order = [rows[int(name[-8:-6])] for name in sorted(files)]
    return Written(source="folder", files=files, rows=in_order, options=with_options(encoding))


@st.composite
def harmed(draw: st.DrawFn, of: st.SearchStrategy[Written]) -> Written:
    """Return what was written, with damage in one of its files."""
    written = draw(of)
    name = draw(st.sampled_from(sorted(written.files)))
    return replace(written, files=written.files | {name: draw(damaged(written.files[name]))})


any_form = st.one_of(one_file(), one_file(), shards(), class_folders())
