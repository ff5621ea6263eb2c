"""JSON in the forms that people have: arrays, exports, SQuAD's own files; the form is found by the file's beginning."""

import gzip
import json

import pandas as pd
import pyarrow as pa
import pytest

import tdbs.data.formats.json_rows as json_rows
from tdbs.data.content import ANSWERS
from tdbs.data.formats import ReadOptions, count_rows, data_file, read_schema, read_tables
from tdbs.data.understood import fact_lines, source_facts
from tdbs.errors import SourceError, TdbsError
from tests.data.conftest import read_source
from tests.data.files import as_it_is

ROWS = [{"text": "fine, [really]", "label": 1}, {"text": 'a "}" \u2028 brace', "label": 0}, {"label": 1, "text": ""}]
ROWS_STEP = 'Write an array of objects, such as [{"text": "a fine film", "label": 1}], or one object a line.'


def read(file, columns=None, bad=None):
    return pa.concat_tables(read_tables(file, columns or {"text": "text", "label": "label"}, bad)).to_pydict()


def refusal(path):
    def whole():
        file = as_it_is(path)
        read_schema(file)
        read(file)

    with pytest.raises(SourceError) as caught:
        whole()
    return caught.value.message, caught.value.next_step


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


FORMS = {
    "an array": (json.dumps(ROWS), "json"),
    "an array over lines": ("\n " + json.dumps(ROWS, indent=2) + "\n", "json"),
    "an array, a row a line": ("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]", "json"),
    "an export": (json.dumps({"count": 3, "data": ROWS}), "json"),
    "an export beside lists": (json.dumps({"data": ROWS, "links": [{}] * 3, "columns": ["a", "b", "c"]}), "json"),
    "an export over lines": (json.dumps({"data": ROWS, "next": None}, indent=1), "json"),
    "lines": (lines(ROWS), "jsonl"),
    "lines with blanks": ("  " + lines(ROWS) + " \n", "jsonl"),
}


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".ndjson"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found_under_each_extension_and_read_as_the_rows(write, form, suffix):
    content, name = FORMS[form]
    file = as_it_is(write(f"a{suffix}", content))
    assert (file.format, read_schema(file).names, count_rows(file, "text")) == (name, ["text", "label"], 3)
    assert read(file) == {"text": [row["text"] for row in ROWS], "label": [str(row["label"]) for row in ROWS]}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_compressed_and_in_another_encoding(write, form):
    path = write("a.json.gz", gzip.compress(FORMS[form][0].encode("utf-16")))
    file = data_file(path, ReadOptions(encoding="utf-16"))
    assert (file.format, file.compression) == (FORMS[form][1], "gzip")
    assert read(file)["text"] == [row["text"] for row in ROWS]


def test_a_mark_of_byte_order_is_not_part_of_an_array(write):
    file = as_it_is(write("a.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode()))
    assert read(file)["text"] == [row["text"] for row in ROWS]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_an_array_is_read_in_pieces_of_any_size(write, monkeypatch, chunk):
    """Strings, escapes and objects may be cut anywhere."""
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    rows = [{"text": f'row {number} \\ "\u00e9\U0001f600" ' + "x" * number, "label": number} for number in range(40)]
    for indent in (None, 3):
        file = as_it_is(write("a.json", json.dumps(rows, indent=indent)))
        assert read(file)["text"] == [row["text"] for row in rows]


def test_a_json_file_of_one_object_a_line_keeps_its_format_and_so_its_digest(opened, write):
    """Datasets that were prepared before are found again."""
    content = lines(ROWS[:2])
    digests = {opened(write(name, content)).content_sha256 for name in ("a.jsonl", "b.json", "c.ndjson")}
    assert len(digests) == 1
    assert as_it_is(write("one.json", '{"text": "a", "data": [1]}\n')).format == "jsonl"
    assert as_it_is(write("two.json", '{"text": "a", "data": [{}]}\n{"text": "b"}\n')).format == "jsonl"


REFUSALS = [
    ('{"text": {"0": "a"},\n"label": 1}', "a.json contains one JSON object, with 'text', 'label'.", ROWS_STEP),
    ("{\n}", "a.json contains one JSON object, with no keys.", ROWS_STEP),
    ('{"data": [1],\n"x": 2}', "a.json contains one JSON object, with 'data', 'x'.", ROWS_STEP),
    ('{\n"text": "a"\n}\n{\n"text": "b"\n}', "a.json is not JSON: Extra data: line 4 column 1 (char 16).", ROWS_STEP),
    ("[]", "a.json is empty.", ROWS_STEP),
    (
        '{"train": [["x", "a"]], "val": [["z", "a"]], "oos_val": [["o", "oos"]]}',
        "a.json contains splits in one object, with rows that are lists.",
        "Write each split to a file of its own, such as train.jsonl, with one object per row.",
    ),
    ('["a"]', "Row 1 of a.json is not a JSON object.", ROWS_STEP),
    ('[{"text": "a"}, {"text": }]', "Row 2 of a.json is not JSON: Expecting value.", ROWS_STEP),
    ('[{"text": "a"}, {"text": "b"', "Row 2 of a.json is not JSON: Expecting ',' delimiter.", ROWS_STEP),
    ('[{"text": "a"},]', "Row 2 of a.json is not JSON: Expecting value.", ROWS_STEP),
    ('[{"text": "a"} {"text": "b"}]', "Row 1 of a.json is followed by {, not by a comma.", ROWS_STEP),
    ('[{"text": "a"}', "The array in a.json is not closed after row 1.", "Add a ]."),
    ('[{"text": "a"}] [', "a.json has more text after its array.", ROWS_STEP),
    ('[{"text": 3}]', "'text' in row 1 of a.json is 3, not a text.", "Write it as a text, in quotes."),
    ('[{"text": "a", "text ": "b"}]', "Row 1 of a.json has two keys 'text'.", "Rename one of them."),
    ('{"text": "a", "text": "b"}\n', "Row 1 of a.json has two keys 'text'.", "Rename one of them."),
    (
        '{"text": "a"}\n{"text": "b", "m": [{"x": 1, "x": 2}]}',
        "Row 2 of a.json has two keys 'x'.",
        "Rename one of them.",
    ),
    ('[{"text": "a", "text": "b"}]', "Row 1 of a.json has two keys 'text'.", "Rename one of them."),
    ('{"data": [{"text": "a", "text": "b"}]}', "a.json has two keys 'text' in one object.", "Rename one of them."),
    ('{"data":\n[{}],\n"data": [{}]}', "a.json has two keys 'data' in one object.", "Rename one of them."),
    (
        b'[{"text": "a"},\n{"text": "\xe9"}]',
        "Line 2 of a.json is not UTF-8: byte 11 of the line is 0xe9.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
]


@pytest.mark.parametrize(("content", "message", "next_step"), REFUSALS)
def test_anything_else_is_named(write, content, message, next_step):
    assert refusal(write("a.json", content)) == (message, next_step)
    assert max(map(len, (message, next_step))) <= 120


RECORDS = 'Write rows: in pandas, df.to_json(path, orient="records", lines=True).'
SPLIT_FILES = "Write each split to a file of its own, such as train.jsonl, all in one folder."
TABLE = pd.DataFrame({"text": ["a", "b", "c"], "label": ["x", "y", "x"]})
NAMED = TABLE.set_index(pd.Index(["r1", "r2", "r3"]))
ROW = {"text": "a", "label": "x"}
LAYOUTS = {
    "columns": (TABLE.to_dict(orient="list"), 'columns, not rows (orient="list").', RECORDS),
    "pandas": (json.loads(TABLE.to_json()), 'columns by an index, not rows (orient="columns").', RECORDS),
    "index": (json.loads(TABLE.to_json(orient="index")), 'rows by an index, not in a list (orient="index").', RECORDS),
    "names": (json.loads(NAMED.to_json(orient="index")), 'rows by an index, not in a list (orient="index").', RECORDS),
    "split": (json.loads(TABLE.to_json(orient="split")), 'columns and data, not rows (orient="split").', RECORDS),
    "viewer": (
        {"features": [], "rows": [{"row_idx": 0, "row": ROW}], "num_rows_total": 1},
        "the rows of the hub's viewer, each below a key 'row'.",
        'Write one object a line: what each "row" contains.',
    ),
    "splits": ({"train": [ROW], "dev": [ROW]}, "several splits in one object: train, dev.", SPLIT_FILES),
    "train": ({"train": [ROW]}, "an object with the split train.", SPLIT_FILES),
    "data": ({"data": [ROW], "validation": [ROW]}, "several splits in one object: data, validation.", SPLIT_FILES),
    "articles": (
        [{"title": "T", "paragraphs": []}],
        "articles of SQuAD in an array.",
        'Write SQuAD\'s whole object: {"data": [the articles]}.',
    ),
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_object_that_is_not_a_list_of_rows_is_never_one_row(write, layout, indent):
    """Whether it is one line or several: a model must not learn from whole columns."""
    value, what, next_step = LAYOUTS[layout]
    message, step = refusal(write("a.json", json.dumps(value, indent=indent)))
    assert (message, step) == (f"a.json contains {what}", next_step)
    assert max(map(len, (message, step))) <= 113


ONE_ROW = [
    {"tokens": ["a", "b"], "ner_tags": ["O", "O"]},
    {"text": "a", "label": ["x"]},
    {"question": "who?", "context": "Ann", "answers": {"text": ["Ann"], "answer_start": [0]}},
    {"translation": {"de": "a", "en": "b"}},
    {"tokens": ["a", "b"]},
]


@pytest.mark.parametrize("row", ONE_ROW)
def test_a_row_on_the_only_line_is_still_a_row(write, row):
    assert as_it_is(write("a.jsonl", json.dumps(row) + "\n")).format == "jsonl"


def test_bad_rows_of_an_array_are_recorded_and_text_that_is_not_json_is_an_error(write):
    bad = {}
    content = '[{"text": "a"}, 3, {"text": 4}, {"text": "b"}'
    found = read(as_it_is(write("a.json", content + "]")), {"text": "text"}, bad)
    assert found == {"text": ["a", None, None, "b"]}
    assert bad == {1: "is not a JSON object", 2: "'text' is 4, not a text"}
    with pytest.raises(SourceError):
        read(as_it_is(write("b.json", content)), {"text": "text"}, {})


@pytest.mark.parametrize("is_array", [True, False])
def test_the_first_rows_say_what_the_columns_are(write, is_array):
    """A null and an empty list say nothing, and a key may be missing in the first row."""
    rows = [{"text": "a", "label": None}] * 5 + [{"text": "b", "label": []}, {"text": "c", "answers": None}]
    rows += [{"answers": {"text": ["c"], "answer_start": [0]}, "label": ["x"], "text": None}]
    file = as_it_is(write("a.json", json.dumps(rows) if is_array else lines(rows)))
    words = pa.list_(pa.string())
    expected = {"text": pa.string(), "label": words, "answers": ANSWERS}
    assert dict(zip(read_schema(file).names, read_schema(file).types, strict=True)) == expected


def test_no_more_than_the_first_rows_say_what_the_columns_are(write):
    rows = [{"text": "a"}] * 8192 + [{"text": "a", "more": 1}]
    assert read_schema(as_it_is(write("a.jsonl", lines(rows)))).names == ["text"]
    assert read_schema(as_it_is(write("b.jsonl", lines(rows[1:])))).names == ["text", "more"]


# ---------------------------------------------------------------------------------------------------- SQuAD's own files

QUESTIONS = [
    {"id": "1", "question": "Who wrote it?", "answers": [{"text": "Ann", "answer_start": 18}] * 2},
    {"id": "2", "question": "What did Ann do?", "answers": [{"text": "wrote", "answer_start": 7}]},
]
SQUAD = {
    "data": [
        {"title": "Books", "paragraphs": [{"context": "It was written by Ann.", "qas": QUESTIONS[:1]}]},
        {
            "title": "Ann",
            "paragraphs": [
                {"context": "It is.", "qas": []},
                {"context": "Ann is wrote? Ann wrote it.", "qas": QUESTIONS[1:]},
            ],
        },
    ],
    "version": "1.1",
}


@pytest.mark.parametrize("indent", [None, 1])
def test_each_question_of_squad_is_a_row(opened, write, indent):
    path = write("train.json", json.dumps(SQUAD, indent=indent))
    file = as_it_is(path)
    assert (file.format, count_rows(file, "question")) == ("squad", 2)
    assert read_schema(file).names == ["id", "question", "context", "answers", "title"]
    assert read(file, {"id": "label", "title": "text"}) == {"id": ["1", "2"], "title": ["Books", "Ann"]}
    source = opened(path)
    task, splits = read_source(source)
    assert (task.kind, splits["train"].texts.to_pylist()) == ("question_answering", [q["question"] for q in QUESTIONS])
    for answers, question in zip(splits["train"].targets.to_pylist(), QUESTIONS, strict=True):
        assert answers["text"] == [answer["text"] for answer in question["answers"]]
        assert answers["answer_start"] == [answer["answer_start"] for answer in question["answers"]]
    assert fact_lines(source_facts(source, task)) == [
        "train.json: squad",
        "question answering: 'question' with 'context' to 'answers'",
    ]


def squad_of(*questions):
    return {"data": [{"title": "T", "paragraphs": [{"context": "it is Ann", "qas": list(questions)}]}]}


def test_impossible_questions_have_empty_answers(write):
    plausible = {"plausible_answers": [{"text": "Ann", "answer_start": 6}], "is_impossible": True, "answers": []}
    answered = {"question": "who?", "answers": [{"text": "Ann", "answer_start": 6}], "is_impossible": False}
    without = {"question": "what?", "is_impossible": True}
    content = squad_of({"question": "why?", **plausible}, answered, without)
    found = read(as_it_is(write("a.json", json.dumps(content))), {"answers": "answers"})
    assert [answers["text"] for answers in found["answers"]] == [[], ["Ann"], []]


@pytest.mark.parametrize("impossible", [1, 1.0, "true", "True", "1"])
def test_impossible_is_true_however_it_is_written(write, impossible):
    content = squad_of(
        {"question": "why?", "is_impossible": impossible, "answers": []},
        {"question": "who?", "is_impossible": "false", "answers": [{"text": "Ann", "answer_start": 6}]},
        {"question": "who?", "is_impossible": None, "answers": [{"text": "Ann", "answer_start": 6}]},
    )
    found = read(as_it_is(write("a.json", json.dumps(content))), {"answers": "answers"})
    assert [answers["text"] for answers in found["answers"]] == [[], ["Ann"], ["Ann"]]


def test_a_test_set_without_answers_has_no_such_column(write):
    file = as_it_is(write("test.json", json.dumps(squad_of({"id": "1", "question": "who?"}))))
    assert read_schema(file).names == ["id", "question", "context", "title"]


SQUAD_STEP = 'Write it as SQuAD: "data" lists articles, their "paragraphs" have a "context" and "qas".'
SQUAD_REFUSALS = [
    ({"data": [{"paragraphs": {}}]}, "Article 1 of a.json has no list of objects 'paragraphs'.", SQUAD_STEP),
    (
        {"data": [{"paragraphs": []}, {"paragraphs": [{"context": "a"}]}]},
        "Paragraph 1 of article 2 of a.json has no list of objects 'qas'.",
        SQUAD_STEP,
    ),
    (
        squad_of({"question": "a", "is_impossible": True, "answers": [{"text": "Ann", "answer_start": 6}]}),
        "Row 1 of a.json is impossible, but has answers.",
        "Fix the row.",
    ),
    (
        squad_of({"question": "a", "is_impossible": 1, "answers": [{"text": "Ann", "answer_start": 6}]}),
        "Row 1 of a.json is impossible, but has answers.",
        "Fix the row.",
    ),
    (
        squad_of({"question": "a", "is_impossible": "maybe", "answers": []}),
        "Row 1 of a.json has an 'is_impossible' that is neither true nor false.",
        "Fix the row.",
    ),
    (squad_of({"id": "1", "answers": []}), "Row 1 of a.json has no 'question'.", "Fill the row or delete it."),
    (
        squad_of({"question": "who?", "answers": [{"text": "Ann"}]}),
        '\'answers\' in row 1 of a.json is [{"text": "Ann"}], not answers.',
        'Write answers such as {"text": ["Paris"], "answer_start": [17]}.',
    ),
]


@pytest.mark.parametrize(("content", "message", "next_step"), SQUAD_REFUSALS)
def test_a_fault_in_squad_is_named(opened, write, content, message, next_step):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(write("a.json", json.dumps(content))))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
    assert max(map(len, (message, next_step))) <= 120


@pytest.mark.parametrize("content", ["[{}]", "{}\n"])
def test_a_file_without_keys_has_no_columns(opened, write, content):
    with pytest.raises(SourceError) as caught:
        opened(write("a.json", content))
    assert caught.value.message == "a.json has no column 'text'; it has none."
