"""Which samples repeat which, over all splits; the checks on duplicates, leaks and conflicts look at it.

Three kinds, each without those of the kinds before: exact (the same token ids), normalized (the same letters and digits
in lower case), near (a Jaccard index of three-word shingles of at least the threshold). So the rows of one sample are
counted once. All is compared text by text; `prepare --drop-duplicates` uses the same code.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.arrays import BoolArray, IntArray
from tdbs.pipeline.duplicates.block_rows import has_negatives
from tdbs.pipeline.duplicates.compared import Compared, RowTexts, compared
from tdbs.pipeline.duplicates.near import NearPairs, near_pairs
from tdbs.spilled import forget

# Shapes: N samples of all splits, R some of them, C near pairs.


@dataclass(frozen=True, kw_only=True, slots=True)
class SameSamples:
    """The samples compared by some of their texts; pairs of near ones among the first ones of each normal form."""

    compared: Compared
    near: NearPairs


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """Which samples are the same in their split, and which are known from another split."""

    whole: SameSamples  # by all texts
    heads: SameSamples  # by query and positive, if there are negatives; else `whole`


def find_repeats(contents: Contents) -> Repeats:
    """Return which samples repeat which."""
    whole = _same(contents, contents.texts)
    has_heads = len(contents.names) > 1 and has_negatives(contents.manifest.task)
    return Repeats(whole=whole, heads=_same(contents, contents.texts.heads) if has_heads else whole)


def _same(contents: Contents, texts: RowTexts) -> SameSamples:
    found = compared(
        contents.ids_T, contents.text_offsets_P1, contents.pieces, contents.normal, texts, spilled=contents.spilled
    )
    forget(contents)
    firsts = np.flatnonzero(found.normal_N == np.arange(len(found.normal_N)))
    near = near_pairs(contents.normal.shingles, firsts, texts, spilled=contents.spilled)
    forget(contents)
    return SameSamples(compared=found, near=near)


def pairs_within(contents: Contents, same: SameSamples, split: int) -> tuple[IntArray, IntArray]:
    """Return the near pairs of a split (C, C): of the first samples of each normal form there.

    Windows of one row overlap, so they do not count.
    """
    part, near = contents.slice_of(split), same.near
    if split == 0:  # its first samples are those of all splits
        is_here_C = near.second_C < part.stop
        first_C, second_C = near.first_C[is_here_C], near.second_C[is_here_C]
    else:
        first_N = np.full(len(same.compared.normal_N), -1)
        first_N[same.compared.normal_N[part][::-1]] = np.arange(part.start, part.stop)[::-1]
        pairs_2C = np.sort(first_N[np.stack([near.first_C, near.second_C])], axis=0)
        pairs_2C = pairs_2C[:, pairs_2C[0] >= 0]
        first_C, second_C = pairs_2C[:, np.lexsort(pairs_2C[::-1])]
    is_pair_C = contents.source_rows_N[first_C] != contents.source_rows_N[second_C]
    return first_C[is_pair_C], second_C[is_pair_C]


def pairs_with_train(contents: Contents, same: SameSamples) -> tuple[IntArray, IntArray]:
    """Return the near pairs of a sample of train with one of another split (C, C)."""
    end = contents.slice_of(0).stop
    is_one_C: BoolArray = (same.near.first_C < end) & (same.near.second_C >= end)
    return same.near.first_C[is_one_C], same.near.second_C[is_one_C]


def second_of(first_C: IntArray, second_C: IntArray) -> tuple[IntArray, IntArray]:
    """Return the second samples of pairs (R), ascending, and the first one that each is paired with (R)."""
    rows_R, places_R = np.unique(second_C, return_index=True)
    return rows_R, first_C[places_R]
