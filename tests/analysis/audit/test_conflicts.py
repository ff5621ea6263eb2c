"""Which samples conflict: against a loop over random groups and labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.audit.conflicts import conflicting
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
