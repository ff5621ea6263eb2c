"""Read an opened source: a first pass over labels and row counts, then checked rows, block by block.

Only a few blocks are in memory at any time. Blocks depend on the contents alone: up to 65,536 rows or 8 MiB of text,
however the file is split into pieces.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.columns import BadRows, SourceColumn, one_array, text_values, word_lists
from tdbs.data.content import Content, is_list, is_text
from tdbs.data.labels.distinct import DistinctValues, kept_note, missing_in_train, refuse_nothing_drawn, together
from tdbs.data.labels.given import has_labels
from tdbs.data.labels.several import hot_classes
from tdbs.data.labels.targets import Encoder, SplitColumns, learn_targets
from tdbs.data.sources import Source, Split, held_out_rows
from tdbs.data.tables import (
    ROW,
    SplitRows,
    count_split,
    label_contents,
    label_reader,
    source_column,
    tables_of,
    text_contents,
)
from tdbs.data.tasks import Task
from tdbs.errors import SourceError

# Shapes: N rows of a block.

BLOCK_ROWS = 65_536
BLOCK_BYTES = 8 << 20  # of text


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlock:
    """Some rows of one split, in order, checked."""

    where: str  # name of the split in errors
    rows_N: IntArray  # rows of the source, from 0
    texts: pa.Array  # strings, none missing; lists of words for token classification
    pairs: pa.Array | None
    targets: pa.Array | None  # values by kind (data/labels/targets.py); None: the split has no labels

    def row_name(self, row: int) -> str:
        """Return how an error names a row of the block: rows count from 1, the header does not count."""
        return f"Row {self.rows_N[row] + 1} of {self.where}"


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
    splits = _splits(source)
    passed = {name: _first_pass(name, rows, source) for name, rows in splits.items()}
    if not passed["train"].has_labels:
        raise SourceError(f"{splits['train'].split.where} has no labels.", next_step="Use a train split with labels.")
    train, drawn = passed["train"].labels, passed["validation"].labels if source.held_out is not None else ()
    # What is held out of a file can only have the file's labels, so all its rows say what they are.
    labels = tuple(together(*pair) for pair in zip(train, drawn, strict=True)) if drawn else train
    task, encode = learn_targets(labels, source.task, source.label_type)
    survey = FirstPassResult(
        task=task,
        encode=encode,
        splits=splits,
        rows={name: found.rows for name, found in passed.items()},
        labelled=frozenset(name for name, found in passed.items() if found.has_labels),
    )
    names_classes = len(labels) == 1 and bool(task.classes)
    if source.held_out is None or not drawn or not names_classes or _is_hot(labels[0], task):
        return survey
    return _with_rare_classes(survey, train[0], drawn[0], fraction=source.held_out)


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

    With `bad`, rows that cannot be read and rows without a text are recorded there and skipped; a block counts them.
    """
    split = survey.splits[name].split
    columns = source.task.columns
    asked = text_contents(source.task) | (label_contents(split, source.task) if name in survey.labelled else {})
    read_labels = label_reader(source, split) if name in survey.labelled else None
    texts = [column for column in (columns.text, columns.pair) if column is not None]
    tables = tables_of(survey.splits[name], asked, bad)
    limits = {"rows_at_most": rows_at_most or BLOCK_ROWS, "bytes_at_most": bytes_at_most or BLOCK_BYTES}
    for block in _blocks(tables, texts, **limits):
        table = block if bad is None else _whole_rows(block, texts, bad)
        found = {column: source_column(column, split, table) for column in texts}
        labels = () if read_labels is None else read_labels(table)
        rows = SplitColumns(
            text=_checked(found[columns.text], asked[columns.text]),
            pair=None if columns.pair is None else _checked(found[columns.pair], "text"),
            labels=labels,
        )
        yield RowBlock(
            where=split.where,
            rows_N=rows.text.rows_N,
            texts=one_array(rows.text.values),
            pairs=None if rows.pair is None else one_array(rows.pair.values),
            targets=survey.encode(rows) if labels else None,
        )


def _is_hot(labels: SourceColumn, task: Task) -> bool:
    """Return whether classes are places, which train has whatever its rows are."""
    return task.kind == "multi_label" and hot_classes(labels) is not None


def _with_rare_classes(
    survey: FirstPassResult, train: SourceColumn, drawn: SourceColumn, *, fraction: float
) -> FirstPassResult:
    """Return the survey with a row of each class in train."""
    rows, classes = missing_in_train(train, drawn, survey.task.classes)
    if not rows.size:
        return survey
    split = survey.splits["train"].split
    refuse_nothing_drawn(survey.rows["validation"] - len(rows), fraction=fraction, where=split.where)
    wanted_N = {name: survey.splits[name].wanted_N for name in ("train", "validation")}
    splits = dict(survey.splits)
    for name, is_kept in (("train", True), ("validation", False)):
        moved_N = np.array(wanted_N[name])
        moved_N[rows] = is_kept
        splits[name] = SplitRows(split=split, wanted_N=moved_N)
    counts = {"train": survey.rows["train"] + len(rows), "validation": survey.rows["validation"] - len(rows)}
    note = kept_note(rows, classes, fraction=fraction)
    return replace(survey, splits=splits, rows={**survey.rows, **counts}, notes=(note,))


def _splits(source: Source) -> dict[str, SplitRows]:
    """Return the rows of each split; a fraction held out of train is validation."""
    splits = {split.name: SplitRows(split=split, wanted_N=None) for split in source.splits}
    if source.held_out is None:
        return splits
    train = splits["train"].split
    rows = count_split(train, source.task)
    is_held_out_N = np.zeros(rows, dtype=np.bool_)
    is_held_out_N[held_out_rows(rows, source.held_out)] = True
    held_out = {
        "train": SplitRows(split=train, wanted_N=~is_held_out_N),
        "validation": SplitRows(split=train, wanted_N=is_held_out_N),
    }
    return held_out | {name: split for name, split in splits.items() if name != "train"}


def _first_pass(name: str, rows: SplitRows, source: Source) -> _FirstPass:
    split, task = rows.split, source.task
    is_given = source.label_type is None and task.kind in ("classification", "regression")
    has_classes = not is_given and task.kind not in ("question_answering", "seq2seq")
    is_learned = has_classes and (name == "train" or rows.wanted_N is not None)
    if not split.has_labels or not (is_given or is_learned or name == "test"):
        count = count_split(split, task) if rows.wanted_N is None else int(rows.wanted_N.sum())
        return _FirstPass(rows=_some(count, split), has_labels=split.has_labels)
    asked = label_contents(split, task)
    read_labels = label_reader(source, split)
    distinct = [DistinctValues(source.label_type or "auto") for _ in task.columns.labels if is_learned]
    count, is_filled = 0, False
    for table in tables_of(rows, asked):
        count += table.num_rows
        columns = read_labels(table)
        for column in columns:
            is_filled |= has_labels(column, task) if is_given else column.values.null_count < len(column.values)
        for values, column in zip(distinct, columns, strict=is_learned):
            values.add(column)
    _some(count, split)
    labels = tuple(values.column() for values in distinct)
    return _FirstPass(rows=count, has_labels=is_filled or is_learned, labels=labels)


def _some(rows: int, split: Split) -> int:
    """Return the number of rows, if there are any."""
    if rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Add rows, or leave it out.")
    return rows


def _checked(column: SourceColumn, content: Content) -> SourceColumn:
    return replace(column, values=word_lists(column) if content == "words" else text_values(column))


def _whole_rows(table: pa.Table, columns: list[str], bad: BadRows) -> pa.Table:
    """Return the rows that have all of some columns, and note the others."""
    for column in columns:
        missing = pc.is_null(table[column])
        for row in table.filter(missing)[ROW].to_pylist():
            bad.setdefault(row, f"has no '{column}'")
        table = table.filter(pc.invert(missing))
    return table


def _blocks(
    tables: Iterator[pa.Table], texts: list[str], *, rows_at_most: int, bytes_at_most: int
) -> Iterator[pa.Table]:
    """Yield the rows cut into blocks: a block ends where the next row would be too much for it."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        bytes_through_N = np.cumsum(sum(_bytes_of_rows(table[column]) for column in texts))
        first = 0
        while first < table.num_rows:
            before = int(bytes_through_N[first - 1]) if first else 0
            fitting = int(np.searchsorted(bytes_through_N, before + bytes_at_most - size, side="right")) - first
            taken = min(fitting, rows_at_most - rows, table.num_rows - first)
            if taken <= 0 and rows:
                yield pa.concat_tables(waiting)
                waiting, rows, size = [], 0, 0
                continue
            taken = max(taken, 1)  # a text of more than a block is one of its own
            waiting.append(table.slice(first, taken))
            first += taken
            rows += taken
            size += int(bytes_through_N[first - 1]) - before
    if waiting:
        yield pa.concat_tables(waiting)


def _bytes_of_rows(column: pa.ChunkedArray) -> IntArray:
    """Return how many bytes of text each row has; none where the column holds no texts, which is refused later."""
    values = one_array(column)
    if is_list(values.type) and is_text(values.type.value_type):
        through = offsets_of(pc.fill_null(pc.binary_length(values.flatten()), 0).to_numpy())
        ends = np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy())
        return np.diff(through[ends], prepend=0)
    if not is_text(values.type):
        return np.zeros(len(values), dtype=np.int64)
    return pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
