"""Several labels in the shapes that people have: a text with separators, lists as texts, ids with names elsewhere."""

import json

import pytest

from tdbs.data.reading import survey_source
from tests.data.test_label_meaning import jsonl, read, refusal

NAMES = "joy\nlove\n anger \n\n"


# ------------------------------------------------------------------------------------------------ one text, separators


def test_a_text_with_separators_is_several_classes(opened, write):
    """Blanks around names are left out; an empty cell is no label at all."""
    path = write("a.csv", 'text,label\na,"joy, anger"\nb,\nc,love\nd," love ,joy,"\n')
    task, targets = read(opened, path, label_separator=",")
    assert (task.kind, task.classes) == ("multi_label", ("anger", "joy", "love"))
    assert targets["train"] == [[0, 1], [], [2], [1, 2]]


def test_empty_cells_of_a_test_split_are_no_labels(opened, write, tmp_path):
    write("d/train.csv", "text,label\na,x|y\nb,y\n")
    write("d/test.csv", "text,label\na,\nb,\n")
    assert read(opened, tmp_path / "d", label_separator="|")[1] == {"train": [[0, 1], [1]], "test": None}


def test_the_separator_changes_the_contents(opened, write):
    path = write("a.csv", 'text,label\na,"x,y"\nb,y\n')
    found = {opened(path, **options).content_sha256 for options in ({}, {"label_separator": ","})}
    assert len(found) == 2


SEPARATOR_REFUSALS = [
    ("a.csv", "text,x,y\na,1,0\nb,0,1\n", {"label": "x,y", "label_separator": ";"},
     "--label-separator only applies to one column of texts.", "Leave it out."),
    ("a.jsonl", jsonl([["x"], ["y"]]), {"label_separator": ";"},
     "--label-separator only applies to one column of texts.", "Leave it out."),
    ("a.csv", "text,label\na,1\nb,2\n", {"label_separator": " "},
     "--label-separator ' ' is blank.", "Pass a mark such as , or ;."),
    ("a.csv", "text,label\na,1\nb,2\n", {"label_separator": ";", "label_type": "regression"},
     "--label-separator makes classes, --label-type regression numbers.", "Leave one of them out."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "message", "next_step"), SEPARATOR_REFUSALS)
def test_where_a_separator_does_not_go(opened, write, name, content, options, message, next_step):
    assert refusal(opened, write(name, content), **options) == (message, next_step)


# ------------------------------------------------------------------------------------------------------ names elsewhere


def test_names_of_class_ids_come_from_a_file(opened, write):
    names = write("names.txt", NAMES)
    path = write("a.csv", "text,label\na,2\nb,0\nc,2.0\n")
    task, targets = read(opened, path, label_names=str(names))
    assert (task.kind, task.classes, targets["train"]) == ("classification", ("joy", "anger"), [1, 0, 1])


def test_names_of_the_places_of_multi_hot_lists(opened, write):
    names = write("names.txt", NAMES)
    for rows in ([[1, 0, 1], [0, 0, 0], [0, 1, 0]], [[True, False, True], [False] * 3, [False, True, False]]):
        task, targets = read(opened, write("a.jsonl", jsonl(rows)), label_names=str(names))
        assert (task.kind, task.classes) == ("multi_label", ("joy", "love", "anger"))
        assert targets["train"] == [[0, 2], [], [1]]


def test_names_of_ids_in_lists_and_in_one_text(opened, write):
    names = write("names.txt", NAMES)
    for path, options in (
        (write("a.jsonl", jsonl([["0", "2"], [2]])), {}),
        (write("a.csv", 'text,label\na,"0,2"\nb,2\n'), {"label_separator": ","}),
    ):
        task, targets = read(opened, path, label_names=str(names), **options)
        assert (task.classes, targets["train"]) == (("anger", "joy"), [[0, 1], [0]])


def test_names_of_word_labels(opened, write):
    rows = [{"tokens": ["a", "b"], "ner_tags": [0, 1]}, {"tokens": ["c"], "ner_tags": [0]}]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task, targets = read(opened, path, label_names=str(write("names.txt", "O\nB-X\n")))
    assert (task.classes, targets["train"]) == (("B-X", "O"), [[1, 0], [1]])


NAME_REFUSALS = [
    (NAMES, "text,label\na,0\nb,3\n", {},
     "Row 2 of a.csv has '3' in 'label', which is not an id from 0 to 2.",
     "Fix the row, or name each class in --label-names."),
    (NAMES, "text,label\na,0\nb,joy\n", {},
     "Row 2 of a.csv has 'joy' in 'label', which is not an id from 0 to 2.",
     "Fix the row, or name each class in --label-names."),
    ("joy\n", "text,label\na,0\nb,1\n", {}, "{names} names 1 classes.", "Write at least two, one per line."),
    ("joy\n\nlove\n", "text,label\na,0\nb,1\n", {},
     "Line 2 of {names} is blank.", "Write a class, or delete it."),
    ("joy\njoy\n", "text,label\na,0\nb,1\n", {},
     "The classes 'joy' and 'joy' of {names} are one label.", "Write the file with another name for the class."),
    (NAMES, "text,label\na,0\nb,1\n", {"label_type": "regression"},
     "--label-names only applies to one column of class ids.", "Leave it out."),
]  # fmt: skip


@pytest.mark.parametrize(("names", "content", "options", "message", "next_step"), NAME_REFUSALS)
def test_names_that_do_not_go(opened, write, names, content, options, message, next_step):
    file = write("names.txt", names)
    found = refusal(opened, write("a.csv", content), label_names=str(file), **options)
    assert found == (message.format(names=file.name), next_step)


# ----------------------------------------------------------------------------------------------- lists written as texts


def test_lists_in_cells_are_several_labels(opened, write):
    path = write("emotions.csv", 'text,labels\nwhat a day,"[\'joy\', \'love\']"\nno,[]\nfine,"[""joy""]"\n')
    source = opened(path, label="labels")
    task, targets = read(opened, path, label="labels")
    assert (task.kind, task.classes, targets["train"]) == ("multi_label", ("joy", "love"), [[0, 1], [], [0]])
    assert survey_source(source).notes == (
        "'labels' of emotions.csv: lists that are written as texts are read as lists.",
    )


def test_arrays_in_cells_are_multi_hot(opened, write):
    task, targets = read(opened, write("a.csv", "text,label\na,[1 0 1]\nb,[0 1 0]\n"))
    assert (task.classes, targets["train"]) == (("0", "1", "2"), [[0, 2], [1]])


def test_words_and_tags_in_cells_are_token_classification(opened, write):
    path = write("names.csv", "tokens,ner_tags\n\"['Anna', 'lives']\",\"['B-PER', 'O']\"\n\"['He']\",\"['O']\"\n")
    task, targets = read(opened, path)
    assert (task.kind, task.classes, targets["train"]) == ("token_classification", ("B-PER", "O"), [[0, 1], [1]])
    assert survey_source(opened(path)).notes == (
        "'tokens' and 'ner_tags' of names.csv: lists that are written as texts are read as lists.",
    )


def test_a_later_cell_without_a_list_is_named(opened, write):
    rows = "".join(f"{row},['a']\n" for row in range(9000)) + "x,joy\n"
    assert refusal(opened, write("a.csv", "text,label\n" + rows + "y,\"['b']\"\n")) == (
        "Row 9001 of a.csv has 'joy' in 'label', which is not a list as others are.",
        "Fix the row, or pass --label-type class if each text is a class.",
    )


def test_objects_and_nested_lists_in_cells_are_refused(opened, write):
    for label in ("{'joy': 1}", "[['a'], ['b']]"):
        message, _ = refusal(opened, write("a.csv", f'text,label\na,"{label}"\nb,"{label}"\n'))
        assert message == f"Row 1 of a.csv has {label} in 'label', a list or an object, not a label."


def test_nothing_in_a_cell_is_run(opened, write, tmp_path):
    """Cells are parsed as literals: a call is the name of a class."""
    call = f"[__import__('pathlib').Path({str(tmp_path / 'made')!r}).touch()]"
    path = write("a.csv", "text,label\n" + f'a,"{call}"\nb,"[1, 2]"\n')
    assert call[1:-1] in read(opened, path)[0].classes
    assert not (tmp_path / "made").exists()
