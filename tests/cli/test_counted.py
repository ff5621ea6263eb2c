"""What `tdbs prepare` prints of repeated rows and cut samples, again if nothing is to be done, and its JSON."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import TOKENIZER, Command

HEAD = "text,label\n"
SAYS_WHICH = "tdbs audit says which, and finds near repeats."


def write(folder: Path, name: str, rows: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of ten rows of train, of which three repeat others, and four of validation."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "rows"
    texts = ["a film,yes", "a film,no", "a film,yes", "an actor,no", "an actor,no"]
    write(folder, "train.csv", texts + [f"a film of {word},yes" for word in ("war", "love", "them", "us", "it")])
    write(folder, "validation.csv", ["an actor,yes", "a song,no", "a song,no", "a play,yes"])
    return folder


def lines_of(stdout: str) -> list[str]:
    """Return the lines between the table and the path."""
    return stdout.splitlines()[3:-1]


def test_repeated_rows_are_counted_below_the_table(rows: Path, tdbs: Command) -> None:
    """By hand: rows 2, 3 and 5 of train, of which 1, 2 and 3 conflict; one of validation repeats, one is in train."""
    options = ("prepare", "rows", "--tokenizer", TOKENIZER, "--out", "one")
    expected = [
        "Rows that repeat an earlier one token by token: 3 of train (30.0%), 1 of validation (25.0%). "
        "With the same tokens and another label: 3 of train (30.0%).",
        "Rows that stand in train token by token: 1 of validation (25.0%).",
        SAYS_WHICH,
    ]
    assert lines_of(tdbs(*options).stdout) == expected
    again = tdbs(*options)
    assert "Nothing to do" in again.stderr
    assert lines_of(again.stdout) == expected


def test_json_has_the_counts_of_each_split(rows: Path, tdbs: Command) -> None:
    """Those of train have no leaks; with --drop-duplicates they are of the rows that stay."""
    options = ("prepare", "rows", "--tokenizer", TOKENIZER, "--json")
    keys = ("exact_duplicates", "conflicts", "leaks", "cut", "cut_targets")
    found = tdbs(*options, "--out", "one").json["splits"]
    assert [found["train"][key] for key in keys] == [3, 3, None, 0, 0]
    assert [found["validation"][key] for key in keys] == [1, 0, 1, 0, 0]
    left = tdbs(*options, "--out", "two", "--drop-duplicates", "exact", "--keep-out", "validation").json["splits"]
    assert [left["train"][key] for key in keys] == [1, 2, None, 0, 0]
    assert [left["validation"][key] for key in keys] == [1, 0, 0, 0, 0]


def test_without_repeats_one_line_says_so(tmp_path: Path, tdbs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a dataset that was made before they were counted says nothing."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows", "train.csv", ["a film,yes", "a song,no"])
    options = ("prepare", "rows", "--tokenizer", TOKENIZER, "--out", "one")
    assert tdbs(*options).stdout.splitlines()[2:-1] == [
        "No row repeats another token by token; tdbs audit looks closer."
    ]
    path = tmp_path / "one/manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["splits"]["train"]["repeats"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert tdbs(*options).stdout.splitlines()[2:-1] == []
    assert tdbs(*options, "--json").json["splits"]["train"]["leaks"] is None


def test_cut_samples_and_targets_are_said_where_an_audit_warns(
    tmp_path: Path, tdbs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same number as the audit's; targets have a line of their own, after the line of targets."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"text": f"film {n} " * (20 if n % 5 == 0 else 1), "target": f"end {n} " * (9 if n % 10 == 0 else 1)}
        for n in range(90)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = ("--target", "target", "--max-length", "24", "--max-target-length", "12", "--tokenizer", TOKENIZER)
    lines = tdbs("prepare", "rows.jsonl", *options, "--out", "one").stdout.splitlines()[3:-1]
    assert lines == [
        "Samples cut at 24 tokens: 18 of train (20.0%); 62 tokens keep 99% of them whole.",
        "Targets cut at 12 tokens: 9 of train (10.0%); 29 tokens keep 99% of them whole.",
        SAYS_WHICH,
    ]
    found = {each["kind"]: each["count"] for each in tdbs("audit", "one", "--json").json["findings"]}
    assert (found["truncation"], found["target_truncation"]) == (18, 9)
