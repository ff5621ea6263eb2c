"""Which rows of train are left out: pure functions over digests and words of rows.

Rows of the splits that are kept out come first, then those of train. A row of train goes if its text stands in a split
that is kept out, whatever its label. Else it goes if an earlier row that stays has its text and its label. So the first
of equal rows stays, and the row that a repeat is listed with always stays. Near repeats are taken in order of the rows:
a row that is near only to rows that go stays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tdbs.arrays import BoolArray, IntArray
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, mixed
from tdbs.pipeline.duplicates.near import NearPairs, near_pairs
from tdbs.pipeline.duplicates.rows import same_rows
from tdbs.pipeline.duplicates.shingles import Shingles

# Shapes: N rows, D rows that are left out, C near pairs, M rows of near pairs.

KINDS = ("exact", "normalized", "near")  # by how a row repeats another one; kinds of `Repeats` are places here


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """The rows that are left out, ascending, the row that each repeats, and how; and how many conflict and stay."""

    rows_D: IntArray
    originals_D: IntArray
    kinds_D: IntArray
    conflicts: int  # rows of train that stay, whose text stands in train with another label


def exact_repeats(texts_N2: HashArray, labels_N: HashArray, *, train_from: int, within_train: bool = True) -> Repeats:
    """Return the rows of train with the token ids of another row.

    Args:
        texts_N2: 128 bits of each row's token ids.
        labels_N: A digest of each row's label; that of rows before train does not matter.
        train_from: Rows before this one are of splits that are kept out.
        within_train: Whether rows that repeat an earlier one of train go, too.

    Returns:
        The rows that go. Rows whose token ids differ share 128 bits with a chance that is nil.
    """
    exact_N = _same(texts_N2)
    original_N = np.arange(len(exact_N))
    train = original_N[train_from:]
    stands_R = exact_N[train] < train_from
    original_N[train[stands_R]] = exact_N[train[stands_R]]
    stays = train[~stands_R]
    if within_train:
        columns_R3 = np.column_stack([texts_N2[stays], labels_N[stays]])
        original_N[stays] = stays[_same(columns_R3)]
    return _repeats(original_N, exact_N, exact_N, train_from=train_from, counts_conflicts=within_train)


def near_repeats(
    exact_N: IntArray,
    normal_N: IntArray,
    shingles: Shingles,
    labels_N: HashArray,
    *,
    train_from: int,
    texts_a_row: int = 1,
) -> Repeats:
    """Return the rows of train that another row repeats exactly, in the normal form, or nearly.

    Args:
        exact_N: For each row the first one with its token ids.
        normal_N: For each row the first one with its normal form; rows with the same token ids have the same one.
        shingles: The sets of shingles of all texts.
        labels_N: A digest of each row's label; that of rows before train does not matter.
        train_from: Rows before this one are of splits that are kept out.
        texts_a_row: 2 for pairs.

    Returns:
        The rows that go.
    """
    original_N = np.arange(len(exact_N))
    train = original_N[train_from:]
    stands_R = normal_N[train] < train_from
    standing = train[stands_R]
    original_N[standing] = np.where(exact_N[standing] < train_from, exact_N[standing], normal_N[standing])
    stays = train[~stands_R]
    first_R = stays[_same(np.column_stack([normal_N[stays].astype(np.uint64), labels_N[stays]]))]
    others = np.flatnonzero(normal_N[:train_from] == np.arange(train_from))
    pairs = near_pairs(shingles, np.append(others, np.unique(first_R)), texts_a_row=texts_a_row)
    original_N[stays] = _original_of_near(pairs, labels_N, train_from)[first_R]
    return _repeats(original_N, exact_N, normal_N, train_from=train_from, counts_conflicts=True)


def first_that_stay(first_C: IntArray, second_C: IntArray) -> IntArray:
    """Return which pairs make a row go: their first one stays, in order of the rows.

    A row stays unless an earlier row that stays makes a pair with it. Cost: a pass over the pairs for each row of the
    longest chain of pairs; copies of one text are all decided in the first pass.

    Args:
        first_C: The earlier row of each pair.
        second_C: The later row of each pair.

    Returns:
        Places of pairs whose first row stays.
    """
    names_M, places_2C = np.unique(np.stack([first_C, second_C]), return_inverse=True)
    first, second = places_2C.reshape(2, -1)
    goes_M = np.zeros(len(names_M), dtype=np.bool_)
    open_C = np.arange(len(first))
    while len(open_C):
        waits_M = np.zeros(len(names_M), dtype=np.bool_)
        waits_M[second[open_C]] = True
        goes_M[second[open_C[~waits_M[first[open_C]]]]] = True
        open_C = open_C[~(goes_M[first[open_C]] | goes_M[second[open_C]])]
    return np.flatnonzero(~goes_M[first])


def _original_of_near(pairs: NearPairs, labels_N: HashArray, train_from: int) -> IntArray:
    """Return for each row the first one before it that it is near to and that stays, else itself (N)."""
    original_N = np.arange(len(labels_N))
    first_C, second_C = pairs.first_C, pairs.second_C
    stands_C = (first_C < train_from) & (second_C >= train_from)
    standing = _set_first(original_N, first_C[stands_C], second_C[stands_C])
    within_C: BoolArray = (first_C >= train_from) & (labels_N[first_C] == labels_N[second_C])
    within_C &= ~(np.isin(first_C, standing) | np.isin(second_C, standing))
    first_C, second_C = first_C[within_C], second_C[within_C]
    decides = first_that_stay(first_C, second_C)
    _set_first(original_N, first_C[decides], second_C[decides])
    return original_N


def _set_first(original_N: IntArray, first_C: IntArray, second_C: IntArray) -> IntArray:
    """Set the first one of each second row, of pairs in order; return these rows."""
    rows, places = np.unique(second_C, return_index=True)
    original_N[rows] = first_C[places]
    return rows


def _same(columns_NK: npt.NDArray[Any]) -> IntArray:
    """Return for each row of numbers the first equal one (N)."""
    rows, width = columns_NK.shape
    digests_N = columns_NK[:, 0].astype(np.uint64)
    for column in range(1, width):
        digests_N = mixed(digests_N * GOLDEN + columns_NK[:, column])
    return same_rows(np.ascontiguousarray(columns_NK).ravel(), np.arange(rows + 1) * width, digests_N=digests_N)


def _repeats(
    original_N: IntArray, exact_N: IntArray, normal_N: IntArray, *, train_from: int, counts_conflicts: bool
) -> Repeats:
    """Return the rows that have another original than themselves; rows of one normal form that stay conflict."""
    numbers = np.arange(len(original_N))
    rows_D = np.flatnonzero(original_N != numbers)
    originals_D = original_N[rows_D]
    kinds_D = np.where(
        exact_N[rows_D] == exact_N[originals_D], 0, np.where(normal_N[rows_D] == normal_N[originals_D], 1, 2)
    )
    conflicts = 0
    if counts_conflicts:
        groups = normal_N[(original_N == numbers) & (numbers >= train_from)]
        conflicts = int((np.bincount(groups, minlength=1)[groups] > 1).sum())
    return Repeats(rows_D=rows_D, originals_D=originals_D, kinds_D=kinds_D, conflicts=conflicts)
