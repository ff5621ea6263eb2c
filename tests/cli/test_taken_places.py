"""A command that writes one file replaces what tdbs wrote, if asked, and never a file of the user's.

The last option of each command names the file. Each has a way to know its own files by their contents.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command

Refused = Callable[..., tuple[str, str]]
CSV = "text,label\nI keep this,1\n"
PAGE = "<!doctype html><title>My own report</title>"


def words_of(command: str, dataset: Path, run: Path, rows: Path) -> tuple[object, ...]:
    """Return a command without the file that it writes."""
    return {
        "audit": ("audit", dataset, "--html"),
        "plan": ("plan", dataset, "--epochs", 1, "--out"),
        "predict": ("predict", run, rows, "--text", "text", "--precision", "fp32", "--out"),
        "profile": ("profile", dataset, "--model", "tiny", "--out"),
        "report": ("report", run, "--out"),
    }[command]


NAMES = {"audit": "a.html", "plan": "p.parquet", "predict": "o.jsonl", "profile": "p.json", "report": "r.html"}


@pytest.fixture
def rows(workplace: Path) -> Path:
    """Return a file of two texts."""
    place = workplace / "rows.csv"
    place.write_text("text\na good film\na bad film\n")
    return place


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize("contents", [CSV, PAGE, '{"text": "mine"}\n'], ids=["table", "page", "json"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_file_of_the_users_stays(
    small: Path,
    finished_run: Path,
    rows: Path,
    refused: Refused,
    workplace: Path,
    command: str,
    contents: str,
    overwrite: tuple[str, ...],
):
    """With and without --overwrite; what to do names the option of this command."""
    mine = workplace / NAMES[command]
    mine.write_text(contents)
    *words, option = words_of(command, small, finished_run, rows)
    assert refused(*words, option, mine, *overwrite) == (
        f"{mine} already exists, and tdbs did not write it.",
        f"Pass another {option}.",
    )
    assert mine.read_text() == contents


PLACES = [
    (name, "out") for name in ("compare", "plan", "predict", "prepare", "profile", "report", "reproduce", "sweep")
]
PLACES += [("train", "out"), ("push", "out"), ("audit", "html"), ("audit", "rows")]


@pytest.mark.parametrize(("command", "option"), PLACES)
def test_a_dash_is_not_the_name_of_a_file(refused: Refused, workplace: Path, command: str, option: str):
    """As an input it is stdin; as an output it would be a file or folder that a shell can hardly name."""
    words = {"predict": ("model", "-"), "reproduce": ("table1",), "push": ("data/mine", "me/mine")}.get(command, ())
    assert refused(command, *words, f"--{option}", "-") == (
        f"--{option} takes a path, and - would be a file or folder of that name, not stdout.",
        f"Pass another name after --{option}.",
    )
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", [name for name in NAMES if name != "profile"])  # that takes minutes
def test_a_file_of_tdbs_is_replaced_only_if_asked(
    small: Path, finished_run: Path, rows: Path, tdbs: Command, refused: Refused, workplace: Path, command: str
):
    """The command knows what it wrote itself."""
    *words, option = words_of(command, small, finished_run, rows)
    place = workplace / NAMES[command]
    tdbs(*words, option, place)
    assert refused(*words, option, place) == (f"{place} already exists.", f"Pass another {option}, or --overwrite.")
    tdbs(*words, option, place, "--overwrite")


def test_the_default_page_of_a_report_is_written_again_but_not_over_a_file_of_the_users(
    finished_run: Path, tdbs: Command, refused: Refused, workplace: Path
):
    """Nobody named that place, so a file of the user's there is a surprise, too."""
    page = Path(tdbs("report", finished_run).stdout.strip())
    assert (workplace / page).is_file()
    tdbs("report", finished_run)
    page.write_text(PAGE)
    assert refused("report", finished_run) == (
        f"{page} already exists, and tdbs did not write it.",
        "Pass another --out.",
    )


def test_a_report_goes_into_a_folder_that_has_none(finished_run: Path, tdbs: Command, workplace: Path):
    """A folder as --out is where report.html goes: nothing of the folder's is replaced."""
    (workplace / "pages").mkdir()
    (workplace / "pages/notes.txt").write_text("mine")
    tdbs("report", finished_run, "--out", "pages")
    assert sorted(path.name for path in (workplace / "pages").iterdir()) == ["notes.txt", "report.html"]
