"""Lists of ids and lists of 0 and 1 among rows that fit neither: the odd rows are refused or skipped, never read."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.reading import read_blocks, survey_source
from tests.data.test_bad_rows import skipped
from tests.data.test_label_meaning import FLAGS, HOT, ROW_STEP, class_label, jsonl, named, read, refusal
from tests.data.test_label_texts import csv_of


def tolerant(opened, path, **options):
    """Return the classes and targets of the rows that can be used."""
    source = opened(path, skip_bad_rows=True, **options)
    survey = survey_source(source)
    blocks = {name: list(read_blocks(source, survey, name)) for name in survey.rows}
    targets = {name: [row for block in found for row in block.targets.to_pylist()] for name, found in blocks.items()}
    return survey.task.classes, targets


ODD = [
    ([*HOT, [1, 0, 2]], 4, "has ['1', '0', '2'] in 'label', where other rows have 3 entries of 0 and 1"),
    ([*HOT, [-1, -1, -1]], 4, "has ['-1', '-1', '-1'] in 'label', where other rows have 3 entries of 0 and 1"),
    ([*HOT, [1, 0]], 4, "has ['1', '0'] in 'label', where other rows have 3 entries of 0 and 1"),
    ([*HOT, []], 4, "has [] in 'label', where other rows have 3 entries of 0 and 1"),
    ([[0, 2], [1], [2, 1, 2], [0]], 2, "has ['2', '1', '2'] in 'label', which has a class twice"),
    ([[0, 2], [1], [1, 1], [0], [2]], 2, "has ['1', '1'] in 'label', which has a class twice"),
]


@pytest.mark.parametrize(("rows", "odd", "reason"), ODD)
def test_an_odd_list_is_refused_or_skipped(opened, write, rows, odd, reason):
    for path in (write("a.jsonl", jsonl(rows)), write("a.csv", csv_of(map(json.dumps, rows)))):
        assert refusal(opened, path) == (f"Row {odd + 1} of {path.name} {reason}.", ROW_STEP)
        rest = jsonl([row for place, row in enumerate(rows) if place != odd])
        kept, reasons = skipped(opened(path, skip_bad_rows=True))
        assert (odd not in kept, reasons) == (True, {odd: reason})
        task, targets = read(opened, write("b.jsonl", rest))
        assert tolerant(opened, path) == (task.classes, targets)


NEITHER = [
    ([[1, 0, 1], [0, 2]], "and others: row 1 has ['1', '0', '1'], row 2 has ['0', '2']"),
    ([[1, 0], [0, 1], [1, 0], [2]], "and others: row 1 has ['1', '0'], row 4 has ['2']"),
]


@pytest.mark.parametrize(("rows", "what"), NEITHER)
def test_lists_that_may_be_either_are_refused(opened, write, rows, what):
    """As ids, most rows would name both classes; as 0 and 1, some have others."""
    for options in ({}, {"skip_bad_rows": True}):
        assert refusal(opened, write("a.jsonl", jsonl(rows)), **options) == (
            f"'label' of a.jsonl contains lists of 0 and 1 {what}.",
            FLAGS,
        )


def test_ids_of_train_that_come_twice_in_validation_are_refused(opened, write, tmp_path):
    write("d/train.jsonl", jsonl([[0, 2], [1]]))
    write("d/validation.jsonl", jsonl([[1, 2], [1, 0, 1], [0, 0, 1]]))
    assert refusal(opened, tmp_path / "d")[0] == (
        "Row 2 of validation.jsonl has ['1', '0', '1'] in 'label', which has a class twice."
    )


def test_lists_where_each_has_an_id_twice_are_refused(opened, write):
    assert refusal(opened, write("a.jsonl", jsonl([[5, 5], [7, 7]])))[0] == (
        "Row 1 of a.jsonl has ['5', '5'] in 'label', which has a class twice."
    )


def test_a_wrong_number_of_names_is_refused(opened, write, tmp_path):
    names = str(write("names.txt", "a\nb\nc\nd\n"))
    feature = {"feature": class_label("a", "b", "c", "d"), "_type": "List"}
    for path, options in (
        (write("a.jsonl", jsonl(HOT)), {"label_names": names}),
        (named(tmp_path / "a.parquet", HOT, feature), {}),
    ):
        assert refusal(opened, path, **options) == (
            f"'label' of {path.name} contains lists of 3 entries of 0 and 1, but 4 classes have names.",
            "Pass --label-names a file with 3 names, one for each entry.",
        )
    three = str(write("three.txt", "a\nb\nc\n"))
    assert refusal(opened, write("b.jsonl", jsonl([*HOT, [1, 0]])), label_names=three)[0] == (
        "Row 5 of b.jsonl has ['1', '0'] in 'label', where other rows have 3 entries of 0 and 1."
    )


@pytest.mark.parametrize("odd", [[1, 0, 2], [1, 0, 1, 1]])
def test_rows_are_held_out_beside_an_odd_list(opened, write, odd):
    rows = [HOT[i % 4] for i in range(40)]
    rows[7] = odd
    path = write("a.jsonl", jsonl(rows))
    assert refusal(opened, path, validation=0.2)[0].startswith("Row 8 of a.jsonl has [")
    _, targets = tolerant(opened, path, validation=0.2)
    assert sum(map(len, targets.values())) == 39
    ids = [[i % 3] for i in range(40)]
    ids[7] = [9, 9]
    _, targets = tolerant(opened, write("b.jsonl", jsonl(ids)), validation=0.2)
    assert sum(map(len, targets.values())) == 39


# ---------------------------------------------------------------------------------------------------- columns of flags


def test_a_text_among_columns_of_flags_is_the_fault_of_its_row(opened, write):
    path = write("a.csv", "text,joy,anger\nx,1,0\ny,0,1\nz,maybe,0\nw,1,1\n")
    reason = "has 'maybe' in 'joy', which is neither 0 nor 1"
    assert refusal(opened, path, label="joy,anger")[0] == f"Row 3 of a.csv {reason}."
    assert tolerant(opened, path, label="joy,anger") == (("joy", "anger"), {"train": [[0], [1], [0, 1]]})
    assert skipped(opened(path, label="joy,anger", skip_bad_rows=True))[1] == {2: reason}


@pytest.mark.parametrize("number", ["2", "0.5", '"0,5"'])
def test_another_number_among_flags_makes_targets(opened, write, number):
    path = write("a.csv", f"text,joy,anger\nx,1,0\ny,0,1\nz,maybe,0\nw,{number},1\n")
    assert tolerant(opened, path, label="joy,anger")[0] == ()


# --------------------------------------------------------------------------------- rows of typed files that are skipped

EMPTY = "has an empty entry in 'label'"
NAMELESS = "has the class 5 in 'label', which has no name"
LISTS = {"feature": class_label("a", "b"), "_type": "List"}


@pytest.mark.parametrize(
    ("labels", "feature", "reason"),
    [
        ([["a"], ["b", None], ["b"]], None, EMPTY),
        ([[2.0], [2.0, float("nan")], [1.0]], None, EMPTY),
        ([[2.0], [2.0, float("inf")], [1.0]], None, EMPTY),
        ([["a"], ["a", ""], ["b"]], None, EMPTY),
        ([[0], [1, None], [1]], LISTS, EMPTY),
        ([0, 5, 1], class_label("a", "b"), NAMELESS),
        ([[0], [1, 5], [1]], LISTS, NAMELESS),
    ],
)
def test_a_label_that_cannot_be_read_is_skipped_in_typed_files(opened, tmp_path, labels, feature, reason):
    if feature is None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": ["x", "y", "z"], "label": labels}), path)
    else:
        path = named(tmp_path / "a.parquet", labels, feature)
    assert skipped(opened(path, skip_bad_rows=True)) == ([0, 2], {1: reason})
    assert refusal(opened, path)[0] == f"Row 2 of a.parquet {reason}."


def test_an_empty_label_of_a_word_is_skipped(opened, tmp_path):
    words = {"tokens": [["a"], ["b", "c"], ["d"]], "ner_tags": [["O"], ["O", None], ["X"]]}
    pq.write_table(pa.table(words), tmp_path / "a.parquet")
    kept = skipped(opened(tmp_path / "a.parquet", skip_bad_rows=True))
    assert kept == ([0, 2], {1: "has an empty entry in 'ner_tags'"})
    assert tolerant(opened, tmp_path / "a.parquet")[0] == ("O", "X")
