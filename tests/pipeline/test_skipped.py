"""Rows that prepare leaves out: listed beside the manifest, counted by split, and in their place or not at all."""

import json
import pickle

import pytest

from tdbs.errors import ConfigError, DatasetError, RowError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.verify import verify
from tests.pipeline.test_prepare import write_csv
from tests.pipeline.test_tokenizer import write_tokenizer

ROWS = [("a b", "x"), ("", "y"), ("c", ""), ("b c", "y"), ("c", "x")]
LISTED = [
    {"split": "train", "row": 2, "reason": "has no 'text'"},
    {"split": "train", "row": 3, "reason": "has no 'label'"},
]


@pytest.fixture
def options(workplace):
    """A CSV with two bad rows of five, and a small tokenizer, as arguments of prepare."""
    return {
        "source": str(write_csv(workplace / "reviews.csv", ROWS)),
        "tokenizer": str(write_tokenizer(workplace / "words")),
        "max_length": 10,
        "out": str(workplace / "out"),
    }


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_skipped_rows_are_listed_and_counted(options, workplace):
    """Rows count from 1 as in errors; source_row of the samples is as in the file, from 0."""
    result = prepare(**options, skip_bad_rows=True)
    info = result.dataset.manifest.splits["train"]
    assert (info.rows, info.source_rows, info.skipped) == (3, 3, 2)
    assert lines_of(workplace / "out/skipped.jsonl") == LISTED
    assert read_split(result.dataset, "train").source_rows_N.tolist() == [0, 3, 4]
    assert verify(workplace / "out").problems == ()
    again = prepare(**options, skip_bad_rows=True)
    assert (again.cached, again.dataset.manifest) == (True, result.dataset.manifest)


def test_without_bad_rows_there_is_no_list(options, workplace):
    write_csv(workplace / "reviews.csv", [ROWS[0], ROWS[3]])
    result = prepare(**options, skip_bad_rows=True)
    assert (result.dataset.manifest.skipped, result.dataset.manifest.splits["train"].skipped) == (None, 0)
    assert not (workplace / "out/skipped.jsonl").exists()


def test_a_replaced_dataset_takes_its_list_with_it_and_a_foreign_file_stays(options, workplace):
    prepare(**options, skip_bad_rows=True)
    write_csv(workplace / "reviews.csv", [ROWS[0], ROWS[3]])
    prepare(**options, overwrite=True)
    assert not (workplace / "out/skipped.jsonl").exists()
    (workplace / "out/skipped.jsonl").write_text("mine\n")
    prepare(**options, overwrite=True)
    write_csv(workplace / "reviews.csv", ROWS)
    with pytest.raises(DatasetError) as caught:
        prepare(**options, overwrite=True, skip_bad_rows=True)
    assert caught.value.message == f"{workplace / 'out'} contains a skipped.jsonl that tdbs did not write."
    assert (workplace / "out/skipped.jsonl").read_text() == "mine\n"
    assert verify(workplace / "out").problems == ()


def test_a_foreign_list_is_not_replaced(options, workplace):
    (workplace / "out").mkdir()
    (workplace / "out/skipped.jsonl").write_text("mine\n")
    with pytest.raises(DatasetError) as caught:
        prepare(**options, skip_bad_rows=True, overwrite=True)
    assert caught.value.message == f"{workplace / 'out'} contains a skipped.jsonl that tdbs did not write."


@pytest.mark.parametrize(("change", "problem"), [("other\n", "is not what was written"), (None, "cannot be read")])
def test_verify_names_a_list_that_was_changed_and_loaders_do_not_mind(options, workplace, change, problem):
    prepare(**options, skip_bad_rows=True)
    listed = workplace / "out/skipped.jsonl"
    listed.unlink() if change is None else listed.write_text(change)
    (found,) = verify(workplace / "out").problems
    assert found.file == "skipped.jsonl"
    assert found.problem.startswith(problem)
    assert len(load(workplace / "out")) == 3


def test_questions_that_do_not_fit_a_window_are_skipped(options, workplace):
    answers = {"text": ["a"], "answer_start": [0]}
    rows = [{"question": q, "context": "a b c", "answers": answers} for q in ("a b", "a b c a b c a b c", "c")]
    (workplace / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options |= {"source": str(workplace / "asked.jsonl"), "stride": 1}
    result = prepare(**options, skip_bad_rows=True)
    assert result.dataset.manifest.splits["train"].skipped == 1
    (line,) = lines_of(workplace / "out/skipped.jsonl")
    assert (line["row"], line["reason"].startswith("has a question of 9 tokens; windows of 10 tokens")) == (2, True)
    assert set(read_split(result.dataset, "train").source_rows_N.tolist()) == {0, 2}
    assert verify(workplace / "out").problems == ()


def test_without_the_option_the_error_lists_the_rows_and_names_it(options, workplace):
    with pytest.raises(RowError) as caught:
        prepare(**options)
    error = caught.value
    assert error.message == "2 of the 5 rows looked at cannot be used. Row 2 of reviews.csv has no 'text'."
    assert error.details == ("Row 3 of reviews.csv has no 'label'.",)
    assert error.next_step == "Fill the row or delete it; or pass --skip-bad-rows."
    assert not (workplace / "out").exists()
    sent = pickle.loads(pickle.dumps(error))  # noqa: S301  (as Ray sends it)
    assert (sent.message, sent.details, sent.reasons) == (error.message, error.details, error.reasons)


def test_shared_tasks_have_no_rows_to_skip(workplace):
    with pytest.raises(ConfigError) as caught:
        prepare("sample", skip_bad_rows=True)
    assert caught.value.message == (
        "--skip-bad-rows only applies to your own files; sample has its columns and splits."
    )


def test_a_file_of_names_is_found_again_from_any_folder(options, workplace):
    """`tdbs evaluate --remove` opens the source again by what the manifest notes."""
    write_csv(workplace / "reviews.csv", [("a b", "0"), ("c", "1")])
    (workplace / "names.txt").write_text("bad\ngood\n")
    manifest = prepare(**options, label_names="names.txt").dataset.manifest
    assert (manifest.task.classes, manifest.origin["label_names"]) == (("bad", "good"), str(workplace / "names.txt"))
