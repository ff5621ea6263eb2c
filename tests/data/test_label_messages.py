"""What errors about labels say: the row to fix, in one line of 113 characters, and a next step that works."""

import pytest

from tdbs.data.bad_rows import with_other_rows
from tdbs.data.columns import with_classes
from tdbs.data.reading import read_blocks, survey_source
from tdbs.errors import RowError
from tdbs.shown import MESSAGE
from tests.data.conftest import read_source
from tests.data.test_bad_rows import skipped
from tests.data.test_label_meaning import class_label, jsonl, named, read, refusal
from tests.data.test_label_texts import csv_of

CLASS = "Fix the row, or pass --label-type class if each text is a class."

# ------------------------------------------------------------------------------------------------- commas in numbers

COMMAS = [
    (["2", "1,5", "0,75"], "decimal comma, such as '1,5' in row 2", "Write them with a point"),
    (["-1,5", "1.000,25"], "decimal comma, such as '-1,5' in row 1", "Write them with a point"),
    (["1,000", "1,5"], "decimal comma, such as '1,5' in row 2", "Write them with a point"),
    (["300", "1,000", "2,500,000"], "comma, such as '1,000' in row 2", "Write numbers without commas"),
    (["1,5", "2,5", "k.A."], "decimal comma, such as '1,5' in row 1", "Write them with a point"),
    (["nan", "-", "0,25"], "decimal comma, such as '0,25' in row 3", "Write them with a point"),
    (["1 234,5", "2,5"], "decimal comma, such as '1 234,5' in row 1", "Write them with a point"),
    (["1\u00a0234,5", "x"], "decimal comma, such as '1\u00a0234,5' in row 1", "Write them with a point"),
    (["x", "1\u202f234,5"], "decimal comma, such as '1\u202f234,5' in row 2", "Write them with a point"),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "what", "step"), COMMAS)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_numbers_with_a_comma_are_neither_lists_nor_classes(opened, write, suffix, labels, what, step):
    path = write(f"a.{suffix}", csv_of(labels) if suffix == "csv" else jsonl(labels))
    assert refusal(opened, path) == (
        f"Labels of a.{suffix} have a {what}.",
        f'{step}, or pass --label-type class, or --label-separator "," for several labels.',
    )
    assert set(read(opened, path, label_type="class")[0].classes) == set(labels)


def test_the_other_ways_out_of_a_comma_work(opened, write):
    path = write("a.csv", csv_of(["1,5", "2"]))
    assert read(opened, path, label_separator=",")[1]["train"] == [[0, 2], [1]]
    assert refusal(opened, path, label_type="regression") == (
        "Row 1 of a.csv has '1,5' in 'label', which is not a finite number.",
        "Write decimals with a point: 1.5.",
    )


OTHERS = [
    "EUR 1,50",
    "1,5%",
    "1,5 %",
    "\u22121,5 €",
    "\u22121.5",
    "\u22121",
    "1'234.5",
    "1’234",
    "1,234.5",
    "$1.50",
    "1.5%",
]


@pytest.mark.parametrize("number", OTHERS)
def test_numbers_in_another_notation_are_not_classes(opened, write, number):
    path = write("a.csv", csv_of(["x", number, "y"]))
    assert refusal(opened, path) == (
        f"Labels of a.csv have numbers in another notation, such as '{number}' in row 2.",
        "Write digits and a point alone, or pass --label-type class.",
    )
    assert len(read(opened, path, label_type="class")[0].classes) == 3


def test_names_with_numbers_stay_classes(opened, write):
    for labels in (["USB 2.0", "v1.5"], ["5%", "10%"], ["1.2.3", "1.2.4"], ["10-20", "20-30"], ["12 345", "x"]):
        assert set(read(opened, write("a.csv", csv_of(labels)))[0].classes) == set(labels)


def test_other_texts_with_commas_stay_classes(opened, write):
    for labels in (["'a','b'", "x"], ["(1), (2)", "[1], x"], ["1,5,3", "2,5,3"]):
        assert set(read(opened, write("a.csv", csv_of(labels)))[0].classes) == set(labels)


# --------------------------------------------------------------------------------------------- strings side by side

QUOTED = [
    (["['joy' \"don't know\"]", "['joy']"], ("don't know", "joy"), [[0, 1], [1]]),
    (["['a' 'b'\n \"'s\" 'c']", "['b']"], ("'s", "a", "b", "c"), [[0, 1, 2, 3], [2]]),
    (["[\"a\" \"b\"]", "[b'a' b'b']"], ("a", "b"), [[0, 1], [0, 1]]),
    (["['it\\'s \"x\"' 'b']", "['b']"], ("b", 'it\'s "x"'), [[0, 1], [0]]),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "classes", "targets"), QUOTED)
def test_strings_side_by_side_are_entries_whichever_quotes_they_have(opened, write, labels, classes, targets):
    task, found = read(opened, write("a.csv", csv_of(labels)))
    assert (task.kind, task.classes, found["train"]) == ("multi_label", classes, targets)


def test_words_with_apostrophes_keep_their_tags(opened, write):
    content = "tokens,ner_tags\n\"['EU' 'rejects' \"\"'s\"\" 'call']\",['B' 'O' 'O' 'O']\n"
    task, found = read(opened, write("a.csv", content))
    assert (task.kind, found["train"]) == ("token_classification", [[0, 1, 1, 1]])


# ------------------------------------------------------------------------------------------------------ the odd row

ODD = [
    (["['joy', 'love']", "['joy', nan]"], "Row 2 of a.csv has ['joy', nan] in 'label', a list that cannot be read."),
    (["['joy', None]", "['joy']"], "Row 1 of a.csv has ['joy', None] in 'label', a list that cannot be read."),
    (["['joy']", "['joy' None]"], "Row 2 of a.csv has ['joy' None] in 'label', a list that cannot be read."),
    (["['joy']", "['a' 'b', 'c']"], "Row 2 of a.csv has ['a' 'b', 'c'] in 'label', a list that cannot be read."),
    (["['joy']", "['love']", "joy"], "Row 3 of a.csv has 'joy' in 'label', which is not a list as others are."),
    (["joy", "[1, 2]", "[2]"], "Row 1 of a.csv has 'joy' in 'label', which is not a list as others are."),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "message"), ODD)
def test_the_odd_row_among_lists_is_named(opened, write, labels, message):
    assert refusal(opened, write("a.csv", csv_of(labels))) == (message, CLASS)


@pytest.mark.parametrize("first", [True, False])
def test_a_text_among_lists_is_skipped_wherever_it_is(opened, write, first):
    lists = ["['joy', 'love']", "['love']", "['joy']"]
    path = write("a.csv", csv_of(["oops", *lists] if first else [*lists, *["['joy']"] * 9000, "oops"]))
    odd = 0 if first else 9003
    assert (
        refusal(opened, path)[0] == f"Row {odd + 1} of a.csv has 'oops' in 'label', which is not a list as others are."
    )
    rows, reasons = skipped(opened(path, skip_bad_rows=True))
    assert (odd in rows, reasons) == (False, {odd: "has 'oops' in 'label', which is not a list as others are"})


def test_a_text_among_lists_of_words_is_skipped(opened, write):
    rows = [("['a', 'b']", "['O', 'X']"), ("oops", "['O']"), ("['c']", "oops"), ("['d']", "['X']")]
    path = write("a.csv", "tokens,ner_tags\n" + "".join(f'"{words}","{tags}"\n' for words, tags in rows))
    kept, reasons = skipped(opened(path, skip_bad_rows=True))
    assert (kept, sorted(reasons)) == ([0, 3], [1, 2])


@pytest.mark.parametrize(
    ("full", "empty"), [("{'joy'}", "set()"), ("('joy',)", "()"), ("frozenset({'joy'})", "frozenset()")]
)
def test_an_empty_set_or_tuple_is_a_list_without_classes(opened, write, full, empty):
    labels = [full, empty, full.replace("joy", "love")]
    assert read(opened, write("a.csv", csv_of(labels)))[1]["train"] == [[0], [], [1]]


def test_a_list_that_cannot_be_read_behind_the_first_rows_is_named(opened, write):
    path = write("a.csv", csv_of(["['joy']"] * 8192 + ["['joy' None]", "['love']"]))
    assert refusal(opened, path) == (
        "Row 8193 of a.csv has ['joy' None] in 'label', a list that cannot be read.",
        CLASS,
    )


# -------------------------------------------------------------------------------------------- flags, bad cells, files


def listed(source):
    with pytest.raises(RowError) as caught:
        read_source(source)
    return with_other_rows(source, caught.value)


def test_rows_of_yes_and_no_are_named_with_file_and_column(opened, write):
    path = write("a.csv", "text,x,y\na,yes,0\nb,no,1\n")
    problem = "neither 0 nor 1"
    for label_type in ("auto", "class"):
        found = listed(opened(path, label="x,y", label_type=label_type))
        lines = tuple(
            f"Row {row} of a.csv has '{text}' in 'x', which is {problem}." for row, text in ((1, "yes"), (2, "no"))
        )
        assert found.details == lines[1:]
        assert found.message == f"2 of the 2 rows looked at cannot be used. {lines[0]}"
        assert found.next_step == "Write numbers in these columns: 1 and 0 for yes and no; or pass --skip-bad-rows."


def test_a_bad_cell_among_numbers_can_be_skipped(opened, write):
    path = write("a.csv", csv_of(["1.5", "n/a", "2"]))
    assert refusal(opened, path) == (
        "Some labels of a.csv are numbers (row 1 has '1.5') and some are not (row 2 has 'n/a').",
        "Fix them, or pass --label-type class, or --label-type regression with --skip-bad-rows.",
    )
    assert read_skipping(opened, path) == [1.5, 2.0]


def read_skipping(opened, path):
    source = opened(path, label_type="regression", skip_bad_rows=True)
    return [t for block in read_blocks(source, survey_source(source), "train") for t in block.targets.to_pylist()]


# -------------------------------------------------------------------------------------------------------- one line

LONG = "a very long\nlabel " * 40
WIDE = LONG.replace("\n", " ")
FILE = f"{'long' * 10}.csv"


def table(names, *rows):
    return "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in (names, *rows))


LONG_CASES = [
    (table(("text", "label"), ("a", LONG), ("b", LONG)), {}),
    (table(("text", "label"), ("a", LONG), ("b", "1")), {}),
    (table(("text", "label"), ("a", "1.5"), ("b", LONG)), {"label_type": "regression"}),
    (table(("text", "label" * 9, "y"), ("a", LONG, "1"), ("b", "0", "1")), {"label": "label" * 9 + ",y"}),
    (table(("text", "label" * 9, "y"), ("a", LONG, "1"), ("b", "0", "1")),
     {"label": "label" * 9 + ",y", "label_type": "class"}),
    (table(("text", "label"), ("a", "joy"), ("b", f"['{WIDE}', 'x']")), {}),
    (table(("text", "label"), ("a", "['x', 'y']"), ("b", "['x']"), ("c", LONG)), {}),
    (table(("text", "label"), ("a", "x"), ("b", "{'text': ['a'], 'answer_start': [0]}")), {}),
    (table(("tokens", "ner_tags"), ("['a']", f"['{WIDE}', 'B-PERSON', 'I-PERSON']"), ("x", "O")), {}),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options"), LONG_CASES)
def test_long_labels_are_cut_and_line_ends_escaped(opened, write, content, options):
    check(refusal(opened, write(FILE, content), **options))


def check(found):
    for line in found:
        assert len(line) <= MESSAGE, line
        assert "\n" not in line
    assert found[0].endswith((".", "…"))


def test_long_labels_that_train_lacks_are_cut(opened, write, tmp_path):
    """In columns and in lists; classes are shown as many as fit."""
    classes = [f"class {name}" for name in range(40)]
    write("d/train.csv", csv_of(classes))
    write("d/validation.csv", csv_of(["class 1", LONG]))
    found = refusal(opened, tmp_path / "d")
    check(found)
    shown = "Row 2 of validation.csv has the label 'a very long\\nlabel a ve…', which train lacks; its classes are: "
    assert found[0] == f"{shown}class 0, …."
    write("e/train.jsonl", jsonl([[name] for name in classes]))
    write("e/validation.jsonl", jsonl([[LONG]]))
    check(refusal(opened, tmp_path / "e"))


def test_long_vectors_and_ids_out_of_range_are_cut(opened, write, tmp_path):
    write("d/train.jsonl", jsonl([[0, 1] * 40, [1, 0] * 40]))
    write("d/validation.jsonl", jsonl([[0, 1] * 40, [2] * 80]))
    check(refusal(opened, tmp_path / "d"))
    check(refusal(opened, write("a.jsonl", jsonl([[0, 1] * 40, [1] * 100]))))
    feature = {"feature": class_label("x" * 90, "y" * 90), "_type": "Sequence"}
    check(refusal(opened, named(tmp_path / "b.parquet", [[0], [5]], feature)))
    check(refusal(opened, named(tmp_path / "c.parquet", [0, 1], class_label("x" * 90, "x" * 90))))


CLASSES = [
    (["a", "b"], 40, "It is not; its classes are: a, b"),
    (["a", "b"], 31, "It is not"),
    (["a", "bcdefgh", "i"], 35, "It is not; its classes are: a, …"),
    (["a" * 50], 40, "It is not"),
]  # fmt: skip


@pytest.mark.parametrize(("classes", "width", "sentence"), CLASSES)
def test_as_many_classes_are_named_as_a_line_holds(classes, width, sentence):
    assert with_classes("It is not", classes, width=width) == sentence
