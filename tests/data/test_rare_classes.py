"""A fraction that is held out: each class gives its share, no context is on both sides, and train has every class."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.file_options import FileOptions
from tdbs.data.held_out import held_out_rows, rows_by_group, stratified_rows
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
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
KINDS = {"lists": ("a.jsonl", LISTS), "words": ("b.jsonl", WORDS)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_drawn_row_of_a_rare_class_stays_in_train(opened, write, kind):
    """It says so; the other rows are drawn at random, and every time the same."""
    source = opened(write(*KINDS[kind]), validation="0.2")
    task, splits = read_source(source)
    assert {"rare", "rarer"} <= set(task.classes)
    assert splits["validation"].source_rows.tolist() == [row for row in DRAWN if row not in (RARE, RARER)]
    assert splits["train"].source_rows.tolist() == [
        row for row in range(COUNT) if row not in DRAWN or row in (RARE, RARER)
    ]
    assert survey_source(source).notes == ("--validation 0.2: classes of one or two rows stay in train: rare, rarer.",)


def test_both_rows_of_a_class_of_two_stay_in_train(opened, write):
    content = "text,label\n" + "".join(f"{row},{'x' if row in DRAWN[:2] else 'ab'[row % 2]}\n" for row in range(COUNT))
    source = opened(write("a.csv", content), validation="0.2")
    task, splits = read_source(source)
    assert task.classes == ("a", "b", "x")
    assert 2 not in splits["validation"].targets.to_pylist()
    assert splits["train"].targets.to_pylist().count(2) == 2
    assert survey_source(source).notes == ("--validation 0.2: classes of one or two rows stay in train: x.",)


def test_each_class_gives_its_share(opened, write):
    """A fifth of 20, 10, 7 and 3 rows is 4, 2, 1.4 and 0.6: the last has the largest remainder."""
    labels = ["a"] * 20 + ["b"] * 10 + ["c"] * 7 + ["d"] * 3
    content = "text,label\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels))
    _, splits = read_source(opened(write("a.csv", content), validation="0.2"))
    assert np.bincount(splits["validation"].targets.to_numpy()).tolist() == [4, 2, 1, 1]
    assert survey_source(opened(write("a.csv", content), validation="0.2")).notes == ()


@given(st.lists(st.integers(0, 4), min_size=8, max_size=60), st.floats(0.05, 0.9))
def test_shares_are_at_most_one_row_off(ids, fraction):
    ids = np.array(ids)
    counts = np.bincount(ids)
    try:
        drawn, rare = stratified_rows(ids, fraction, where="a.csv")
    except ConfigError:
        return
    assert len(set(drawn.tolist())) == len(drawn)
    assert rare.tolist() == [index for index, count in enumerate(counts) if count in (1, 2)]
    taken = np.bincount(ids[drawn], minlength=len(counts))
    for count, found in zip(counts.tolist(), taken.tolist(), strict=True):
        assert found == 0 if count <= 2 else (abs(found - count * fraction) < 1 and found < count)


def test_no_context_is_on_both_sides(opened, write):
    """Nine contexts of two questions: a third of 18 questions are three contexts."""
    answer = {"text": ["it"], "answer_start": [0]}
    rows = [{"question": f"q{row}", "context": f"it is {row % 9}", "answers": answer} for row in range(18)]
    source = opened(write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)), validation="0.33")
    _, splits = read_source(source)
    held, kept = (set(splits[name].pairs.to_pylist()) for name in ("validation", "train"))
    assert (len(held), len(kept), held & kept) == (3, 6, set())
    assert len(splits["validation"].texts) == 6


def squad_rows(titles):
    answer = {"text": ["it"], "answer_start": [0]}
    return [
        {"question": f"q{row}", "context": f"it is {row // 2}", "answers": answer, "title": title}
        for row, title in enumerate(titles)
    ]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "squad", "table"])
def test_whole_documents_are_held_out_if_the_source_names_them(opened, write, tmp_path, form):
    """As SQuAD does: two contexts of two questions are a document here, and half of 16 questions are two documents."""
    rows = squad_rows("aaaabbbbccccdddd")
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path := tmp_path / "a.parquet")
    if form == "squad":
        answers = [{"text": "it", "answer_start": 0}]
        paragraphs = [
            [
                {"context": row["context"], "qas": [{"question": row["question"], "answers": answers}]}
                for row in rows[first : first + 4]
            ]
            for first in range(0, 16, 4)
        ]
        data = [{"title": title, "paragraphs": each} for title, each in zip("abcd", paragraphs, strict=True)]
        path = write("a.json", json.dumps({"data": data}))
    source = opened(path, validation="0.5")
    if form == "table":
        source = open_source(rows, mirror=None, files=FileOptions(validation=0.5))
    _, splits = read_source(source)
    held, kept = (set(splits[name].source_rows // 4) for name in ("validation", "train"))
    assert (len(held), len(kept), held & kept) == (2, 2, set())
    assert survey_source(source).notes == ()


def test_a_context_of_two_documents_is_on_one_side(opened, write):
    rows = squad_rows("abbccddeffgghhii")
    source = opened(write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)), validation="0.5")
    _, splits = read_source(source)
    held, kept = (set(splits[name].pairs.to_pylist()) for name in ("validation", "train"))
    assert held
    assert not held & kept


@pytest.mark.parametrize("titles", ["a" * 16, "a" * 12 + "b" * 4])
def test_contexts_are_held_out_if_documents_are_too_few(opened, write, titles):
    source = opened(write("a.jsonl", "".join(json.dumps(row) + "\n" for row in squad_rows(titles))), validation="0.12")
    assert len(read_source(source)[1]["validation"].texts) == 2
    assert survey_source(source).notes == (
        "--validation 0.12: contexts are held out, not whole documents: 'title' has too few.",
    )


def test_rows_without_a_title_are_documents_of_their_own(opened, write):
    rows = squad_rows([None] * 16)
    source = opened(write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)), validation="0.5")
    assert len(read_source(source)[1]["validation"].texts) == 8


def test_the_documents_of_a_table_are_part_of_its_contents():
    def digest(titles, **options):
        return open_source(squad_rows(titles), mirror=None, files=FileOptions(**options)).content_sha256

    assert digest("abcd", validation=0.5) != digest("aacd", validation=0.5)
    assert digest("abcd") == digest("aacd")


def test_one_context_cannot_be_on_both_sides():
    with pytest.raises(ConfigError) as caught:
        rows_by_group(np.zeros(9, dtype=np.int64), 0.2, where="a.jsonl")
    assert (caught.value.message, caught.value.next_step) == (
        "All questions of a.jsonl have one context, which cannot be on both sides of --validation 0.2.",
        "Pass a file of validation rows.",
    )


def test_the_first_row_of_a_class_that_was_drawn_whole_stays(opened, write):
    """Of lists, which are drawn at random; the others are scored."""
    labels = [["rare"] if row in DRAWN[:3] else ["ab"[row % 2]] for row in range(COUNT)]
    content = "".join(json.dumps({"text": f"{row}", "label": label}) + "\n" for row, label in enumerate(labels))
    source = opened(write("a.jsonl", content), validation="0.2")
    assert read_source(source)[1]["validation"].source_rows.tolist() == DRAWN[1:]
    assert survey_source(source).notes == (
        "--validation 0.2: the first row stays in train of classes drawn whole: rare.",
    )


def test_spelling_makes_no_class_rare(opened, write):
    content = "text,label\n" + "".join(f"{row},{'TRUE ' if row == RARE else 'true'}\n" for row in range(COUNT - 1))
    source = opened(write("a.csv", content + "x,no\n"), validation="0.2")
    assert all("true" not in note.lower() for note in survey_source(source).notes)


def test_numbers_to_predict_are_drawn_at_random(opened, write):
    content = "text,label\n" + "".join(f"{row},{row / 7}\n" for row in range(COUNT))
    task, splits = read_source(opened(write("a.csv", content), validation="0.2"))
    assert (task.kind, splits["validation"].source_rows.tolist()) == ("regression", DRAWN)


def test_a_fraction_in_any_row_makes_all_labels_numbers(opened, write):
    content = "text,label\n" + "".join(f"{row},{0.5 if row == RARE else row % 2}\n" for row in range(COUNT))
    assert read_source(opened(write("a.csv", content), validation="0.2"))[0].kind == "regression"


def refusal(source):
    with pytest.raises(ConfigError) as caught:
        survey_source(source)
    return caught.value.message, caught.value.next_step


def test_nothing_left_to_validation_is_refused(opened, write):
    """A larger fraction is named only if it would find a row."""
    content = "text,label\n" + "".join(f"{row},class {row // 2}\n" for row in range(COUNT))
    lists = [{"text": f"{row}", "label": [f"class {row // 2}"]} for row in range(COUNT)]
    other = [
        {"text": f"{row}", "label": ["a"] if row not in DRAWN else [f"class {DRAWN.index(row) // 2}"]}
        for row in range(COUNT)
    ]
    message, a_file = "--validation 0.2 finds only rows of {} whose classes have one or two rows.", "Pass a file"
    assert refusal(opened(write("a.csv", content), validation="0.2")) == (
        message.format("a.csv"),
        f"{a_file} of validation rows.",
    )
    for rows, next_step in ((lists, f"{a_file} of validation rows."), (other, "Pass a larger fraction, or a file.")):
        path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        assert refusal(opened(path, validation="0.2")) == (message.format("a.jsonl"), next_step)


@pytest.mark.parametrize("held", [DRAWN[2:3], DRAWN[2:6]])
def test_classes_that_are_columns_or_places_are_protected(opened, write, held):
    """Their rows are those with a 1; a column of zeros alone is no reason to keep a row."""
    flags = "text,x,y,z\n" + "".join(f"{row},{int(row in held)},{row % 2},0\n" for row in range(COUNT))
    hot = [json.dumps({"text": "a", "label": [int(row in held), row % 2, 0]}) + "\n" for row in range(COUNT)]
    x = {"a.csv": "x", "a.jsonl": "0"}
    for source in (
        opened(write("a.csv", flags), label="x,y,z", validation="0.2"),
        opened(write("a.jsonl", "".join(hot)), validation="0.2"),
    ):
        survey = survey_source(source)
        (block,) = read_blocks(source, survey, "validation")
        name = x[source.splits[0].where]
        kept = "classes of one or two rows stay in train" if len(held) == 1 else ""
        kept = kept or "the first row stays in train of classes drawn whole"
        assert survey.notes == (f"--validation 0.2: {kept}: {name}.",)
        assert block.rows_N.tolist() == [row for row in DRAWN if row != held[0]]


def test_columns_of_numbers_are_drawn_at_random(opened, write):
    content = "text,x,y\n" + "".join(f"{row},{row / 7},{int(row == RARE)}\n" for row in range(COUNT))
    source = opened(write("a.csv", content), label="x,y", validation="0.2")
    (block,) = read_blocks(source, survey := survey_source(source), "validation")
    assert (survey.notes, block.rows_N.tolist()) == ((), DRAWN)


def test_a_column_of_lists_beside_another_is_refused_as_without_a_fraction(opened, tmp_path):
    pq.write_table(pa.table({"text": list("abcd"), "x": [["u"], ["v"]] * 2, "y": [0, 1] * 2}), tmp_path / "a.parquet")
    for validation in (None, "0.5"):
        assert refusal(opened(tmp_path / "a.parquet", label="x,y", validation=validation)) == (
            "'x' contains lists of classes.",
            "Name it alone, without --label-type.",
        )
