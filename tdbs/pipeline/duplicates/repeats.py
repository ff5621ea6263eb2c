"""Which rows of train are left out: pure functions over digests and words of rows.

Rows of the splits that are kept out come first, then those of train. A row of train goes if its text stands in a split
that is kept out, whatever its label. Else it goes if an earlier row has its text and its label, so the first of equal
rows stays. Near repeats are taken in order of the rows: a row that is near only to rows that go stays. A row that
repeats another one exactly or in the normal form is listed with that one, which may itself be listed as near to a row
that stays. Rows with negatives stand in another split if query and positive do.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.arrays import BoolArray, IntArray
from tdbs.pipeline.duplicates.compared import Compared
from tdbs.pipeline.duplicates.mixing import HashArray
from tdbs.pipeline.duplicates.near import NearPairs, near_pairs
from tdbs.pipeline.duplicates.rows import same_in_columns
from tdbs.pipeline.duplicates.shingles import Shingles
from tdbs.spilled import forget

# Shapes: N rows, D rows that are left out, C near pairs, M rows of near pairs.

KINDS = ("exact", "normalized", "near")  # by how a row repeats another one; kinds of `Repeats` are places here


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """The rows that are left out, ascending, the row that each repeats, and how; and how many conflict and stay."""

    rows_D: IntArray
    originals_D: IntArray
    kinds_D: IntArray
    conflicts: int  # rows of train that stay, whose text stands in train with another label


def exact_repeats(
    texts_N2: HashArray,
    labels_N: HashArray,
    *,
    train_from: int,
    within_train: bool = True,
    heads_N2: HashArray | None = None,
) -> Repeats:
    """Return the rows of train with the token ids of another row.

    Args:
        texts_N2: 128 bits of each row's token ids.
        labels_N: A digest of each row's label; that of rows before train does not matter.
        train_from: Rows before this one are of splits that are kept out.
        within_train: Whether rows that repeat an earlier one of train go, too.
        heads_N2: 128 bits of the token ids by which rows are known in other splits; None: all of them.

    Returns:
        The rows that go. Rows whose token ids differ share 128 bits with a chance that is nil.
    """
    exact_N = same_in_columns(*texts_N2.T)
    standing_N = exact_N if heads_N2 is None else same_in_columns(*heads_N2.T)
    original_N = np.arange(len(exact_N))
    train = original_N[train_from:]
    stands_R = standing_N[train] < train_from
    original_N[train[stands_R]] = standing_N[train[stands_R]]
    stays = train[~stands_R]
    if within_train:
        original_N[stays] = stays[same_in_columns(*texts_N2[stays].T, labels_N[stays])]
    rows_D, conflicts = _gone(original_N, exact_N, train_from)
    return Repeats(
        rows_D=rows_D,
        originals_D=original_N[rows_D],
        kinds_D=np.zeros(len(rows_D), dtype=np.int64),
        conflicts=conflicts if within_train else 0,
    )


def near_repeats(
    whole: Compared,
    heads: Compared | None,
    shingles: Shingles,
    labels_N: HashArray,
    *,
    train_from: int,
    spilled: bool = False,
) -> Repeats:
    """Return the rows of train that another row repeats exactly, in the normal form, or nearly.

    Args:
        whole: The rows by all of their texts.
        heads: The rows by the texts that they are known by in other splits; None: by all of them.
        shingles: The sets of shingles of all texts.
        labels_N: A digest of each row's label; that of rows before train does not matter.
        train_from: Rows before this one are of splits that are kept out.
        spilled: Whether what is kept of each row goes to files, see `spilled.py`.

    Returns:
        The rows that go.
    """
    known = whole if heads is None else heads
    stands_R = known.normal_N[train_from:] < train_from
    stays = train_from + np.flatnonzero(~stands_R)
    first_R = _first_with_label(whole.normal_N, labels_N, stays)
    alike_R = first_R if heads is None else heads.normal_N[stays]
    others = np.flatnonzero(known.normal_N[:train_from] == np.arange(train_from))
    forget(whole, heads, labels_N)
    pairs = near_pairs(shingles, np.append(others, np.unique(alike_R)), known.texts, spilled=spilled)
    is_near_R = _near_before(pairs, len(known.normal_N), train_from)[alike_R]
    original_N = np.arange(len(known.normal_N))
    standing = train_from + np.flatnonzero(stands_R)
    original_N[standing] = np.where(
        known.exact_N[standing] < train_from, known.exact_N[standing], known.normal_N[standing]
    )
    original_N[stays] = np.where(is_near_R >= 0, is_near_R, stays)
    stays, first_R = stays[is_near_R < 0], first_R[is_near_R < 0]
    firsts = np.unique(first_R)
    if heads is not None:
        pairs = near_pairs(shingles, firsts, whole.texts, spilled=spilled)
    original_N[stays] = _original_of_near(pairs, labels_N, firsts)[stays]
    original_N[stays] = np.where(first_R != stays, first_R, original_N[stays])
    twin_R = _first_with_label(whole.exact_N, labels_N, stays)
    original_N[stays] = np.where(twin_R != stays, twin_R, original_N[stays])
    rows_D, conflicts = _gone(original_N, whole.normal_N, train_from)
    originals_D = original_N[rows_D]
    kinds_D = np.where(originals_D < train_from, _kinds(known, rows_D, originals_D), _kinds(whole, rows_D, originals_D))
    return Repeats(rows_D=rows_D, originals_D=originals_D, kinds_D=kinds_D, conflicts=conflicts)


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


def _near_before(pairs: NearPairs, rows: int, train_from: int) -> IntArray:
    """Return for each row of train the first row before train that it is near to, else -1 (N)."""
    found_N = np.full(rows, -1)
    stands_C = (pairs.first_C < train_from) & (pairs.second_C >= train_from)
    _set_first(found_N, pairs.first_C[stands_C], pairs.second_C[stands_C])
    return found_N


def _original_of_near(pairs: NearPairs, labels_N: HashArray, rows: IntArray) -> IntArray:
    """Return for each row the first one before it that it is near to and that stays, else itself (N).

    Pairs of two of the rows with one label count.
    """
    original_N = np.arange(len(labels_N))
    counts_N = np.zeros(len(labels_N), dtype=np.bool_)
    counts_N[rows] = True
    within_C: BoolArray = counts_N[pairs.first_C] & counts_N[pairs.second_C]
    within_C &= labels_N[pairs.first_C] == labels_N[pairs.second_C]
    first_C, second_C = pairs.first_C[within_C], pairs.second_C[within_C]
    decides = first_that_stay(first_C, second_C)
    _set_first(original_N, first_C[decides], second_C[decides])
    return original_N


def _set_first(original_N: IntArray, first_C: IntArray, second_C: IntArray) -> None:
    """Set the first one of each second row, of pairs in order."""
    rows, places = np.unique(second_C, return_index=True)
    original_N[rows] = first_C[places]


def _first_with_label(group_N: IntArray, labels_N: HashArray, rows: IntArray) -> IntArray:
    """Return for each of some rows the first of them of its group and its label."""
    columns_R = group_N[rows], labels_N[rows]
    forget(group_N, labels_N)
    return rows[same_in_columns(*columns_R)]


def _gone(original_N: IntArray, group_N: IntArray, train_from: int) -> tuple[IntArray, int]:
    """Return the rows that have another original than themselves, and how many of train stay in a group of several."""
    numbers = np.arange(len(original_N))
    groups = group_N[(original_N == numbers) & (numbers >= train_from)]
    return np.flatnonzero(original_N != numbers), int((np.bincount(groups, minlength=1)[groups] > 1).sum())


def _kinds(compared: Compared, rows_D: IntArray, originals_D: IntArray) -> IntArray:
    """Return how each row repeats another one, as places of `KINDS`."""
    is_exact_D, is_normal_D = (
        same_N[rows_D] == same_N[originals_D] for same_N in (compared.exact_N, compared.normal_N)
    )
    return np.where(is_exact_D, 0, np.where(is_normal_D, 1, 2))
