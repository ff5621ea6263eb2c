"""Read an opened source: a first pass over labels and row counts, then checked rows, block by block.

Only a few blocks are in memory at any time. Blocks depend on the contents alone: up to 65,536 rows or 8 MiB of text,
however the file is split into pieces.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.columns import (
    FILL,
    BadRows,
    SourceColumn,
    one_array,
    refuse_missing,
    refuse_other_bytes,
    row_name,
    text_values,
    word_lists,
)
from tdbs.data.content import is_list, is_text
from tdbs.data.held_out import RowValues, draw
from tdbs.data.labels.distinct import DistinctValues
from tdbs.data.labels.given import has_labels
from tdbs.data.labels.shape import parsed_lists
from tdbs.data.labels.single import label_lists
from tdbs.data.labels.targets import Encoder, SplitColumns, learn_targets
from tdbs.data.sources import Source, Split
from tdbs.data.tables import (
    ROW,
    SplitRows,
    count_split,
    label_contents,
    label_reader,
    source_column,
    tables_of,
    text_contents,
    usable,
)
from tdbs.data.tasks import Task
from tdbs.errors import RowError, SourceError
from tdbs.shown import NOTE, fitted

# Shapes: N rows of a block.

Found = TypeVar("Found")
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
    skipped: Mapping[int, str] = field(default_factory=dict)  # rows before these that were left out, and why

    def row_name(self, row: int) -> str:
        """Return how an error names a row of the block: rows count from 1, the header does not count."""
        return row_name(int(self.rows_N[row]), self.where)

    def without(self, reasons: Mapping[int, str]) -> "RowBlock":
        """Return the block without some rows of the source, which are noted as skipped."""
        kept = pa.array(~np.isin(self.rows_N, list(reasons)))
        return replace(
            self,
            rows_N=self.rows_N[kept.to_numpy(zero_copy_only=False)],
            texts=self.texts.filter(kept),
            pairs=None if self.pairs is None else self.pairs.filter(kept),
            targets=None if self.targets is None else self.targets.filter(kept),
            skipped={**reasons, **self.skipped},
        )


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
    passed = {
        name: _first_pass(name, rows.split, source, values if name == "train" else None)
        for name, rows in splits.items()
    }
    if not passed["train"].has_labels:
        raise SourceError(f"{train.where} has no labels.", next_step="Use a train split with labels.")
    task, encode = learn_targets(passed["train"].labels, source.task, source.label_type)
    rows = {name: found.rows for name, found in passed.items()}
    labelled = {name for name, found in passed.items() if found.has_labels}
    notes: tuple[str, ...] = (_list_texts_note(source),) if source.has_list_texts else ()
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
    asked = text_contents(source) | (label_contents(split, source) if is_labelled else {})
    read_labels = label_reader(source, split) if is_labelled else None

    def block_of(table: pa.Table) -> RowBlock:
        text, pair = _texts(source, split, table)
        rows = SplitColumns(text=text, pair=pair, labels=() if read_labels is None else read_labels(table))
        return RowBlock(
            where=split.where,
            rows_N=text.rows_N,
            texts=one_array(text.values),
            pairs=None if pair is None else one_array(pair.values),
            targets=survey.encode(rows) if rows.labels and table.num_rows else None,
        )

    tables = tables_of(survey.splits[name], asked, bad)
    most, bytes_ = rows_at_most or BLOCK_ROWS, bytes_at_most or BLOCK_BYTES
    for table in _blocks(tables, _text_columns(source), rows_at_most=most, bytes_at_most=bytes_):
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


def _list_texts_note(source: Source) -> str:
    columns = source.task.columns
    of_words = "'{text}' and " if source.task.kind == "token_classification" else ""
    return fitted(
        of_words + "'{label}' of {where}: lists that are written as texts are read as lists.",
        width=NOTE,
        text=columns.text,
        label=columns.label,
        where=source.splits[0].where,
    )


def _but_train(found: Mapping[str, Found]) -> dict[str, Found]:
    return {name: each for name, each in found.items() if name != "train"}


def _counts(splits: Mapping[str, SplitRows]) -> dict[str, int]:
    return {name: 0 if rows.wanted_N is None else int(rows.wanted_N.sum()) for name, rows in splits.items()}


def _first_pass(name: str, split: Split, source: Source, values: RowValues | None) -> _FirstPass:
    """Return the result of a first look at a split; `values` gets what the drawing of validation rows has to know."""
    task, skips = source.task, source.skips_bad_rows
    is_given = source.label_type is None and task.kind in ("classification", "regression")
    has_classes = not is_given and task.kind not in ("question_answering", "seq2seq")
    is_learned = has_classes and name == "train"
    by_context = values is not None and task.kind == "question_answering"
    is_read = is_given or is_learned or by_context or name == "test" or (values is not None and skips)
    if not split.has_labels or not is_read:
        count = _some(count_split(split, source), split)
        if values is not None:
            values.add_rows(np.arange(count))
        return _FirstPass(rows=count, has_labels=split.has_labels)
    asked = label_contents(split, source) | (text_contents(source) if skips or by_context else {})
    read_labels = label_reader(source, split)
    distinct = [
        DistinctValues(source.label_type or "auto", are_sets=task.kind == "multi_label")
        for _ in task.columns.labels
        if is_learned
    ]

    def labels_of(table: pa.Table) -> tuple[SourceColumn, ...]:
        columns = read_labels(table)
        if skips and name == "train":
            _texts(source, split, table)
            for column in columns:
                refuse_missing(column, next_step=FILL)
                if is_learned and is_list(column.values.type):
                    label_lists(column)  # refuses an empty entry
        return columns

    bad: BadRows | None = {} if skips else None
    rows, count, is_filled = 0, 0, False
    for table in tables_of(SplitRows(split=split, wanted_N=None), asked, bad):
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
    return _FirstPass(rows=rows, has_labels=is_filled or is_learned, labels=labels)


def _note_values(
    values: RowValues, table: pa.Table, columns: Sequence[SourceColumn], source: Source, split: Split
) -> None:
    """Add some rows of train to what is known before validation rows are drawn."""
    rows_N = table[ROW].to_numpy()
    values.add_rows(rows_N)
    task = source.task
    if task.kind == "question_answering" and task.columns.pair is not None:
        contexts = source_column(task.columns.pair, split, table)
        values.add_contexts(one_array(contexts.values.cast(pa.string())), rows_N)
    elif task.kind in ("classification", "token_classification", "multi_label") and len(columns) == 1:
        values.add_labels(columns[0])
    elif task.kind == "multi_label" and len(columns) > 1:
        values.add_flags(columns)


def _is_filled(column: SourceColumn, source: Source) -> bool:
    """Return whether any row has a label; a text that is split has none if it is empty."""
    if source.label_separator is not None and is_list(column.values.type):
        return bool(len(one_array(column.values).flatten()))
    return column.values.null_count < len(column.values)


def _text_columns(source: Source) -> list[str]:
    columns = source.task.columns
    return [column for column in (columns.text, columns.pair) if column is not None]


def _texts(source: Source, split: Split, table: pa.Table) -> tuple[SourceColumn, SourceColumn | None]:
    """Return the texts of rows, or their words, and the second texts; none is missing. Raises RowError."""
    text, *others = (source_column(column, split, table) for column in _text_columns(source))
    if source.label_type is not None:  # the hub's tasks have empty texts
        text, *others = (_empty_is_missing(column) for column in (text, *others))
    if source.task.kind == "token_classification":
        if is_text(text.values.type) and source.has_list_texts:
            refuse_other_bytes(text)
            text = parsed_lists(text, of_words=True)
        text = replace(text, values=word_lists(text))
    else:
        text = replace(text, values=text_values(text))
    pair = next((replace(other, values=text_values(other)) for other in others), None)
    return text, pair


def _empty_is_missing(column: SourceColumn) -> SourceColumn:
    """Return texts in which an empty one is missing, as an empty field of a table of text is."""
    if not is_text(column.values.type):
        return column
    is_empty = pc.equal(column.values, "")
    return replace(column, values=pc.if_else(is_empty, pa.scalar(None, column.values.type), column.values))


def _some(rows: int, split: Split) -> int:
    """Return the number of rows, if there are any."""
    if rows == 0:
        raise SourceError(f"{split.where} has no rows.", next_step="Add rows, or leave it out.")
    return rows


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
