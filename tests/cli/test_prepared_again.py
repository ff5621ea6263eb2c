"""The commands that an audit names: each is whole, so the same dataset comes of it, or one without the fault."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.manifest_file import read_manifest
from tdbs.pipeline.origin import prepare_command, unnoted
from tests.cli.conftest import TOKENIZER, Command

ROWS = "1;a good film;yes\n2;a good film;no\n3;a good film;no\n4;a good film!;no\n5;a plot;yes\n6;an actor;no\n"
HEADED = "n;review;stars\n" + ROWS
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "columns and a held-out share": (HEADED, ("--text", "review", "--label", "stars", "--validation", "0.4")),
    "no head, lengths and words": (
        ROWS,
        (*("--no-header", "--text", "2", "--label", "3", "--label-type", "class", "--delimiter", ";"),
         *("--max-length", "9", "--stopwords", "none", "--keep", "not,it's", "--forbid-drop", "they are short")),
    ),
    "rows left out": (
        HEADED,
        ("--text", "review", "--label", "stars", "--drop-duplicates", "exact", "--validation", "0.4", "--keep-out",
         "validation"),
    ),
    "a text to write": (
        HEADED,
        ("--text", "review", "--target", "stars", "--prefix", "rate it: ", "--max-target-length", "7"),
    ),
}  # fmt: skip


def prepared(tdbs: Command, *words: object) -> Manifest:
    """Prepare, and return the manifest."""
    return read_manifest(Path(tdbs("prepare", *words, "--json").json["path"]))


@pytest.fixture
def file(workplace: Path) -> Path:
    """Return a file whose name a shell would take apart."""
    place = workplace / "my films; 2" / "rows.csv"
    place.parent.mkdir()
    return place


@pytest.mark.parametrize(("rows", "options"), OPTIONS.values(), ids=OPTIONS)
def test_the_command_of_a_dataset_makes_the_same_dataset(
    tdbs: Command, file: Path, workplace: Path, rows: str, options: tuple[str, ...]
):
    """The key is one hash over all contents and options that matter."""
    file.write_text(rows)
    one = prepared(tdbs, file, "--tokenizer", TOKENIZER, *options, "--out", workplace / "one")
    assert unnoted(one) is None
    program, prepare, *words = shlex.split(prepare_command(one))
    assert (program, prepare) == ("tdbs", "prepare")
    again = prepared(tdbs, *words, "--out", workplace / "again")
    assert (again.key, again.key_parts) == (one.key, one.key_parts)


def test_the_command_finds_the_tokenizer_from_any_folder(
    tdbs: Command, file: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    """A folder that was named from another one has its full path; the default model of a run stays as named."""
    file.write_text(HEADED)
    (workplace / "mine").symlink_to(TOKENIZER)
    options = ("--text", "review", "--label", "stars", "--tokenizer")
    one = prepared(tdbs, file, *options, "mine", "--out", workplace / "one")
    assert one.tokenizer.source == "mine"
    assert shlex.split(prepare_command(one))[-2:] == ["--tokenizer", str(workplace / "mine")]
    (workplace / "elsewhere").mkdir()
    monkeypatch.chdir(workplace / "elsewhere")
    again = prepared(tdbs, *shlex.split(prepare_command(one))[2:], "--out", workplace / "again")
    assert again.key == one.key
    assert "tokenizer" not in again.origin


def test_the_sample_needs_no_option(tdbs: Command, workplace: Path):
    """Defaults are left out: the sample's own tokenizer, its lengths and words."""
    assert prepare_command(prepared(tdbs, "sample", "--out", workplace / "s")) == "tdbs prepare sample"


def test_what_a_manifest_lacks_is_said(tdbs: Command, file: Path, workplace: Path):
    """A list of words is known by the name of its file alone, and a command changes what it is told to."""
    file.write_text(HEADED)
    (workplace / "mine.txt").write_text("film\n")
    options = ("--text", "review", "--label", "stars", "--tokenizer", TOKENIZER, "--max-length", 16)
    made = prepared(tdbs, file, *options, "--stopwords", "mine.txt", "--out", workplace / "d")
    assert unnoted(made) == "--stopwords with the path of mine.txt"
    asked = f"tdbs prepare {shlex.quote(str(file))} --text review --label stars --tokenizer {TOKENIZER} --max-length 32"
    assert prepare_command(made, {"max_length": 32}) == asked
    found = tdbs("audit", workplace / "d")
    assert "To each command, add --stopwords with the path of mine.txt.\n" in found.stdout


def fixes(tdbs: Command, dataset: Path) -> dict[str, str]:
    """Return the fix of each finding of train."""
    found: list[dict[str, Any]] = tdbs("audit", dataset, "--json").json["findings"]
    return {each["kind"]: each["fix"] for each in found if each["split"] == "train"}


def test_duplicates_that_cannot_be_dropped_are_to_be_read(tdbs: Command, file: Path, workplace: Path):
    """--drop-duplicates keeps another label: first the command helps, then the rows that are left are named."""
    file.write_text(HEADED)
    options = ("--text", "review", "--label", "stars", "--tokenizer", TOKENIZER)
    prepared(tdbs, file, *options, "--out", workplace / "whole")
    before = fixes(tdbs, workplace / "whole")
    assert before["exact_duplicates"].endswith(" --drop-duplicates exact")  # row 2 has text and label of row 1
    assert before["normalized_duplicates"].endswith(" --drop-duplicates near")  # row 3 does, but for a mark
    words = shlex.split(before["exact_duplicates"])[2:]
    left = prepared(tdbs, *words, "--out", workplace / "left")
    after = fixes(tdbs, workplace / "left")
    assert after["exact_duplicates"] == f"Choose one label for train rows 2 and 1, then run: {prepare_command(left)}"
    assert json.loads((workplace / "left/duplicates.jsonl").read_text())["row"] == 3  # lists count from 1
