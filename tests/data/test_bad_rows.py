"""Rows that cannot be used: skipped with their reasons, or named, ten at most."""

import json
from dataclasses import replace

import pytest

from tdbs.data.bad_rows import with_other_rows
from tdbs.data.reading import read_blocks, survey_source
from tdbs.errors import RowError, TdbsError

ASKED = {"question": "who?", "context": "it is Ann", "answers": {"text": ["Ann"], "answer_start": [6]}}


def skipped(source, split="train"):
    survey = survey_source(source)
    blocks = list(read_blocks(source, survey, split))
    rows = [row for block in blocks for row in block.rows_N.tolist()]
    return rows, {row: reason for block in blocks for row, reason in block.skipped.items()}


def lines(*rows):
    return "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


CASES = [
    ("a.csv", 'text,label\na,x\n,y\nc,\nd\n"e",y\n', {},
     [0, 4], {1: "has no 'text'", 2: "has no 'label'",
              3: "has a different number of fields (1) than the header (2)"}),
    ("a.jsonl", lines({"text": "a", "label": "x"}, "[1]\n", {"text": 3, "label": "y"}, {"text": "d", "label": "y"}), {},
     [0, 3], {1: "is not a JSON object",
              2: "'text' is 3, not a text"}),
    ("a.jsonl", lines({"tokens": ["a"], "ner_tags": ["O"]}, {"tokens": ["a", "b"], "ner_tags": ["X"]},
                      {"tokens": ["a"], "ner_tags": ["X"]}), {},
     [0, 2], {1: "has 2 words, but 1 labels"}),
    ("a.jsonl", lines(ASKED, ASKED | {"answers": {"text": ["Bob"], "answer_start": [6]}}), {},
     [0], {1: "has the answer 'Bob', which is not at character 6 of its context"}),
    ("a.csv", "text,label\na,x\nb,\n,y\nc,\"y,x\"\n", {"label_separator": ","},
     [0, 1, 3], {2: "has no 'text'"}),
    ("a.csv", "text,label\na,0.5\nb,low\nc,1\n", {"label_type": "regression"},
     [0, 2], {1: "has 'low' in 'label', which is not a finite number"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "rows", "reasons"), CASES)
def test_rows_that_cannot_be_used_are_left_out_with_their_reasons(opened, write, name, content, options, rows, reasons):
    assert skipped(opened(write(name, content), skip_bad_rows=True, **options)) == (rows, reasons)


FIRST_LINES = [
    (b'{"text": "a", "la', "is not JSON: Invalid control character at: line 1 column 18 (char 17)"),
    (b'{"text": "a",', "is not JSON: Expecting property name enclosed in double quotes: line 2 column 1 (char 14)"),
    (b"text", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
    (b"3", "is not a JSON object"),
    (b'["a"]', "is not a JSON object"),
    (b'{"text": "\xe9", "label": "x"}', "is not UTF-8"),
    (b"", "is a blank line"),
    (b'{"text": "a", "text": "b"}', "has two keys 'text'"),
]


@pytest.mark.parametrize(("first", "reason"), FIRST_LINES)
def test_a_first_line_with_a_fault_is_skipped_as_others_are(opened, write, first, reason):
    """It says nothing of the columns."""
    path = write("a.jsonl", first + b"\n" + lines({"text": "b", "label": "x"}, {"text": "c", "label": "y"}).encode())
    assert skipped(opened(path, skip_bad_rows=True)) == ([1, 2], {0: reason})
    with pytest.raises(TdbsError) as caught:
        skipped(opened(path))
    assert caught.value.message.startswith(("Row 1 of a.jsonl ", "Line 1 of a.jsonl "))


def test_a_class_of_skipped_rows_alone_is_no_class(opened, write):
    source = opened(write("a.csv", "text,label\na,x\nb,y\n,z\n"), skip_bad_rows=True)
    assert survey_source(source).task.classes == ("x", "y")


def test_labels_that_train_lacks_are_skipped_in_validation(opened, write, tmp_path):
    write("d/train.csv", "text,label\na,x\nb,y\n")
    write("d/validation.csv", "text,label\na,x\nb,z\nc,\n")
    rows, reasons = skipped(opened(tmp_path / "d", skip_bad_rows=True), "validation")
    assert (rows, sorted(reasons)) == ([0], [1, 2])
    assert reasons[1] == "has the label 'z', which train lacks; its classes are: x, y"


def test_held_out_rows_are_drawn_among_those_that_can_be_used(opened, write):
    """Bad rows are train's, and are listed there."""
    content = "text,label\n" + "".join(f"{row},{'' if row % 4 == 0 else 'ab'[row % 2]}\n" for row in range(40))
    source = opened(write("a.csv", content), validation="0.2", skip_bad_rows=True)
    train, bad = skipped(source)
    held, none = skipped(source, "validation")
    assert (sorted(bad), none) == ([row for row in range(40) if row % 4 == 0], {})
    assert sorted(train + held) == [row for row in range(40) if row % 4]
    assert len(held) == 6


def test_a_split_of_bad_rows_alone_is_an_error(opened, write):
    with pytest.raises(RowError) as caught:
        skipped(opened(write("a.csv", "text,label\n,x\n,y\n"), skip_bad_rows=True))
    assert (caught.value.message, caught.value.next_step) == (
        "No row of a.csv can be used: row 1 has no 'text'.",
        "Fix the rows of the file.",
    )


def test_skipping_is_part_of_the_contents_and_other_options_are_as_they_were(opened, write):
    path = write("a.csv", "text,label\na,x\nb,y\n")
    plain, skips = opened(path), opened(path, skip_bad_rows=True)
    assert plain.content_sha256 != skips.content_sha256
    assert replace(plain, skips_bad_rows=True, content_sha256=skips.content_sha256) == skips


def listed(source):
    with pytest.raises(TdbsError) as caught:
        skipped(source)
    return with_other_rows(source, caught.value)


def test_an_error_names_the_first_ten_bad_rows(opened, write):
    content = "text,label\n" + "".join(f"{row},{'' if row % 3 == 1 else 'ab'[row % 2]}\n" for row in range(60))
    found = listed(opened(write("a.csv", content)))
    assert found.message == "20 of the 60 rows looked at cannot be used. Row 2 of a.csv has no 'label'."
    assert found.details == tuple(f"Row {row} of a.csv has no 'label'." for row in range(5, 30, 3))
    assert len(found.details) == 9
    assert found.next_step == "Fill the row or delete it; or pass --skip-bad-rows."
    assert str(found).splitlines() == [found.message, *found.details, found.next_step]


def test_rows_with_different_faults_are_listed_together(opened, write):
    found = listed(opened(write("a.csv", "text,label\na,x\n,y\nc,\nd\ne,y\n")))
    assert found.message == "3 of the 5 rows looked at cannot be used. Row 2 of a.csv has no 'text'."
    assert found.details == (
        "Row 3 of a.csv has no 'label'.",
        "Row 4 of a.csv has a different number of fields (1) than the header (2).",
    )


def test_the_error_of_one_row_keeps_its_message(opened, write):
    found = listed(opened(write("a.csv", "text,label\na,x\nb,\nc,y\n")))
    assert (found.message, found.details) == ("Row 2 of a.csv has no 'label'.", ())
    assert found.next_step == "Fill the row or delete it; or pass --skip-bad-rows."


def test_every_line_fits(opened, write):
    """Long values are cut: 113 characters, and `Error: ` before them."""
    rows = "".join(f'{{"text": {json.dumps(["long"] * 40)}, "label": "x"}}\n' for _ in range(3))
    found = listed(
        opened(write(f"{'a' * 90}.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n' + rows))
    )
    assert all(len(line) <= 113 for line in (found.message, *found.details, found.next_step))
    assert found.message.startswith("3 of the 5 rows looked at cannot be used. Row 3 of aaa")
    assert len(found.details) == 3  # the message cuts the first one
