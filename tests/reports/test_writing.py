"""What lands on disk: the page, and with `files` figures that stand alone, all numbers as JSON and as Markdown."""

import json
import re
from pathlib import Path

import pytest

from tdbs.errors import ConfigError
from tdbs.reports.page import check_place, write_report
from tdbs.reports.report import Report
from tests.reports.conftest import ESTIMATES, make_dataset, make_row, make_summary
from tests.reports.svgs import parse


@pytest.fixture
def report(compared, run_of) -> Report:
    """Return a report on a comparison that has a run with logged steps."""
    comparison = compared()
    comparison.runs["reach"] = run_of()  # type: ignore[index]
    return Report(dataset=make_dataset(), comparison=comparison, estimates=ESTIMATES)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Return the cells of each table, the head first and without the line below it."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", markdown, re.MULTILINE)
    rows = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()] for block in blocks]
    return [[table[0], *table[2:]] for table in rows]


def test_without_files_there_is_the_page_alone(report, tmp_path):
    (tmp_path / "out").mkdir()
    assert write_report(tmp_path / "out/page.html", report) == [tmp_path / "out/page.html"]
    assert names(tmp_path / "out") == {"page.html"}


def test_files_are_in_a_folder_that_is_named_after_the_page(report, tmp_path):
    written = write_report(tmp_path / "page.html", report, files=True)
    folder = tmp_path / "page_files"
    figures = {"lengths", "padding", "time", "prediction", "losses", "overheads", "batch_size", "lr"}
    assert names(folder) == {f"{name}.svg" for name in figures} | {"numbers.json", "numbers.md"}
    assert set(written) == {tmp_path / "page.html", *folder.iterdir()}
    for name in figures:
        assert parse((folder / f"{name}.svg").read_text(encoding="utf-8")).get("width")


def test_numbers_of_the_page_are_there_as_json(report, tmp_path):
    write_report(tmp_path / "page.html", report, files=True)
    found = json.loads((tmp_path / "page_files/numbers.json").read_text(encoding="utf-8"))
    assert found["dataset"]["splits"]["train"]["length_histogram"][:9] == [0, 0, 0, 0, 2, 0, 1, 0, 3]
    assert [row["tokens"] for row in found["strategies"]] == [8000, 4000, 1600]
    assert [row["seconds"] for row in found["comparison"]["rows"]] == [40.0, 40.0, 19.0, 21.0]
    assert found["comparison"]["median_error"] == 0.125
    assert found["overheads"]["run"] == {"plan": 0.5, "train": 19.5, "evaluate": 1.5}
    assert (found["run"], found["drops"], found["caps"]) == (None, None, None)
    assert set(found["figures"]) == {path.name for path in (tmp_path / "page_files").glob("*.svg")}


def test_tables_of_the_page_are_there_as_markdown(report, tmp_path):
    write_report(tmp_path / "page.html", report, files=True)
    text = (tmp_path / "page_files/numbers.md").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    measured, predicted, rows, splits, estimates, overheads = tables_of(text)
    assert measured == [
        ["strategy", "time", "speedup", "score"],
        ["random", "40.0 s", "1.00 ×", "0.8750 (± 0.0125)"],
        ["reach", "20.0 s", "2.00 ×", "0.8750 (± 0.0125)"],
    ]
    assert predicted[2] == ["reach", "20.0 s", "25.0 s", "+25.0 %"]
    assert [row[:3] for row in rows[3:]] == [["reach", "0", "19.0 s"], ["reach", "1", "21.0 s"]]
    assert splits[1] == ["train", "7", "54", "7.7", "16"]
    assert estimates[3] == ["reach", "30", "1,600", "0.0 %", "2.50 × (2.50–2.75)"]
    assert overheads[1] == ["prepare", "1.2 s", "once"]
    for name in re.findall(r"\]\((.+)\)", text):
        assert (tmp_path / "page_files" / name).is_file()


def test_markdown_shows_texts_of_users_as_they_are(compared, tmp_path):
    hostile = "<img src=x> | [a](b) `c`\n# d"
    comparison = compared(
        baseline=hostile,
        device=hostile,
        rows=[make_row(hostile, 0) | {"run": "run"}],
        summary=[make_summary(hostile)],
    )
    report = Report(dataset=make_dataset(source=hostile), comparison=comparison, estimates=[])
    write_report(tmp_path / "page.html", report, files=True)
    text = (tmp_path / "page_files/numbers.md").read_text(encoding="utf-8")
    shown = r"&lt;img src=x&gt; \| \[a\](b) \`c\` \# d"
    assert text.startswith(f"# {shown}\n")
    assert f"| {shown} | 20.0" in text
    assert "<img" not in text


def test_figures_of_an_earlier_report_go_and_files_of_the_user_stay(report, tmp_path):
    write_report(tmp_path / "page.html", report, files=True)
    folder = tmp_path / "page_files"
    (folder / "mine.svg").write_text("mine")
    write_report(tmp_path / "page.html", Report(dataset=make_dataset(), estimates=[]), files=True)
    assert names(folder) == {"mine.svg", "lengths.svg", "overheads.svg", "numbers.json", "numbers.md"}


def test_a_place_that_is_taken_is_refused_unless_it_may_be_overwritten(report, tmp_path):
    page, folder = tmp_path / "page.html", tmp_path / "page_files"
    check_place(page, files=True, overwrite=False)
    folder.mkdir()
    check_place(page, files=True, overwrite=False)  # an empty folder holds nothing
    write_report(page, report, files=True)
    page.unlink()
    with pytest.raises(ConfigError, match=r"page_files already exists. Pass another --out, or --overwrite."):
        check_place(page, files=True, overwrite=False)
    check_place(page, files=True, overwrite=True)
    check_place(page, files=False, overwrite=False)
    page.write_text("")
    with pytest.raises(ConfigError, match=r"page.html already exists. Pass another --out, or --overwrite."):
        check_place(page, files=False, overwrite=False)


@pytest.mark.parametrize("name", ["lengths.svg", "numbers.json"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_the_users_own_is_never_written_to(tmp_path, overwrite, name):
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / name).write_text('{"run": "mine"}')
    with pytest.raises(ConfigError, match=r"page_files contains other files. Pass another --out."):
        check_place(tmp_path / "page.html", files=True, overwrite=overwrite)
