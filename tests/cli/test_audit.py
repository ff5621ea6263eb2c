"""`tdbs audit`: what it prints, its JSON, and its page, on a small dataset with known faults."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TOKENIZER, Command, run_command

HEAD = "text,label\n"
Refused = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset whose validation has a sample of train with another label."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "rows").mkdir()
    (folder / "rows/train.csv").write_text(HEAD + "a good film,yes\na bad film,no\n")
    (folder / "rows/validation.csv").write_text(HEAD + "A good film!,no\nan actor,yes\n")
    made = run_command("prepare", folder / "rows", "--tokenizer", TOKENIZER, "--out", folder / "data")
    assert made.code == 0, made.stderr
    return folder / "data"


def test_findings_are_results_and_the_exit_code_is_0(faulty: Path, tdbs: Command):
    """The table, an example with both rows, and the command that fixes it are on stdout."""
    found = tdbs("audit", faulty)
    assert "normalized leaks" in found.stdout
    assert "  validation row 1 [no]: a good film! (and train row 1 [yes])\n" in found.stdout
    again = f"tdbs prepare {faulty.parent / 'rows'} --tokenizer {TOKENIZER}"
    assert f"  fix: {again} --drop-duplicates near --keep-out validation\n" in found.stdout
    assert f"  fix: Choose one label for validation rows 1 and train 1, then run: {again}\n" in found.stdout
    assert "Prepared with at most 128 tokens." in found.stdout


def test_texts_that_show_nothing_are_seen(tdbs: Command, workplace: Path):
    """A tokenizer takes zero-width characters out, and knows no old letters: both would print as nothing."""
    (workplace / "r.csv").write_text(HEAD + "\u200b\u2060,yes\n\U00010c00,no\na film,yes\n", encoding="utf-8")
    tdbs("prepare", "r.csv", "--tokenizer", TOKENIZER, "--out", "d")
    lines = tdbs("audit", "d").stdout.splitlines()
    assert '  train row 1 [yes]: ""' in lines
    assert "  train row 2 [no]: [UNK]" in lines


def test_json_has_one_object_with_the_findings(faulty: Path, tdbs: Command):
    """Kinds, counts and examples; no page was asked for."""
    found = tdbs("audit", faulty, "--json").json
    kinds = {(each["kind"], each["split"]): each["count"] for each in found["findings"]}
    assert kinds["normalized_leaks", "validation"] == 1
    assert kinds["conflicts_with_train", "validation"] == 1
    assert found["warnings"] == sum(each["severity"] == "warning" for each in found["findings"])
    assert (found["html"], found["rows"]) == (None, None)


def test_a_page_is_written_where_nothing_is(faulty: Path, tdbs: Command, refused: Refused, tmp_path: Path):
    page = tmp_path / "audit.html"
    assert tdbs("audit", faulty, "--html", page).stdout.splitlines()[-1] == str(page)
    assert "tdbs audit" in page.read_text(encoding="utf-8")
    assert refused("audit", faulty, "--html", page) == (
        f"{page} already exists.",
        "Pass another --html, or --overwrite.",
    )
    assert tdbs("audit", faulty, "--html", page, "--overwrite", "--json").json["html"] == str(page)
    assert refused("audit", faulty, "--html", tmp_path) == (
        f"{tmp_path} is a folder.",
        "Pass --html with the path of a file.",
    )


def test_the_rows_of_findings_are_written_one_a_line(faulty: Path, tdbs: Command, refused: Refused, tmp_path: Path):
    """They count from 1, as those of duplicates.jsonl; a file of another kind stays."""
    listed, mine = tmp_path / "rows.jsonl", tmp_path / "mine.jsonl"
    assert tdbs("audit", faulty, "--rows", listed).stdout.splitlines()[-1] == str(listed)
    lines = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    found = tdbs("audit", faulty, "--rows", listed, "--overwrite", "--json").json
    assert found["rows"] == str(listed)
    assert lines == [
        {"finding": each["kind"], "split": each["split"], "row": example["row"]}
        for each in found["findings"]
        for example in each["examples"]
    ]
    assert {"finding": "normalized_leaks", "split": "validation", "row": 1} in lines
    assert refused("audit", faulty, "--rows", listed) == (
        f"{listed} already exists.",
        "Pass another --rows, or --overwrite.",
    )
    for text in ('{"finding": "leaks", "split": "train", "row": 1, "mine": 1}\n', "text\n", "[1]\n", "\udcff"):
        mine.write_bytes(text.encode(errors="surrogateescape"))
        assert refused("audit", faulty, "--rows", mine, "--overwrite") == (
            f"{mine} already exists, and tdbs did not write it.",
            "Pass another --rows.",
        )


def test_a_false_negative_is_shown_and_named(tdbs: Command, workplace: Path):
    """The text at fault is behind a query that fills the line, and all rows of the finding are in the list."""
    rows = [{"q": f"{'a long query ' * 9}{n}", "p": f"answer {n}", "n": ["another", f"Answer {n}."]} for n in range(5)]
    (workplace / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    tdbs("prepare", "r.jsonl", "--columns", "q,p,n", "--tokenizer", TOKENIZER, "--out", "d")
    found = tdbs("audit", "d", "--rows", "found.jsonl").stdout
    assert "; at fault: answer 0. (and train row 1)\n" in found
    lines = [json.loads(line) for line in (workplace / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [{"finding": "false_negatives", "split": "train", "row": number} for number in (1, 2, 3, 4, 5)]
    assert [line for line in lines if line["finding"] == "false_negatives"] == wrong


def test_windows_of_questions_are_not_cut(tdbs: Command, workplace: Path):
    """A third of the length makes more windows of the same contexts, and loses no token; prepare says nothing."""
    rows = [
        {"question": "who ?", "context": f"{n} " + "word " * 150, "answers": {"text": ["word"], "answer_start": [2]}}
        for n in range(9)
    ]
    (workplace / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    windows = []
    for length in (64, 24):
        options = ("--max-length", length, "--tokenizer", TOKENIZER, "--out", f"d{length}")
        assert "99%" not in tdbs("prepare", "r.jsonl", *options).stdout
        audited = tdbs("audit", f"d{length}", "--json").json
        told = audited["splits"]["train"]["truncation"]
        lengths = sorted({64, 128, 256, 512, length})
        assert told["cuts"] == [{"max_length": each, "samples": 0, "tokens_lost": 0} for each in lengths]
        assert (told["samples"], told["tokens_lost"], told["keeps_99_percent"]) == (0, 0, None)
        assert "truncation" not in {each["kind"] for each in audited["findings"]}
        windows.append(audited["splits"]["train"]["rows"])
    assert windows[1] > 2 * windows[0] > 2 * len(rows)
    page = tdbs("audit", "d64").stdout
    assert "Samples are windows: no length cuts them, a shorter one makes more of them.\n" in page
    assert [line.split() for line in page.splitlines() if line.startswith("train  ")][-1] == [
        "train",
        "64",
        "0",
        "0",
        "–",
    ]


def test_a_folder_that_is_not_a_dataset_is_refused(refused: Refused, tmp_path: Path):
    assert refused("audit", tmp_path) == (
        f"{tmp_path} is not a prepared dataset: it has no manifest.json.",
        "Run tdbs prepare, or pass the folder that it printed.",
    )


def test_a_scored_run_adds_the_labels_that_are_likely_wrong(
    small: Path, tdbs: Command, refused: Refused, workplace: Path
):
    """Count and order are those of `tdbs score`; a run that is not scored is refused with the command to run."""
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--out", "run")
    assert refused("audit", small, "--scores", "run") == ("The run run is not scored.", "Run: tdbs score run")
    scored = tdbs("score", "run", "--label-errors", 3, "--json").json
    assert scored["suspected"] >= 3
    [found] = [
        each
        for each in tdbs("audit", small, "--scores", "run", "--json").json["findings"]
        if each["kind"] == "likely_label_errors"
    ]
    assert (found["split"], found["count"]) == ("train", scored["suspected"])
    assert [(each["row"], each["label"]) for each in found["examples"]] == [
        (each["source_row"] + 1, each["label"]) for each in scored["label_errors"]
    ]


def test_scores_of_another_source_are_refused(
    faulty: Path, small: Path, tdbs: Command, refused: Refused, workplace: Path
):
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--out", "run")
    tdbs("score", "run")
    assert refused("audit", faulty, "--scores", "run") == (
        f"The run run was trained on another source than that of {faulty}.",
        "Name a run on the same source.",
    )


def test_a_bound_of_memory_changes_nothing_of_the_result(faulty: Path, tdbs: Command, refused: Refused):
    """The least memory that is enough; less is refused with what is."""
    message, next_step = refused("audit", faulty, "--memory", "100MiB")
    assert message.startswith("--memory 100MiB is too little memory for tdbs audit: 4 samples take ")
    least = next_step.removeprefix("Pass --memory ").removesuffix(" or more.")
    assert tdbs("audit", faulty, "--memory", least, "--json").json == tdbs("audit", faulty, "--json").json
