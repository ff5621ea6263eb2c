"""Labels are read as meant (multi-hot lists, names that files keep, one spelling), or refused with a way out."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.errors import TdbsError
from tests.data.conftest import read_source


def jsonl(labels, key="label"):
    return "".join(json.dumps({"text": f"text {i}", key: label}) + "\n" for i, label in enumerate(labels))


def refusal(opened, path, **options):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(path, **options))
    return caught.value.message, caught.value.next_step


def read(opened, path, **options):
    task, splits = read_source(opened(path, **options))
    return task, {name: None if rows.targets is None else rows.targets.to_pylist() for name, rows in splits.items()}


# ----------------------------------------------------------------------------------------------------- multi-hot lists

HOT = [[1, 0, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
HELD = [[0, 2], [2], [], [1]]
SPELLINGS = {
    "whole numbers": int,
    "fractions of zero": float,
    "bools": bool,
    "texts": str,
}


@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_lists_of_0_and_1_of_one_length_are_multi_hot(opened, write, tmp_path, spelling):
    """A class for each place, whatever the flags are written as; a row of zeros has none."""
    rows = [[SPELLINGS[spelling](flag) for flag in row] for row in HOT]
    pq.write_table(pa.table({"text": list("abcd"), "label": rows}), tmp_path / "a.parquet")
    for path in (write("a.jsonl", jsonl(rows)), tmp_path / "a.parquet"):
        task, targets = read(opened, path)
        assert (task.kind, task.classes, targets["train"]) == ("multi_label", ("0", "1", "2"), HELD)


def test_lists_of_a_fixed_size_are_multi_hot(opened, tmp_path):
    table = pa.table({"text": list("abcd"), "label": pa.array(HOT, pa.list_(pa.int8(), 3))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(opened, tmp_path / "a.parquet")[1]["train"] == HELD


def test_vectors_beyond_the_first_block_are_seen(opened, write):
    """Whether lists are multi-hot is told by all rows, in whatever blocks they are read."""
    rows = [[1, 0]] * 9000 + [[0, 1]]
    assert read(opened, write("a.jsonl", jsonl(rows)))[0].classes == ("0", "1")
    uneven = [[1, 1]] * 9000 + [[0, 1, 1]]
    assert refusal(opened, write("b.jsonl", jsonl(uneven)))[0] == (
        "Row 9001 of b.jsonl has ['0', '1', '1'] in 'label', where other rows have 2 entries of 0 and 1."
    )


IDS = [
    ([[0, 2], [1], []], ("0", "1", "2"), [[0, 2], [1], []]),
    ([[0], [1], [0, 1], []], ("0", "1"), [[0], [1], [0, 1], []]),
    ([[0], [1], [1]], ("0", "1"), [[0], [1], [1]]),
    ([[0.0, 2.0], [2]], ("0", "2"), [[0, 1], [1]]),
    ([["joy", "love"], ["joy"]], ("joy", "love"), [[0, 1], [0]]),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "classes", "targets"), IDS)
def test_lists_of_class_ids_stay_sets_of_classes(opened, write, rows, classes, targets):
    task, found = read(opened, write("a.jsonl", jsonl(rows)))
    assert (task.kind, task.classes, found["train"]) == ("multi_label", classes, targets)


ROW_STEP = "Give each row one 0 or 1 a class, or the names of its classes."
FLAGS = "Give each row one 0 or 1 a class, or the names of its classes; or pass columns: --label joy,anger."
HOT_REFUSALS = [
    ([[1, 0, 1], [0, 1]],
     "'label' of a.jsonl contains lists of 0 and 1 of different lengths: "
     "row 1 has 3 entries, row 2 has 2.", FLAGS),
    ([[1], [1]], "The lists of a.jsonl contain 1 classes.", "Give train rows of at least two classes."),
    ([[0.5, 1.0], [0.0, 0.25]], "Row 1 of a.jsonl has the number 0.5 in a list of 'label', which cannot be a class.",
     "Write numbers to predict in separate columns, and name them: --label x,y."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message", "next_step"), HOT_REFUSALS)
def test_lists_of_numbers_that_are_no_classes_are_refused(opened, write, rows, message, next_step):
    assert refusal(opened, write("a.jsonl", jsonl(rows))) == (message, next_step)


@pytest.mark.parametrize(("row", "shown"), [([1, 0], "['1', '0']"), ([2, 0, 1], "['2', '0', '1']")])
def test_a_vector_that_does_not_fit_train_is_named_by_its_row(opened, write, tmp_path, row, shown):
    write("d/train.jsonl", jsonl(HOT))
    write("d/validation.jsonl", jsonl([[1, 0, 0], row]))
    assert refusal(opened, tmp_path / "d") == (
        f"Row 2 of validation.jsonl has {shown} in 'label', where other rows have 3 entries of 0 and 1.",
        ROW_STEP,
    )


# --------------------------------------------------------------------------------------------- names that files keep


def named(path, labels, feature, kind=None):
    """Write a Parquet file with the feature of its label beside it, as the datasets library does."""
    table = pa.table({"text": [f"text {i}" for i in range(len(labels))], "label": pa.array(labels, kind)})
    path.parent.mkdir(exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def class_label(*names):
    return {"names": list(names), "_type": "ClassLabel"}


def test_class_ids_have_the_names_that_the_file_keeps(opened, tmp_path):
    """In the order of the ids; a name that no row has is not a class."""
    task, targets = read(opened, named(tmp_path / "a.parquet", [2, 0, 2], class_label("pos", "none", "neg")))
    assert (task.kind, task.classes, targets["train"]) == ("classification", ("pos", "neg"), [1, 0, 1])


def test_numbers_as_names_stay_names(opened, tmp_path):
    task, targets = read(opened, named(tmp_path / "a.parquet", [0, 1, 2], class_label("10", "5", "1")))
    assert (task.classes, targets["train"]) == (("10", "5", "1"), [0, 1, 2])


def test_splits_agree_by_name_whatever_their_ids(opened, tmp_path):
    named(tmp_path / "d/train.parquet", [0, 1], class_label("neg", "pos"))
    named(tmp_path / "d/validation.parquet", [0, 1, 1], class_label("pos", "neg"))
    (tmp_path / "d/test.csv").write_text("text,label\na,pos\n")
    assert read(opened, tmp_path / "d")[1] == {"train": [0, 1], "validation": [1, 0, 0], "test": [1]}


def test_ids_that_train_has_without_names_stay_ids(opened, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/train.csv").write_text("text,label\na,0\nb,1\n")
    named(tmp_path / "d/validation.parquet", [1, 0], class_label("neg", "pos"))
    assert read(opened, tmp_path / "d")[1] == {"train": [0, 1], "validation": [1, 0]}


def test_minus_one_of_named_classes_is_a_missing_label(opened, tmp_path):
    """An error in train and validation; a test split of nothing else has no labels, as a mirror's has none."""
    assert refusal(opened, named(tmp_path / "a.parquet", [0, 1, -1], class_label("neg", "pos"))) == (
        "Row 3 of a.parquet has no 'label'.",
        "Fill the row or delete it.",
    )
    named(tmp_path / "d/train.parquet", [0, 1], class_label("neg", "pos"))
    named(tmp_path / "d/test.parquet", [-1, -1], class_label("neg", "pos"))
    assert read(opened, tmp_path / "d")[1] == {"train": [0, 1], "test": None}
    named(tmp_path / "d/validation.parquet", [1, -1], class_label("neg", "pos"))
    assert refusal(opened, tmp_path / "d")[0] == "Row 2 of validation.parquet has no 'label'."


def test_minus_one_without_names_stays_a_class(opened, tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "label": [-1, 1]}), tmp_path / "a.parquet")
    assert read(opened, tmp_path / "a.parquet")[0].classes == ("-1", "1")


def test_an_id_without_a_name_is_refused(opened, tmp_path):
    assert refusal(opened, named(tmp_path / "a.parquet", [0, 1, 2], class_label("neg", "pos"))) == (
        "Row 3 of a.parquet has the class 2 in 'label', which has no name.",
        "Fix the row, or write the file with a name for each class.",
    )


LISTS_OF = [lambda inner: [inner], lambda inner: {"feature": inner, "_type": "Sequence", "length": -1},
            lambda inner: {"feature": inner, "_type": "List"}]  # fmt: skip


@pytest.mark.parametrize("wrap", LISTS_OF)
def test_places_of_multi_hot_lists_have_the_names_that_the_file_keeps(opened, tmp_path, wrap):
    names = wrap(class_label("joy", "love", "anger"))
    task, targets = read(opened, named(tmp_path / "a.parquet", HOT, names))
    assert (task.classes, targets["train"]) == (("joy", "love", "anger"), HELD)


def test_flags_with_names_of_their_own_are_multi_hot(opened, tmp_path):
    feature = {"feature": class_label("no", "yes"), "_type": "Sequence"}
    task, targets = read(opened, named(tmp_path / "a.parquet", HOT, feature))
    assert (task.classes, targets["train"]) == (("0", "1", "2"), HELD)


def test_lists_of_named_ids_are_sets_of_names(opened, tmp_path):
    """Also where each list is of two ids that are 0 and 1: the file says that they are ids."""
    feature = {"feature": class_label("joy", "love", "anger"), "_type": "List"}
    task, targets = read(opened, named(tmp_path / "a.parquet", [[0, 1], [1, 0]], feature))
    assert (task.classes, targets["train"]) == (("joy", "love"), [[0, 1], [0, 1]])


def test_places_of_another_order_are_matched_by_name(opened, tmp_path):
    for split, names in (("train", ("joy", "love", "anger")), ("validation", ("anger", "joy", "love"))):
        named(tmp_path / f"d/{split}.parquet", HOT, {"feature": class_label(*names), "_type": "List"})
    assert read(opened, tmp_path / "d")[1] == {"train": HELD, "validation": [[1, 2], [1], [], [0]]}


def test_columns_of_classes_are_not_numbers_to_predict(opened, tmp_path):
    table = pa.table({"text": ["a", "b"], "x": [0, 2], "y": [0, 1]})
    features = {"x": class_label("a", "b", "c")}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert refusal(opened, tmp_path / "a.parquet", label="x,y") == (
        "'x' of a.parquet contains classes (a, b, c); several label columns contain 0 and 1, or numbers.",
        "Name one label column, or pass --label-type regression.",
    )


# -------------------------------------------------------------------------------------------------------- one spelling


@pytest.mark.parametrize("label_type", ["auto", "class"])
def test_blanks_around_a_label_and_the_case_of_booleans_make_no_class(opened, write, label_type):
    path = write("a.csv", "text,label\na,very good\nb,Very good\nc, very good \nd,True\ne,TRUE\nf,true\n")
    task, targets = read(opened, path, label_type=label_type)
    assert (task.classes, targets["train"]) == (("True", "Very good", "very good"), [2, 1, 2, 0, 0, 0])


def test_a_boolean_that_has_one_spelling_keeps_it(opened, write, tmp_path):
    """Other splits are matched in any case, whatever the format."""
    write("d/train.csv", "text,label\na,true\nb,false\n")
    write("d/validation.jsonl", jsonl([True, False, "TRUE "]))
    task, targets = read(opened, tmp_path / "d")
    assert (task.classes, targets) == (("false", "true"), {"train": [1, 0], "validation": [1, 0, 1]})


def test_nothing_but_blanks_is_a_missing_label(opened, write):
    assert refusal(opened, write("a.csv", "text,label\na,x\nb,  \nc,y\n"))[0] == "Row 2 of a.csv has no 'label'."


def test_labels_in_lists_have_one_spelling(opened, write):
    task, targets = read(opened, write("a.jsonl", jsonl([["joy ", "love"], [" joy"], ["TRUE", "True"]])))
    assert (task.classes, targets["train"]) == (("True", "joy", "love"), [[1, 2], [1], [0]])
    rows = [{"tokens": ["a", "b"], "ner_tags": ["O", "B-X "]}, {"tokens": ["c"], "ner_tags": ["B-X"]}]
    path = write("b.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task, targets = read(opened, path)
    assert (task.classes, targets["train"]) == (("B-X", "O"), [[1, 0], [0]])


# --------------------------------------------------------------------------------------------------- lists as texts

LIST_TEXTS = [
    ("['joy', 'love']", '{"text": "a text", "label": ["joy", "love"]}'),
    ("['joy']", '{"text": "a text", "label": ["joy"]}'),
    ('["joy", "love"]', '{"text": "a text", "label": ["joy", "love"]}'),
    ("('joy', 'love')", '{"text": "a text", "label": ["joy", "love"]}'),
    ("{'joy', 'love'}", '{"text": "a text", "label": ["joy", "love"]}'),
    ("['joy' 'love']", '{"text": "a text", "label": ["joy", "love"]}'),
    ("[0 1 1]", '{"text": "a text", "label": [0, 1, 1]}'),
    ("[0, 1]", '{"text": "a text", "label": [0, 1]}'),
    ("{'joy': 1, 'love': 0}", '{"text": "a text", "label": ["joy", "love"]}'),
]
NEXT = "Write JSONL lines such as {}, or pass --label-type class."


@pytest.mark.parametrize(("text", "line"), LIST_TEXTS)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_list_that_is_written_as_a_text_is_not_a_class(opened, write, tmp_path, suffix, text, line):
    rows = [("a", "anger"), ("b", text)]
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"text": ["a", "b"], "label": [label for _, label in rows]}), path)
    elif suffix == "jsonl":
        path = write("a.jsonl", jsonl([label for _, label in rows]))
    elif suffix == "tsv":
        path = write("a.tsv", "text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    else:
        quoted = text.replace('"', '""')
        path = write("a.csv", f'text,label\na,anger\nb,"{quoted}"\n')
    assert refusal(opened, path) == (
        f"Row 2 of {path.name} has {text} in 'label', a list or an object, not a label.",
        NEXT.format(line),
    )
    assert set(read(opened, path, label_type="class")[0].classes) == {"anger", text}


def test_tags_as_texts_show_a_line_of_words_and_tags(opened, write):
    path = write("a.csv", "tokens,ner_tags\n\"['Anna', 'lives']\",\"['B-PER', 'O']\"\nHe,O\n")
    assert refusal(opened, path) == (
        "Row 1 of a.csv has ['B-PER', 'O'] in 'ner_tags', a list or an object, not a label.",
        NEXT.format('{"tokens": ["Anna", "lives"], "ner_tags": ["B-PER", "O"]}'),
    )


@pytest.mark.parametrize(
    "labels", [("[UNK]", "[CLS]"), ("(none)", "some"), ("[3]", "x"), ("[0, 10)", "[10, 20)"), ("{a}", "(b) or (c)")]
)
def test_names_in_brackets_stay_classes(opened, write, labels):
    assert set(read(opened, write("a.jsonl", jsonl(labels)))[0].classes) == set(labels)


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [(("[0]", "[1]"), ("0", "1"), [[0], [1]]), (("[joy, love]", "[joy]"), ("joy", "love"), [[0, 1], [0]])],
)
def test_labels_that_are_all_in_brackets_are_lists(opened, write, labels, classes, targets):
    task, found = read(opened, write("a.jsonl", jsonl(labels)))
    assert (task.kind, task.classes, found["train"]) == ("multi_label", classes, targets)


def test_objects_are_not_labels(opened, write, tmp_path):
    rows = [{"joy": 1, "love": 0}, {"joy": 0, "love": 1}]
    pq.write_table(pa.table({"text": ["a", "b"], "label": rows}), tmp_path / "a.parquet")
    for path in (write("a.jsonl", jsonl(rows)), tmp_path / "a.parquet"):
        assert refusal(opened, path) == (
            "'label' contains objects, which cannot be labels.",
            "Write the names of the classes as a list, or one column of 0 and 1 a class: --label joy,anger.",
        )


def test_labels_that_are_not_utf8_are_named(opened, tmp_path):
    starts = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0")
    labels = pa.Array.from_buffers(pa.string(), 2, [None, starts, pa.py_buffer(b"\xffa")])
    pq.write_table(pa.table({"text": ["a", "b"], "label": labels}), tmp_path / "a.parquet")
    assert refusal(opened, tmp_path / "a.parquet") == (
        "'label' of a.parquet contains bytes that are not UTF-8.",
        "Write the file as UTF-8.",
    )
