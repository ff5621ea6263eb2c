"""A fraction that is held out takes no class from train."""

import json

import pytest

from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.held_out import held_out_rows
from tdbs.errors import ConfigError
from tests.data.conftest import read_source

COUNT = 40
DRAWN = sorted(held_out_rows(COUNT, 0.2).tolist())
RARE, RARER = DRAWN[2], DRAWN[5]


def label_of(row, common):
    return {RARE: "rare", RARER: "rarer"}.get(row, common[row % 2])


SINGLE = "text,label\n" + "".join(f"{row},{label_of(row, 'ab')}\n" for row in range(COUNT))
LISTS = "".join(json.dumps({"text": f"{row}", "label": [label_of(row, "ab"), "a"]}) + "\n" for row in range(COUNT))
WORDS = "".join(
    json.dumps({"tokens": ["x", "y"], "ner_tags": [label_of(row, "OO"), "B-X"]}) + "\n" for row in range(COUNT)
)
KINDS = {"classes": ("a.csv", SINGLE), "lists": ("a.jsonl", LISTS), "words": ("b.jsonl", WORDS)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_drawn_row_of_a_class_that_train_lacks_stays_in_train(opened, write, kind):
    """It says so; the other rows are drawn as ever, and every time the same."""
    source = opened(write(*KINDS[kind]), validation="0.2")
    task, splits = read_source(source)
    assert {"rare", "rarer"} <= set(task.classes)
    assert splits["validation"].source_rows.tolist() == [row for row in DRAWN if row not in (RARE, RARER)]
    assert splits["train"].source_rows.tolist() == [
        row for row in range(COUNT) if row not in DRAWN or row in (RARE, RARER)
    ]
    assert survey_source(source).notes == (
        "--validation 0.2: 2 rows that it drew stay in train, which has no other row of: rare, rarer.",
    )


def test_one_row_of_a_class_that_was_drawn_whole_stays(opened, write):
    """The first; the others are scored."""
    content = "text,label\n" + "".join(
        f"{row},{'rare' if row in DRAWN[:3] else 'ab'[row % 2]}\n" for row in range(COUNT)
    )
    _, splits = read_source(opened(write("a.csv", content), validation="0.2"))
    assert splits["validation"].source_rows.tolist() == DRAWN[1:]
    assert splits["validation"].targets.to_pylist()[:2] == [2, 2]


def test_spelling_makes_no_class_rare(opened, write):
    content = "text,label\n" + "".join(f"{row},{'TRUE ' if row == RARE else 'true'}\n" for row in range(COUNT - 1))
    source = opened(write("a.csv", content + "x,no\n"), validation="0.2")
    assert all("true" not in note.lower() for note in survey_source(source).notes)


def test_the_other_class_may_be_drawn_whole(opened, write):
    content = "text,label\n" + "".join(f"{row},{'ba'[row == RARE]}\n" for row in range(COUNT))
    task, splits = read_source(opened(write("a.csv", content), validation="0.2"))
    assert (task.classes, splits["train"].targets.to_pylist().count(0)) == (("a", "b"), 1)


def test_numbers_to_predict_are_drawn_as_ever(opened, write):
    content = "text,label\n" + "".join(f"{row},{row / 7}\n" for row in range(COUNT))
    task, splits = read_source(opened(write("a.csv", content), validation="0.2"))
    assert (task.kind, splits["validation"].source_rows.tolist()) == ("regression", DRAWN)


def test_a_fraction_among_drawn_rows_makes_all_labels_numbers(opened, write):
    content = "text,label\n" + "".join(f"{row},{0.5 if row == RARE else row % 2}\n" for row in range(COUNT))
    assert read_source(opened(write("a.csv", content), validation="0.2"))[0].kind == "regression"


def test_nothing_left_to_validation_is_refused(opened, write):
    content = "text,label\n" + "".join(f"{row},class {row}\n" for row in range(COUNT))
    with pytest.raises(ConfigError) as caught:
        survey_source(opened(write("a.csv", content), validation="0.2"))
    assert (caught.value.message, caught.value.next_step) == (
        "--validation 0.2 draws only rows of a.csv whose classes have no other row.",
        "Pass a larger fraction, or a file.",
    )


def test_flags_are_drawn_as_ever(opened, write):
    """Their classes are columns or places, which train has whatever holds in its rows."""
    flags = "text,x,y\n" + "".join(f"{row},{int(row == RARE)},{row % 2}\n" for row in range(COUNT))
    hot = "".join(json.dumps({"text": "a", "label": [int(row == RARE), 1, 0]}) + "\n" for row in range(COUNT))
    for source in (
        opened(write("a.csv", flags), label="x,y", validation="0.2"),
        opened(write("a.jsonl", hot), validation="0.2"),
    ):
        survey = survey_source(source)
        (block,) = read_blocks(source, survey, "validation")
        assert (survey.notes, block.rows_N.tolist()) == ((), DRAWN)
