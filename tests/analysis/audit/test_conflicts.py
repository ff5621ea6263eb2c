"""Which samples conflict: against a loop over random groups and labels; the counts of repeats with another label."""

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.audit.conflicts import conflicting
from tdbs.data.sample import TOKENIZER_FOLDER
from tests.examples import examples

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=30)  # text and label


def arrays_of(rows):
    texts = [text for text, _ in rows]
    return np.array([texts.index(text) for text in texts]), np.array([label for _, label in rows], dtype=np.uint64)


@examples(200)
@given(rows=ROWS)
def test_each_row_with_another_label_of_its_text_comes_with_the_first_such_row(rows):
    expected = {}
    for row, (text, label) in enumerate(rows):
        others = [other for other, (its, of_other) in enumerate(rows) if its == text and of_other != label]
        if others:
            expected[row] = others[0]
    rows_R, others_R = conflicting(*arrays_of(rows), np.arange(len(rows)))
    assert list(zip(rows_R.tolist(), others_R.tolist(), strict=True)) == list(expected.items())


@examples(200)
@given(rows=ROWS, share=st.floats(0, 1))
def test_a_row_conflicts_with_any_row_of_train_that_has_its_text_and_another_label(rows, share):
    """Also if the first one has its label; rows after train do not conflict with each other here."""
    end = 1 + int(share * (len(rows) - 1))
    expected = {}
    for row in range(end, len(rows)):
        others = [other for other in range(end) if rows[other][0] == rows[row][0] and rows[other][1] != rows[row][1]]
        if others:
            expected[row] = others[0]
    rows_R, others_R = conflicting(*arrays_of(rows), np.arange(len(rows)), only_after=end)
    assert list(zip(rows_R.tolist(), others_R.tolist(), strict=True)) == list(expected.items())


# What findings say of repeats


def told_of(train, validation, folder):
    """Return what an audit counts of each finding, and how many of these it says have another label."""
    splits = {
        name: [{"text": text, "label": label} for text, label in rows]
        for name, rows in {"train": train, "validation": validation}.items()
    }
    made = tdbs.prepare(splits, label_type="class", tokenizer=str(TOKENIZER_FOLDER), out=folder, progress=False)
    told = {}
    for each in tdbs.audit(made.dataset).findings:
        other = re.search(r", ([\d,]+) of them with another label", each.what)
        told[each.kind, each.split] = each.count, int(other[1]) if other else 0
    return told


def test_a_leak_has_another_label_if_any_row_of_train_gives_its_text_one(tmp_path):
    """By hand: rows 1 and 2 of validation stand in train as n and p, whichever comes first; row 3 as p alone."""
    train = [("good film", "n"), ("good film", "p"), ("dull and slow", "p"), ("fine", "n"), ("never seen", "n")]
    validation = [("good film", "n"), ("good film", "p"), ("dull and slow", "p"), ("Fine!", "p"), ("a new one", "n")]
    told = told_of(train, validation, tmp_path / "data")
    assert told["leaks", "validation"] == (3, 2)
    assert told["normalized_leaks", "validation"] == (1, 1)
    assert told["conflicts_with_train", "validation"] == (3, 0)


@pytest.mark.parametrize("seed", range(3))
def test_repeats_with_another_label_are_those_of_conflicts(seed, tmp_path):
    """Exact and normalized leaks with another label are conflicts with train; so it is in a split, but for firsts."""
    drawn = random.Random(seed)  # noqa: S311
    texts = [
        f"{word} {mark}" for word in ("fine", "dull", "odd", "long", "new", "old", "sad") for mark in (".", "!", "")
    ]
    train, validation = ([(drawn.choice(texts), drawn.choice("aaab")) for _ in range(rows)] for rows in (12, 20))
    told = told_of(train, validation, tmp_path / "data")

    def conflicts(rows, others):
        return [
            row
            for row, (text, label) in enumerate(rows)
            if any(of_other != label and text.split()[0] == other.split()[0] for other, of_other in others)
        ]

    leaks = [told.get((kind, "validation"), (0, 0))[1] for kind in ("leaks", "normalized_leaks")]
    assert sum(leaks) == told["conflicts_with_train", "validation"][0] == len(conflicts(validation, train))
    for name, rows in (("train", train), ("validation", validation)):
        repeats = [told.get((f"{kind}_duplicates", name), (0, 0))[1] for kind in ("exact", "normalized")]
        words = [text.split()[0] for text, _ in rows]
        assert sum(repeats) == sum(words[row] in words[:row] for row in conflicts(rows, rows))
