"""What commands note and record, with what rights, and where: the last dataset and run, and themselves for a shell."""

import dataclasses
import json
import os
import shlex
import shutil
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tdbs.analysis.conditions.asked import Question
from tdbs.analysis.conditions.evaluate import evaluation_path
from tdbs.analysis.sweep.result import SweepTerms
from tdbs.analysis.sweep.search import sweep
from tdbs.cli import app
from tdbs.cli.common import shown_command
from tdbs.inference.predict import predict
from tdbs.pipeline.prepare import prepare
from tdbs.reports.page import markdown_code, write_report
from tdbs.reports.report import report_on_run
from tdbs.train.checkpoint import CheckpointRule
from tdbs.train.run_folder import default_run_folder
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.pipeline.test_prepare import write_csv
from tests.train.test_trainer import make_dataset

TINY = {"model": "tiny", "epochs": 1, "precision": "fp32"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("places"), train_rows=40, validation_rows=10)


def invoke(*words: str) -> dict:
    found = CliRunner().invoke(app, [*words, "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_python_functions_write_what_they_are_asked_for_and_no_more(dataset, workplace):
    """`./data/latest.json` and `./runs/latest.json` are the command line's."""
    source = str(dataset.path.parent / "files")
    prepare(source, tokenizer=str(dataset.path), out=workplace / "d")
    prepare(source, tokenizer=str(dataset.path), out=workplace / "d")
    train(dataset, **TINY, out=workplace / "r")
    assert sorted(path.name for path in workplace.iterdir()) == ["d", "r"]


def test_the_command_line_notes_its_last_dataset_and_run(dataset, workplace):
    source = str(dataset.path.parent / "files")
    prepared = invoke("prepare", source, "--tokenizer", str(dataset.path), "--out", "d")
    trained = invoke("train", "--model", "tiny", "--epochs", "1", "--out", "r")
    assert json.loads(Path("data/latest.json").read_text()) == {"path": prepared["path"]} == {"path": "d"}
    assert json.loads(Path("runs/latest.json").read_text()) == {"path": trained["run"]} == {"path": "r"}
    assert invoke("evaluate")["score"] == trained["score"]


@pytest.mark.parametrize(
    "source",
    ["../..", "/", *(pytest.param(name, marks=pytest.mark.slow) for name in ("../../../etc", "..", "a/../../b"))],
)
def test_what_a_manifest_calls_its_source_places_no_run_outside(dataset, workplace, source):
    """A manifest may come from anyone."""
    (workplace / "here").mkdir()
    os.chdir(workplace / "here")
    told = dataclasses.replace(dataset, manifest=dataclasses.replace(dataset.manifest, source=source))
    runs = (workplace / "here/runs").resolve()
    run = Path(train(told, **TINY, strategy="random").run)
    assert runs in run.resolve().parents
    assert [path.name for path in workplace.iterdir()] == ["here"]
    assert runs in default_run_folder(source, "../../x", 0).resolve().parents


def test_the_name_of_a_split_places_no_evaluation_outside(dataset, tmp_path):
    asked = Question(conditions=(), draws=1, seed=0, timed=False)
    path = evaluation_path(tmp_path / "run", dataset, "../../../x", asked)
    assert path.resolve().parent == tmp_path / "run/evaluations"


@pytest.mark.parametrize("source", ["../..", pytest.param("/etc", marks=pytest.mark.slow)])
def test_comparisons_and_sweeps_without_a_place_lie_below_runs(dataset, workplace, source):
    told = json.loads((dataset.path / "manifest.json").read_text())
    forged = workplace / "forged"
    shutil.copytree(dataset.path, forged)
    (forged / "manifest.json").write_text(json.dumps(told | {"source": source}))
    invoke("compare", str(forged), "--steps", "1", "--strategy", "random", "--model", "tiny", "--epochs", "1")
    invoke("sweep", str(forged), "--lr", "1e-3", "--model", "tiny", "--epochs", "1")
    assert sorted(path.name for path in workplace.iterdir()) == ["forged", "runs"]
    assert sorted(path.parent.name for path in (workplace / "runs").glob("*/*/settings.json")) != []


@pytest.mark.parametrize(
    "words", [["--text", "my column"], ["--out", "a;rm -r b"], ["--lr", "3e-5,4e-5"], ["it's", "$HOME", "`x`"]]
)
def test_a_recorded_command_is_what_a_shell_takes(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tdbs", "sweep", "/home/me/my data/d", *words])
    assert shlex.split(shown_command()) == ["tdbs", "sweep", "my data/d", *words]


@pytest.mark.parametrize(
    ("command", "span"), [("tdbs x", "`tdbs x`"), ("tdbs '`x`'", "``tdbs '`x`'``"), ("a``b", "```a``b```")]
)
def test_a_command_with_backticks_is_code_on_a_page_too(command, span):
    assert markdown_code(command) == span


def test_all_files_have_the_rights_that_the_umask_gives(dataset, workplace):
    """A dataset, a run with its model and checkpoints, a sweep with its storage, predictions, a report: of one kind."""
    before = os.umask(0o026)
    try:
        prepare(str(dataset.path.parent / "files"), tokenizer=str(dataset.path), out="d")
        run = train(dataset, **TINY, out="r").run
        stop = Stop(number=15)
        with pytest.raises(StoppedError):
            train(dataset, **TINY, out="stopped", stop=stop, checkpoints=CheckpointRule(steps=1))
        terms = SweepTerms(seeds=(0,), model="tiny", epochs=1, precision="fp32")
        sweep(dataset, {"lr": (1e-3,)}, terms, out=Path("s"))
        predict(run, write_csv(workplace / "in.csv", [("a film",)], header=("text",)), out="p.jsonl")
        write_report(Path("page.html"), report_on_run(Path(run)), files=True)
        invoke("plan", str(dataset.path), "--out", "plan.parquet")
    finally:
        os.umask(before)
    found = {path.relative_to(workplace): path.stat().st_mode for path in workplace.rglob("*")}
    assert {"model.safetensors", "trials.db", "optimizer.safetensors"} <= {path.name for path in found}
    wrong = {
        str(path): oct(stat.S_IMODE(mode))
        for path, mode in found.items()
        if stat.S_IMODE(mode) != (0o751 if stat.S_ISDIR(mode) else 0o640)
    }
    assert wrong == {}
