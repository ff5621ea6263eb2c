"""Samples of a row in a few length groups, each padded for attention alone; a batch is cut where it costs least.

Attention of a family's own, biases by position and attention across two rows see a padded sample as transformers' code
does; other attention sees tiles (tiles.py). On two cores three groups are faster than one, and than groups of equal
length, whose many small products cost more than they save.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray, ragged_positions

# Shapes: B samples, K their tokens, U their distinct lengths, P places of padded rows, G rows of a width L.

GROUPS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLayout:
    """Padded rows of one width, with a sample each, or tiles of several; `places` are of their tokens among P."""

    places: slice
    length: int
    lengths_G: IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedLayout:
    """A batch as padded rows of a few widths, and which token stands at which of their places."""

    groups: Sequence[GroupLayout]
    token_of_P: IntArray  # the token at each padded place; anything at padding
    place_of_K: IntArray  # the padded place of each token; the rows' padding has none
    token_of_K: IntArray  # where each token stands among F


def grouped_layout(starts_B: IntArray, lengths_B: IntArray, longest: IntArray, *, by_B: IntArray) -> GroupedLayout:
    """Return samples in groups, by the first of the `longest` lengths that their length of `by_B` does not exceed."""
    group_B = np.searchsorted(longest, by_B)
    firsts_B = np.cumsum(lengths_B) - lengths_B  # among K
    tokens, place_of_K = [], np.empty(int(lengths_B.sum()), dtype=np.int64)
    groups = []
    first = 0
    for group in range(len(longest)):
        members = np.flatnonzero(group_B == group)
        rank_L = np.arange(lengths_B[members].max())
        real_GL = rank_L < lengths_B[members, None]
        place_of_K[(firsts_B[members, None] + rank_L)[real_GL]] = first + np.flatnonzero(real_GL)
        tokens.append(np.where(real_GL, starts_B[members, None] + rank_L, 0).ravel())
        places = slice(first, first + real_GL.size)
        groups.append(GroupLayout(places=places, length=len(rank_L), lengths_G=lengths_B[members]))
        first = places.stop
    return GroupedLayout(
        groups=tuple(groups),
        token_of_P=np.concatenate(tokens),
        place_of_K=place_of_K,
        token_of_K=ragged_positions(starts_B, lengths_B),
    )


def longest_of_groups(lengths_B: IntArray) -> IntArray:
    """Return the longest length of each group, ascending, at most three: those that make fewest attention pairs.

    A group of samples up to length l costs l x l pairs for each of them. All cuts into three are compared.
    """
    lengths_U, counts_U = np.unique(lengths_B, return_counts=True)
    if len(lengths_U) <= GROUPS:
        return lengths_U
    upto_U = np.cumsum(counts_U)
    pairs_U = lengths_U**2
    # cost of the two shorter groups, cut after i and after j > i; the longest one has the rest
    first_U = upto_U * pairs_U
    second_UU = (upto_U[None, :] - upto_U[:, None]) * pairs_U[None, :]
    third_U = (upto_U[-1] - upto_U) * pairs_U[-1]
    cost_UU = first_U[:, None] + second_UU + third_U[None, :]
    cost_UU[np.tril_indices(len(lengths_U))] = np.iinfo(np.int64).max
    i, j = divmod(int(np.argmin(cost_UU)), len(lengths_U))
    return np.unique(lengths_U[np.array([i, j, -1])])
