"""The notebooks run: their code cells in order, in one namespace and an empty folder; what they end with is shown."""

import ast
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.in_process import run_command

FOLDER = ROOT / "docs/notebooks"
SLOW = ("padding.ipynb", "sweep.ipynb")
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
COMMAND = "!tdbs "


@pytest.fixture
def small(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one; the built-in sample is a hundredth."""
    monkeypatch.setattr("tdbs.data.sample._ROWS", {"train": 200, "validation": 50})
    return workplace


def cells(name: str) -> list[dict[str, Any]]:
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert (found["nbformat"], found["metadata"]["language_info"]["name"]) == (4, "python")
    return list(found["cells"])


def shown(name: str, folder: Path) -> Iterator[str]:
    """Run the cells and yield what a notebook shows of the last expression of each."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(name):
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        if source.startswith(COMMAND):
            ended = run_command(*shlex.split(source.removeprefix(COMMAND).format_map(names)), folder=folder)
            assert ended.code == 0, ended.stdout + ended.stderr
            continue
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), names)  # noqa: S102
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)  # noqa: S307
            yield value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NOTEBOOKS]
)
def test_the_cells_of_a_notebook_run(name, small):
    """Whatever a cell ends with can be shown; datasets come with the figure of their lengths."""
    found = list(shown(name, small))
    assert any("<svg" in text for text in found)
    assert all(len(text) < 600 for text in found if not text.startswith("<div"))
    if name == "own_csv.ipynb":
        assert found[-1] == "['5', '1']"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_short_and_has_no_outputs(name):
    """What is printed depends on the machine; a diff shows what was written."""
    found = cells(name)
    assert len(found) <= 12
    assert len({cell["id"] for cell in found}) == len(found)
    assert all(cell.get("outputs", []) == [] and cell.get("execution_count") is None for cell in found)


def test_there_is_a_notebook_for_each_purpose():
    assert NOTEBOOKS == ["own_csv.ipynb", "padding.ipynb", "sweep.ipynb"]
