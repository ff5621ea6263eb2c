"""Answers in the shapes that people have: objects, lists of objects, two columns; all are read as SQuAD's lists."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.columns import SourceColumn
from tdbs.data.labels import answer_columns
from tdbs.data.reading import read_blocks, survey_source
from tdbs.errors import TdbsError
from tests.data.conftest import read_source

CONTEXT = "It was written by Ann and by Bo."
ANN, BO = {"text": "Ann", "answer_start": 18}, {"text": "Bo", "answer_start": 29}
SHAPES = {
    "lists": ([{"text": ["Ann"], "answer_start": [18]}, {"text": ["Ann", "Bo"], "answer_start": [18, 29]}], [1, 2]),
    "one object": ([ANN, BO], [1, 1]),
    "objects": ([[ANN, BO], [BO]], [2, 1]),
    "objects with more keys": ([[ANN | {"id": "x"}], [BO | {"id": "y"}]], [1, 1]),
}
OPTIONS = {"text": "q", "pair": "c"}


def rows_of(answers):
    return [{"q": f"who {n}?", "c": CONTEXT, "a": value} for n, value in enumerate(answers)]


def targets_of(opened, path, **options):
    task, splits = read_source(opened(path, **OPTIONS, **options))
    assert task.kind == "question_answering"
    return splits["train"].targets.to_pylist()


def refusal(opened, path, **options):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(path, **options))
    return caught.value.message, caught.value.next_step


def table(rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["q", "c", "answer", "start"], *rows])
    return out.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_each_shape_is_read_from_json_and_parquet(opened, tmp_path, form, shape):
    answers, counts = SHAPES[shape]
    rows, path = rows_of(answers), tmp_path / f"a.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if form == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    found = targets_of(opened, path, label="a")
    assert [len(row["text"]) for row in found] == counts
    for row in found:
        for text, start in zip(row["text"], row["answer_start"], strict=True):
            assert CONTEXT[start : start + len(text)] == text in ("Ann", "Bo")


def test_the_well_known_columns_are_found(opened, write):
    rows = [{"question": "who?", "context": CONTEXT, "answers": [ANN]}]
    task, _ = read_source(opened(write("a.json", json.dumps(rows))))
    assert (task.kind, task.columns.labels) == ("question_answering", ("answers",))


def test_parquet_slices_and_narrow_types_are_read(opened, tmp_path):
    kind = pa.struct([("answer_start", pa.int32()), ("text", pa.large_string())])
    values = pa.array([BO, ANN, BO], kind)
    parts = pa.table({"q": ["a", "b", "c"], "c": [CONTEXT] * 3, "a": values})
    pq.write_table(parts, tmp_path / "a.parquet", row_group_size=1)
    assert [row["text"] for row in targets_of(opened, tmp_path / "a.parquet", label="a")] == [["Bo"], ["Ann"], ["Bo"]]


def test_a_first_row_without_answers_does_not_hide_what_the_others_have(opened, write):
    """An empty list has no type: rows after it tell."""
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows_of([[], [ANN]])))
    assert opened(path, **OPTIONS, label="a").task.kind == "question_answering"


NOT_ANSWERS = [
    ([ANN, {"text": "Ann"}], '{"text": "Ann"}'),
    ([[ANN], [ANN, 3]], '[{"text": "Ann", "answer_start": 18}, 3]'),
    ([ANN, {"text": "Ann", "answer_start": True}], '{"text": "Ann", "answer_start": true}'),
    ([ANN, {"text": ["Ann"], "answer_start": 18}], '{"text": ["Ann"], "answer_start": 18}'),
]


@pytest.mark.parametrize(("answers", "shown"), NOT_ANSWERS)
def test_anything_else_is_named(opened, write, answers, shown):
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows_of(answers)))
    assert refusal(opened, path, **OPTIONS, label="a") == (
        f"'a' in row 2 of a.jsonl is {shown[:40]}, not answers.",
        'Write answers such as {"text": ["Paris"], "answer_start": [17]}.',
    )


def test_a_list_of_answers_needs_a_context(opened, write):
    path = write("a.jsonl", json.dumps({"text": "a", "label": [ANN]}) + "\n")
    message = "'label' contains answers, but no column of contexts is named."
    assert refusal(opened, path) == (message, "Pass --text QUESTION --pair CONTEXT with it.")


# --------------------------------------------------------------------------------------------------------- two columns

TWO = {**OPTIONS, "label": "answer,start"}


def test_two_columns_are_answers_if_the_texts_are_at_their_places(opened, write):
    path = write("a.csv", table([["who?", CONTEXT, "Ann", 18], ["and?", CONTEXT, "Bo", "29.0"]]))
    assert targets_of(opened, path, label="answer,start") == [
        {"text": ["Ann"], "answer_start": [18]},
        {"text": ["Bo"], "answer_start": [29]},
    ]


def test_so_are_typed_columns(opened, tmp_path):
    columns = {"q": ["a", "b"], "c": [CONTEXT] * 2, "answer": ["Ann", "Bo"], "start": np.array([18, 29], np.int32)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=1)
    found = targets_of(opened, tmp_path / "a.parquet", label="answer,start")
    assert [row["answer_start"] for row in found] == [[18], [29]]


def test_answers_that_are_numbers_are_answers_if_all_are_at_their_places(opened, write):
    rows = [["when?", "In 1990 or 1991.", "1990", 3], ["and?", "In 1990 or 1991.", "1991", 11]]
    assert [row["text"] for row in targets_of(opened, write("a.csv", table(rows)), label="answer,start")] == [
        ["1990"],
        ["1991"],
    ]
    rows[1][3] = 3
    assert read_source(opened(write("b.csv", table(rows)), **TWO))[0].kind == "regression"


@pytest.mark.parametrize(("values", "kind"), [([(1, 0), (0, 1)], "multi_label"), ([("true", 0), ("False", 1)],
    "multi_label"), ([(2, 0), (1, 7)], "regression"), ([(0.5, 0.1), (1, 7)], "regression")])  # fmt: skip
def test_columns_of_flags_and_numbers_stay_several_labels(opened, write, values, kind):
    rows = [["who?", CONTEXT, *pair] for pair in values]
    assert read_source(opened(write("a.csv", table(rows)), **TWO))[0].kind == kind


def test_label_type_says_that_they_are_labels(opened, write):
    rows = [["when?", "In 1990 or 1991.", "1990", 3], ["and?", "In 1990 or 1991.", "1991", 11]]
    source = opened(write("a.csv", table(rows)), **TWO, label_type="regression")
    assert read_source(source)[0].kind == "regression"


COLUMN_REFUSALS = [
    (
        [["who?", CONTEXT, "Ann", 19], ["who?", CONTEXT, "Bo", 30]],
        "Row 1 of a.csv has the answer 'Ann', which is not at character 19 of its context.",
        "Count characters from 0. If the columns are classes, write 0 and 1 in them.",
    ),
    (
        [["who?", CONTEXT, "Ann", 18], ["who?", CONTEXT, "Bo", 30]],
        "Row 2 of a.csv has the answer 'Bo', which is not at character 30 of its context",
        "Fix the row or delete it.",
    ),
    (
        [["who?", CONTEXT, "Ann", 18], ["who?", CONTEXT, "", ""]],
        "Row 2 of a.csv has no 'answer,start'.",
        "Fill the row or delete it.",
    ),
    (
        [["who?", CONTEXT, "Ann", 18], ["who?", CONTEXT, "Bo", ""]],
        "Row 2 of a.csv has the answer 'Bo', which is not at character None of its context",
        "Fix the row or delete it.",
    ),
    (
        [["who?", CONTEXT, "Ann", 18], ["who?", CONTEXT, "", 3]],
        "Row 2 of a.csv has an empty answer",
        "Fix the row or delete it.",
    ),
]


@pytest.mark.parametrize(("rows", "message", "next_step"), COLUMN_REFUSALS)
def test_a_row_whose_answer_is_not_there_is_named(opened, write, rows, message, next_step):
    found = refusal(opened, write("a.csv", table(rows)), **TWO)
    assert (found[0].rstrip("."), found[1]) == (message.rstrip("."), next_step)


def test_one_place_that_is_not_a_number_makes_no_labels_of_answers(opened, write):
    """The row is refused or skipped; if such places are the most, the columns are several labels."""
    rows = [["who?", CONTEXT, "Ann", 18], ["who?", CONTEXT, "Bo", "n/a"], ["and?", CONTEXT, "Bo", 29]]
    path = write("a.csv", table(rows))
    assert refusal(opened, path, **TWO)[0] == "'start' in row 2 of a.csv is 'n/a', not a whole number."
    source = opened(path, **TWO, skip_bad_rows=True)
    (block,) = read_blocks(source, survey_source(source), "train")
    assert block.rows_N.tolist() == [0, 2]
    assert block.skipped == {1: "'start' is 'n/a', not a whole number"}
    rows[2][3] = "?"
    assert opened(write("b.csv", table(rows)), **TWO).task.kind == "multi_label"


def test_a_place_that_is_not_a_number_is_named_where_it_was_not_looked_at(opened, write, monkeypatch):
    monkeypatch.setattr(answer_columns, "ROWS_AT_ONCE", 1)
    rows = [["who?", CONTEXT, "Ann", 18]] * 9000 + [["who?", CONTEXT, "Bo", "there"]]
    assert refusal(opened, write("a.csv", table(rows)), **TWO) == (
        "'start' in row 9001 of a.csv is 'there', not a whole number.",
        "Write the answer's first character, counted from 0.",
    )


def test_an_empty_text_at_minus_one_means_that_there_is_no_answer(opened, write):
    """Kept as empty lists; whether a question may have none is decided where all answers are checked."""
    answers, starts = (
        SourceColumn(name=name, where="a.csv", values=pa.chunked_array([values]), rows_N=np.arange(3))
        for name, values in (("answer", ["Ann", None, None]), ("start", ["18", "-1", None]))
    )
    column = answer_columns.joined_answers(answers, starts)
    assert column.values.to_pylist() == [
        {"text": ["Ann"], "answer_start": [18]},
        {"text": [], "answer_start": []},
        None,
    ]
