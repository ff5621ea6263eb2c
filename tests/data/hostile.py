"""Inputs with names, values and options that are as long and as odd as files, columns and shells allow."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

NAME = "n" * 300  # of a column
OTHER = "m" * 300
SHORT = "n" * 40  # a longer name of a column may be a text
CLASS = "c" * 300
OPTION = "o" * 300
HARD = "a\n\x1b[31m\u202e\tb" * 40  # line ends, tabs, and what a terminal obeys
ARTICLE = "An article of several words. " * 400
FILE = "f" * 150  # of a file or a folder, without its extension

Content = str | bytes | pa.Table
Source = Callable[[Path], Any]  # what `prepare` takes, by the folder in which files may be written


def csv_of(*rows: Any, delimiter: str = ",") -> str:
    """Return rows as a table of text; the first is the header."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def jsonl(*rows: Any) -> str:
    """Return one JSON value per line; texts stay as they are."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def labels(*values: Any) -> str:
    """Return rows of JSONL with these labels, in a column with a long name."""
    return jsonl(*({"text": f"text {row}", NAME: value} for row, value in enumerate(values)))


def squad(*questions: Any) -> str:
    """Return questions about one context, in SQuAD's own form."""
    return json.dumps({"data": [{"paragraphs": [{"context": "it is Ann", "qas": list(questions)}]}]})


def parquet(values: Any, kind: pa.DataType | None = None, *, feature: Any = None) -> pa.Table:
    """Return texts and a label column with a long name, and what the datasets library says of it."""
    table = pa.table({"text": [f"text {row}" for row in range(len(values))], NAME: pa.array(values, kind)})
    info = json.dumps({"info": {"features": {NAME: feature}}})
    return table if feature is None else table.replace_schema_metadata({"huggingface": info})


def classes(*names: str) -> dict[str, Any]:
    """Return what the datasets library says of class ids."""
    return {"names": list(names), "_type": "ClassLabel"}


def not_utf8() -> pa.Array:
    """Return two strings that are not UTF-8, which Arrow does not notice."""
    return pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"\xff", b"\xfe"]).buffers()[1:]])


def file(suffix: str, content: Content) -> Source:
    """Return a file with a long name in a long folder."""
    return lambda folder: written(folder / FILE / f"{FILE}{suffix}", content)


def tree(files: dict[str, Content], inside: str = "") -> Source:
    """Return a folder with a long name that contains files."""

    def make(folder: Path) -> Path:
        for name, content in files.items():
            written(folder / FILE / name, content)
        return folder / FILE / inside

    return make


def table(rows: Any) -> Source:
    """Return what a Python program has already."""
    return lambda _folder: rows


def saved(change: dict[str, Any] | None = None, file: str = "state.json") -> Source:
    """Return a folder that `save_to_disk` wrote, with other keys in its note."""

    def make(folder: Path) -> Path:
        datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]}).save_to_disk(folder / FILE)
        state = json.loads((folder / FILE / "state.json").read_text())
        written(folder / FILE / file, json.dumps(state | (change or {})))
        return folder / FILE

    return make


def written(path: Path, content: Content) -> Path:
    """Write a file; tables by its extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        if path.suffix == ".arrow":
            with pyarrow.ipc.new_stream(str(path), content.schema) as writer:
                writer.write_table(content)
        else:
            pq.write_table(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
