"""What `tdbs prepare` and `tdbs inspect` print of rows of train that were left out, and their JSON."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TOKENIZER, Command

HEAD = "text,label\n"


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of which one row of train comes twice, one conflicts and one stands in validation."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.csv").write_text(HEAD + "a film,yes\nA film!,yes\na film,no\nan actor,no\na film,yes\n")
    (folder / "validation.csv").write_text(HEAD + "an actor,yes\na song,no\n")
    (folder / "test.csv").write_text(HEAD + "a book,yes\n")
    return folder


def test_the_rows_that_went_are_counted_by_split_and_kind(rows: Path, tdbs: Command):
    """On stderr with prepare, on stdout with inspect; a list of splits is separated or repeated."""
    options = ("--tokenizer", TOKENIZER, "--drop-duplicates", "near")
    one = tdbs("prepare", "rows", *options, "--keep-out", "test,validation", "--out", "one")
    other = tdbs("prepare", "rows", *options, "--keep-out", "validation", "--keep-out", "test", "--out", "other")
    counted = (
        "Rows of train left out: 2 repeat an earlier row (1 exact, 1 normalized, 0 near); "
        "1 stand in validation (1 exact, 0 normalized, 0 near); 0 stand in test; listed in {}/duplicates.jsonl.\n"
    )
    assert counted.format("one") in one.stderr
    assert counted.format("other") in other.stderr
    warning = "Rows of train whose text stands there with another label stay: 2"
    assert f"Warning: {warning}, compared but for case, spaces and punctuation.\n" in one.stderr
    exact = tdbs("prepare", "rows", "--tokenizer", TOKENIZER, "--drop-duplicates", "exact", "--out", "exact")
    assert f"Warning: {warning}, compared token by token.\n" in exact.stderr
    assert counted.format("one") in tdbs("inspect", "one", "--samples", "0").stdout


def test_json_has_the_counts_and_the_list(rows: Path, tdbs: Command):
    """Of prepare and of inspect; null for a dataset that was prepared without the options."""
    options = ("--tokenizer", TOKENIZER, "--json")
    found = tdbs("prepare", "rows", *options, "--drop-duplicates", "exact", "--out", "one").json
    expected = {"left_out": {"train": {"exact": 1}}, "conflicts": 2, "listing": "duplicates.jsonl"}
    assert found["duplicates"] == expected
    assert found["splits"]["train"]["source_rows"] == 4
    assert set(found["seconds"]) == {"read", "tokenize", "annotate", "write", "left_out", "total"}
    assert tdbs("inspect", "one", "--json").json["duplicates"] == expected
    assert tdbs("prepare", "rows", *options, "--out", "other").json["duplicates"] is None
    assert tdbs("inspect", "other", "--json").json["duplicates"] is None


def test_a_split_that_is_not_there_is_refused(rows: Path, refused: Callable[..., tuple[str, str]]):
    assert refused("prepare", "rows", "--tokenizer", TOKENIZER, "--keep-out", "dev") == (
        "--keep-out 'dev' is not a split of rows.",
        "Pass one of validation, test.",
    )
