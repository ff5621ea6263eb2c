"""Contradictions of queries, against plain loops over rows, and named in the audit of both kinds of task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.audit.queries import query_findings
from tests.analysis.audit.made import write_tokenizer
from tests.examples import examples

WORD = st.sampled_from("abcde")
ROW = st.fixed_dictionaries({"q": WORD, "p": WORD, "n": st.lists(WORD, max_size=3)})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return str(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t"))


def expected(rows):
    """Return the rows of each kind, by comparing every row with every other one."""
    found = {"false_negatives": [], "positives_as_negatives": [], "several_positives": []}
    for i, row in enumerate(rows):
        if any(other["q"] == row["q"] and other["p"] in row["n"] for other in rows):
            found["false_negatives"].append(i)
        if any(other["q"] != row["q"] and row["p"] in other["n"] for other in rows):
            found["positives_as_negatives"].append(i)
        if any(other["q"] == row["q"] and other["p"] != row["p"] for other in rows):
            found["several_positives"].append(i)
    return {kind: rows for kind, rows in found.items() if rows}


@given(rows=st.lists(ROW, min_size=1, max_size=9), kind=st.sampled_from(("embedding", "ranking")))
@examples(40)
def test_contradictions_are_those_of_plain_loops(tokenizer, tmp_path_factory, rows, kind):
    from tdbs.analysis.audit.contents import read_contents

    place = tmp_path_factory.mktemp("rows") / "d"
    options = {"columns": ["q", "p", "n"], "task": kind, "tokenizer": tokenizer, "out": place, "progress": False}
    table = {"q": [row["q"] for row in rows], "p": [row["p"] for row in rows], "n": [row["n"] for row in rows]}
    import pyarrow as pa

    types = pa.schema({"q": pa.string(), "p": pa.string(), "n": pa.list_(pa.string())})
    dataset = tdbs.prepare(pa.table(table, schema=types), **options).dataset
    contents = read_contents(dataset)
    counts = {each.kind: each.count for each in query_findings(contents)}
    assert counts == {kind: len(found) for kind, found in expected(rows).items()}
    for each in query_findings(contents):
        own = expected(rows)[each.kind]
        for example in each.examples:
            row, other = rows[example.row], rows[example.other_row]
            assert example.row in own
            if each.kind == "false_negatives":
                assert other["q"] == row["q"]
                assert other["p"] in row["n"]
            elif each.kind == "several_positives":
                assert (other["q"], other["p"] != row["p"]) == (row["q"], True)
            else:
                assert other["q"] != row["q"]
                assert row["p"] in other["n"]


def test_a_negative_that_answers_its_query_is_a_warning(tokenizer, workplace):
    """The examples show texts with bars between them."""
    rows = [{"q": "a", "p": "b", "n": ["c", "b"]}, {"q": "d", "p": "e", "n": ["a"]}]
    options = {"columns": "q,p,n", "tokenizer": tokenizer, "progress": False}
    found = tdbs.audit(tdbs.prepare(rows, **options).dataset)
    finding = next(each for each in found.findings if each.kind == "false_negatives")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.what == "Samples of train with a negative that is a positive of their query: 1."
    assert finding.fix == (
        f"Leave them out of the source, then run: tdbs prepare SOURCE --columns q,p,n --tokenizer {tokenizer}"
    )
    assert finding.examples[0].text == "a | b | c | b"
