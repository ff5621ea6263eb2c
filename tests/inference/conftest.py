"""Fixtures: checkpoints of every kind, and files to predict."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tdbs.train.trainer import train
from tests.built_in import sample_tables
from tests.inference.models import save_checkpoint
from tests.train.grouped import grouped_dataset


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that saves a small checkpoint of a kind of task, once a session."""
    made: dict[str, Path] = {}

    def checkpoint(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_checkpoint(tmp_path_factory.mktemp(kind) / kind, kind)
        return made[kind]

    return checkpoint


@pytest.fixture(scope="session")
def grouped_run(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that trains on queries with texts, once a session for each task and settings.

    The folder has `run`, its dataset in `data/prepared`, and the dataset's files beside it.
    """
    made: dict[str, Path] = {}

    def run(task: str, **settings: object) -> Path:
        key = f"{task} {settings}"
        if key not in made:
            made[key] = place = tmp_path_factory.mktemp(task)
            dataset = grouped_dataset(place / "data", task=task, rows=24)
            train(dataset, out=place / "run", model="tiny", epochs=1, lr=3e-3, precision="fp32", **settings)
        return made[key]

    return run


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return 155 texts of the sample corpus, and one of a space."""
    return [*sample_tables()["validation"]["text"].to_pylist()[:155], " "]


@pytest.fixture
def csv_file(tmp_path, texts) -> Path:
    return write_csv(tmp_path / "in.csv", ["text"], [[text] for text in texts])


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").splitlines()]
