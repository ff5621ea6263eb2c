"""Name the user's source, and choose the columns to read from it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tdbs.data.answers import is_answers
from tdbs.data.columns import plain_name
from tdbs.data.content import is_list
from tdbs.data.formats.conll_shape import words_elsewhere
from tdbs.data.formats.data_file import plain_stem
from tdbs.data.header import no_column
from tdbs.data.tasks import Columns, TaskKind
from tdbs.errors import ConfigError, SourceError
from tdbs.shown import clipped, fitted

BUILT_IN_SAMPLE = "sample"  # its dataset has defaults of its own
_TEXT_NAMES = ("text", "sentence")
_KNOWN_TABLES: tuple[Mapping[str, str], ...] = (  # columns as the hub's datasets name them
    {"text": "question", "pair": "context", "label": "answers"},
    {"text": "tokens", "label": "ner_tags"},
    {"text": "document", "target": "summary"},
    {"text": "article", "target": "highlights"},
)


def source_name(path: Path) -> str:
    """Return the file's stem or the folder's name, as a folder name that is safe everywhere."""
    path = path.resolve()
    name = plain_stem(path) if path.is_file() else path.name
    safe = re.sub(r"[^\w .+-]", "_", name).strip(" .")  # no `=` either: readers take a=b in a path for a column
    if not safe:
        raise SourceError(fitted("{path} has no name to call the dataset by.", path=path), next_step="Rename it.")
    return f"{safe}_file" if safe == BUILT_IN_SAMPLE else safe


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenColumns:
    """The columns to read from a user's files, what kind of task they make, and the splits that have labels."""

    columns: Columns
    kind: TaskKind  # classification may turn out to be regression, and several labels several targets
    labelled: frozenset[str]


def choose_columns(
    schemas: Mapping[str, pa.Schema],
    where: Mapping[str, str],
    tables: Collection[str],
    *,
    text: str | None,
    pair: str | None,
    label: str | None,
    target: str | None,
) -> ChosenColumns:
    """Return the columns that are named, or those of a well-known table; every split must have what is requested.

    Of each split come its columns, and what errors call it; `tables` are the splits that are tables of text.
    """
    names = schemas["train"].names
    text, pair, label, target = (None if name is None else plain_name(name) for name in (text, pair, label, target))
    if label is not None and target is not None:
        raise ConfigError("--label and --target exclude each other.", next_step="Leave one of them out.")
    if text is None:
        _refuse_other_words(schemas["train"], where["train"])
    if text is None and pair is None and label is None and target is None:
        known = next((known for known in _KNOWN_TABLES if set(known.values()) <= set(names)), {})
        text, pair, label, target = (known.get(role) for role in ("text", "pair", "label", "target"))
    if text is None:
        text = next((name for name in _TEXT_NAMES if name in names), _TEXT_NAMES[0])
    labels = (target,) if target is not None else _label_names(label or "label", names)
    columns = Columns(text=text, pair=pair, labels=labels)
    label_option = "--label" if target is None else "--target"
    asked = [("--text", columns.text), ("--pair", columns.pair), *((label_option, name) for name in labels)]
    every = [column for _, column in asked]
    for option, column in asked:
        if column is not None and every.count(column) > 1:
            raise ConfigError(
                fitted(option + " names '{column}', as another option does.", column=column),
                next_step="Name another column.",
            )
    for split, schema in schemas.items():
        for option, column in asked:
            may_lack = split == "test" and column in labels
            if column is not None and column not in schema.names and not may_lack:
                raise no_column(where[split], column, schema.names, option=option, is_table=split in tables)
    return ChosenColumns(
        columns=columns,
        kind=_kind_of(columns, schemas["train"], is_seq2seq=target is not None),
        labelled=frozenset(split for split, schema in schemas.items() if set(labels) <= set(schema.names)),
    )


def _refuse_other_words(schema: pa.Schema, where: str) -> None:
    """Raise for a CoNLL file whose first column contains no words: without --text, a model would learn from it."""
    found = words_elsewhere(schema)
    if found is not None:
        why, words, tags = found
        raise SourceError(
            fitted("{where}: " + why + ".", where=where),
            next_step=f"Pass --text {words} --label {tags} (or the column of the tags).",
        )


def _label_names(label: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that --label names: one, or several separated by commas."""
    return (label,) if label in names else tuple(plain_name(part) for part in label.split(","))


def _kind_of(columns: Columns, schema: pa.Schema, *, is_seq2seq: bool) -> TaskKind:
    """Return the kind of task that the types of the columns make."""
    label_type = schema.field(columns.labels[0]).type
    if is_seq2seq:
        return "seq2seq"
    if pa.types.is_struct(label_type) or is_answers(label_type):
        if columns.pair is None and not is_answers(label_type):
            raise SourceError(
                f"'{clipped(columns.label, 40)}' contains objects, which cannot be labels.",
                next_step="Write the names of the classes as a list, or one column of 0 and 1 a class: "
                "--label joy,anger.",
            )
        if columns.pair is None:
            raise ConfigError(
                f"'{clipped(columns.label, 40)}' contains answers, but no column of contexts is named.",
                next_step="Pass --text QUESTION --pair CONTEXT with it.",
            )
        return "question_answering"
    if is_list(schema.field(columns.text).type):
        if columns.pair is not None:
            raise ConfigError(
                f"'{clipped(columns.text, 40)}' contains lists of words, which have no second text.",
                next_step="Leave --pair out.",
            )
        return "token_classification"
    return "multi_label" if len(columns.labels) > 1 or is_list(label_type) else "classification"
