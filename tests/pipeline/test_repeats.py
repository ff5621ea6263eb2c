"""Which rows of train go: pure functions against loops over the rows, on random input."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.arrays import offsets_of
from tdbs.pipeline.duplicates.compared import Compared, row_texts
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


WORDS = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@examples(200)
@given(
    rows=st.lists(st.tuples(WORDS, st.integers(0, 1), st.booleans()), min_size=1, max_size=14), share=st.floats(0, 1)
)
def test_near_repeats_are_those_of_a_loop(rows: list[tuple[list[int], int, bool]], share: float):
    """Texts are words; a flag stands for what the normal form ignores. Exact, normalized and near, in this order."""
    train_from = int(share * (len(rows) - 1))
    texts = [[text] for text, _, _ in rows]
    labels = [label for _, label, _ in rows]
    check(texts, [flag for _, _, flag in rows], labels, train_from, heads=False)


@examples(200)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.sampled_from([[0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 0], [2], [1, 1]]), min_size=2, max_size=4))
        | st.tuples(st.lists(WORDS, min_size=2, max_size=4)),
        min_size=1,
        max_size=14,
    ),
    share=st.floats(0, 1),
    data=st.data(),
)
def test_near_repeats_of_rows_with_negatives_are_those_of_a_loop(rows, share, data):
    """In train all texts decide, across splits the first two."""
    flags = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    check([texts for (texts,) in rows], flags, [0] * len(rows), int(share * (len(rows) - 1)), heads=True)


def check(texts, flags, labels, train_from, *, heads):
    """Compare with a loop over rows; a flag is a token of the first text that its normal form lacks."""
    numbers = range(len(texts))

    def compared(kept):
        exact = reference.first_equal([(flag, *map(tuple, row)) for row, flag in zip(kept, flags, strict=True)])
        normal = reference.first_equal([tuple(map(tuple, row)) for row in kept])
        return exact, normal

    flat = [text for row in texts for text in row]
    hashes = np.array([[7, 11, 13][word] for text in flat for word in text], dtype=np.uint64)
    shingles = shingles_of(hashes * np.uint64(0x9E3779B97F4A7C15), offsets_of([len(text) for text in flat]))
    whole = row_texts(np.array([len(row) for row in texts]))
    known = whole.heads if heads else whole
    same, near = {}, {}
    for name, kept, rows in (("whole", texts, whole), ("known", [row[:2] if heads else row for row in texts], known)):
        same[name] = compared(kept)
        pairs = near_pairs(shingles, np.array(numbers), rows)
        near[name] = set(zip(pairs.first_C.tolist(), pairs.second_C.tolist(), strict=True))
        assert {pair for pair in combinations(numbers, 2) if same[name][1][pair[0]] == same[name][1][pair[1]]} <= near[
            name
        ]

    def kind(name, one, other):
        exact, normal = same[name]
        return "exact" if exact[one] == exact[other] else "normalized" if normal[one] == normal[other] else "near"

    train = range(train_from, len(texts))
    gone = {row: "known" for row in train if any((other, row) in near["known"] for other in range(train_from))}
    for row in train:
        earlier = [other for other in range(train_from, row) if (other, row) in near["whole"] and other not in gone]
        if row not in gone and any(labels[other] == labels[row] for other in earlier):
            gone[row] = "whole"
    repeats = near_repeats(
        Compared(texts=whole, exact_N=np.array(same["whole"][0]), normal_N=np.array(same["whole"][1])),
        Compared(texts=known, exact_N=np.array(same["known"][0]), normal_N=np.array(same["known"][1]))
        if heads
        else None,
        shingles,
        np.array(labels, dtype=np.uint64),
        train_from=train_from,
    )
    listed = found(repeats)
    assert set(listed) == set(gone)
    for row, (original, named) in listed.items():
        assert (original, row) in near[gone[row]]
        assert (original < train_from) == (gone[row] == "known")
        assert named == kind(gone[row], original, row)
        if gone[row] == "known":
            continue
        assert labels[original] == labels[row]
        assert original not in gone or named != "near"
        kinds = {
            kind("whole", other, row)
            for other in range(train_from, row)
            if labels[other] == labels[row] and gone.get(other) != "known"
        }
        assert named == next(each for each in KINDS if each in kinds | {"near"})


def test_a_copy_of_a_row_that_is_near_another_is_exact():
    """Rows 1 and 2 are equal, and nearly row 0: row 1 is near row 0, and row 2 is the copy of row 1."""
    words = [list(range(9)), [*range(9), 9], [*range(9), 9]]
    hashes = np.array([word for text in words for word in text], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    shingles = shingles_of(hashes, offsets_of([len(text) for text in words]))
    first_N = np.array([0, 1, 1])
    whole = Compared(texts=row_texts(np.ones(3, dtype=np.int64)), exact_N=first_N, normal_N=first_N)
    repeats = near_repeats(whole, None, shingles, np.zeros(3, dtype=np.uint64), train_from=0)
    assert found(repeats) == {1: (0, "near"), 2: (1, "exact")}


@examples(200)
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=20), share=st.floats(0, 1))
def test_exact_repeats_of_rows_with_negatives_stand_elsewhere_by_their_heads(rows: list[tuple[int, int]], share: float):
    """A head and a negative: train has a row twice if both are equal, and of another split if the head is."""
    train_from = int(share * (len(rows) - 1))
    expected: Left = {}
    for row in range(train_from, len(rows)):
        standing = [other for other in range(train_from) if rows[other][0] == rows[row][0]]
        earlier = [other for other in range(train_from, row) if rows[other] == rows[row]]
        if standing or earlier:
            expected[row] = (standing or earlier)[0], "exact"
    repeats = exact_repeats(
        np.array(rows, dtype=np.uint64),
        np.zeros(len(rows), dtype=np.uint64),
        train_from=train_from,
        heads_N2=np.array([(0, head) for head, _ in rows], dtype=np.uint64),
    )
    assert found(repeats) == expected
