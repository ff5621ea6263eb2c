"""Turn a block of rows into a block of samples: tokenized, annotated, sorted by length, and stored as a file.

`prepare` consists of blocks. They are independent, so threads or machines make them in any order, and an existing block
file is never made again. It is an Arrow file with one batch per length, so a shard reads only what it needs; its counts
are in the metadata.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray, offsets_of
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task
from tdbs.errors import DatasetError, RowError, reason_of
from tdbs.fields import Count, CutLengths
from tdbs.files import new_file
from tdbs.pipeline import schema
from tdbs.pipeline.annotate import annotated_table
from tdbs.pipeline.block_digests import digests_path, keep_digests
from tdbs.pipeline.duplicates.block_rows import digests_of
from tdbs.pipeline.lengths import Limits, length_histogram
from tdbs.pipeline.references import reference_table, unanswered_rows
from tdbs.pipeline.split_arrays import lists_of, sums_of
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.matches import WordPattern
from tdbs.records import Form, json_of, record_of

# Shapes: S samples of the block.

_INFO = b"tdbs"  # key of the counts in a file's metadata
_FORM = Form(
    what="a block of tdbs",
    error=DatasetError,
    next_step="Remove the file, which tdbs makes again, or pass --overwrite.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockJob:
    """What all blocks of a dataset share."""

    task: Task
    tokenizer: LoadedTokenizer
    pattern: WordPattern
    limits: Limits
    folder: Path
    skips_bad_rows: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockRows:
    """The rows of one block, and which block it is."""

    split: str
    number: int
    rows: RowBlock
    seconds: float  # time of reading them


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockInfo:
    """What a block's file holds."""

    split: str
    number: Count
    rows: Count
    tokens: Count
    labelled: bool
    droppable_words: Count
    droppable_tokens: Count
    length_histogram: tuple[Count, ...]
    droppable_histogram: tuple[Count, ...]
    target_histogram: tuple[Count, ...]
    has_references: bool
    seconds: dict[str, float]
    skipped: tuple[tuple[Count, str], ...] = ()  # rows of the source that were left out, from 0, and why
    unanswered: Count = 0  # rows: questions without an answer
    sequence_histogram: tuple[Count, ...] = ()  # samples of several sequences
    cut_lengths: CutLengths = ()
    cut_target_lengths: CutLengths = ()

    @property
    def samples(self) -> int:
        """Samples of the block: more than rows if a question has several windows."""
        return sum(self.length_histogram)


def block_path(folder: Path, split: str, number: int) -> Path:
    """Return the path of a block of a split."""
    return folder / "blocks" / f"{split}-{number:06d}.arrow"


def references_path(folder: Path, split: str, number: int) -> Path:
    """Return the path of the references of a block."""
    return folder / "blocks" / f"{split}-{number:06d}.references.arrow"


def make_block(job: BlockJob, block: BlockRows) -> BlockInfo:
    """Make a block's file unless it exists; return its contents."""
    path = block_path(job.folder, block.split, block.number)
    if path.exists() and digests_path(job.folder, block.split, block.number).exists():
        info = read_info(path)
        if info.rows + len(info.skipped) == len(block.rows.texts) + len(block.rows.skipped):
            return info
    seconds = {"read": block.seconds}
    table, rows = _samples(job, block.rows, seconds)
    clock = time.perf_counter()
    references = reference_table(rows, job.task)
    if references is not None:  # first: an existing block has its references
        keep_references(references, job.folder, block.split, block.number)
    keep_digests(digests_of(table, job.task), job.folder, block.split, block.number)
    skipped = tuple(sorted(rows.skipped.items()))
    info = keep_block(
        table,
        job.folder,
        block.split,
        block.number,
        rows=len(rows.texts),
        seconds=seconds,
        unanswered=0 if references is None else unanswered_rows(references),
        skipped=skipped,
    )
    return dataclasses.replace(info, seconds=seconds | {"write": time.perf_counter() - clock})


def keep_block(
    table: pa.Table,
    folder: Path,
    split: str,
    number: int,
    *,
    rows: int,
    seconds: dict[str, float],
    skipped: tuple[tuple[int, str], ...] = (),
    unanswered: int = 0,
) -> BlockInfo:
    """Write the samples of a block, by length, with what there is to know of them."""
    lengths_S = table[schema.LENGTH].to_numpy()
    words = lists_of(table, schema.DROPPABLE, np.int64, field="length")
    columns = set(table.schema.names)
    targets_S = pc.list_value_length(table[schema.TARGET_IDS]).to_numpy() if schema.TARGET_IDS in columns else None
    sequences = None
    if schema.SEQUENCE_LENGTHS in columns:
        sequences = lists_of(table, schema.SEQUENCE_LENGTHS, np.int64).values_V
    info = BlockInfo(
        split=split,
        number=number,
        rows=rows,
        tokens=int(lengths_S.sum()),
        labelled=bool({schema.LABEL, schema.ANSWER_START, schema.TARGET_IDS} & columns),
        droppable_words=len(words.values_V),
        droppable_tokens=int(words.values_V.sum()),
        length_histogram=_histogram(lengths_S),
        droppable_histogram=_histogram(sums_of(words)),
        target_histogram=() if targets_S is None else _histogram(targets_S),
        has_references=references_path(folder, split, number).exists(),
        seconds=seconds,
        skipped=skipped,
        unanswered=unanswered,
        sequence_histogram=() if sequences is None else _histogram(sequences),
        cut_lengths=_cut_lengths(table, schema.WHOLE_LENGTHS, lengths_S if sequences is None else sequences),
        cut_target_lengths=_cut_lengths(table, schema.WHOLE_TARGETS, targets_S),
    )
    is_in_order = (lengths_S[1:] >= lengths_S[:-1]).all()
    by_length = table if is_in_order else table.take(pa.array(np.argsort(lengths_S, kind="stable")))
    by_length = by_length.replace_schema_metadata({_INFO: json.dumps(dataclasses.asdict(info))})
    counts = np.array(info.length_histogram)
    bounds = offsets_of(counts[counts > 0]).tolist()
    pieces = [by_length.slice(first, last - first) for first, last in pairwise(bounds)]
    _write(block_path(folder, split, number), by_length.schema, pieces)
    return info


def keep_references(references: pa.Table, folder: Path, split: str, number: int) -> None:
    """Write the references of a block."""
    _write(references_path(folder, split, number), references.schema, [references])


def read_block(path: Path) -> pa.Table:
    """Return the samples or the references of a block."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def read_info(path: Path) -> BlockInfo:
    """Return what a block's file holds, from its metadata alone. Raises DatasetError if it is not a block."""
    try:
        with pa.OSFile(str(path)) as file:
            stored = (pa.ipc.open_file(file).schema.metadata or {})[_INFO]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _FORM.unreadable(str(path), reason_of(error)) from error
    return record_of(json_of(stored, _FORM, named=str(path)), BlockInfo, _FORM, named=str(path))


def _samples(job: BlockJob, rows: RowBlock, seconds: dict[str, float]) -> tuple[pa.Table, RowBlock]:
    """Return the samples of a block, and its rows without those that only tokenizing shows to be bad.

    Raises RowError if bad rows are not skipped, or if all rows are bad: then a setting is wrong, not a row.
    """
    while True:
        try:
            return annotated_table(rows, job.task, job.tokenizer, job.pattern, job.limits, seconds=seconds), rows
        except RowError as error:
            left = rows.without(error.reasons)
            if not job.skips_bad_rows or len(left.rows_N) in (0, len(rows.rows_N)):
                raise
            rows = left


def _write(path: Path, arrow_schema: pa.Schema, pieces: Sequence[pa.Table]) -> None:
    """Write a block atomically, a batch for each piece: an existing file is complete."""
    with new_file(path) as hidden, pa.ipc.new_file(hidden, arrow_schema) as writer:
        for piece in pieces:
            writer.write_table(piece.combine_chunks())


def _cut_lengths(table: pa.Table, column: str, kept: IntArray | None) -> CutLengths:
    """Return the lengths before the cut of what is shorter now, ascending, and how often each comes."""
    if kept is None or column not in table.schema.names:
        return ()
    found = table[column].combine_chunks()
    whole = (found.flatten() if pa.types.is_list(found.type) else found).to_numpy()
    lengths, counts = np.unique(whole[whole > kept], return_counts=True)
    return tuple(zip(lengths.tolist(), counts.tolist(), strict=True))


def _histogram(values_S: IntArray) -> tuple[int, ...]:
    return tuple(length_histogram(values_S).tolist())
