"""Labels in texts that programs print, in floats and in odd letters: read as meant, or refused with a way out."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.shown import shown
from tests.data.test_label_meaning import HOT, NEXT, class_label, jsonl, named, read, refusal
from tests.data.test_objects import refusal as table_refusal


def csv_of(labels):
    quoted = [label.replace('"', '""') for label in labels]
    return "text,label\n" + "".join(f'text {row},"{label}"\n' for row, label in enumerate(quoted))


# ----------------------------------------------------------------------------------------------------- printed scalars

SCALARS = [
    (["np.int64(1)", "np.int64(0)", "1"], ("0", "1"), [1, 0, 1]),
    (["tensor(1)", "tensor(0, device='cuda:0')", "tensor(1., grad_fn=<AddBackward0>)"], ("0", "1"), [1, 0, 1]),
    (["array(1)", "array(0, dtype=int32)", "Array(1, dtype=int32)"], ("0", "1"), [1, 0, 1]),
    (["tf.Tensor(1, shape=(), dtype=int32)", "tf.Tensor(0, shape=(), dtype=int32)"], ("0", "1"), [1, 0]),
    (["np.True_", "np.False_", "tensor(True)"], ("False", "True"), [1, 0, 1]),
    (["np.str_('pos')", "b'neg'", 'b"pos"'], ("neg", "pos"), [1, 0, 1]),
    (["b'caf\\xc3\\xa9'", "café", " tf.Tensor(b'tea ', shape=(), dtype=string)"], ("café", "tea"), [0, 0, 1]),
    (["tensor(0.5000)", "np.float64(1.0)"], (), [0.5, 1.0]),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "classes", "targets"), SCALARS)
def test_a_single_value_is_read_from_what_programs_print_around_it(opened, write, labels, classes, targets):
    for path in (write("a.csv", csv_of(labels)), write("a.jsonl", jsonl(labels))):
        task, found = read(opened, path)
        assert (task.classes, found["train"]) == (classes, targets)


def test_printed_values_in_lists_are_read_too(opened, write):
    task, targets = read(opened, write("a.jsonl", jsonl([["np.int64(1)"], ["b'0'", "1"]])))
    assert (task.classes, targets["train"]) == (("0", "1"), [[1], [0, 1]])


def test_printed_numbers_are_numbers_to_predict(opened, write):
    path = write("a.csv", csv_of(["tensor(1)", "2"]))
    assert read(opened, path, label_type="regression")[1]["train"] == [1.0, 2.0]


def test_with_class_each_text_is_a_class(opened, write):
    labels = ["tensor(1)", "b'1'", "array([1, 0])"]
    assert set(read(opened, write("a.csv", csv_of(labels)), label_type="class")[0].classes) == set(labels)


def test_other_texts_in_parentheses_stay_names(opened, write):
    labels = ["class (1)", "f(1)", "tensor (1)", "tensor(x)", "b'é'", "f([x])", "array"]
    assert set(read(opened, write("a.csv", csv_of(labels)))[0].classes) == set(labels)


def test_bytes_that_are_no_text_are_refused(opened, write):
    assert refusal(opened, write("a.csv", csv_of(["b'\\xff'", "b'a'"]))) == (
        "'label' of a.csv contains bytes that are not UTF-8.",
        "Write the file as UTF-8.",
    )


# ------------------------------------------------------------------------------------------------------ printed arrays

ARRAYS = [
    ("array([1, 0])", [1, 0]),
    ("array([1, 0], dtype=int64)", [1, 0]),
    ("array([1])", [1]),
    ("array([], dtype=float64)", []),
    ("array(['a', 'b (c)'], dtype=object)", ["a", "b (c)"]),
    ("tensor([1, 0])", [1, 0]),
    ("tensor([1., 0.], device='cuda:0')", [1.0, 0.0]),
    ("tf.Tensor([1 0], shape=(2,), dtype=int32)", [1, 0]),
    ("frozenset({'a'})", ["a"]),
    ("[tensor(1), tensor(0)]", [1, 0]),
    ("[np.str_('a'), np.str_('b')]", ["a", "b"]),
    ("[array([1, 0]), array([0, 1])]", ["[1, 0]", "[0, 1]"]),
    ("[b'a', b'b']", ["a", "b"]),
    ("['a', nan]", ["a"]),
    ("[0 0 ... 1]", [0, 0, 1]),
    ("array([0, ..., 1])", [0, 1]),
    ("{1: 0.5}", [1]),
]


@pytest.mark.parametrize(("text", "entries"), ARRAYS)
def test_an_array_that_is_written_as_a_text_is_not_a_class(opened, write, text, entries):
    assert refusal(opened, write("a.csv", csv_of(["anger", text]))) == (
        f"Row 2 of a.csv has {text} in 'label', a list or an object, not a label.",
        NEXT.format(json.dumps({"text": "a text", "label": entries})),
    )


# ---------------------------------------------------------------------------------------- names of ids that are floats


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_ids_that_are_floats_have_the_names_that_the_file_keeps(opened, tmp_path, kind):
    path = named(tmp_path / "a.parquet", np.array([2, 0, 2], "e"), class_label("pos", "none", "neg"), kind)
    task, targets = read(opened, path)
    assert (task.kind, task.classes, targets["train"]) == ("classification", ("pos", "neg"), [1, 0, 1])


@pytest.mark.parametrize("missing", [None, float("nan"), -1.0])
def test_a_float_that_is_no_id_is_a_missing_label(opened, tmp_path, missing):
    """An error in train; a test split of nothing else has no labels."""
    path = named(tmp_path / "a.parquet", [0.0, 1.0, missing], class_label("neg", "pos"))
    assert refusal(opened, path) == ("Row 3 of a.parquet has no 'label'.", "Fill the row or delete it.")
    named(tmp_path / "d/train.parquet", [0.0, 1.0], class_label("neg", "pos"))
    named(tmp_path / "d/test.parquet", [missing, missing], class_label("neg", "pos"), pa.float64())
    assert read(opened, tmp_path / "d")[1] == {"train": [0, 1], "test": None}


@pytest.mark.parametrize(("wrong", "shown"), [(2.0, "2"), (-2.0, "-2"), (0.5, "0.5"), (1e300, "1e+300")])
def test_a_float_without_a_name_is_refused(opened, tmp_path, wrong, shown):
    assert refusal(opened, named(tmp_path / "a.parquet", [0.0, 1.0, wrong], class_label("neg", "pos"))) == (
        f"Row 3 of a.parquet has the class {shown} in 'label', which has no name.",
        "Fix the row, or write the file with a name for each class.",
    )


def test_an_id_of_more_than_63_bits_is_refused(opened, tmp_path):
    path = named(tmp_path / "a.parquet", [0, 2**63], class_label("neg", "pos"), pa.uint64())
    assert refusal(opened, path)[0] == (
        "Row 2 of a.parquet has the class 9.223372036854776e+18 in 'label', which has no name."
    )


def test_floats_with_names_can_be_numbers_to_predict(opened, tmp_path):
    path = named(tmp_path / "a.parquet", [0.0, -1.0, 0.5], class_label("neg", "pos"))
    assert read(opened, path, label_type="regression")[1]["train"] == [0.0, -1.0, 0.5]


def test_lists_of_floats_have_the_names_that_the_file_keeps(opened, tmp_path):
    feature = {"feature": class_label("joy", "love", "anger"), "_type": "List"}
    task, targets = read(opened, named(tmp_path / "a.parquet", [[0.0, 2.0], [], [2.0]], feature))
    assert (task.classes, targets["train"]) == (("anger", "joy"), [[0, 1], [], [0]])
    hot = [[float(flag) for flag in row] for row in HOT]
    assert read(opened, named(tmp_path / "b.parquet", hot, feature))[0].classes == ("joy", "love", "anger")
    assert refusal(opened, named(tmp_path / "c.parquet", [[0.0], [1.0, 0.5]], feature))[0] == (
        "Row 2 of c.parquet has the class 0.5 in 'label', which has no name."
    )


# ------------------------------------------------------------------------------------------- names that are one label

SAME = [("x ", "x"), ("TRUE", "True"), ("x\u200b", "x"), ("cafe\u0301", "caf\u00e9"), ("x", "x")]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_names_that_are_one_label_are_refused(opened, tmp_path, first, second):
    for feature in (class_label(first, "y", second), {"feature": class_label(first, "y", second), "_type": "List"}):
        labels = [0, 1, 2] if feature["_type"] == "ClassLabel" else HOT
        assert refusal(opened, named(tmp_path / "a.parquet", labels, feature)) == (
            f"The classes '{shown(first)}' and '{shown(second)}' of 'label' of a.parquet are one label.",
            "Write the file with another name for the class.",
        )


def test_names_lose_what_cannot_be_seen_as_labels_do(opened, tmp_path):
    named(tmp_path / "d/train.parquet", [0, 1, 2], class_label("very good ", "\ufeffbad", "TRUE"))
    (tmp_path / "d/validation.csv").write_text("text,label\na,very good\nb, bad\nc,true\n")
    task, targets = read(opened, tmp_path / "d")
    assert (task.classes, targets["validation"]) == (("very good", "bad", "TRUE"), [0, 1, 2])


def test_a_name_with_half_of_a_surrogate_pair_is_refused(opened, tmp_path):
    assert refusal(opened, named(tmp_path / "a.parquet", [0, 1], class_label("neg", "pos\ud800"))) == (
        "A class of 'label' of a.parquet has half of a surrogate pair in its name.",
        "Write the file with another name for the class.",
    )


# ------------------------------------------------------------------------------------------------ letters of one label

UNSEEN = [
    ["pos", "pos\u200b", "\ufeffpos", "pos\u00a0", "\u2060pos", "\u3000pos\u200b "],
    ["pos", "pos\u200e", "\u200fpos", "\u202apos\u202c", "\u2066pos\u2069", "pos\u200c", "pos\u200d", "pos\u00ad"],
    ["caf\u00e9", "cafe\u0301"],
    ["1", "1\u200b", "1.0\u00a0"],
]  # fmt: skip


@pytest.mark.parametrize("spellings", UNSEEN)
@pytest.mark.parametrize("label_type", ["auto", "class"])
def test_spellings_that_look_alike_are_one_class(opened, write, spellings, label_type):
    other = "2" if spellings[0] == "1" else "x"
    if label_type == "class" and other == "2":
        spellings = ["1", "1\u200b"]
    task, targets = read(opened, write("a.csv", csv_of([*spellings, other])), label_type=label_type)
    classes = tuple(sorted((spellings[0], other)))
    assert task.classes == classes
    assert targets["train"] == [*[classes.index(spellings[0])] * len(spellings), classes.index(other)]


def test_marks_that_cannot_be_seen_are_a_missing_label(opened, write):
    assert refusal(opened, write("a.csv", csv_of(["a", " \u200b", "b"])))[0] == "Row 2 of a.csv has no 'label'."


def test_digits_of_other_scripts_are_names(opened, write):
    assert read(opened, write("a.csv", csv_of(["٣", "３"])))[0].classes == ("٣", "３")
    assert refusal(opened, write("b.csv", csv_of(["3", "３"]))) == (
        "Some labels of b.csv are numbers (row 1 has '3') and some are not (row 2 has '３').",
        "Fix them, or pass --label-type class.",
    )


# --------------------------------------------------------------------------------------------------------------- NaN


def test_nan_is_not_a_class(opened, write, tmp_path):
    assert refusal(opened, write("a.jsonl", jsonl(["a", float("nan"), "b"]))) == (
        "'label' in row 2 of a.jsonl is NaN, not a text or a number.",
        "Fix the row.",
    )
    for name, labels, message in (
        ("a", [0.0, float("nan"), 1.0], "Row 2 of a.parquet has no 'label'."),
        ("b", [[0.0], [1.0, float("nan")]], "Row 2 of b.parquet has an empty entry in 'label'."),
    ):
        pq.write_table(pa.table({"text": ["t"] * len(labels), "label": labels}), tmp_path / f"{name}.parquet")
        assert refusal(opened, tmp_path / f"{name}.parquet") == (message, "Fill the row or delete it.")


@pytest.mark.parametrize("text", ['["a", NaN]', "[1, Infinity]", "[1. nan]", "[1. inf 0.]", "[0, 1e999]", "['a', nan]"])
def test_nan_and_infinity_in_a_list_that_is_a_text_are_no_classes(opened, write, text):
    """They are lists that cannot be read, whichever program wrote them."""
    assert refusal(opened, write("a.csv", csv_of(["['a', 'b']", text, "['b']"]))) == (
        f"Row 2 of a.csv has {text} in 'label', a list that cannot be read.",
        "Fix the row, or pass --label-type class if each text is a class.",
    )


def test_infinity_of_json_is_not_a_class(opened, write):
    for labels in (["a", float("inf"), "b"], [[1], [2, float("inf")], [2]]):
        assert refusal(opened, write("a.jsonl", jsonl(labels)))[0].startswith("'label' in row 2 of a.jsonl is ")


# ------------------------------------------------------------------------------------------------------ empty texts


@pytest.mark.parametrize("form", ["jsonl", "parquet", "table"])
@pytest.mark.parametrize(("column", "empty"), [("label", ""), ("label", " "), ("text", "")])
def test_an_empty_text_is_missing_in_every_form(opened, write, tmp_path, form, column, empty):
    """As an empty field of a table of text is."""
    columns = {"text": ["t", "u", "v"], "label": ["a", "b", "a"]}
    columns[column][1] = empty
    if form == "jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    elif form == "parquet":
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table(columns), path)
    else:
        assert table_refusal(pa.table(columns))[0] == f"Row 2 of the train table has no '{column}'."
        return
    assert refusal(opened, path)[0] == f"Row 2 of {path.name} has no '{column}'."
