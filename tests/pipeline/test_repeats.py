"""Which rows of train go: pure functions against loops over the rows, on random input."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.arrays import offsets_of
from tdbs.pipeline.duplicates.near import near_pairs
from tdbs.pipeline.duplicates.repeats import KINDS, Repeats, exact_repeats, first_that_stay, near_repeats
from tdbs.pipeline.duplicates.shingles import shingles_of
from tests.examples import examples
from tests.reference import duplicates as reference

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=30)
Left = dict[int, tuple[int, str]]


def found(repeats: Repeats) -> Left:
    """Return the rows that go, each with the row that it repeats, and how."""
    kinds = [KINDS[kind] for kind in repeats.kinds_D.tolist()]
    return dict(zip(repeats.rows_D.tolist(), zip(repeats.originals_D.tolist(), kinds, strict=True), strict=True))


@examples(200)
@given(rows=ROWS, share=st.floats(0, 1), within_train=st.booleans())
def test_exact_repeats_are_those_of_a_loop(rows: list[tuple[int, int]], share: float, within_train: bool):
    """What stands in a split that is kept out goes, whatever its label; else the first of a text and a label stays."""
    train_from = int(share * (len(rows) - 1))
    expected: Left = {}
    for row in range(train_from, len(rows)):
        text, label = rows[row]
        standing = [other for other in range(train_from) if rows[other][0] == text]
        earlier = [other for other in range(train_from, row) if rows[other] == (text, label) and other not in expected]
        originals = standing or (earlier if within_train else [])
        if originals:
            expected[row] = (originals[0], "exact")
    texts_N2 = np.array([(0, text) for text, _ in rows], dtype=np.uint64)
    labels_N = np.array([label for _, label in rows], dtype=np.uint64)
    repeats = exact_repeats(texts_N2, labels_N, train_from=train_from, within_train=within_train)
    assert found(repeats) == expected
    left = [rows[row][0] for row in range(train_from, len(rows)) if row not in expected]
    assert repeats.conflicts == (sum(left.count(text) > 1 for text in left) if within_train else 0)


@examples(200)
@given(pairs=st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])))
def test_a_row_goes_if_a_row_before_it_stays_and_is_near(pairs: set[tuple[int, int]]):
    """In order of the rows, as one would decide by hand; chains and cliques alike."""
    goes: set[int] = set()
    for row in range(13):
        if any((first, row) in pairs and first not in goes for first in range(row)):
            goes.add(row)
    ordered = sorted(pairs)
    first_C, second_C = np.array(ordered, dtype=np.int64).reshape(-1, 2).T
    decides = first_that_stay(first_C, second_C).tolist()
    assert [ordered[place] for place in decides] == [pair for pair in ordered if pair[0] not in goes]


@examples(200)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.integers(0, 1), st.booleans()),
        min_size=1,
        max_size=14,
    ),
    share=st.floats(0, 1),
)
def test_near_repeats_are_those_of_a_loop(rows: list[tuple[list[int], int, bool]], share: float):
    """Texts are words; a flag stands for what the normal form ignores. Exact, normalized and near, in this order."""
    train_from = int(share * (len(rows) - 1))
    words = [text for text, _, _ in rows]
    exact = reference.first_equal([(*text, flag) for text, _, flag in rows])
    normal = reference.first_equal([tuple(text) for text in words])
    hashes = np.array([[7, 11, 13][word] for text in words for word in text], dtype=np.uint64)
    shingles = shingles_of(hashes * np.uint64(0x9E3779B97F4A7C15), offsets_of([len(text) for text in words]))
    all_pairs = near_pairs(shingles, np.arange(len(rows)))
    near = set(zip(all_pairs.first_C.tolist(), all_pairs.second_C.tolist(), strict=True))
    same = {pair for pair in combinations(range(len(rows)), 2) if normal[pair[0]] == normal[pair[1]]}
    assert same <= near

    def kind(one: int, other: int) -> str:
        return "exact" if exact[one] == exact[other] else "normalized" if normal[one] == normal[other] else "near"

    standing = {
        row: min((other for other in range(train_from) if (other, row) in near), default=None)
        for row in range(train_from, len(rows))
    }
    expected = {row for row, other in standing.items() if other is not None}
    for row in range(train_from, len(rows)):
        earlier = [other for other in range(train_from, row) if (other, row) in near and other not in expected]
        if any(rows[other][1] == rows[row][1] for other in earlier):
            expected.add(row)
    labels_N = np.array([label for _, label, _ in rows], dtype=np.uint64)
    repeats = near_repeats(np.array(exact), np.array(normal), shingles, labels_N, train_from=train_from)
    assert set(found(repeats)) == expected
    for row, (original, named) in found(repeats).items():
        assert (original, row) in near
        assert original not in expected
        assert original < train_from or rows[original][1] == rows[row][1]
        assert named == kind(original, row)
