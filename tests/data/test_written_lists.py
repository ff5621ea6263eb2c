"""Cells of negatives that are lists, written as texts: read as lists, or refused with the rows; none becomes a text."""

import csv
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.columns import UNSEEN
from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.errors import RowError, SourceError
from tests.examples import examples

ONE_KIND = 'Write a text in every row, or a list in every row, such as ["a text"]: [] has none.'
AS_JSON = 'Write lists as JSON: ["a text", "another"]. In Python, json.dumps does.'
SHORTEN = "Leave the empty entries out of the lists; a list may be empty."
FILL_TEXT = 'Fill the row or delete it; or write a list in every row, such as ["a text"]: [] has none.'
NOTE = "'n' of {where}: lists that are written as texts are read as lists."


def write_cells(place, cells):
    """Write a CSV file with one cell of negatives a row."""
    with place.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("q", "p", "n"), *((f"q{row}", f"p{row}", cell) for row, cell in enumerate(cells))])
    return place


def negatives(source, split="train", **options):
    """Return the negatives of each row."""
    opened = open_source(source, mirror=None, files=FileOptions(**{"columns": "q,p,n", **options}))
    blocks = read_blocks(opened, survey_source(opened), split)
    return [row for block in blocks for row in block.negatives.to_pylist()]


def refusal(source, **options):
    with pytest.raises(SourceError) as caught:
        negatives(source, **options)
    return caught.value.message, caught.value.next_step


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).filter(lambda text: text.strip(UNSEEN))


@given(rows=st.lists(st.lists(TEXT, max_size=3), min_size=1, max_size=6), is_ascii=st.booleans())
@examples(100)
def test_lists_in_json_are_read_as_they_were_written(tmp_path_factory, rows, is_ascii):
    """Quotes, commas, backslashes, control characters and pairs of surrogates among them."""
    cells = [json.dumps(row, ensure_ascii=is_ascii) for row in rows]
    place = write_cells(tmp_path_factory.mktemp("csv") / "a.csv", cells)
    assert negatives(str(place)) == rows


def test_every_source_reads_them_alike_and_says_so(workplace):
    """A cell that is empty or blank has none, also in the first rows."""
    cells = ["", '["x"]', " [ ] ", " ", '["it, is", "y\\"z"]', "[]"]
    lists = [[], ["x"], [], [], ["it, is", 'y"z'], []]
    write_cells(workplace / "a.csv", cells)
    rows = [{"q": f"q{row}", "p": f"p{row}", "n": cell} for row, cell in enumerate(cells)]
    (workplace / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pd.DataFrame(rows).to_csv("a.tsv", index=False, sep="\t")
    pq.write_table(pa.Table.from_pylist(rows), "a.parquet")
    for source, where in (
        ("a.csv", "a.csv"),
        ("a.jsonl", "a.jsonl"),
        ("a.tsv", "a.tsv"),
        ("a.parquet", "a.parquet"),
        (pd.DataFrame(rows), "the train table"),
    ):
        for task in ("embedding", "ranking"):
            assert negatives(source, task=task) == lists
        opened = open_source(source, mirror=None, files=FileOptions(columns="q,p,n"))
        assert survey_source(opened).notes == (NOTE.format(where=where),)


def test_a_validation_file_has_lists_or_texts_of_its_own(workplace):
    write_cells(workplace / "train.csv", ['["x", "y"]', "[]"])
    write_cells(workplace / "validation.csv", ["[]", '["it, is"]', ""])
    options = {"validation": "validation.csv"}
    assert negatives("train.csv", **options) == [["x", "y"], []]
    assert negatives("train.csv", split="validation", **options) == [[], ["it, is"], []]
    write_cells(workplace / "validation.csv", ["x", "it is"])
    assert negatives("train.csv", split="validation", **options) == [["x"], ["it is"]]
    write_cells(workplace / "validation.csv", ["x", "[]"])
    with pytest.raises(SourceError) as caught:
        negatives("train.csv", split="validation", **options)
    assert (
        caught.value.message == "Row 2 of validation.csv has [] in 'n', a list, but row 1 of validation.csv has a text."
    )


def test_each_column_of_negatives_is_read_alone(workplace):
    (workplace / "a.csv").write_text('q,p,n,m\na,b,"[""x"", ""y""]",one\nc,d,[],two\n')
    assert negatives("a.csv", columns="q,p,n,m") == [["x", "y", "one"], ["two"]]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["it is", "[]"], "Row 2 of a.csv has [] in 'n', a list, but row 1 of a.csv has a text."),
        (["", "x", '["y"]'], "Row 3 of a.csv has [\"y\"] in 'n', a list, but row 2 of a.csv has a text."),
        (["x", "['y']"], "Row 2 of a.csv has ['y'] in 'n', a list, but row 1 of a.csv has a text."),
        (["[]", "it is"], "Row 2 of a.csv has it is in 'n', not a list of texts as row 1 of a.csv has."),
        (['["x"]', '["y", 7]'], "Row 2 of a.csv has [\"y\", 7] in 'n', not a list of texts as row 1 of a.csv has."),
        (['["x"]', '["y"'], "Row 2 of a.csv has [\"y\" in 'n', not a list of texts as row 1 of a.csv has."),
    ],
)
@pytest.mark.parametrize("skips", [False, True])
def test_lists_and_texts_in_a_column_are_refused(workplace, cells, message, skips):
    """The first row of each is named; which of them is right is not known, so none is skipped."""
    write_cells(workplace / "a.csv", cells)
    assert refusal("a.csv", skip_bad_rows=skips) == (message, ONE_KIND)


def test_a_list_far_behind_texts_is_refused(workplace):
    """The rows are read in several pieces."""
    write_cells(workplace / "a.csv", [*["x"] * 20_000, "[]"])
    assert refusal("a.csv")[0] == "Row 20001 of a.csv has [] in 'n', a list, but row 1 of a.csv has a text."


@pytest.mark.parametrize("cell", ["['x', \"it's\"]", "['x' 'y']", "['x', None]", '["x" "y"]', '["\\ud800"]', '["\\x"]'])
def test_lists_that_are_not_json_are_refused(workplace, cell):
    """As Python and NumPy print them, and half of a pair of surrogates, which is not a character."""
    write_cells(workplace / "a.csv", ["[]", cell])
    assert refusal("a.csv") == (f"Row 2 of a.csv has {cell} in 'n', a list that is not JSON.", AS_JSON)


@pytest.mark.parametrize("entry", [None, "", " "])
def test_an_empty_entry_is_the_fault_of_its_row(workplace, entry):
    write_cells(workplace / "a.csv", ["[]", json.dumps(["x", entry]), '["y"]'])
    with pytest.raises(RowError) as caught:
        negatives("a.csv")
    assert (caught.value.message, caught.value.next_step) == ("Row 2 of a.csv has an empty entry in 'n'.", SHORTEN)
    assert negatives("a.csv", skip_bad_rows=True) == [[], ["y"]]


def test_texts_in_brackets_are_texts(workplace):
    cells = ["[sic] a text", "[1]", "[joy, love]", '["Yes," he said]', '["a" is not "b"]', "x[]"]
    write_cells(workplace / "a.csv", cells)
    assert negatives("a.csv") == [[cell] for cell in cells]


def test_the_next_steps_work(workplace):
    """An empty cell among texts, a list among texts: the list that the next step shows is read in their place."""
    for cells in (["it is", ""], ["it is", "[]"]):
        write_cells(workplace / "a.csv", cells)
        assert refusal("a.csv")[1] in (FILL_TEXT, ONE_KIND)
        write_cells(workplace / "a.csv", ['["a text"]', *cells[1:]])
        assert negatives("a.csv") == [["a text"], []]


@pytest.mark.parametrize("skips", [False, True])
def test_rows_that_are_held_out_are_read_as_the_others(workplace, skips):
    """Their first row may be an empty cell."""
    lists = [[f"n{row}, {place}" for place in range(row % 3)] for row in range(30)]
    write_cells(workplace / "a.csv", [json.dumps(row) if row else "" for row in lists])
    options = {"validation": 0.2, "skip_bad_rows": skips}
    kept, held = (negatives("a.csv", split=split, **options) for split in ("train", "validation"))
    assert len(held) == 6
    assert sorted(kept + held) == sorted(lists)


def test_rules_of_reading_are_part_of_the_key_of_texts_alone():
    """A dataset whose `[]` was a text is prepared again; lists that are lists were always read so."""
    for cell, readings in (("[]", {"negatives reading": 2}), ([], {})):
        rows = [{"q": "a", "p": "b", "n": cell}]
        assert open_source(rows, mirror=None, files=FileOptions(columns="q,p,n")).readings == readings
