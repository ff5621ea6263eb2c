"""Rows of queries that --validation FRACTION holds out: no text is on both sides, whatever its place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.file_options import FileOptions
from tdbs.data.held_out import rows_by_group
from tdbs.data.reading import survey_source
from tdbs.data.sources import open_source
from tests.examples import examples


def held_rows(rows, fraction):
    """Return the rows that are held out, and the notes."""
    survey = survey_source(open_source(rows, mirror=None, files=FileOptions(columns="q,p", validation=fraction)))
    return np.flatnonzero(survey.splits["validation"].wanted_N).tolist(), survey.notes


def parts_of(rows, keys):
    """Return the number of the part of each row: rows with a key in common are one part, by a loop over rows."""
    parts: list[set[int]] = []
    for row in range(len(rows)):
        own = {row} | {other for other in range(row) if keys(rows[row]) & keys(rows[other])}
        touched = [part for part in parts if part & own]
        parts = [part for part in parts if not part & own] + [own.union(*touched)]
    order = sorted(parts, key=min)
    return np.array([next(number for number, part in enumerate(order) if row in part) for row in range(len(rows))])


PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=10, max_size=40).filter(
    lambda pairs: len({query for query, _ in pairs}) > 1  # rows of one query are refused
)


@given(pairs=PAIRS)
@examples(60)
def test_a_held_out_text_is_not_in_train_in_any_place(pairs):
    """As query or as positive, unless too many rows share a text: then it is said."""
    rows = [{"q": f"text {a}", "p": f"text {b}"} for a, b in pairs]
    held, notes = held_rows(rows, 0.3)
    if not notes:
        texts = [set(row.values()) for row in rows]
        train = [texts[row] for row in range(len(rows)) if row not in held]
        assert not set().union(*train) & set().union(*(texts[row] for row in held))
        parts = parts_of(rows, lambda row: set(row.values()))
        assert held == rows_by_group(parts, 0.3, where="").tolist()


@given(pairs=PAIRS)
@examples(60)
def test_rows_are_drawn_by_queries_and_positives_where_no_text_is_both(pairs):
    """Then a text's place is nothing more to know."""
    rows = [{"q": f"query {a}", "p": f"positive {b}"} for a, b in pairs]
    held, notes = held_rows(rows, 0.3)
    if not notes:
        parts = parts_of(rows, lambda row: set(row.items()))
        assert held == rows_by_group(parts, 0.3, where="").tolist()


def test_a_pair_and_its_reverse_are_on_one_side():
    one_way = [(f"text {n}", f"twin {n}") for n in range(60)]
    rows = [{"q": q, "p": p} for q, p in one_way + [(p, q) for q, p in one_way]]
    held, notes = held_rows(rows, 0.2)
    assert (len(held), notes) == (24, ())
    assert {row % 60 for row in held if row < 60} == {row % 60 for row in held if row >= 60}


def test_texts_that_all_hang_together_are_drawn_by_their_places():
    """Each sentence with the next one: no two rows share a query or a positive, but a chain of texts joins all."""
    rows = [{"q": f"sentence {n}", "p": f"sentence {n + 1}"} for n in range(50)]
    held, notes = held_rows(rows, 0.2)
    assert len(held) == 10
    assert notes == ("--validation 0.2: a query may be a positive on the other side: too many rows share a text.",)
    both_ways = rows + [{"q": row["p"], "p": row["q"]} for row in rows]
    assert held_rows(both_ways, 0.2)[1] == (
        "--validation 0.2: a positive may be on both sides: too many rows share a text.",
    )
