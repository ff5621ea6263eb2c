"""Contradictions of queries, against plain loops over rows, and named in the audit of both kinds of task."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.audit.queries import query_findings
from tests.analysis.audit.made import write_tokenizer
from tests.examples import examples
from tests.reference.duplicates import normal_form

WORD = st.sampled_from(("a", "b", "A.", "b !", "c", "?", "!"))
ROW = st.fixed_dictionaries({"q": WORD, "p": WORD, "n": st.lists(WORD, max_size=3)})
ROWS = st.lists(ROW, min_size=1, max_size=9)
KINDS = ("embedding", "ranking")
COLUMNS = pa.schema({"q": pa.string(), "p": pa.string(), "n": pa.list_(pa.string())})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return str(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t"))


def train_rows(kind):
    """Return lists of rows that prepare takes as train: a reranker needs a negative in one of them."""
    return ROWS.filter(lambda rows: any(row["n"] for row in rows)) if kind == "ranking" else ROWS


def same(row):
    """Return a row with its texts as they are compared: by letters and digits, or as they are without any."""
    form = {text: normal_form(text) or text for text in (row["q"], row["p"], *row["n"])}
    return {"q": form[row["q"]], "p": form[row["p"]], "n": [form[text] for text in row["n"]]}


def expected(rows, kind):
    """Return the rows of each kind, by comparing every row with every other one."""
    found = {"false_negatives": [], "positives_as_negatives": [], "several_positives": []}
    found |= {"repeated_texts": [], "no_negatives": []}
    for i, row in enumerate(rows):
        if any(other["q"] == row["q"] and other["p"] in row["n"] for other in rows):
            found["false_negatives"].append(i)
        if any(other["q"] != row["q"] and row["p"] in other["n"] for other in rows):
            found["positives_as_negatives"].append(i)
        if kind == "embedding" and any(other["q"] == row["q"] and other["p"] != row["p"] for other in rows):
            found["several_positives"].append(i)
        if row["q"] in (row["p"], *row["n"]) or len(set(row["n"])) < len(row["n"]):
            found["repeated_texts"].append(i)
        if kind == "ranking" and not row["n"]:
            found["no_negatives"].append(i)
    return {kind: rows for kind, rows in found.items() if rows}


def contents_of(splits, tokenizer, folder, kind="embedding"):
    """Return rows as an audit reads them."""
    from tdbs.analysis.audit.contents import read_contents

    tables = {
        name: pa.table({column: [row[column] for row in rows] for column in "qpn"}, schema=COLUMNS)
        for name, rows in splits.items()
    }
    options = {"columns": ["q", "p", "n"], "task": kind, "tokenizer": tokenizer, "out": folder, "progress": False}
    return read_contents(tdbs.prepare(tables, **options).dataset)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@examples(30)
def test_contradictions_are_those_of_plain_loops(tokenizer, tmp_path_factory, data, kind):
    rows = data.draw(train_rows(kind))
    contents = contents_of({"train": rows}, tokenizer, tmp_path_factory.mktemp("rows") / "d", kind)
    found = {each.kind: each for each in query_findings(contents)}
    compared = [same(row) for row in rows]
    wanted = expected(compared, kind)
    assert {name: (each.rows - 1).tolist() for name, each in found.items()} == wanted
    assert {name: each.count for name, each in found.items()} == {name: len(each) for name, each in wanted.items()}
    for name, each in found.items():
        for example in each.examples:
            row = compared[example.row - 1]
            other = None if example.other_row is None else compared[example.other_row - 1]
            if name == "false_negatives":
                fault = normal_form(example.at_fault) or example.at_fault
                assert (other["q"], other["p"]) == (row["q"], fault)
                assert fault in row["n"]
            elif name == "several_positives":
                assert (other["q"], other["p"] != row["p"]) == (row["q"], True)
            elif name == "positives_as_negatives":
                assert other["q"] != row["q"]
                assert row["p"] in other["n"]
            elif name == "repeated_texts":
                fault = normal_form(example.at_fault) or example.at_fault
                assert [row["q"], row["p"], *row["n"]].count(fault) > 1


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), held=ROWS)
@examples(30)
def test_queries_of_another_split_in_train_are_those_of_plain_loops(tokenizer, tmp_path_factory, data, held, kind):
    """A query counts if train has it with other positives alone: with its own positive it is a leak."""
    train = data.draw(train_rows(kind))
    splits = {"train": train, "validation": held}
    contents = contents_of(splits, tokenizer, tmp_path_factory.mktemp("rows") / "d", kind)
    found = [each for each in query_findings(contents) if each.kind == "queries_in_train"]
    train, held = [same(row) for row in train], [same(row) for row in held]
    answers, queries = {(row["q"], row["p"]) for row in train}, {row["q"] for row in train}
    wanted = [i for i, row in enumerate(held) if row["q"] in queries and (row["q"], row["p"]) not in answers]
    assert [(each.rows - 1).tolist() for each in found] == ([wanted] if wanted else [])
    for each in found:
        assert (each.split, each.severity, each.count) == ("validation", "note", len(wanted))
        for example in each.examples:
            assert train[example.other_row - 1]["q"] == held[example.row - 1]["q"]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), held=ROWS)
@examples(30)
def test_pairs_whose_reverse_stands_in_train_are_those_of_plain_loops(tokenizer, tmp_path_factory, data, held, kind):
    """Of embeddings: in one way round it is a leak, and a ranking of queries for a text is another task."""
    train = data.draw(train_rows(kind))
    contents = contents_of({"train": train, "validation": held}, tokenizer, tmp_path_factory.mktemp("rows") / "d", kind)
    found = [each for each in query_findings(contents) if each.kind == "reversed_leaks"]
    train, held = [same(row) for row in train], [same(row) for row in held]
    pairs = {(row["q"], row["p"]) for row in train}
    wanted = [i for i, row in enumerate(held) if (row["p"], row["q"]) in pairs and (row["q"], row["p"]) not in pairs]
    assert [(each.rows - 1).tolist() for each in found] == ([wanted] if wanted and kind == "embedding" else [])
    for each in found:
        assert (each.split, each.severity, each.count) == ("validation", "warning", len(wanted))
        for example in each.examples:
            row, other = held[example.row - 1], train[example.other_row - 1]
            assert (row["q"], row["p"]) == (other["p"], other["q"])


FAULTS = {
    "positive": ("the query as positive", lambda row: row | {"p": row["q"]}),
    "negative": ("the query as negative", lambda row: row | {"n": [row["q"].upper()]}),
    "twice": ("a negative twice", lambda row: row | {"n": row["n"] * 4}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_text_twice_in_a_row_is_a_warning(tokenizer, workplace, fault, kind):
    """Each of 40 rows has the fault, and nothing else is wrong; without it there is no finding."""
    rows = [{"q": f"who is {n} ?", "p": f"{n} is one of us", "n": [f"another is {n}"]} for n in range(40)]
    assert query_findings(contents_of({"train": rows}, tokenizer, workplace / "clean", kind)) == []
    what, change = FAULTS[fault]
    contents = contents_of({"train": [change(row) for row in rows]}, tokenizer, workplace / "d", kind)
    [found] = query_findings(contents)
    assert (found.kind, found.severity, found.count) == ("repeated_texts", "warning", 40)
    assert found.what == f"Samples of train with a text twice: 40 ({what} in 40)."
    assert found.fix.startswith("Leave the second one out of the source, then run: tdbs prepare SOURCE --columns q,p,n")


def test_a_negative_that_is_its_positive_but_for_a_mark_is_a_false_negative(tokenizer, workplace):
    rows = [{"q": f"who is {n} ?", "p": f"{n} is one of us", "n": [f"{n} is one of us ."]} for n in range(40)]
    [found] = query_findings(contents_of({"train": rows}, tokenizer, workplace / "d"))
    assert (found.kind, found.severity, found.count) == ("false_negatives", "warning", 40)
    assert found.examples[0].at_fault == "0 is one of us."


@pytest.mark.parametrize(("alone", "severity"), [(39, "warning"), (4, "warning"), (3, "note")])
def test_rows_of_a_reranker_without_negatives_are_counted(tokenizer, workplace, alone, severity):
    """A warning from a tenth of the rows. An embedding has in-batch negatives, so nothing is wrong there."""
    rows = [{"q": f"who is {n} ?", "p": f"{n} is one", "n": [f"an {n}"] * (n >= alone)} for n in range(40)]
    [found] = query_findings(contents_of({"train": rows}, tokenizer, workplace / "d", "ranking"))
    assert (found.kind, found.severity, found.count) == ("no_negatives", severity, alone)
    assert found.what == f"Samples of train without a negative, so there is nothing to rank: {alone}."
    assert query_findings(contents_of({"train": rows}, tokenizer, workplace / "e")) == []


def test_a_negative_that_answers_its_query_is_a_warning(tokenizer, workplace):
    """The examples show texts with bars between them."""
    rows = [{"q": "a", "p": "b", "n": ["c", "b"]}, {"q": "d", "p": "e", "n": ["a"]}]
    options = {"columns": "q,p,n", "tokenizer": tokenizer, "progress": False}
    found = tdbs.audit(tdbs.prepare(rows, **options).dataset)
    finding = next(each for each in found.findings if each.kind == "false_negatives")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.what == "Samples of train with a negative that is a positive of their query: 1."
    command = f"tdbs prepare SOURCE --columns q,p,n --tokenizer {tokenizer}"
    assert finding.fix == f"Leave these negatives out of the source, then run: {command}"
    assert (finding.examples[0].text, finding.examples[0].at_fault) == ("a | b | c | b", "b")
