"""Shapes of labels that a column's type does not show: class ids with names elsewhere, and several labels in one text.

`--label-names FILE` names class ids 0, 1, … or the places of multi-hot lists. `--label-separator` splits one text into
classes: blanks around a name are not part of it, and an empty cell has no class. Lists that are written as texts
(`['joy', 'love']` in a CSV cell) are read as lists if all labels of the first rows are lists; `prepare` says so. They
are parsed as JSON or as Python's literals, never run. With --label-type class each text is a class.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import offsets_of
from tdbs.data.columns import SHOWN_WHERE, UNSEEN, SourceColumn, bad_values, one_array
from tdbs.data.content import Content, is_list, is_text
from tdbs.data.labels.given import check_names
from tdbs.data.labels.list_texts import FIX_TEXT, are_list_texts, list_entries, not_lists
from tdbs.data.labels.single import LabelType, label_texts
from tdbs.data.labels.spelling import plain_class
from tdbs.data.stores import Store, store_tables
from tdbs.data.tasks import GROUPED_KINDS, Columns, TaskKind
from tdbs.errors import ConfigError, TdbsError
from tdbs.files import to_path
from tdbs.records import Form, read_text
from tdbs.shown import MESSAGE, clipped, fitted

_LEAVE_OUT = "Leave it out."
_NAMES = Form(
    what="a file of class names",
    error=ConfigError,
    next_step="Pass --label-names a text file in UTF-8, with one class per line.",
    width=MESSAGE,
)
_NO_LABEL = "-1"  # of class ids


class _Options(Protocol):
    """The options of a user's files that say how labels are written."""

    @property
    def label_names(self) -> str | None: ...
    @property
    def label_separator(self) -> str | None: ...
    @property
    def label_type(self) -> LabelType: ...


class _Chosen(Protocol):
    """The columns that are read, and the kind of task that their types make."""

    @property
    def columns(self) -> Columns: ...
    @property
    def kind(self) -> TaskKind: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelShape:
    """How labels are written, and the kind of task that this makes."""

    kind: TaskKind
    names: tuple[str, ...] = ()
    separator: str | None = None
    has_list_texts: bool = False

    def digest_parts(self) -> dict[str, object]:
        """Return what is part of a content's digest; nothing if the columns' types say all."""
        parts = {"label_names": list(self.names), "label_separator": self.separator, "list_texts": self.has_list_texts}
        return {name: value for name, value in parts.items() if value}


def label_shape(train: Store, schema: pa.Schema, chosen: _Chosen, options: _Options) -> LabelShape:
    """Return how the labels of the user's files are written.

    Raises ConfigError for an option that does not go with the columns, and for a file of names that has none.
    """
    columns, kind = chosen.columns, chosen.kind
    if kind in GROUPED_KINDS:
        return LabelShape(kind=kind)
    label_type = schema.field(columns.labels[0]).type
    is_plain = kind == "classification" and len(columns.labels) == 1
    shape = LabelShape(kind=kind)
    if options.label_separator is not None:
        if not options.label_separator.strip(" "):
            raise ConfigError(
                fitted("--label-separator '{value}' is blank.", value=options.label_separator),
                next_step="Pass a mark such as , or ;.",
            )
        if not is_plain or not is_text(label_type):
            raise ConfigError("--label-separator only applies to one column of texts.", next_step=_LEAVE_OUT)
        if options.label_type == "regression":
            raise ConfigError(
                "--label-separator makes classes, --label-type regression numbers.", next_step="Leave one of them out."
            )
        shape = replace(shape, kind="multi_label", separator=options.label_separator)
    elif is_plain and is_text(label_type) and options.label_type == "auto":
        shape = _of_first_rows(train, schema, columns, shape)
    if options.label_names is not None:
        one_column = len(columns.labels) == 1 and kind in ("classification", "multi_label", "token_classification")
        if not one_column or options.label_type == "regression":
            raise ConfigError("--label-names only applies to one column of class ids.", next_step=_LEAVE_OUT)
        shape = replace(shape, names=read_names(options.label_names))
    return shape


def read_names(file: str) -> tuple[str, ...]:
    """Return the names of classes in a file, one per line, in the order of their ids. Raises ConfigError."""
    path = to_path(file).expanduser()
    lines = read_text(path, _NAMES, named=f"The class names {clipped(path, SHOWN_WHERE)}").split("\n")
    names = [plain_class(line.strip(UNSEEN)) for line in lines]
    while names and not names[-1]:
        names.pop()
    if len(names) < 2:
        raise ConfigError(
            fitted("{file} names {count} classes.", file=path.name, count=len(names)),
            next_step="Write at least two, one per line.",
        )
    if "" in names:
        raise ConfigError(
            fitted("Line {line} of {file} is blank.", line=names.index("") + 1, file=path.name),
            next_step="Write a class, or delete it.",
        )
    check_names(tuple(names), path.name)
    return tuple(names)


def split_texts(column: SourceColumn, separator: str) -> SourceColumn:
    """Return one text of several classes as lists of them; a missing text has none."""
    texts = one_array(label_texts(column).values).dictionary_encode()
    parts = [[part for name in text.split(separator) if (part := name.strip(UNSEEN))] for text in _distinct(texts)]
    return _taken(column, [*parts, []], texts)


def parsed_lists(column: SourceColumn, *, of_words: bool = False) -> SourceColumn:
    """Return lists that are written as texts as lists of texts; null stays null.

    Raises RowError for texts that are not lists.
    """
    texts = one_array(column.values).dictionary_encode()
    found = [list_entries(text) for text in _distinct(texts)]
    wrong = {place for place, entries in enumerate(found) if entries is None}
    if wrong:  # none of them is a missing one, whose place is -1 here
        places = texts.indices.fill_null(-1).to_numpy()
        rows = np.flatnonzero(np.isin(places, list(wrong)))
        odd = dict(zip(rows.tolist(), column.values.take(pa.array(rows)).to_pylist(), strict=True))
        raise not_lists(column, odd, next_step="Fix the row." if of_words else FIX_TEXT)
    return _taken(column, [*found, None], texts)


def with_given_names(column: SourceColumn, names: tuple[str, ...]) -> SourceColumn:
    """Return class ids, or lists of ids or of 0 and 1, that know their names; an id of -1 is a missing label.

    Raises RowError for labels that are not ids of the names.
    """
    is_listed = is_list(column.values.type)
    lists = one_array(column.values.cast(pa.list_(pa.string()))) if is_listed else None
    flat = one_array(label_texts(column).values) if lists is None else lists.flatten()
    encoded = flat.dictionary_encode()
    ids = [_id_of(text, len(names), is_listed=is_listed) for text in _distinct(encoded)]
    places = encoded.indices.fill_null(-1).to_numpy()
    wrong = np.flatnonzero(np.isin(places, [place for place, found in enumerate(ids) if found is None]))
    if wrong.size:
        rows = wrong.tolist() if lists is None else pc.list_parent_indices(lists).take(pa.array(wrong)).to_pylist()
        found: dict[int, str] = {}
        for row, text in zip(rows, flat.take(pa.array(wrong)).to_pylist(), strict=True):
            found.setdefault(row, text)
        problem = f"has '{{value}}' in '{{name}}', which is not an id from 0 to {len(names) - 1}"
        raise bad_values(column, found, problem, next_step="Fix the row, or name each class in --label-names.")
    known = [None if found == _NO_LABEL else found for found in ids]
    values = pa.array([*known, None], pa.string()).cast(pa.int64()).take(_with_last(encoded))
    if lists is not None:
        offsets = offsets_of(lists.value_lengths().fill_null(0).to_numpy()).astype(np.int32)
        values = pa.ListArray.from_arrays(offsets, values, mask=lists.is_null())
    return replace(column, values=pa.chunked_array([values]), names=names)


def _of_first_rows(train: Store, schema: pa.Schema, columns: Columns, shape: LabelShape) -> LabelShape:
    """Return the shape with lists that are written as texts, if the first rows have nothing else."""
    try:
        if not are_list_texts(_first_texts(train, schema, columns.labels[0], "label")):
            return shape
        is_words = columns.pair is None and are_list_texts(
            _first_texts(train, schema, columns.text, "text"), of_words=True
        )
    except (TdbsError, OSError, UnicodeError):  # whoever reads the rows says it
        return shape
    return replace(shape, kind="token_classification" if is_words else "multi_label", has_list_texts=True)


def _first_texts(store: Store, schema: pa.Schema, column: str, content: Content) -> list[str]:
    """Return the filled texts of a column's first rows; none if it holds something else."""
    if not is_text(schema.field(column).type):
        return []
    table = next(store_tables(store, {column: content}, {}), None)
    return [] if table is None else [text for text in table[column].to_pylist() if text]


def _id_of(text: str, count: int, *, is_listed: bool) -> str | None:
    """Return a class id as it is written in the list of names; None if it is not one."""
    plain = text.strip(UNSEEN).lower()
    if is_listed:
        plain = {"true": "1", "false": "0"}.get(plain, plain)
    elif plain in (_NO_LABEL, f"{_NO_LABEL}.0"):
        return _NO_LABEL
    plain = plain.removesuffix(".0")
    return str(int(plain)) if plain.isascii() and plain.isdigit() and int(plain) < count else None


def _distinct(encoded: pa.DictionaryArray) -> list[str]:
    found: list[str] = encoded.dictionary.to_pylist()
    return found


def _with_last(encoded: pa.DictionaryArray) -> pa.Array:
    """Return the places of values; null is the place behind the last."""
    return encoded.indices.fill_null(len(encoded.dictionary))


def _taken(column: SourceColumn, lists: list[list[str] | None], texts: pa.DictionaryArray) -> SourceColumn:
    """Return a column of lists of texts: each row has the list of its distinct text, the last one stands for null."""
    values = pa.array(lists, pa.list_(pa.string())).take(_with_last(texts))
    return replace(column, values=pa.chunked_array([values]))
