"""Helpers of the command line's tests: one way to run a command in this process, and a small corpus of the sample's."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tdbs.data.sample import TOKENIZER_FOLDER
from tests.built_in import sample_tables

TRAIN_ROWS, VALIDATION_ROWS = 200, 60
TOKENIZER = str(TOKENIZER_FOLDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; anything else there, and NaN, fails the test."""
        assert self.stdout.endswith("\n")
        assert self.stdout.count("\n") == 1, self.stdout
        found = json.loads(self.stdout, parse_constant=_refuse_constant)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> tuple[str, str]:
        """Cause and next step: the last two lines of stderr, once it is sure that the rest is no traceback."""
        assert "Traceback" not in self.stderr, self.stderr
        cause, next_step = self.stderr.splitlines()[-2:]
        assert cause.startswith("Error: "), self.stderr
        assert next_step.startswith("Next:  "), self.stderr
        return cause.removeprefix("Error: "), next_step.removeprefix("Next:  ")


Command = Callable[..., Outcome]


def run_command(*arguments: object) -> Outcome:
    """Run a command in this process; only a missing option of ours may end it with an exception."""
    from tdbs.cli import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return Outcome(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)


@pytest.fixture
def tdbs() -> Command:
    """Return a function that runs a command and expects it to succeed."""

    def run(*arguments: object) -> Outcome:
        outcome = run_command(*arguments)
        assert outcome.code == 0, outcome.stderr
        return outcome

    return run


@pytest.fixture
def refused() -> Callable[..., tuple[str, str]]:
    """Return a function that runs a command which must end with exit code 1, and gives its two lines."""

    def run(*arguments: object) -> tuple[str, str]:
        outcome = run_command(*arguments)
        assert (outcome.code, outcome.stdout) == (1, ""), outcome.stderr
        return outcome.error

    return run


@pytest.fixture
def untouched() -> Callable[..., Any]:
    """Return a context manager that fails where anything below the folders was written, changed or removed."""
    from contextlib import contextmanager

    @contextmanager
    def watch(*folders: Path) -> Iterator[None]:
        before = [tree(folder) for folder in folders]
        yield
        assert [tree(folder) for folder in folders] == before

    return watch


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with train.csv and validation.csv: the first rows of the built-in sample."""
    folder = tmp_path_factory.mktemp("files") / "small"
    folder.mkdir()
    tables = sample_tables()
    for split, rows in (("train", TRAIN_ROWS), ("validation", VALIDATION_ROWS)):
        table = tables[split].slice(0, rows)
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
    return folder


@pytest.fixture(scope="session")
def small(small_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small corpus, prepared with the sample's tokenizer. Tests do not change it."""
    place = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        outcome = run_command("prepare", small_files, "--tokenizer", TOKENIZER, "--out", place / "small")
    assert outcome.code == 0, outcome.stderr
    return place / "small"


@pytest.fixture(scope="session")
def finished_run(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a tiny model on the small corpus. Tests do not change it."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        outcome = run_command("train", small, "--model", "tiny", "--epochs", 1, "--out", place / "run")
    assert outcome.code == 0, outcome.stderr
    return place / "run"


def tree(folder: Path) -> dict[str, str]:
    """Return every file and folder below `folder`, hidden ones too, files with the hash of their contents."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def _refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
