"""Half of a surrogate pair in a record or a file's name, which UTF-8 cannot hold, is shown escaped or refused."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TOKENIZER, tree

HALF = "\ud800"
FIELDS = [("source",), ("key",), ("task", "name"), ("task", "classes", 0), ("task", "columns", "text"),
          ("tokenizer", "name"), ("words", "source")]  # fmt: skip
NEXT = "Give files, columns and classes names in UTF-8, and prepare the dataset again."

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")


@pytest.fixture
def dataset(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(small, tmp_path / "d"))


def spoil(dataset, *place):
    manifest = dataset / "manifest.json"
    fields = json.loads(manifest.read_text())
    holder = fields
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = f"{holder[place[-1]] or ''}{HALF}"
    manifest.write_text(json.dumps(fields))


@pytest.mark.parametrize("place", FIELDS)
def test_a_manifest_with_half_of_a_pair_is_read_and_shown_escaped(tdbs, dataset, place):
    spoil(dataset, *place)
    for command in ("inspect", "plan", "estimate-speedup"):
        outcome = tdbs(command, dataset)
        (outcome.stdout + outcome.stderr).encode()
        tdbs(command, dataset, "--json").stdout.encode()


@pytest.mark.parametrize(
    ("place", "setting"),
    [(("source",), "dataset/source"), (("key",), "dataset/key"), (("task", "classes", 1), "task/classes")],
)
def test_a_run_that_its_settings_cannot_hold_is_refused(refused, dataset, finished_run, place, setting):
    """What an earlier run left there stays."""
    spoil(dataset, *place)
    shutil.copytree(finished_run, "run")
    before = tree(Path("run"))
    command = ("train", dataset, "--model", "tiny", "--epochs", 1, "--out", "run", "--overwrite")
    assert refused(*command) == (
        f"The setting {setting} of the run has half of a surrogate pair, which config.toml cannot contain.",
        NEXT,
    )
    assert tree(Path("run")) == before


def test_predictions_and_pages_keep_half_of_a_pair_as_an_escape(tdbs, dataset, finished_run, small_files):
    """The settings of predictions and the page hold it so; JSON reads it back."""
    spoil(dataset, "task", "prefix")
    run = Path(shutil.copytree(finished_run, "run"))
    config = (run / "config.toml").read_text()
    place = next(line for line in config.splitlines() if line.startswith("path ="))
    (run / "config.toml").write_text(config.replace(place, f'path = "{dataset}"'))
    tdbs("predict", run, small_files / "validation.csv", "--out", "out.jsonl")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"score_name": HALF}))
    tdbs("report", run, "--out", "page.html")
    assert Path("page.html").read_bytes().decode()


@only_linux
def test_a_folder_whose_name_is_not_utf8_is_prepared_and_trained_on(tdbs, small_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(small_files, os.fsdecode(b"in\xff")))
    path = tdbs("prepare", folder, "--tokenizer", TOKENIZER, "--json").json["path"]
    manifest = json.loads((Path(path) / "manifest.json").read_bytes())
    assert manifest["origin"]["source"].endswith("in\udcff")
    tdbs("train", path, "--model", "tiny", "--epochs", 1, "--out", "run")


@only_linux
def test_names_that_a_library_cannot_take_are_named(refused, dataset, tmp_path):
    name = os.fsdecode(b"out\xff")
    assert refused("train", dataset, "--model", "tiny", "--epochs", 1, "--out", name) == (
        "The name of out\\udcff is not UTF-8.",
        "Pass another --out.",
    )
    assert not Path(name).exists()
    (tmp_path / os.fsdecode(b"a\xff.parquet")).write_bytes(b"")
    assert refused("prepare", os.fsdecode(b"a\xff.parquet"), "--tokenizer", TOKENIZER) == (
        "UTF-8 cannot hold \\udcff, which is in a name.",
        "Give files and folders names in UTF-8.",
    )
