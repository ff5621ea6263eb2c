"""Positions of a batch's samples in rows of several, as arrays that are made ahead of their step.

Only attention sees tiles of samples (tiles.py); the linear layers see one flat row (docs/decisions.md, "Unpadded").
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray, ragged_positions
from tdbs.train.rows.length_groups import GroupedLayout
from tdbs.train.rows.tiles import tile_layout

# Shapes: F tokens of all rows, B samples, K their tokens.


@dataclass(frozen=True, kw_only=True, slots=True)
class RowLayout:
    """Whose each token is, its position in its sample, and the tiles of attention."""

    sample_F: IntArray  # -1 at padding
    positions_F: IntArray
    tiled: GroupedLayout | None  # packed rows are their own


def row_layout(starts_B: IntArray, lengths_B: IntArray, *, size: int, is_packed: bool) -> RowLayout:
    """Return the layout of samples that start at some places of the flattened rows, of `size` tokens in all."""
    token_of_K = ragged_positions(starts_B, lengths_B)
    sample_F = np.full(size, -1, dtype=np.int64)
    positions_F = np.zeros_like(sample_F)
    sample_F[token_of_K] = np.repeat(np.arange(len(lengths_B)), lengths_B)
    positions_F[token_of_K] = token_of_K - np.repeat(starts_B, lengths_B)
    tiled = None if is_packed else tile_layout(starts_B, lengths_B)
    return RowLayout(sample_F=sample_F, positions_F=positions_F, tiled=tiled)
