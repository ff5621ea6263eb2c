"""--columns: queries, positives and negatives from every format; rows that cannot be used are named."""

import json
from itertools import chain

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.columns import NUMBERS_AS_TEXTS
from tdbs.data.cutting import cut_blocks
from tdbs.data.file_options import FileOptions
from tdbs.data.negatives import joined_lists
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.errors import ConfigError, RowError, SourceError
from tests.examples import examples

ROWS = [
    {"q": "who", "p": "me", "n": ["you", "they"]},
    {"q": "where", "p": "here", "n": []},
    {"q": "when", "p": "now", "n": ["later"]},
]
TRIPLES = [{"q": row["q"], "p": row["p"], "n": f"not {row['p']}"} for row in ROWS]


SHORTEN = "Leave the empty entries out of the lists; a list may be empty."
FILL_TEXT = 'Fill the row or delete it; or write a list in every row, such as ["a text"]: [] has none.'
ONE_KIND = "Write a text in every row, or a list of texts in every row."


def read(source, columns="q,p,n", **options):
    """Return what the blocks of train hold: texts, pairs, negatives."""
    opened = open_source(source, mirror=None, files=FileOptions(columns=columns, **options))
    blocks = list(read_blocks(opened, survey_source(opened), "train"))
    negatives = [row for block in blocks if block.negatives is not None for row in block.negatives.to_pylist()]
    texts = [text for block in blocks for text in block.texts.to_pylist()]
    pairs = [text for block in blocks for text in block.pairs.to_pylist()]
    return [{"q": q, "p": p, "n": n} for q, p, n in zip(texts, pairs, negatives or [None] * len(texts), strict=True)]


def as_lists(rows):
    return [{**row, "n": [row["n"]]} for row in rows]


def test_every_format_gives_the_same_triples(workplace):
    pd.DataFrame(TRIPLES).to_csv("a.csv", index=False)
    pd.DataFrame(TRIPLES).to_csv("a.tsv", index=False, sep="\t")
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TRIPLES))
    (workplace / "b.json").write_text(json.dumps(TRIPLES))
    pq.write_table(pa.Table.from_pylist(TRIPLES), "a.parquet")
    sources = [
        "a.csv",
        "a.tsv",
        "a.jsonl",
        "b.json",
        "a.parquet",
        TRIPLES,
        pd.DataFrame(TRIPLES),
        pl.DataFrame(TRIPLES),
    ]
    for source in sources:
        assert read(source) == as_lists(TRIPLES)
        assert read(source, task="ranking") == as_lists(TRIPLES)


def test_lists_of_negatives_may_differ_in_number_and_be_empty(workplace):
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), "a.parquet")
    large = pa.Table.from_pylist(
        ROWS, schema=pa.schema({"q": "large_string", "p": "string", "n": pa.large_list(pa.string())})
    )
    for source in ("a.jsonl", "a.parquet", ROWS, pl.DataFrame(ROWS), large):
        assert read(source) == ROWS


@pytest.mark.parametrize("empty", [[], None])
def test_lists_may_all_be_empty(empty):
    rows = [{**row, "n": empty} for row in ROWS]
    for source in (rows, pl.DataFrame(rows), pa.Table.from_pylist(rows)):
        assert read(source) == [{**row, "n": []} for row in ROWS]


def test_a_missing_list_is_empty(workplace):
    """A null, and in JSON no key."""
    given = [ROWS[0], {**ROWS[1], "n": None}, ROWS[2], {"q": "why", "p": "so"}]
    expected = [*ROWS, {"q": "why", "p": "so", "n": []}]
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    (workplace / "b.json").write_text(json.dumps(given))
    table = pa.Table.from_pylist(given, schema=pa.Table.from_pylist(ROWS).schema)
    pq.write_table(table, "a.parquet")
    three = pa.table({"q": ["a", "b"], "p": ["c", "d"], "n": pa.array([["e"], None], pa.list_(pa.string(), 1))})
    for source in ("a.jsonl", "b.json", "a.parquet", given, pl.DataFrame(given), pd.DataFrame(given)):
        assert read(source) == expected
    assert [row["n"] for row in read(three)] == [["e"], []], "lists of one size"


def test_a_missing_text_names_lists_as_the_way_to_have_none(workplace):
    (workplace / "a.csv").write_text("q,p,n\na,b,c\nd,e,\n")
    for source in ("a.csv", [TRIPLES[0], {**TRIPLES[1], "n": None}]):
        with pytest.raises(RowError) as caught:
            read(source)
        assert caught.value.message.endswith(" has no 'n'.")
        assert caught.value.next_step == FILL_TEXT
    with pytest.raises(RowError) as caught:
        read([TRIPLES[0], {**TRIPLES[1], "n": " "}])
    assert (caught.value.message, caught.value.next_step) == ("Row 2 of the train table has a blank 'n'.", FILL_TEXT)


def test_without_a_third_column_there_are_no_negatives():
    assert read(ROWS, columns="q,p") == [{**row, "n": None} for row in ROWS]


def test_a_name_with_a_comma_is_found():
    rows = [{"q, 1": "who", "p": "me"}, {"q, 1": "where", "p": "here"}]
    for columns in ("q, 1,p", '"q, 1",p', '"q, 1", "p"', "q, 1,p,"):
        assert [row["q"] for row in read(rows, columns=columns)] == ["who", "where"]


def test_quotes_are_part_of_a_name_if_a_column_has_them(workplace):
    rows = [{'"q"': "who", "p": "me"}, {'"q"': "where", "p": "here"}]
    assert [row["q"] for row in read(rows, columns='"q",p')] == ["who", "where"]
    for columns, name in (('"my, q",p', "my, q"), ('"my q,p', '"my q')):
        with pytest.raises(SourceError) as caught:
            read(rows, columns=columns)
        assert caught.value.message == f"The train table has no column '{name}'; it has: '\"q\"', 'p'."


@given(
    rows=st.lists(st.tuples(*[st.lists(st.text(max_size=3), max_size=3) for _ in range(3)]), min_size=1, max_size=8),
    columns=st.integers(1, 3),
)
@examples(100)
def test_joined_lists_are_the_entries_one_column_after_the_other(rows, columns):
    lists = [pa.array([row[column] for row in rows], pa.list_(pa.string())) for column in range(columns)]
    assert joined_lists(lists).to_pylist() == [list(chain.from_iterable(row[:columns])) for row in rows]


def test_a_query_counts_with_each_of_its_candidates():
    """Ranking reads it again for each: blocks of many pairs have fewer rows."""
    table = pa.table({"q": ["x" * 10] * 4, "p": ["y"] * 4, "n": [["z"] * 9] * 4})
    sizes = {}
    for repeated in (False, True):
        blocks = cut_blocks(
            iter([table]), ["q", "p", "n"], rows_at_most=99, bytes_at_most=110, is_first_repeated=repeated
        )
        sizes[repeated] = [block.num_rows for block in blocks]
    assert sizes == {False: [4], True: [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"q": "", "p": "b", "n": []}, "has no 'q'"),
        ({"q": "a", "p": None, "n": []}, "has no 'p'"),
        ({"q": "a", "p": " \t\u200b", "n": []}, "has a blank 'p'"),
        ({"q": "a", "p": "b", "n": ["c", ""]}, "has an empty entry in 'n'"),
        ({"q": "a", "p": "b", "n": [None, "c"]}, "has an empty entry in 'n'"),
        ({"q": "a", "p": "b", "n": ["c", " "]}, "has an empty entry in 'n'"),
    ],
)
def test_a_row_without_a_text_is_named(row, reason, workplace):
    rows = [ROWS[0], row, ROWS[1]]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.Table.from_pylist(ROWS).schema), "a.parquet")
    with pytest.raises(RowError) as caught:
        read("a.parquet")
    assert caught.value.message == f"Row 2 of a.parquet {reason}."
    is_of_list = "entry" in reason
    assert caught.value.next_step == (SHORTEN if is_of_list else "Fill the row or delete it.")
    assert read("a.parquet", skip_bad_rows=True) == [ROWS[0], ROWS[1]]


def test_a_row_that_has_a_text_where_others_have_a_list_is_named(workplace):
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, TRIPLES[0]]))
    with pytest.raises(RowError) as caught:
        read("a.jsonl")
    assert caught.value.message == "'n' in row 4 of a.jsonl is \"not me\", not a list of texts."
    assert caught.value.next_step == ONE_KIND


def test_a_row_that_has_a_list_where_others_have_a_text_is_named(workplace):
    """The value is cut where there is no room for it, and shows that."""
    rows = [*TRIPLES, {**ROWS[0], "n": ["a text that does not answer the query", "another"]}]
    (workplace / "a.json").write_text(json.dumps(rows))
    with pytest.raises(RowError) as caught:
        read("a.json")
    assert caught.value.message == ("'n' in row 4 of a.json is [\"a text that does not answer the query…, not a text.")
    assert caught.value.next_step == ONE_KIND


@pytest.mark.parametrize("rows", [[*TRIPLES, ROWS[0]], [*ROWS, TRIPLES[0]], [TRIPLES[0], ROWS[0]]])
@pytest.mark.parametrize("frame", [list, pd.DataFrame])
def test_texts_and_lists_in_a_column_of_a_table_are_refused(rows, frame):
    """Whichever of them are more; Arrow's own words would not help."""
    with pytest.raises(SourceError) as caught:
        read(frame(rows))
    assert caught.value.next_step == "Give the column values of one type: lists in every row, or in none."
    assert caught.value.message.startswith(f"Row {len(rows)} of the train table has ")


def test_empty_texts_do_not_say_that_a_column_holds_texts(workplace):
    rows = [{**ROWS[0], "n": ""}, *ROWS]
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RowError) as caught:
        read("a.jsonl")
    assert caught.value.message == "'n' in row 1 of a.jsonl is \"\", not a list of texts."
    assert read("a.jsonl", skip_bad_rows=True) == ROWS


def test_lists_of_anything_else_are_refused():
    for entries, kind in (([{"text": "c"}], "list<struct<text: string>>"), ([1, 2], "list<int64>")):
        with pytest.raises(SourceError) as caught:
            read(pa.Table.from_pylist([{**row, "n": entries} for row in ROWS]))
        assert caught.value.message == f"'n' of the train table contains {kind}, not lists of texts."
        assert caught.value.next_step == 'Write lists of texts: ["a text", "another"].'


def test_entries_of_lists_in_json_are_texts(workplace):
    for entry, message, next_step in (
        (None, "Row 4 of a.jsonl has an empty entry in 'n'.", SHORTEN),
        ("  ", "Row 4 of a.jsonl has an empty entry in 'n'.", SHORTEN),
        (7, "'n' in row 4 of a.jsonl is [\"x\", 7], not a list of texts.", "Write each entry of the list as a text."),
    ):
        rows = [*ROWS, {"q": "why", "p": "so", "n": ["x", entry]}]
        (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(RowError) as caught:
            read("a.jsonl")
        assert (caught.value.message, caught.value.next_step) == (message, next_step)
        assert read("a.jsonl", skip_bad_rows=True) == ROWS


def test_numbers_are_not_texts(workplace):
    """In CSV everything is a text; elsewhere the error says how to write a number as one."""
    rows = [{**row, "n": number} for number, row in enumerate(TRIPLES)]
    pd.DataFrame(rows).to_csv("a.csv", index=False)
    assert [row["n"] for row in read("a.csv")] == [["0"], ["1"], ["2"]]
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for source, next_step in (("a.jsonl", "Write it as a text, in quotes."), (rows, NUMBERS_AS_TEXTS)):
        with pytest.raises(SourceError) as caught:
            read(source)
        assert caught.value.next_step == next_step


@pytest.mark.parametrize(
    ("options", "message", "next_step"),
    [
        (
            {"columns": "q"},
            "--columns names one column, 'q'.",
            "Pass two or more: --columns QUERY,POSITIVE.",
        ),
        ({"columns": "q,p,q"}, "'q' is named twice.", "Name each column once."),
        (
            {"columns": "q,p", "text": "q"},
            "--columns and --text exclude each other.",
            "Leave one of them out.",
        ),
        (
            {"columns": None, "task": "ranking"},
            "--task only applies with --columns.",
            "Pass --columns QUERY,POSITIVE,NEGATIVE with it.",
        ),
        (
            {"columns": "q,p", "task": "ranking"},
            "--task ranking needs a column of texts that do not answer the query.",
            "Pass --columns QUERY,POSITIVE,NEGATIVE, or --text and --pair with --label for scored pairs.",
        ),
        (
            {"label": "s"},
            "--label gives a pair of texts a score, and negatives have none.",
            "Leave --label out, or name two columns: --columns QUERY,TEXT.",
        ),
        (
            {"columns": "q,p", "label": "s", "task": "ranking"},
            "--task ranking takes no --label: the positive is right, and the negatives are wrong.",
            "For scored pairs pass --text QUERY --pair TEXT --label SCORE, without --columns and --task.",
        ),
        (
            {"columns": "q,p", "label_type": "class"},
            "--label-type class does not go with --columns: the label of a pair is a number.",
            "Leave it out.",
        ),
        (
            {"task": "rank"},
            "Unknown value 'rank' for --task.",
            "Pass --task with one of: embedding, ranking.",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message, next_step):
    with pytest.raises(ConfigError) as caught:
        read(ROWS, **options)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_a_column_that_is_not_there_is_named(workplace):
    pd.DataFrame(TRIPLES).to_csv("a.csv", index=False)
    with pytest.raises(SourceError) as caught:
        read("a.csv", columns="q,passage")
    assert caught.value.message == "a.csv has no column 'passage'; it has: 'q', 'p', 'n'."


@pytest.mark.parametrize(("columns", "role"), [("q,n", "positive"), ("n,p", "query")])
def test_lists_of_positives_are_refused(columns, role):
    """Another order of the columns would make negatives of positives."""
    with pytest.raises(SourceError) as caught:
        read(ROWS, columns=columns)
    assert caught.value.message == "The train table has lists of texts in 'n'."
    order = "lists go last: --columns QUERY,POSITIVE,NEGATIVES."
    assert caught.value.next_step == f"Write one row for each {role}; {order}"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_that_scores_embeddings_may_lack_negatives(split):
    """Of several columns of negatives it has those that are there."""
    rows = [{**row, "m": "more"} for row in TRIPLES]
    pairs = [{"q": row["q"], "p": row["p"]} for row in TRIPLES]
    for other, expected in ((pairs, None), (TRIPLES, [[row["n"]] for row in TRIPLES])):
        source = {"train": rows, split: other}
        opened = open_source(source, mirror=None, files=FileOptions(columns="q,p,n,m"))
        survey = survey_source(opened)
        (block,) = read_blocks(opened, survey, split)
        assert both_of(block) == [(row["q"], row["p"]) for row in TRIPLES]
        assert (None if block.negatives is None else block.negatives.to_pylist()) == expected
        (block,) = read_blocks(opened, survey, "train")
        assert block.negatives.to_pylist() == [[row["n"], "more"] for row in TRIPLES]


@pytest.mark.parametrize(
    ("lacking", "options", "next_step"),
    [
        (
            "n",
            {"task": "ranking"},
            "Add it: a list, which is empty ([]) in a row without negatives; or leave this split out.",
        ),
        ("p", {}, "Add it, or leave this split out: each of its rows needs a query and a positive."),
        ("s", {"columns": "q,p", "label": "s"}, "Add the scores, or leave this split out."),
    ],
)
def test_a_split_that_lacks_a_column_of_train_is_named(lacking, options, next_step):
    rows = [{**row, "s": 0.5} for row in TRIPLES]
    other = [{name: value for name, value in row.items() if name != lacking} for row in rows]
    with pytest.raises(SourceError) as caught:
        read({"train": rows, "validation": other}, **options)
    assert caught.value.message.startswith(f"The validation table has no column '{lacking}'; it has: 'q', ")
    assert caught.value.next_step == next_step
    with pytest.raises(SourceError) as caught:
        read(other, **options)
    assert caught.value.next_step.startswith("Name the column with --")


@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=40),
    seed=st.integers(0, 3),
)
@examples(60)
def test_a_held_out_query_or_positive_is_not_in_train(pairs, seed):
    """Rows of one query are on one side; those of one positive, too, unless too many share one: then it is said."""
    rows = [{"q": f"q{a}-{seed}", "p": f"p{b}"} for a, b in pairs]
    source = open_source(rows, mirror=None, files=FileOptions(columns="q,p", validation=0.3))
    try:
        survey = survey_source(source)
    except ConfigError:
        assert len({a for a, _ in pairs}) == 1
        return
    sides = {
        name: [(q, p) for block in read_blocks(source, survey, name) for q, p in both(block)]
        for name in ("train", "validation")
    }
    assert sorted(sides["train"] + sides["validation"]) == sorted((row["q"], row["p"]) for row in rows)
    assert not {q for q, _ in sides["train"]} & {q for q, _ in sides["validation"]}
    if not survey.notes:
        assert not {p for _, p in sides["train"]} & {p for _, p in sides["validation"]}


def both_of(block):
    """Return queries and positives in a list."""
    return list(both(block))


def both(block):
    return zip(block.texts.to_pylist(), block.pairs.to_pylist(), strict=True)
