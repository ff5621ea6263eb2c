"""Tables of a source's splits: the requested columns and rows, numbered, in the pieces they are read in."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray
from tdbs.data.columns import SHOWN_WHERE, BadRows, SourceColumn, one_array, refuse_other_bytes, text_values, word_lists
from tdbs.data.content import Content, is_list, is_text, plain_values
from tdbs.data.labels.answer_columns import joined_answers
from tdbs.data.labels.given import class_names, with_names
from tdbs.data.labels.shape import parsed_lists, split_texts, with_given_names
from tdbs.data.labels.spelling import plain_labels
from tdbs.data.negatives import negative_lists, refuse_blank
from tdbs.data.sources import Source, Split
from tdbs.data.stores import store_rows, store_schema, store_stamps, store_tables
from tdbs.data.tasks import TaskKind
from tdbs.errors import RowError, SourceError, system_errors_as
from tdbs.shown import clipped

Result = TypeVar("Result")
ROW = "\0row"  # a column beside those of the source, whose names are the user's


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRows:
    """The rows of a split: those of its files or table, or some of them if others are held out."""

    split: Split
    wanted_N: BoolArray | None  # None: all


def count_split(split: Split, source: Source) -> int:
    """Return how many rows a split has; malformed ones count if bad rows are skipped."""
    bad: BadRows | None = {} if source.skips_bad_rows else None
    with failures_named(split):
        return store_rows(split.content, source.task.columns.text, bad)


def usable(table: pa.Table, make: Callable[[pa.Table], Result], bad: BadRows | None) -> tuple[pa.Table, Result]:
    """Return the rows that can be used, and what is made of them; each of the others is recorded with its reason.

    Each try finds all rows with one kind of fault, so the tries are few. Raises RowError if bad rows are not recorded.
    """
    if bad:
        table = table.filter(pa.array(~np.isin(table[ROW].to_numpy(), list(bad))))
    while True:
        try:
            return table, make(table)
        except RowError as error:
            is_bad_N = np.isin(table[ROW].to_numpy(), list(error.reasons))
            if bad is None or not is_bad_N.any():
                raise
            for row, reason in error.reasons.items():
                bad.setdefault(row, reason)
            table = table.filter(pa.array(~is_bad_N))


def text_contents(split: Split, source: Source) -> dict[str, Content]:
    """Return what the text columns of a split hold."""
    task = source.task
    of_text: Content = "words" if task.kind == "token_classification" and not source.has_list_texts else "text"
    pair: dict[str, Content] = {} if task.columns.pair is None else {task.columns.pair: "text"}
    schema = schema_of(split) if task.columns.negatives else pa.schema([])
    negatives: dict[str, Content] = {
        name: "texts" if is_list(schema.field(name).type) else "text"
        for name in task.columns.negatives
        if name in schema.names
    }
    return {task.columns.text: of_text, **pair, **negatives}


def label_contents(split: Split, source: Source) -> dict[str, Content]:
    """Return what the label columns of a split hold, which a reader of JSON has to know."""
    task = source.task
    by_kind: dict[TaskKind, Content] = {
        "token_classification": "labels",
        "question_answering": "answers" if len(task.columns.labels) == 1 else "label",  # of each of two columns
        "seq2seq": "text",
    }
    content = by_kind.get(task.kind, "label")
    if task.kind == "multi_label" or source.has_list_texts:
        content = "labels" if is_list(schema_of(split).field(task.columns.labels[0]).type) else "label"
    return dict.fromkeys(task.columns.labels, content)


def schema_of(split: Split) -> pa.Schema:
    """Return the columns of a split."""
    with failures_named(split):
        return store_schema(split.content)


def source_column(name: str, split: Split, table: pa.Table) -> SourceColumn:
    """Return a column of a table, which knows the rows of the file."""
    rows_N = one_array(table[ROW]).to_numpy()
    return SourceColumn(name=name, where=split.where, values=table[name], rows_N=rows_N)


def tables_of(rows: SplitRows, asked: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the requested columns of the wanted rows, with row numbers, in whatever pieces they are read in."""
    split = rows.split
    pieces = store_tables(split.content, asked, bad)
    first = 0
    with failures_named(split):
        for piece in pieces:
            last = first + piece.num_rows
            plain = pa.table({name: plain_values(piece[name]) for name in piece.column_names})
            numbered = plain.append_column(ROW, pa.array(np.arange(first, last)))
            yield numbered if rows.wanted_N is None else numbered.filter(pa.array(rows.wanted_N[first:last]))
            first = last
        if store_stamps(split.content) != split.stamps:
            raise SourceError(f"{split.where} changed while it was read.", next_step="Run it again.")


def failures_named(split: Split) -> AbstractContextManager[None]:
    """Name the split in the file system's errors."""
    return system_errors_as(
        SourceError,
        f"{clipped(split.where, SHOWN_WHERE)} cannot be read",
        next_step="Check that the file exists and that you may read it.",
    )


def label_reader(source: Source, split: Split) -> Callable[[pa.Table], tuple[SourceColumn, ...]]:
    """Return what takes the label columns from a split's tables.

    Classes and numbers are in one spelling, and ids get the names that the file keeps. Answers in two columns are one.
    """
    labels = source.task.columns.labels
    if source.task.kind == "question_answering" and len(labels) == 2:
        text, start = labels
        return lambda table: (joined_answers(source_column(text, split, table), source_column(start, split, table)),)
    if source.label_type is None or source.task.kind in ("question_answering", "seq2seq"):
        return lambda table: tuple(source_column(name, split, table) for name in labels)
    schema = schema_of(split)
    names = {name: _names(schema, name, source, split) for name in labels}
    are_names = source.label_type == "class"

    def read(table: pa.Table) -> tuple[SourceColumn, ...]:
        columns = [source_column(name, split, table) for name in labels]
        for column in columns:
            refuse_other_bytes(column)
        plain = (plain_labels(_listed(column, source), are_names=are_names) for column in columns)
        if source.label_names:
            return tuple(with_given_names(column, source.label_names) for column in plain)
        return tuple(with_names(column, names[column.name]) for column in plain)

    return read


def text_columns(source: Source, names: Collection[str]) -> list[str]:
    """Return the columns of the texts of a row, of those that a split has: it may lack columns of negatives."""
    columns = source.task.columns
    negatives = [name for name in columns.negatives if name in names]
    return [column for column in (columns.text, columns.pair, *negatives) if column is not None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTexts:
    """The texts of some rows; none is missing."""

    text: SourceColumn  # or words
    pair: SourceColumn | None
    negatives: pa.ListArray | None  # of strings; None: no column has them


def read_texts(source: Source, split: Split, table: pa.Table) -> RowTexts:
    """Return the texts of rows, or their words. Raises RowError."""
    columns = source.task.columns
    text, *others = (source_column(name, split, table) for name in text_columns(source, table.column_names))
    if source.label_type is not None:  # the hub's tasks have empty texts
        text, *others = (_empty_is_missing(column) for column in (text, *others))
    if source.task.kind == "token_classification":
        if is_text(text.values.type) and source.has_list_texts:
            refuse_other_bytes(text)
            text = parsed_lists(text, of_words=True)
        text = replace(text, values=word_lists(text))
    else:
        text = replace(text, values=text_values(text))
    pair = None if columns.pair is None else replace(others[0], values=text_values(others[0]))
    if source.task.is_grouped:
        for column in (text, *([] if pair is None else [pair])):
            refuse_blank(column)
    negatives = others[0 if columns.pair is None else 1 :]
    return RowTexts(text=text, pair=pair, negatives=negative_lists(negatives) if negatives else None)


def _listed(column: SourceColumn, source: Source) -> SourceColumn:
    """Return a column of labels in which several labels of a text are a list."""
    if not is_text(column.values.type):
        return column
    if source.label_separator is not None:
        return split_texts(column, source.label_separator)
    return parsed_lists(column) if source.has_list_texts else column


def _names(schema: pa.Schema, column: str, source: Source, split: Split) -> tuple[str, ...]:
    """Return the names of a label column's classes; floats to predict are not class ids."""
    if source.label_type == "regression" and pa.types.is_floating(schema.field(column).type):
        return ()
    return class_names(schema, column, where=split.where)


def _empty_is_missing(column: SourceColumn) -> SourceColumn:
    """Return texts in which an empty one is missing, as an empty field of a table of text is."""
    if not is_text(column.values.type):
        return column
    is_empty = pc.equal(column.values, "")
    return replace(column, values=pc.if_else(is_empty, pa.scalar(None, column.values.type), column.values))
