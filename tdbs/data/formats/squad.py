"""Read SQuAD's own files, v1.1 and v2: {"data": [{"title", "paragraphs": [{"context", "qas": [{…}, …]}, …]}, …]}.

A question is a row, in the order of the file, with the columns id, question, context, answers and title. Questions that
`is_impossible` have empty lists of answers. The file is loaded as a whole, each time that it is gone through: SQuAD's
are 30 to 40 MB.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from tdbs.data.columns import BadRows, refuse_or_note
from tdbs.data.content import ANSWERS, Content
from tdbs.data.formats.data_file import DataFile
from tdbs.data.formats.json_rows import load_whole
from tdbs.data.formats.jsonl import tables_of_objects
from tdbs.errors import SourceError
from tdbs.shown import fitted

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}
_NEXT_STEP = 'Write it as SQuAD: "data" lists articles, their "paragraphs" have a "context" and "qas".'


def read_schema(file: DataFile) -> pa.Schema:
    """Return the columns; files whose questions have no key `answers` lack that one."""
    columns = [(name, pa.string()) for name in ("id", "question", "context", "title")]
    if any("answers" in question for _, _, question in _questions(file)):
        columns.insert(3, ("answers", ANSWERS))
    return pa.schema(columns)


def read_columns(file: DataFile, columns: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns, some questions at a time; with `bad`, questions with faults are recorded there."""
    return tables_of_objects(_rows(file, bad), columns, file.name, bad)


def _rows(file: DataFile, bad: BadRows | None) -> Iterator[dict[str, Any]]:
    for place, (title, context, question) in enumerate(_questions(file)):
        answers = question.get("answers")
        is_impossible = _flag(question.get("is_impossible"))
        if is_impossible is None:
            reason = "has an 'is_impossible' that is neither true nor false"
            refuse_or_note(bad, place, file.name, reason, next_step="Fix the row.")
        elif is_impossible:
            if answers:
                refuse_or_note(bad, place, file.name, "is impossible, but has answers", next_step="Fix the row.")
            answers = []
        yield {
            "id": question.get("id"),
            "question": question.get("question"),
            "context": context,
            "answers": answers,
            "title": title,
        }


def _flag(value: object) -> bool | None:
    """Return true or false, which other programs write as numbers and texts; None for any other value."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    return bool(value) if value in (None, 0, 1) else None


def _questions(file: DataFile) -> Iterator[tuple[object, object, dict[str, Any]]]:
    """Yield title, context and question."""
    where = f"of {file.name}"
    for number, article in enumerate(load_whole(file)["data"], start=1):
        for place, paragraph in enumerate(_objects(article, "paragraphs", f"Article {number} {where}"), start=1):
            questions = _objects(paragraph, "qas", f"Paragraph {place} of article {number} {where}")
            for question in questions:
                yield article.get("title"), paragraph.get("context"), question


def _objects(value: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise SourceError(fitted("{name} has no list of objects '" + key + "'.", name=name), next_step=_NEXT_STEP)
    return found
