"""Labels of the user's files: train decides what they are, and no value is guessed at."""

import numpy as np
import pyarrow as pa
import pytest

from tdbs.data.columns import SourceColumn
from tdbs.data.labels.single import LabelRule, encode_labels, label_texts, learn_labels
from tdbs.errors import SourceError


def column(values, where="train.csv", rows=None):
    raw = SourceColumn(
        name="label",
        where=where,
        values=pa.chunked_array([pa.array(values)]),
        rows_N=np.arange(len(values)) if rows is None else rows,
    )
    return label_texts(raw)


LEARNED = [
    (["10", "2", "2", "-1"], "auto", "whole_numbers", ("-1", "2", "10"), [2, 1, 1, 0]),
    (["1", "1.0", "01", "+0", " 0"], "auto", "whole_numbers", ("0", "1"), [1, 1, 1, 0, 0]),
    ([10**18, 10**18 + 1], "auto", "whole_numbers", (str(10**18), str(10**18 + 1)), [0, 1]),
    (["b", "a", "nan"], "auto", "texts", ("a", "b", "nan"), [1, 0, 2]),
    ([True, False], "auto", "texts", ("False", "True"), [1, 0]),
    (["1", "1.0", "x"], "class", "texts", ("1", "1.0", "x"), [0, 1, 2]),
    (["1", "2.5", "1e1"], "auto", "numbers", (), [1.0, 2.5, 10.0]),
    ([1, 2], "regression", "numbers", (), [1.0, 2.0]),
    ([0.1, 4.75], "auto", "numbers", (), [0.1, 4.75]),
]


@pytest.mark.parametrize(("values", "label_type", "kind", "classes", "encoded"), LEARNED)
def test_what_train_labels_become(values, label_type, kind, classes, encoded):
    train = column(values)
    rule = learn_labels(train, label_type)
    assert rule == LabelRule(kind=kind, classes=classes)
    labels = encode_labels(train, rule)
    assert labels.tolist() == encoded
    assert labels.dtype == (np.float64 if kind == "numbers" else np.int64)


def test_dictionary_columns_and_chunks_are_read_as_their_values():
    values = pa.chunked_array([pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", "c"]).dictionary_encode()])
    train = label_texts(SourceColumn(name="label", where="t", values=values, rows_N=np.arange(len(values))))
    assert encode_labels(train, learn_labels(train, "auto")).tolist() == [1, 0, 0, 2]


REFUSED = [
    (
        ["1", "2", "good"],
        "auto",
        "Some labels of train.csv are numbers (row 1 has '1') and some are not (row 3 has 'good').",
        "Fix them, or pass --label-type class.",
    ),
    (
        ["x", "0.5"],
        "auto",
        "Some labels of train.csv are numbers (row 2 has '0.5') and some are not (row 1 has 'x').",
        "Fix them, or pass --label-type class, or --label-type regression with --skip-bad-rows.",
    ),
    (
        ["1", "1e999"],
        "auto",
        "Row 2 of train.csv has '1e999' in 'label', which is not a finite number.",
        "Fix the row, or pass --label-type class.",
    ),
    (["a", "a"], "auto", "Every label of train.csv is 'a'.", "Give train rows of at least two classes."),
    ([3, 3], "auto", "Every label of train.csv is '3'.", "Give train rows of at least two classes."),
]


@pytest.mark.parametrize(("values", "label_type", "message", "next_step"), REFUSED)
def test_train_labels_that_cannot_be_learned(values, label_type, message, next_step):
    with pytest.raises(SourceError) as caught:
        learn_labels(column(values), label_type)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "abc", ""])
def test_regression_needs_finite_numbers(value):
    with pytest.raises(SourceError) as caught:
        encode_labels(column(["1", value]), LabelRule(kind="numbers"))
    assert caught.value.message == f"Row 2 of train.csv has '{value}' in 'label', which is not a finite number."
    assert caught.value.next_step == "Fix the row, or pass --label-type class."


def test_a_label_that_train_lacks_is_named_by_the_row_of_its_file():
    held_out = column(["a", "z"], where="reviews.csv", rows=np.array([4, 9]))
    with pytest.raises(SourceError) as caught:
        encode_labels(held_out, LabelRule(kind="texts", classes=("a", "b")))
    assert caught.value.message == "Row 10 of reviews.csv has the label 'z', which train lacks; its classes are: a, b."
    assert caught.value.next_step == "Fix the row, or add rows of this class to train."


def test_many_classes_are_not_all_listed():
    rule = LabelRule(kind="whole_numbers", classes=tuple(map(str, range(100))))
    with pytest.raises(SourceError) as caught:
        encode_labels(column(["5", "x"]), rule)
    assert caught.value.message == (
        "Row 2 of train.csv has the label 'x', which train lacks; its classes are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …."
    )


def test_a_list_is_no_label():
    with pytest.raises(SourceError) as caught:
        column([[1], [2]])
    assert caught.value.message == "'label' of train.csv contains list<item: int64>, which cannot be a label."
    assert caught.value.next_step == "Name a column of texts or numbers with --label."
