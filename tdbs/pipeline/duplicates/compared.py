"""The texts by which rows are compared, and which rows are the same in all of them.

A row has one text, two of a pair, or any number: a query, its positive and its negatives. Rows are compared text by
text, in order. So rows with another number of texts differ, and so do questions about one passage. Across splits, rows
of queries are known by query and positive alone: what else was asked with them does not make them new.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.normal import NormalTexts, same_texts
from tdbs.pipeline.duplicates.pieces import Pieces
from tdbs.pipeline.duplicates.rows import same_rows
from tdbs.spilled import forget, kept

# Shapes: N rows, R some of them, T tokens, P texts of all rows, P1 = P + 1, Q texts of some rows.

HEAD = 2  # texts of a row's head: the query and its positive


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTexts:
    """Which texts rows are compared by, among the texts of all rows, one after the other."""

    firsts_N: IntArray
    counts_N: IntArray

    @property
    def heads(self) -> "RowTexts":
        """The first two texts of each row."""
        return RowTexts(firsts_N=self.firsts_N, counts_N=np.minimum(self.counts_N, HEAD))

    @property
    def most(self) -> int:
        """Texts of the row with most."""
        return int(self.counts_N.max(initial=0))

    def of(self, rows_R: IntArray) -> IntArray:
        """Return the texts of some rows, one row after the other (Q)."""
        return ragged_positions(self.firsts_N[rows_R], self.counts_N[rows_R])


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Rows compared by some of their texts: for each row the first one that is the same, itself if there is none."""

    texts: RowTexts
    exact_N: IntArray  # with the same token ids
    normal_N: IntArray  # with the same normal forms; rows with the same token ids have the same one


def row_texts(counts_N: IntArray) -> RowTexts:
    """Return rows that are compared by all of their texts, of which each has so many."""
    return RowTexts(firsts_N=offsets_of(counts_N)[:-1], counts_N=counts_N)


def compared(
    ids_T: npt.NDArray[Any],
    offsets_P1: IntArray,
    pieces: Pieces,
    normal: NormalTexts,
    texts: RowTexts,
    *,
    spilled: bool = False,
) -> Compared:
    """Return which rows are the same in some of their texts.

    Args:
        ids_T: Token ids of all texts, one text after the other.
        offsets_P1: Text p has tokens [p] to [p + 1].
        pieces: What the ids stand for.
        normal: The normal forms of the texts.
        texts: The texts that count of each row.
        spilled: Whether the result goes to files, see `spilled.py`.
    """
    exact_N = same_rows(ids_T, offsets_P1)
    if texts.most > 1:
        every = np.arange(len(texts.counts_N))
        exact_N = same_rows(exact_N[texts.of(every)], offsets_of(texts.counts_N))
    normal_N = same_texts(ids_T, offsets_P1, pieces, normal, firsts_N=texts.firsts_N, counts_N=texts.counts_N)
    np.minimum(normal_N, exact_N, out=normal_N)  # exact ones without a letter
    forget(ids_T, offsets_P1, normal)
    return Compared(texts=texts, exact_N=kept(exact_N, spilled=spilled), normal_N=kept(normal_N, spilled=spilled))
