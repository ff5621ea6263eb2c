"""What was understood of a source: its files and how they are read, its columns, the task and its classes.

Nothing is guessed silently: `tdbs prepare` prints it, a line for files that are read alike and one for the task, and
`--json` has it under `source`.
"""

from collections import Counter
from typing import Any

from tdbs.data.formats.data_file import UTF8, DataFile
from tdbs.data.formats.dialect import delimiter_name
from tdbs.data.sources import Source, Split
from tdbs.data.stores import ClassFolders, store_files
from tdbs.data.tasks import Columns, Task
from tdbs.shown import LINE, NOTE, clipped, fitted

_SHOWN_CLASSES = 8


def source_facts(source: Source, task: Task) -> dict[str, Any]:
    """Return what was understood of a source, as JSON values; `task` has the classes that were learned from it."""
    return {
        "name": source.name,
        "files": [facts for split in source.splits for facts in _split_facts(split)],
        "columns": column_facts(task.columns),
        "kind": task.kind,
        "classes": list(task.classes),
    }


def column_facts(columns: Columns) -> dict[str, Any]:
    """Return the names of columns as JSON values; negatives only if there are any."""
    negatives = {"negatives": list(columns.negatives)} if columns.negatives else {}
    return {"text": columns.text, "pair": columns.pair, "labels": list(columns.labels), **negatives}


def list_texts_note(source: Source) -> str:
    """Return the message that lists written as texts are read as lists."""
    columns = source.task.columns
    of_words = "'{text}' and " if source.task.kind == "token_classification" else ""
    return fitted(
        of_words + "'{label}' of {where}: lists that are written as texts are read as lists.",
        width=NOTE,
        text=columns.text,
        label=columns.label,
        where=source.splits[0].where,
    )


def written_lists_note(column: str, where: str) -> str:
    """Return the message that a column of negatives has lists that are written as texts."""
    message = "'{column}' of {where}: lists that are written as texts are read as lists."
    return fitted(message, width=NOTE, column=column, where=where)


def fact_lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts of a user's source: a line for files that are read alike, and one for the task.

    There are none for a source that has its columns and splits.
    """
    if not facts["files"]:
        return []
    alike: dict[str, list[str]] = {}
    for file in facts["files"]:
        alike.setdefault(_described(file), []).append(_named(file))
    columns, classes = facts["columns"], facts["classes"]
    texts = " with ".join(f"'{name}'" for name in (columns["text"], columns["pair"]) if name is not None)
    negatives = ", ".join(f"'{name}'" for name in columns.get("negatives", ()))
    texts += f", not {negatives}" if negatives else ""
    labels = ", ".join(f"'{name}'" for name in columns["labels"])
    texts += f" to {labels}" if labels else ""
    more = ", …" if len(classes) > _SHOWN_CLASSES else ""
    of_classes = f", {len(classes):,} classes: {', '.join(classes[:_SHOWN_CLASSES])}{more}" if classes else ""
    of_files = (f"{', '.join(names)}: {description}" for description, names in alike.items())
    lines = (*of_files, f"{facts['kind'].replace('_', ' ')}: {texts}{of_classes}")
    return [clipped(line, LINE) for line in lines]


def _named(file: dict[str, Any]) -> str:
    """Return a file's name, and its split if the name is another."""
    is_split = file["split"] in file["file"] or file["split"] == "train"
    return str(file["file"]) if is_split else f"{file['file']} ({file['split']})"


def _split_facts(split: Split) -> list[dict[str, Any]]:
    """Return the facts of a split's files; the text files of a class are one entry."""
    store = split.content
    if not isinstance(store, ClassFolders):
        return [_file_facts(split.name, file, file.path.name) for file in store_files(store)]
    (file,) = store_files(store)
    counts = Counter(name for name, _ in store.files)
    return [
        _file_facts(split.name, file, f"{store.folder.name}/{name}/*.txt ({count:,} texts)")
        for name, count in counts.items()
    ]


def _file_facts(split: str, file: DataFile, name: str) -> dict[str, Any]:
    dialect = file.dialect
    return {
        "split": split,
        "file": name,
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
        words.append(f"{delimiter_name(file['delimiter'])} between fields")
        words.append("no quotes" if file["quote"] is None else f"quoted by {file['quote']}")
        words.append("a header" if file["header"] else "no header")
    return ", ".join(words)
