"""Read an opened source: a first pass over labels and row counts, then checked rows, block by block.

Only a few blocks are in memory at any time. Blocks depend on the contents alone: up to 65,536 rows or 8 MiB of text,
however the file is split into pieces.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa

from tdbs.data.columns import FILL, BadRows, SourceColumn, one_array, refuse_missing
from tdbs.data.content import is_list
from tdbs.data.cutting import cut_blocks
from tdbs.data.held_out import draw
from tdbs.data.labels.distinct import DistinctValues
from tdbs.data.labels.given import has_labels
from tdbs.data.labels.single import label_lists
from tdbs.data.labels.targets import Encoder, SplitColumns, learn_targets
from tdbs.data.row_block import RowBlock
from tdbs.data.row_values import RowValues
from tdbs.data.sources import Source, Split
from tdbs.data.tables import (
    ROW,
    SplitRows,
    count_split,
    label_contents,
    label_reader,
    read_texts,
    source_column,
    tables_of,
    text_columns,
    text_contents,
    usable,
)
from tdbs.data.tasks import Task
from tdbs.data.understood import list_texts_note, written_lists_note
from tdbs.data.written_lists import FirstCell, first_cells, with_lists
from tdbs.errors import RowError, SourceError
from tdbs.shown import fitted

# Shapes: N rows of a block.

Found = TypeVar("Found")
BLOCK_ROWS = 65_536
BLOCK_BYTES = 8 << 20  # of text


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstPassResult:
    """Result of the first pass: the task with its classes, how labels become targets, rows, and which have labels."""

    task: Task
    encode: Encoder
    splits: Mapping[str, SplitRows]  # in order: train, validation, test
    rows: Mapping[str, int]
    labelled: frozenset[str]
    notes: tuple[str, ...] = ()  # messages about rows, for the user


@dataclass(frozen=True, kw_only=True, slots=True)
class _FirstPass:
    """Result of a first look at a split."""

    rows: int
    has_labels: bool
    labels: tuple[SourceColumn, ...] = ()  # distinct values of each label column, if they matter


def survey_source(source: Source) -> FirstPassResult:
    """Read what must be known before the first row is prepared: labels of train, row counts, splits without labels."""
    splits = {split.name: SplitRows(split=split, wanted_N=None) for split in source.splits}
    train = splits["train"].split
    values = None if source.held_out is None else RowValues(source.label_type or "auto")
    cells = {split.name: first_cells(split, source) for split in source.splits}
    passed = {
        name: _first_pass(name, rows.split, source, cells[name], values if name == "train" else None)
        for name, rows in splits.items()
    }
    if not passed["train"].has_labels:
        raise SourceError(f"{train.where} has no labels.", next_step="Use a train split with labels.")
    task, encode = learn_targets(passed["train"].labels, source.task, source.label_type)
    rows = {name: found.rows for name, found in passed.items()}
    labelled = {name for name, found in passed.items() if found.has_labels}
    notes: tuple[str, ...] = (list_texts_note(source),) if source.has_list_texts else ()
    notes += tuple(
        written_lists_note(column, rows.split.where)
        for name, rows in splits.items()
        for column, first in cells[name].items()
        if first.is_list
    )
    if source.held_out is not None and values is not None:
        drawn = draw(
            values, task, passed["train"].labels, count=rows["train"], fraction=source.held_out, where=train.where
        )
        held_out = {
            "train": SplitRows(split=train, wanted_N=~drawn.is_held_N),
            "validation": SplitRows(split=train, wanted_N=drawn.is_held_N),
        }
        splits, rows = held_out | _but_train(splits), _counts(held_out) | _but_train(rows)
        labelled, notes = labelled | {"validation"}, notes + drawn.notes
    return FirstPassResult(
        task=task, encode=encode, splits=splits, rows=rows, labelled=frozenset(labelled), notes=notes
    )


def read_blocks(
    source: Source,
    survey: FirstPassResult,
    name: str,
    *,
    rows_at_most: int | None = None,
    bytes_at_most: int | None = None,
    bad: BadRows | None = None,
) -> Iterator[RowBlock]:
    """Yield the rows of a split in order, checked, as blocks.

    With `bad`, rows that cannot be used are recorded there and left out; a block counts them. If the source skips bad
    rows, blocks have them. Raises RowError for bad rows that are not skipped.
    """
    if bad is None and source.skips_bad_rows:
        limits = {"rows_at_most": rows_at_most, "bytes_at_most": bytes_at_most}
        yield from _filled(source, survey, name, limits)
        return
    split = survey.splits[name].split
    is_labelled = name in survey.labelled
    asked = text_contents(split, source) | (label_contents(split, source) if is_labelled else {})
    read_labels = label_reader(source, split) if is_labelled else None

    def block_of(table: pa.Table) -> RowBlock:
        texts = read_texts(source, split, table)
        labels = () if read_labels is None else read_labels(table)
        rows = SplitColumns(text=texts.text, pair=texts.pair, labels=labels)
        return RowBlock(
            where=split.where,
            rows_N=texts.text.rows_N,
            texts=one_array(texts.text.values),
            pairs=None if texts.pair is None else one_array(texts.pair.values),
            negatives=texts.negatives,
            targets=survey.encode(rows) if rows.labels and table.num_rows else None,
        )

    tables = with_lists(tables_of(survey.splits[name], asked, bad), split, first_cells(split, source))
    most, bytes_ = rows_at_most or BLOCK_ROWS, bytes_at_most or BLOCK_BYTES
    for table in cut_blocks(
        tables,
        text_columns(source, asked),
        rows_at_most=most,
        bytes_at_most=bytes_,
        is_first_repeated=source.task.kind == "ranking",
    ):
        kept, block = usable(table, block_of, bad)
        if bad and kept.num_rows < table.num_rows:
            gone = np.setdiff1d(table[ROW].to_numpy(), kept[ROW].to_numpy()).tolist()
            block = replace(block, skipped={row: bad[row] for row in gone})
        yield block


def _filled(source: Source, survey: FirstPassResult, name: str, limits: Mapping[str, int | None]) -> Iterator[RowBlock]:
    """Yield the blocks that have rows, with the rows that were skipped; those of an empty block go to another one."""
    bad: BadRows = {}
    skipped: dict[int, str] = {}
    last: RowBlock | None = None
    for block in read_blocks(source, survey, name, bad=bad, **limits):
        for row in block.skipped:
            del bad[row]  # what is kept does not grow with the rows of the file
        if not len(block.rows_N):
            skipped |= block.skipped
            continue
        if last is not None:
            yield replace(last, skipped=dict(last.skipped) | skipped)
            skipped = {}
        last = block
    if last is None:
        raise _nothing_usable(survey.splits[name].split, skipped)
    yield replace(last, skipped=dict(sorted((dict(last.skipped) | skipped).items())))


def _nothing_usable(split: Split, skipped: BadRows) -> SourceError:
    first = min(skipped, default=0)
    reason = f": row {first + 1} {skipped[first]}" if skipped else ""
    message = fitted("No row of {where} can be used{reason}.", where=split.where, reason=reason)
    return RowError(message, next_step="Fix the rows of the file.", reasons=skipped)


def _but_train(found: Mapping[str, Found]) -> dict[str, Found]:
    return {name: each for name, each in found.items() if name != "train"}


def _counts(splits: Mapping[str, SplitRows]) -> dict[str, int]:
    return {name: 0 if rows.wanted_N is None else int(rows.wanted_N.sum()) for name, rows in splits.items()}


def _first_pass(
    name: str, split: Split, source: Source, cells: Mapping[str, FirstCell], values: RowValues | None
) -> _FirstPass:
    """Return the result of a first look at a split; `values` gets what the drawing of validation rows has to know.

    `cells` say which columns have written lists.
    """
    task, skips = source.task, source.skips_bad_rows
    is_given = source.label_type is None and task.kind in ("classification", "regression")
    has_classes = bool(task.columns.labels) and not is_given and task.kind not in ("question_answering", "seq2seq")
    is_learned = has_classes and name == "train"
    by_context = values is not None and _are_drawn_by_texts(task)
    may_lack = name == "test" and bool(task.columns.labels)
    is_read = is_given or is_learned or by_context or may_lack or (values is not None and skips)
    if not split.has_labels or not is_read:
        count = _some(count_split(split, source), split)
        if values is not None:
            values.add_rows(np.arange(count))
        return _FirstPass(rows=count, has_labels=split.has_labels)
    asked = label_contents(split, source) | (text_contents(split, source) if skips or by_context else {})
    if by_context and source.document is not None:
        asked[source.document] = "name"
    read_labels = label_reader(source, split)
    distinct = [
        DistinctValues(source.label_type or "auto", are_sets=task.kind == "multi_label")
        for _ in task.columns.labels
        if is_learned
    ]

    def labels_of(table: pa.Table) -> tuple[SourceColumn, ...]:
        columns = read_labels(table)
        if skips and name == "train":
            read_texts(source, split, table)
            for column in columns:
                refuse_missing(column, next_step=FILL)
                if is_learned and is_list(column.values.type):
                    label_lists(column)  # refuses an empty entry
        return columns

    bad: BadRows | None = {} if skips else None
    rows, count, is_filled = 0, 0, False
    tables = tables_of(SplitRows(split=split, wanted_N=None), asked, bad)
    for table in with_lists(tables, split, cells):
        rows += table.num_rows
        kept, columns = usable(table, labels_of, bad)
        count += kept.num_rows
        for column in columns:
            is_filled |= has_labels(column, task) if is_given else _is_filled(column, source)
        for found, column in zip(distinct, columns, strict=is_learned):
            found.add(column)
        if values is not None:
            _note_values(values, kept, columns, source, split)
    _some(rows, split)
    if bad and not count:
        raise _nothing_usable(split, bad)
    labels = tuple(found.column() for found in distinct)
    is_labelled = is_filled or is_learned or not task.columns.labels
    return _FirstPass(rows=rows, has_labels=is_labelled, labels=labels)


def _are_drawn_by_texts(task: Task) -> bool:
    """Return whether rows of one context, or of one query or positive, are held out together."""
    return task.kind == "question_answering" or (task.is_grouped and not task.columns.labels)


def _note_values(
    values: RowValues, table: pa.Table, columns: Sequence[SourceColumn], source: Source, split: Split
) -> None:
    """Add some rows of train to what is known before validation rows are drawn."""
    rows_N = table[ROW].to_numpy()
    values.add_rows(rows_N)
    task = source.task
    if _are_drawn_by_texts(task) and task.columns.pair is not None:
        names = [task.columns.pair, *([] if source.document is None else [source.document])]
        if task.is_grouped:
            names = [task.columns.text, task.columns.pair]  # rows of one positive are as those of one document
        values.add_contexts([source_column(name, split, table) for name in names])
    elif task.kind in ("classification", "token_classification", "multi_label") and len(columns) == 1:
        values.add_labels(columns[0])
    elif task.kind == "multi_label" and len(columns) > 1:
        values.add_flags(columns)


def _is_filled(column: SourceColumn, source: Source) -> bool:
    """Return whether any row has a label; a text that is split has none if it is empty."""
    if source.label_separator is not None and is_list(column.values.type):
        return bool(len(one_array(column.values).flatten()))
    return column.values.null_count < len(column.values)


def _some(rows: int, split: Split) -> int:
    """Return the number of rows, if there are any."""
    if rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Add rows, or leave it out.")
    return rows
