"""Some rows of one split, read and checked: what tokenizing needs of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.columns import row_name

# Shapes: N rows of the block.


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBlock:
    """Some rows of one split, in order, checked."""

    where: str  # name of the split in errors
    rows_N: IntArray  # rows of the source, from 0
    texts: pa.Array  # strings, none missing; lists of words for token classification
    pairs: pa.Array | None
    targets: pa.Array | None  # values by kind (data/labels/targets.py); None: the split has no labels
    negatives: pa.Array | None = None  # a list of strings a row, which may be empty; None: no column has them
    skipped: Mapping[int, str] = field(default_factory=dict)  # rows before these that were left out, and why

    def row_name(self, row: int) -> str:
        """Return how an error names a row of the block: rows count from 1, the header does not count."""
        return row_name(int(self.rows_N[row]), self.where)

    def without(self, reasons: Mapping[int, str]) -> "RowBlock":
        """Return the block without some rows of the source, which are noted as skipped."""
        return replace(self.only(~np.isin(self.rows_N, list(reasons))), skipped={**reasons, **self.skipped})

    def only(self, stays_N: BoolArray) -> "RowBlock":
        """Return the block with some of its rows alone."""
        kept = pa.array(stays_N)
        return replace(
            self,
            rows_N=self.rows_N[stays_N],
            texts=self.texts.filter(kept),
            pairs=None if self.pairs is None else self.pairs.filter(kept),
            negatives=None if self.negatives is None else self.negatives.filter(kept),
            targets=None if self.targets is None else self.targets.filter(kept),
        )
