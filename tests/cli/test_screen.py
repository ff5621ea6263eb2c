"""Nothing that a file holds steers a terminal: no text, label, column, split or file name, and no option either."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.text import Text

from tdbs.cli.progress import counting, spinner
from tdbs.cli.screen import NOTES, print_lines, say, show
from tdbs.reports.samples import ShownDrop, ShownSample
from tdbs.reports.terminal import drop_lines, plain_table, sample_lines
from tdbs.shown import shown
from tests.cli.conftest import TOKENIZER, Outcome, run_command

TITLE = "\x1b]0;pwned\x07"
MARKUP = "[red]x[/red]"
HOSTILE = f"{MARKUP} {TITLE} \x9b31m \u202e$\\alpha$ <b>|`"
FOLDER = f"[b]{TITLE}[b]\u202e $a$ `|"
LABELS = (f"{MARKUP}{TITLE}", "good\u202e\x9b$x$")


def shown_whole(outcome: Outcome) -> None:
    """Fail where anything is left that a terminal obeys, or where a traceback was printed."""
    for stream in (outcome.stdout, outcome.stderr):
        assert shown(stream, lines=True) == stream
    assert "Traceback" not in outcome.stderr


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file whose name, columns, texts and labels are all hostile."""
    folder = tmp_path_factory.mktemp("hostile") / FOLDER
    folder.mkdir()
    with (folder / f"[red]x{TITLE}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[f"the film {HOSTILE} of it is {'good ' * (i % 5)}", LABELS[i % 2]] for i in range(40)]
        csv.writer(file).writerows([[f"{TITLE}text", f"{MARKUP}\x9blabel"], *rows])
    return folder


@pytest.fixture(scope="module")
def prepared(hostile: Path) -> tuple[Path, Outcome]:
    """Return the hostile file prepared, and how that went."""
    out = hostile / f"prepared {TITLE}"
    columns = ("--text", f"{TITLE}text", "--label", f"{MARKUP}\x9blabel", "--validation", 0.25)
    [file] = hostile.glob("*.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(hostile)
        outcome = run_command("prepare", file, "--tokenizer", TOKENIZER, *columns, "--out", out)
    assert outcome.code == 0, outcome.stderr
    return out, outcome


@pytest.fixture(scope="module")
def trained(hostile: Path, prepared: tuple[Path, Outcome]) -> tuple[Path, Outcome]:
    run = hostile / f"run {TITLE}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(hostile)
        outcome = run_command("train", prepared[0], "--model", "tiny", "--epochs", 1, "--out", run)
    assert outcome.code == 0, outcome.stderr
    return run, outcome


def test_no_cell_of_a_table_is_cut_off_in_a_narrow_terminal(prepared, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for command in ("inspect", "plan", "estimate-speedup", "env"):
        outcome = run_command(command, *([] if command == "env" else [prepared[0]]))
        assert outcome.code == 0, outcome.stderr
        assert "…" not in outcome.stdout, command


def test_prepare_and_train_print_hostile_names_escaped(prepared, trained):
    for _, outcome in (prepared, trained):
        shown_whole(outcome)
        assert "pwned" in outcome.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "--samples", 5),
        ("inspect", "--samples", 5, "--drop"),
        ("inspect", "--samples", 5, "--json"),
        ("inspect", "--split", TITLE),
        ("plan",),
        ("estimate-speedup",),
        ("verify",),
    ],
)
def test_commands_on_a_dataset_print_hostile_texts_escaped(prepared, command):
    outcome = run_command(command[0], prepared[0], *command[1:])
    shown_whole(outcome)
    if command == ("inspect", "--samples", 5):
        assert f"{MARKUP}\\x1b]0;pwned\\x07" in outcome.stdout


def test_texts_of_samples_are_shown_escaped_and_words_keep_their_marks(capsys):
    pieces = (("\x1b[2J\x07the", True), (" film\x9b", False), ("\x08 \u202eof", True))
    sample = ShownSample(sample_id=3, length=4, label=f"{MARKUP}{TITLE}", pieces=pieces)
    for line in (*sample_lines([sample]), *drop_lines([ShownDrop(before=sample, after=sample)])):
        show(line)
    printed = capsys.readouterr().out
    text = "[\\x1b[2J\\x07the] film\\x9b[\\x08 \\u202eof]"
    label = f"{MARKUP}\\x1b]0;pwned\\x07"
    assert printed.splitlines() == [
        f"3 (4 tokens, {label}): {text}",
        f"3 before (4 tokens, {label}): {text}",
        f"3 after  (4 tokens, {label}): {text}",
    ]


@pytest.mark.real_data
def test_inspect_shows_texts_of_a_tokenizer_that_keeps_every_byte(hostile, shared, workplace):
    """The sample's tokenizer takes control characters out; RoBERTa's has a token for each byte."""
    [file] = hostile.glob("*.csv")
    columns = ("--text", f"{TITLE}text", "--label", f"{MARKUP}\x9blabel")
    tokenizer = shared / "tokenizers/roberta-base"
    assert run_command("prepare", file, "--tokenizer", tokenizer, *columns, "--out", workplace / "d").code == 0
    outcome = run_command("inspect", workplace / "d", "--samples", 5)
    shown_whole(outcome)
    assert f"{MARKUP} \\x1b]0;pwned\\x07 \\x9b31m \\u202e$" in outcome.stdout


@pytest.mark.parametrize(
    ("name", "shown_name"), [(MARKUP, MARKUP), (TITLE, "\\x1b]0;pwned\\x07"), ("a\nError: b", "a\\nError: b")]
)
def test_a_split_named_in_the_manifest_is_refused_and_shown_as_it_is(prepared, tmp_path, monkeypatch, name, shown_name):
    """Split names are keys of a file that anybody can write; in tables they were read as markup."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "d"
    place.mkdir()
    manifest = json.loads((prepared[0] / "manifest.json").read_text(encoding="utf-8"))
    manifest["splits"][name] = manifest["splits"]["validation"]
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for folder in ("train", "validation"):
        (place / folder).symlink_to(prepared[0] / folder)
    for file in prepared[0].iterdir():
        if not (place / file.name).exists():
            (place / file.name).symlink_to(file)
    outcome = run_command("inspect", place, "--samples", 0)
    assert outcome.code == 1
    assert f"splits: '{shown_name}' is not a name of a split" in outcome.stderr
    assert "\x1b" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", f"{HOSTILE}.csv"),
        ("prepare", "sample", "--tokenizer", HOSTILE),
        ("prepare", "sample", "--text", HOSTILE),
        ("inspect", HOSTILE),
        ("plan", "--strategy", HOSTILE),
        ("train", "--model", HOSTILE),
        ("report", HOSTILE),
        ("evaluate", HOSTILE),
        ("predict", HOSTILE, "in.csv"),
        ("reproduce", HOSTILE),
        ("sweep", "--space", HOSTILE),
        ("verify", HOSTILE),
        ("compare", "--profile", HOSTILE),
        (HOSTILE,),
        ("plan", f"--{HOSTILE}"),
        ("plan", "--epochs", HOSTILE),
        ("plan", "a", HOSTILE),
    ],
)
def test_errors_quote_options_escaped_those_of_the_parser_too(arguments, prepared, workplace):
    (workplace / "data").mkdir()
    (workplace / "data/latest.json").write_text(json.dumps({"path": str(prepared[0])}))
    outcome = run_command(*arguments)
    assert outcome.code in (1, 2)
    shown_whole(outcome)
    if outcome.code == 1:
        assert outcome.error


def test_an_error_is_two_lines_whatever_it_quotes(workplace):
    outcome = run_command("inspect", "a\nNext:  run something else")
    assert outcome.stderr.count("\n") == 2
    assert "a\\nNext:  run something else" in outcome.stderr


def test_columns_in_an_error_are_escaped(hostile, workplace):
    [file] = hostile.glob("*.csv")
    outcome = run_command("prepare", file, "--tokenizer", TOKENIZER, "--text", "none")
    shown_whole(outcome)
    assert "\\x1b]0;pwned\\x07text" in outcome.error[0]


def test_predictions_on_stdout_hold_nothing_that_a_terminal_obeys(trained, hostile, tmp_path):
    [file] = hostile.glob("*.csv")
    outcome = run_command("predict", trained[0], file, "--text", f"{TITLE}text")
    assert outcome.code == 0, outcome.stderr
    shown_whole(outcome)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert {row["prediction"] for row in rows} <= set(LABELS)
    assert set(rows[0]["scores"]) == set(LABELS)
    written = run_command("predict", trained[0], file, "--text", f"{TITLE}text", "--out", tmp_path / f"{TITLE}.jsonl")
    shown_whole(written)
    assert (tmp_path / f"{TITLE}.jsonl").read_text(encoding="utf-8") == outcome.stdout


def test_a_report_holds_no_control_character_and_its_figures_are_xml(trained, tmp_path):
    page = tmp_path / f"{TITLE}page.html"
    outcome = run_command("report", trained[0], "--out", page, "--files")
    assert outcome.code == 0, outcome.stderr
    shown_whole(outcome)
    files = [page, *page.with_name(f"{page.stem}_files").iterdir()]
    for file in files:
        if file.suffix in (".html", ".md", ".svg"):
            text = file.read_text(encoding="utf-8")
            assert shown(text, lines=True) == text, file
        if file.suffix == ".svg":
            ET.parse(file)  # noqa: S314  (our own file)
    assert sum(file.suffix == ".svg" for file in files) >= 3


def test_what_reaches_the_screen_as_rich_text_or_in_a_cell_is_escaped_and_measured(capsys):
    table = plain_table(TITLE, "n")
    table.add_row(HOSTILE, "1")
    table.add_row(Text("\x1b[31m"), "2")
    show(table)
    show(Text(f"a {TITLE}", style="bold"))
    print_lines(HOSTILE, "two\nlines")
    say(HOSTILE, "two\nlines")
    streams = capsys.readouterr()
    assert streams.err == f"{shown(HOSTILE)}\ntwo\\nlines\n"
    printed = streams.out
    assert shown(printed, lines=True) == printed
    assert MARKUP in printed
    assert "two\\nlines" in printed
    assert printed.splitlines()[1].endswith(" 1")
    assert "\\x1b]0;pwned\\x07" in printed


def test_progress_shows_names_escaped(capsys, monkeypatch):
    """On a terminal the bars themselves are control sequences: the name in them is not."""
    monkeypatch.setattr(NOTES, "_force_terminal", True)
    with spinner("compare") as advance:
        advance(f"{MARKUP}{TITLE}")
    with counting() as advance:
        advance(f"{MARKUP}{TITLE}", 1, 2, brief=TITLE)
    printed = capsys.readouterr().err
    assert "\x1b]0;" not in printed
    assert "\x07" not in printed
    assert printed.count(f"{MARKUP}\\x1b]0;pwned\\x07") >= 2
