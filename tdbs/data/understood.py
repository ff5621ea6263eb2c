"""What was understood of a source: its files and how they are read, its columns, the task and its classes.

Nothing is guessed silently: `tdbs prepare` prints it in two lines, and `--json` has it under `source`.
"""

from typing import Any

import pyarrow as pa

from tdbs.data.columns import clipped
from tdbs.data.formats.data_file import UTF8, DataFile
from tdbs.data.sources import Source
from tdbs.data.tasks import Task

_LINE = 120  # characters of a line
_SHOWN_CLASSES = 8
_DELIMITERS = {"\t": "tab", " ": "space"}


def source_facts(source: Source, task: Task) -> dict[str, Any]:
    """Return what was understood of a source, as JSON values; `task` has the classes that were learned from it."""
    return {
        "name": source.name,
        "files": [
            _file_facts(split.name, split.content) for split in source.splits if not isinstance(split.content, pa.Table)
        ],
        "columns": {"text": task.columns.text, "pair": task.columns.pair, "labels": list(task.columns.labels)},
        "kind": task.kind,
        "classes": list(task.classes),
    }


def fact_lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts of a user's source as two lines; none for a source that has its columns and splits."""
    if not facts["files"]:
        return []
    first = facts["files"][0]
    names = ", ".join(file["file"] for file in facts["files"])
    columns, classes = facts["columns"], facts["classes"]
    texts = " with ".join(f"'{name}'" for name in (columns["text"], columns["pair"]) if name is not None)
    labels = ", ".join(f"'{name}'" for name in columns["labels"])
    more = ", …" if len(classes) > _SHOWN_CLASSES else ""
    of_classes = f", {len(classes):,} classes: {', '.join(classes[:_SHOWN_CLASSES])}{more}" if classes else ""
    lines = (f"{names}: {_described(first)}", f"{facts['kind'].replace('_', ' ')}: {texts} to {labels}{of_classes}")
    return [clipped(line, _LINE) for line in lines]


def _file_facts(split: str, file: DataFile) -> dict[str, Any]:
    dialect = file.dialect
    return {
        "split": split,
        "file": file.name,
        "format": file.format,
        "compression": file.compression,
        "encoding": file.encoding,
        "delimiter": None if dialect is None else dialect.delimiter,
        "quote": None if dialect is None else dialect.quote,
        "header": None if dialect is None else dialect.has_header,
    }


def _described(file: dict[str, Any]) -> str:
    """Return how a file is read, in words; what is usual is left out."""
    words = [file["format"]]
    if file["compression"] is not None:
        words.append(file["compression"])
    if file["encoding"] != UTF8:
        words.append(file["encoding"])
    if file["delimiter"] is not None:
        words.append(f"{_DELIMITERS.get(file['delimiter'], file['delimiter'])} between fields")
        words.append("no quotes" if file["quote"] is None else f"quoted by {file['quote']}")
        words.append("a header" if file["header"] else "no header")
    return ", ".join(words)
