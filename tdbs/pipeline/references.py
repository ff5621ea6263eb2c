"""Texts that predictions are scored against: contexts and answers, or summaries, one Parquet file a split.

`references/<split>.parquet` has one row for each row of the source; token ids could not restore the texts exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import IntArray
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task
from tdbs.pipeline.manifest import FileInfo
from tdbs.pipeline.parquet import read_checked, write_parquet_blocks
from tdbs.pipeline.schema import SOURCE_ROW

FOLDER = "references"
TEXTS, _CONTEXT = "references", "context"  # columns


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """References of a split, one entry a row of the source."""

    source_rows_R: IntArray
    texts: list[list[str]]  # every answer (a question may have none), or the one summary
    contexts: list[str] | None  # question answering


def reference_table(rows: RowBlock, task: Task) -> pa.Table | None:
    """Return the references of some rows; None if targets are not texts, or there are none."""
    if rows.targets is None or task.kind not in ("question_answering", "seq2seq"):
        return None
    columns = {SOURCE_ROW: pa.array(rows.rows_N)}
    if rows.pairs is not None:
        columns |= {_CONTEXT: rows.pairs, TEXTS: rows.targets.field("text")}
    else:
        ends = np.arange(len(rows.rows_N) + 1, dtype=np.int32)
        columns |= {TEXTS: pa.ListArray.from_arrays(ends, rows.targets)}
    return pa.table(columns)


def unanswered_rows(references: pa.Table) -> int:
    """Return how many rows have no reference: questions that their context does not answer."""
    return int((pc.list_value_length(references[TEXTS]).to_numpy() == 0).sum())


def write_references(tables: Iterable[pa.Table], folder: Path, split: str) -> FileInfo:
    """Write the references of a split below `folder`, one block after the other."""
    path = f"{FOLDER}/{split}.parquet"
    return FileInfo(path=path, sha256=write_parquet_blocks(tables, folder / path))


def read_references(folder: Path, info: FileInfo) -> References:
    """Read the references of a split, checked against their hash."""
    table = read_checked(folder / info.path, info.sha256)
    return References(
        source_rows_R=table[SOURCE_ROW].to_numpy(),
        texts=table[TEXTS].to_pylist(),
        contexts=table[_CONTEXT].to_pylist() if _CONTEXT in table.schema.names else None,
    )
