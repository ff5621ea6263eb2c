"""Rows to predict, in blocks of bounded size, and their conversion into samples."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tdbs.arrays import IntArray
from tdbs.data.columns import BadRows
from tdbs.data.content import is_list
from tdbs.data.row_block import RowBlock
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.encode import Encoded, encode_rows
from tdbs.pipeline.words.matches import WordPattern

BLOCK_ROWS = 8192

# Shapes: R rows.


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows of the input, in order; `encode` turns them into samples, `one_by_one` yields each row as a block."""

    rows_R: IntArray
    encode: Callable[[Checkpoint, WordPattern | None], Encoded]
    one_by_one: Callable[[], Iterator["Block"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """The rows to predict."""

    name: str
    identity: Mapping[str, object]  # what a resumed run must find unchanged; empty: it cannot resume
    rows: int | None  # None: unknown before the end
    blocks: Callable[[BadRows | None], Iterator[Block]]  # bad rows are recorded there and skipped; None: an error
    is_pair: bool
    has_candidates: bool = False  # a row has a query and texts that are ranked for it
    held_bytes: int = 0  # of a split that stays in memory


def text_rows(
    texts: list[str],
    pairs: list[str] | None = None,
    *,
    candidates: list[list[str]] | None = None,
    rows: list[int] | None = None,
    where: str = "the texts",
) -> RowBlock:
    """Return texts that are in memory as rows, numbered from 0 unless `rows` says otherwise."""
    return RowBlock(
        where=where,
        rows_N=np.arange(len(texts)) if rows is None else np.array(rows, dtype=np.int64),
        texts=pa.array(texts, pa.string()),
        pairs=None if pairs is None else pa.array(pairs, pa.string()),
        negatives=None if candidates is None else pa.array(candidates, pa.list_(pa.string())),
        targets=None,
    )


def as_words(rows: RowBlock, checkpoint: Checkpoint) -> RowBlock:
    """Return rows with their texts split into words, if the model predicts a class for each word."""
    if checkpoint.task.kind != "token_classification" or is_list(rows.texts.type):
        return rows
    words = pa.array([text.split() for text in rows.texts.to_pylist()], pa.list_(pa.string()))
    return RowBlock(where=rows.where, rows_N=rows.rows_N, texts=words, pairs=None, targets=None)


def block_of(rows: RowBlock, bad: BadRows | None = None) -> Block:
    """Return rows as a block of the input."""
    return Block(
        rows_R=rows.rows_N,
        encode=lambda checkpoint, pattern: encode_rows(as_words(rows, checkpoint), checkpoint, pattern, bad),
        one_by_one=lambda: (block_of(_row(rows, place), bad) for place in range(len(rows.rows_N))),
    )


def _row(rows: RowBlock, place: int) -> RowBlock:
    return replace(
        rows,
        rows_N=rows.rows_N[place : place + 1],
        texts=rows.texts.slice(place, 1),
        pairs=None if rows.pairs is None else rows.pairs.slice(place, 1),
        negatives=None if rows.negatives is None else rows.negatives.slice(place, 1),
    )
