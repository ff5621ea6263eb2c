"""What is to be predicted, from the columns of users' files: kinds are told by the columns, classes by train."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.columns import SourceColumn
from tdbs.data.labels.several import encode_several, learn_several
from tdbs.data.labels.targets import encode_word_labels, learn_word_labels
from tdbs.errors import TdbsError
from tests.data.conftest import read_source


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def column(values, name="label", where="train.jsonl"):
    return SourceColumn(name=name, where=where, values=pa.chunked_array([values]), rows_N=np.arange(len(values)))


def refusal(opened, path, **options):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(path, **options))
    return caught.value.message, caught.value.next_step


# ---------------------------------------------------------------------------------------------------- kinds of tasks

ANSWERED = {"question": "who?", "context": "it is Ann", "answers": {"text": ["Ann"], "answer_start": [6]}}
KINDS = [
    (lines(ANSWERED), {}, "question_answering", ("question", "context", ("answers",))),
    (lines({"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]}), {}, "token_classification",
     ("tokens", None, ("ner_tags",))),
    (lines({"document": "a b", "summary": "a"}), {}, "seq2seq", ("document", None, ("summary",))),
    (lines({"article": "a b", "highlights": "a"}), {}, "seq2seq", ("article", None, ("highlights",))),
    (lines({"q": "who?", "c": "it is Ann", "a": ANSWERED["answers"]}), {"text": "q", "pair": "c", "label": "a"},
     "question_answering", ("q", "c", ("a",))),
    (lines({"text": "a", "label": ["x"]}, {"text": "b", "label": ["y", "x"]}), {}, "multi_label",
     ("text", None, ("label",))),
    (lines({"text": "a", "to": "b"}), {"target": "to"}, "seq2seq", ("text", None, ("to",))),
    (lines({"text": "a", "x": 1, "y": 0}, {"text": "b", "x": 0, "y": 0}), {"label": "x, y"}, "multi_label",
     ("text", None, ("x", "y"))),
    (lines({"text": "a", "x": 1.5, "y": 0}, {"text": "b", "x": 0, "y": 0}), {"label": "x,y"}, "regression",
     ("text", None, ("x", "y"))),
    (lines({"text": "a", "x,y": 1}, {"text": "b", "x,y": 0}), {"label": "x,y"}, "classification",
     ("text", None, ("x,y",))),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "kind", "columns"), KINDS)
def test_columns_tell_the_kind_of_task(opened, write, content, options, kind, columns):
    task, _ = read_source(opened(write("a.jsonl", content), **options))
    assert task.kind == kind
    assert (task.columns.text, task.columns.pair, task.columns.labels) == columns


@pytest.mark.parametrize(("content", "options", "kind", "columns"), KINDS)
def test_parquet_tells_the_same(opened, tmp_path, content, options, kind, columns):
    rows = [json.loads(line) for line in content.splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    task, _ = read_source(opened(tmp_path / "a.parquet", **options))
    assert (task.kind, task.columns.text, task.columns.pair, task.columns.labels) == (kind, *columns)


def test_metrics_go_with_the_kind(opened, write):
    task, _ = read_source(opened(write("a.jsonl", lines(ANSWERED))))
    assert (task.metrics, task.outputs) == (("f1", "exact_match"), 2)


COLUMN_REFUSALS = [
    (lines({"text": "a", "label": "x", "to": "b"}), {"label": "label", "target": "to"},
     "--label and --target exclude each other.", "Leave one of them out."),
    (lines({"text": "a", "label": {"text": ["a"], "answer_start": [0]}}), {},
     "'label' contains answers, but no column of contexts is named.", "Pass --text QUESTION --pair CONTEXT with it."),
    (lines({"text": ["a"], "b": "c", "label": ["x"]}), {"pair": "b"},
     "'text' contains lists of words, which have no second text.", "Leave --pair out."),
    (lines({"text": "a", "x": 1}), {"label": "x,y"},
     "a.jsonl has no column 'y'; it has: 'text', 'x'.", "Name the column with --label."),
    (lines({"text": "a", "x": 1}), {"label": "x,x"}, "--label names 'x', as another option does.",
     "Name another column."),
    (lines({"text": "a", "x": 1}), {"target": "y"}, "a.jsonl has no column 'y'; it has: 'text', 'x'.",
     "Name the column with --target."),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "message", "next_step"), COLUMN_REFUSALS)
def test_columns_that_make_no_task(opened, write, content, options, message, next_step):
    assert refusal(opened, write("a.jsonl", content), **options) == (message, next_step)


# ---------------------------------------------------------------------------------------------------- several labels


@pytest.mark.parametrize("values", [("1", "0"), ("true", "False"), ("1.0", "0.0"), (" 1", "0 ")])
def test_columns_of_flags_are_classes(opened, write, values):
    yes, no = values
    path = write("a.csv", f"text,joy,anger\na,{yes},{no}\nb,{no},{no}\nc,{yes},{yes}\n")
    task, splits = read_source(opened(path, label="joy,anger"))
    assert (task.kind, task.classes, task.metrics) == ("multi_label", ("joy", "anger"), ("f1_micro", "f1_macro"))
    assert splits["train"].targets.to_pylist() == [[0], [], [0, 1]]


def test_typed_flags_are_classes(opened, tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "x": [True, False], "y": [0, 1]}), tmp_path / "a.parquet")
    task, splits = read_source(opened(tmp_path / "a.parquet", label="x,y"))
    assert (task.kind, splits["train"].targets.to_pylist()) == ("multi_label", [[0], [1]])


def test_columns_of_numbers_are_targets(opened, write):
    path = write("a.csv", "text,x,y\na,1,0\nb,0,1\n")
    task, splits = read_source(opened(path, label="x,y", label_type="regression"))
    assert (task.kind, task.classes, task.outputs) == ("regression", (), 2)
    assert splits["train"].targets.to_pylist() == [[1.0, 0.0], [0.0, 1.0]]


def test_lists_of_classes(opened, write):
    path = write("a.jsonl", lines(*({"text": "a", "label": row} for row in (["b", "a", "b"], [], [3], ["a"]))))
    task, splits = read_source(opened(path))
    assert (task.kind, task.classes) == ("multi_label", ("3", "a", "b"))
    assert splits["train"].targets.to_pylist() == [[1, 2], [], [0], [1]]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "é", ""]), max_size=5), min_size=1, max_size=20))
def test_lists_of_classes_say_what_they_held(rows):
    """Each class once a row, in order, whatever the lists."""
    held = column(pa.array([*rows, ["a", "b"]], pa.list_(pa.string())))
    rule = learn_several([held], "auto")
    encoded = encode_several([held], rule).to_pylist()
    assert [[rule.classes[i] for i in row] for row in encoded[:-1]] == [sorted(set(row)) for row in rows]


SEVERAL_REFUSALS = [
    ("text,x,y\na,1,2\n", {"label": "x,y", "label_type": "class"},
     "Row 1 of a.csv has '2' in 'y', which is neither 0 nor 1.", "Fix the row, or pass --label-type regression."),
    ("text,x,y\na,1,good\n", {"label": "x,y"},
     "Row 1 of a.csv has 'good' in 'y', which is neither 0 nor 1.",
     "Write numbers in these columns: 1 and 0 for yes and no."),
    ("text,x,y\na,yes,no\n", {"label": "x,y", "label_type": "class"},
     "Row 1 of a.csv has 'yes' in 'x', which is neither 0 nor 1.",
     "Write numbers in these columns: 1 and 0 for yes and no."),
    ("text,x,y\na,1,\n", {"label": "x,y"}, "Row 1 of a.csv has no 'y'.", "Fill the row or delete it."),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "message", "next_step"), SEVERAL_REFUSALS)
def test_several_labels_that_cannot_be_learned(opened, write, content, options, message, next_step):
    assert refusal(opened, write("a.csv", content), **options) == (message, next_step)


LIST_REFUSALS = [
    ([{"text": "a", "label": ["x"]}], {}, "The lists of train.jsonl contain 1 classes.",
     "Give train rows of at least two classes."),
    ([{"text": "a", "label": ["x"]}, {"text": "b", "label": None}], {}, "Row 2 of train.jsonl has no 'label'.",
     "Fill the row or delete it."),
    ([{"text": "a", "label": ["x"]}, {"text": "b", "label": "y"}], {},
     "'label' in row 2 of train.jsonl is \"y\", not a list of texts or numbers.", "Fix the row."),
    ([{"text": "a", "label": ["x", "y"]}], {"label_type": "regression"}, "'label' contains lists of classes.",
     "Name it alone, without --label-type."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "options", "message", "next_step"), LIST_REFUSALS)
def test_lists_that_cannot_be_learned(opened, write, rows, options, message, next_step):
    assert refusal(opened, write("train.jsonl", lines(*rows)), **options) == (message, next_step)


def test_a_class_that_train_lacks_is_named_by_its_row(opened, write, tmp_path):
    write("d/train.jsonl", lines({"text": "a", "label": ["x", "y"]}))
    write("d/validation.jsonl", lines({"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", "z"]}))
    assert refusal(opened, tmp_path / "d") == (
        "Row 2 of validation.jsonl has the label 'z', which train lacks.",
        "Fix the row, or add rows of this class to train.",
    )


# ----------------------------------------------------------------------------------------------------- labels of words


def tagged(words, tags):
    return {"tokens": words, "ner_tags": tags}


def test_words_have_a_class_each(opened, write):
    rows = [tagged(["a", "b"], ["O", "B-X"]), tagged([], []), tagged(["c"], ["B-X"])]
    task, splits = read_source(opened(write("a.jsonl", lines(*rows))))
    assert task.classes == ("B-X", "O")
    assert splits["train"].texts.to_pylist() == [["a", "b"], [], ["c"]]
    assert splits["train"].targets.to_pylist() == [[1, 0], [], [0]]


def test_integer_classes_are_in_numeric_order(opened, write):
    task, splits = read_source(opened(write("a.jsonl", lines(tagged(["a", "b", "c"], [10, 2, 0])))))
    assert (task.classes, splits["train"].targets.to_pylist()) == (("0", "2", "10"), [[2, 1, 0]])


@given(st.lists(st.lists(st.sampled_from(["O", "B-A", "I-A"]), max_size=6), min_size=1, max_size=20))
def test_word_labels_come_back(rows):
    rows = [*rows, ["O", "B-A"]]
    labels = column(pa.array(rows, pa.list_(pa.string())))
    words = column(pa.array([["w"] * len(row) for row in rows], pa.list_(pa.string())))
    classes = learn_word_labels(labels)
    encoded = encode_word_labels(labels, classes, words=words).to_pylist()
    assert [[classes[i] for i in row] for row in encoded] == rows


WORD_REFUSALS = [
    ([tagged(["a", "b"], ["O", "X"]), tagged(["a"], ["O", "X"])],
     "Row 2 of train.jsonl has 1 words, but 2 labels.", "Give each word one label."),
    ([tagged(["a"], ["O"])], "The words of train.jsonl have 1 classes.", "Give train words of at least two classes."),
    ([tagged(["a", "b"], ["O", "X"]), tagged(["a", None], ["O", "X"])],
     "'tokens' in row 2 of train.jsonl is [\"a\", null], not a list of texts.", "Fix the row."),
    ([tagged(["a", "b"], ["O", "X"]), tagged(["a"], [None])],
     "'ner_tags' in row 2 of train.jsonl is [null], not a list of texts or numbers.", "Fix the row."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message", "next_step"), WORD_REFUSALS)
def test_word_labels_that_cannot_be_learned(opened, write, rows, message, next_step):
    assert refusal(opened, write("train.jsonl", lines(*rows))) == (message, next_step)


def test_a_missing_word_of_parquet_is_named_by_its_row(opened, tmp_path):
    pq.write_table(
        pa.Table.from_pylist([tagged(["a"], ["O"]), tagged(["b", None], ["O", "X"])]), tmp_path / "a.parquet"
    )
    assert refusal(opened, tmp_path / "a.parquet") == (
        "Row 2 of a.parquet has an empty entry in 'tokens'.",
        "Fill the row or delete it.",
    )


# -------------------------------------------------------------------------------------------------------------- answers


def asked(texts, starts, context="it is Ann"):
    return {"question": "who?", "context": context, "answers": {"text": texts, "answer_start": starts}}


def test_places_of_answers_count_characters(opened, write):
    """An emoji before the answer is one character, whatever its bytes."""
    row = asked(["Ann"], [5], context="\U0001f600 is Ann")
    _, splits = read_source(opened(write("a.jsonl", lines(row))))
    assert splits["train"].targets.to_pylist() == [{"text": ["Ann"], "answer_start": [5]}]


FIX = "Fix the row or delete it."
ANSWER_REFUSALS = [
    (asked(["Ann"], [5]), "Row 2 of a.jsonl has the answer 'Ann', which is not at character 5 of its context.",
     FIX),
    (asked(["Ann"], [-3]),
     "Row 2 of a.jsonl has the answer 'Ann', which is not at character -3 of its context.", FIX),
    (asked([], [0]), "Row 2 of a.jsonl has 0 answers, but 1 positions.", FIX),
    (asked(["it"], []), "Row 2 of a.jsonl has 1 answers, but 0 positions.", FIX),
    (asked([""], [0]), "Row 2 of a.jsonl has an empty answer.", FIX),
    (asked(["it", "is"], [0]), "Row 2 of a.jsonl has 2 answers, but 1 positions.", FIX),
    ({**asked([], []), "answers": {"text": "Ann"}},
     "'answers' in row 2 of a.jsonl is {\"text\": \"Ann\"}, not answers.",
     'Write answers such as {"text": ["Paris"], "answer_start": [17]}.'),
]  # fmt: skip


@pytest.mark.parametrize(("row", "message", "next_step"), ANSWER_REFUSALS)
def test_answers_that_would_teach_another_text(opened, write, row, message, next_step):
    assert refusal(opened, write("a.jsonl", lines(asked(["it"], [0]), row))) == (message, next_step)


def test_a_question_may_have_no_answer(opened, write, tmp_path):
    """SQuAD v2: both lists are empty, also in a file where all are."""
    for rows in ([asked(["it"], [0]), asked([], [])], [asked([], [])] * 2):
        expected = [row["answers"] for row in rows]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        for path in (write("a.jsonl", lines(*rows)), tmp_path / "a.parquet"):
            task, splits = read_source(opened(path))
            assert task.kind == "question_answering"
            assert splits["train"].targets.to_pylist() == expected


def test_missing_lists_of_answers_are_not_empty_ones(opened, tmp_path):
    """They may be a fault of the program that wrote the file."""
    rows = [asked(["it"], [0]), {**asked([], []), "answers": {"text": None, "answer_start": None}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert refusal(opened, tmp_path / "a.parquet") == (
        "Row 2 of a.parquet has answers without a list of texts and a list of positions.",
        FIX,
    )


def test_held_out_questions_keep_their_row_numbers(opened, write):
    rows = [asked(["it"], [0]) | {"context": f"it is Ann {row}"} for row in range(20)]
    held = read_source(opened(write("a.jsonl", lines(*rows)), validation="0.2"))[1]["validation"].source_rows
    rows[held[0]] |= {"answers": {"text": ["Bob"], "answer_start": [0]}}
    assert refusal(opened, write("a.jsonl", lines(*rows)), validation="0.2")[0].startswith(
        f"Row {held[0] + 1} of a.jsonl has the answer 'Bob'"
    )


# ------------------------------------------------------------------------------------------------- unlabelled test sets

WITHOUT_LABELS = [
    (asked(["it"], [0]), {"question": "who?", "context": "c"}),
    (tagged(["a", "b"], ["O", "X"]), {"tokens": ["a"]}),
    ({"text": "a", "label": ["x", "y"]}, {"text": "b"}),
    ({"document": "a", "summary": "b"}, {"document": "a"}),
]


@pytest.mark.parametrize(("train", "test"), WITHOUT_LABELS)
def test_a_test_split_may_lack_what_is_to_be_predicted(opened, write, tmp_path, train, test):
    write("d/train.jsonl", lines(train, train))
    write("d/test.jsonl", lines(test))
    _, splits = read_source(opened(tmp_path / "d"))
    assert splits["test"].targets is None
    assert splits["train"].targets is not None


def test_a_missing_summary_is_named(opened, write):
    rows = [{"document": "a", "summary": "b"}, {"document": "a", "summary": None}]
    assert refusal(opened, write("a.jsonl", lines(*rows))) == (
        "Row 2 of a.jsonl has no 'summary'.",
        "Fill the row or delete it.",
    )


# --------------------------------------------------------------------------------------------- names kept by the hub


def hub_file(path, tags, names=("O", "B-X")):
    """Write a Parquet file of words as the datasets library does, with the names of classes beside their ids."""
    import datasets

    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.ClassLabel(names=names))}
    )
    rows = {"tokens": [["w"] * len(row) for row in tags], "ner_tags": tags}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    return path


def test_files_of_the_hub_keep_the_names_of_classes(opened, tmp_path):
    path = hub_file(tmp_path / "a.parquet", [[0, 1], [], [1]])
    task, splits = read_source(opened(path))
    assert task.classes == ("B-X", "O")
    assert [[task.classes[i] for i in row] for row in splits["train"].targets.to_pylist()] == [
        ["O", "B-X"],
        [],
        ["B-X"],
    ]


def with_features(path, ner_tags):
    table = pa.table({"tokens": [["w", "w"], ["w"]], "ner_tags": [[0, 1], [7]]})
    metadata = {"huggingface": json.dumps({"info": {"features": {"ner_tags": ner_tags}}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


NAMES = {"names": ["O", "B-X"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "feature", [{"feature": NAMES, "_type": "List"}, {"feature": NAMES, "_type": "Sequence"}, [NAMES]]
)
def test_an_id_without_a_name_is_refused(opened, tmp_path, feature):
    """However the list is spelled: three versions of the datasets library write it in three ways."""
    assert refusal(opened, with_features(tmp_path / "a.parquet", feature)) == (
        "Row 2 of a.parquet has the class 7 in 'ner_tags', which has no name.",
        "Fix the row, or write the file with a name for each class.",
    )


@pytest.mark.parametrize(
    "feature", [None, [], {"feature": {"_type": "Value"}}, {"feature": "x"}, {"feature": {**NAMES, "names": [1]}}]
)
def test_metadata_of_another_kind_is_passed_over(opened, tmp_path, feature):
    task, _ = read_source(opened(with_features(tmp_path / "a.parquet", feature)))
    assert task.classes == ("0", "1", "7")
