"""Read an opened source: a first pass over labels and row counts, then checked rows, block by block.

No more than some blocks are in memory at any time. Blocks depend on the contents alone: up to 65,536 rows or 8 MiB of
text, whatever pieces the file is read in.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.bad_rows import BadRows
from tdbs.data.class_names import class_names, named_classes
from tdbs.data.columns import SourceColumn, one_array, text_values, word_lists
from tdbs.data.content import ROWS_AT_ONCE, Content, is_list, is_text, plain_type
from tdbs.data.distinct import DistinctValues
from tdbs.data.formats import count_rows, format_of, read_schema
from tdbs.data.given_labels import has_labels
from tdbs.data.sources import Source, Split
from tdbs.data.targets import Encoder, SplitColumns, learn_targets
from tdbs.data.tasks import Task, TaskKind
from tdbs.data.validation import held_out_rows
from tdbs.errors import SourceError, system_errors_as
from tdbs.files import stamp_of

BLOCK_ROWS = 65_536
BLOCK_BYTES = 8 << 20  # of text
_ROW = "\0row"  # a column beside those of the source, whose names are the user's

# Shapes: N rows of a block.


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlock:
    """Some rows of one split, in order, checked."""

    where: str  # how errors call the split
    rows_N: IntArray  # rows of the source, from 0
    texts: pa.Array  # strings, none missing; lists of words for token classification
    pairs: pa.Array | None
    targets: pa.Array | None  # by kind as data/targets.py says; None: the split has no labels

    def row_name(self, row: int) -> str:
        """Return how an error names a row of the block: rows count from 1, the header does not count."""
        return f"row {self.rows_N[row] + 1} of {self.where}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRows:
    """The rows that make a split: those of a file or table, or some of them where others are held out."""

    split: Split
    wanted_N: BoolArray | None  # None: all


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What the first pass tells: the task with its classes, how labels become targets, rows, and which have labels."""

    task: Task
    encode: Encoder
    splits: Mapping[str, SplitRows]  # in order: train, validation, test
    rows: Mapping[str, int]
    labelled: frozenset[str]


def survey_source(source: Source) -> Survey:
    """Read what must be known before the first row is prepared: labels of train, row counts, splits without labels."""
    splits = _splits(source)
    passed = {name: _first_pass(name, rows, source) for name, rows in splits.items()}
    if not passed["train"].has_labels:
        raise SourceError(f"{splits['train'].split.where} has no labels.", next_step="Use a train split with labels.")
    task, encode = learn_targets(passed["train"].labels, source.task, source.label_type)
    return Survey(
        task=task,
        encode=encode,
        splits=splits,
        rows={name: found.rows for name, found in passed.items()},
        labelled=frozenset(name for name, found in passed.items() if found.has_labels),
    )


def read_blocks(
    source: Source,
    survey: Survey,
    name: str,
    *,
    rows_at_most: int | None = None,
    bytes_at_most: int | None = None,
    bad: BadRows | None = None,
) -> Iterator[RowBlock]:
    """Yield the rows of a split in order, checked, as blocks.

    With `bad`, rows that cannot be read and rows without a text are noted there and left out; a block counts them.
    """
    split = survey.splits[name].split
    columns = source.task.columns
    asked = _text_contents(source.task) | (_label_contents(split, source.task) if name in survey.labelled else {})
    names = {column: class_names(_schema(split), column) for column in columns.labels if column in asked}
    texts = [column for column in (columns.text, columns.pair) if column is not None]
    tables = _tables(survey.splits[name], asked, bad)
    limits = {"rows_at_most": rows_at_most or BLOCK_ROWS, "bytes_at_most": bytes_at_most or BLOCK_BYTES}
    for block in _blocks(tables, texts, **limits):
        table = block if bad is None else _whole_rows(block, texts, bad)
        found = {column: _column(column, split, table) for column in asked}
        labels = tuple(named_classes(found[column], known) for column, known in names.items())
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


def _splits(source: Source) -> dict[str, SplitRows]:
    """Return the rows of each split; a fraction held out of train is validation."""
    splits = {split.name: SplitRows(split=split, wanted_N=None) for split in source.splits}
    if source.held_out is None:
        return splits
    train = splits["train"].split
    rows = _count(train, source.task)
    is_held_out_N = np.zeros(rows, dtype=np.bool_)
    is_held_out_N[held_out_rows(rows, source.held_out)] = True
    held_out = {
        "train": SplitRows(split=train, wanted_N=~is_held_out_N),
        "validation": SplitRows(split=train, wanted_N=is_held_out_N),
    }
    return held_out | {name: split for name, split in splits.items() if name != "train"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _FirstPass:
    """What a first look at a split tells."""

    rows: int
    has_labels: bool
    labels: tuple[SourceColumn, ...] = ()  # distinct values of each label column, where they matter


def _first_pass(name: str, rows: SplitRows, source: Source) -> _FirstPass:
    split, task = rows.split, source.task
    is_given = source.label_type is None and task.kind in ("classification", "regression")
    is_learned = name == "train" and not is_given and task.kind not in ("question_answering", "seq2seq")
    if not split.has_labels or not (is_given or is_learned or name == "test"):
        count = _count(split, task) if rows.wanted_N is None else int(rows.wanted_N.sum())
        return _FirstPass(rows=_some(count, split), has_labels=split.has_labels)
    asked = _label_contents(split, task)
    names = {column: class_names(_schema(split), column) for column in task.columns.labels}
    distinct = {column: DistinctValues(source.label_type or "auto") for column in task.columns.labels if is_learned}
    count, is_filled = 0, False
    for table in _tables(rows, asked):
        count += table.num_rows
        for label in task.columns.labels:
            column = _column(label, split, table)
            is_filled |= has_labels(column, task) if is_given else column.values.null_count < len(column.values)
            if label in distinct:
                distinct[label].add(named_classes(column, names[label]))
    _some(count, split)
    labels = tuple(values.column() for values in distinct.values())
    return _FirstPass(rows=count, has_labels=is_filled or is_learned, labels=labels)


def _some(rows: int, split: Split) -> int:
    """Return the number of rows, if there are any."""
    if rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Give it rows, or leave it out.")
    return rows


def _count(split: Split, task: Task) -> int:
    with _failures_named(split):
        content = split.content
        return content.num_rows if isinstance(content, pa.Table) else count_rows(content, task.columns.text)


def _text_contents(task: Task) -> dict[str, Content]:
    """Return what the text columns hold."""
    of_text: Content = "words" if task.kind == "token_classification" else "text"
    pair: dict[str, Content] = {} if task.columns.pair is None else {task.columns.pair: "text"}
    return {task.columns.text: of_text, **pair}


def _label_contents(split: Split, task: Task) -> dict[str, Content]:
    """Return what the label columns of a split hold, which a reader of JSON has to know."""
    by_kind: dict[TaskKind, Content] = {
        "token_classification": "labels",
        "question_answering": "answers",
        "seq2seq": "text",
    }
    content = by_kind.get(task.kind, "label")
    if task.kind == "multi_label" and is_list(_schema(split).field(task.columns.labels[0]).type):
        content = "labels"
    return dict.fromkeys(task.columns.labels, content)


def _schema(split: Split) -> pa.Schema:
    with _failures_named(split):
        return split.content.schema if isinstance(split.content, pa.Table) else read_schema(split.content)


def _column(name: str, split: Split, table: pa.Table) -> SourceColumn:
    rows_N = one_array(table[_ROW]).to_numpy()
    return SourceColumn(name=name, where=split.where, values=table[name], rows_N=rows_N)


def _checked(column: SourceColumn, content: Content) -> SourceColumn:
    return replace(column, values=word_lists(column) if content == "words" else text_values(column))


def _whole_rows(table: pa.Table, columns: list[str], bad: BadRows) -> pa.Table:
    """Return the rows that have all of some columns, and note the others."""
    for column in columns:
        missing = pc.is_null(table[column])
        for row in table.filter(missing)[_ROW].to_pylist():
            bad.setdefault(row, f"has no '{column}'")
        table = table.filter(pc.invert(missing))
    return table


def _tables(rows: SplitRows, asked: Mapping[str, Content], bad: BadRows | None = None) -> Iterator[pa.Table]:
    """Yield the asked columns of the wanted rows, with row numbers, in whatever pieces the file is read in."""
    split, content = rows.split, rows.split.content
    pieces: Iterator[pa.Table]
    if isinstance(content, pa.Table):
        batches = content.select(list(asked)).to_batches(max_chunksize=ROWS_AT_ONCE)
        pieces = (pa.Table.from_batches([batch]) for batch in batches)
    else:
        pieces = format_of(content).read(content, asked, bad)
    first = 0
    with _failures_named(split):
        for piece in pieces:
            last = first + piece.num_rows
            plain = pa.table({name: piece[name].cast(plain_type(piece[name].type)) for name in piece.column_names})
            numbered = plain.append_column(_ROW, pa.array(np.arange(first, last)))
            yield numbered if rows.wanted_N is None else numbered.filter(pa.array(rows.wanted_N[first:last]))
            first = last
        if not isinstance(content, pa.Table) and stamp_of(content) != split.stamp:
            raise SourceError(f"{split.where} changed while it was read.", next_step="Run it again.")


def _failures_named(split: Split) -> AbstractContextManager[None]:
    """Say of which split the file system's errors are."""
    return system_errors_as(
        SourceError, f"{split.where} cannot be read", next_step="See that the file is there and that you may read it."
    )


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
        through = np.concatenate([[0], np.cumsum(pc.fill_null(pc.binary_length(values.flatten()), 0).to_numpy())])
        ends = np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy())
        return np.diff(through[ends], prepend=0)
    if not is_text(values.type):
        return np.zeros(len(values), dtype=np.int64)
    return pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
