"""A dataset and a run of version 0.1 are read for ever, and so are those of a later tdbs that only added keys.

tests/golden/records was written by the code of that version: 40 texts, a tokenizer of words, a BERT of 8 dimensions.
Never write it anew: where a change cannot read it, the change is wrong, or a new version of the record is due
(docs/format.md, "Versions").
"""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import tomli_w

import tdbs
from tdbs.analysis.conditions.evaluate import newest_over_rates
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.verify import verify
from tdbs.train.evaluate import evaluate
from tdbs.train.run_folder import read_run
from tests.cli.conftest import run_command

GOLDEN = Path(__file__).parent / "golden" / "records"
LENGTHS = [6, 8, 8, 7, 8, 10]  # of the first samples of train
LATER = {"a_later_key": {"nested": [1, {"deep": None}]}}


def with_later_keys(value):
    """Return a value of JSON with a key more in every object."""
    if isinstance(value, dict):
        return {name: with_later_keys(each) for name, each in value.items()} | LATER
    return [with_later_keys(each) for each in value] if isinstance(value, list) else value


def add_later_keys(folder: Path) -> None:
    """Add a key to every object of every record of a dataset and a run, but to maps of one kind of value."""
    for path in (folder / "dataset/manifest.json", folder / "run/result.json", *folder.glob("run/evaluations/*.json")):
        found = json.loads(path.read_text())
        later = with_later_keys(found)
        if path.name == "manifest.json":
            later["splits"] = {name: with_later_keys(found["splits"][name]) for name in found["splits"]}
            later |= {name: found[name] for name in ("key_parts", "seconds")}
        if path.name == "result.json":
            later["metrics"] = found["metrics"]
        path.write_text(json.dumps(later))
    config = folder / "run/config.toml"
    added = {"a_later_key": {"nested": [1]}}
    found = {
        name: value | added if isinstance(value, dict) else value
        for name, value in tomllib.loads(config.read_text()).items()
    }
    config.write_text(tomli_w.dumps(found | added))
    steps = folder / "run/steps.jsonl"
    steps.write_text("".join(json.dumps(json.loads(line) | LATER) + "\n" for line in steps.read_text().splitlines()))


@pytest.fixture(params=["as it was written", "with a key more in every object"])
def golden(request, tmp_path, monkeypatch):
    """Return the folder of the golden records, which is the current one: the run's path to its dataset is relative."""
    shutil.copytree(GOLDEN, tmp_path / "g")
    monkeypatch.chdir(tmp_path / "g")
    if request.param != "as it was written":
        add_later_keys(tmp_path / "g")
    return tmp_path / "g"


def test_the_golden_dataset_is_read(golden):
    dataset = load("dataset")
    assert read_split(dataset, "train").lengths_N[:6].tolist() == LENGTHS
    assert verify(dataset).problems == ()
    assert run_command("inspect", "dataset", "--json").json["statistics"]["rows"] == 30


def test_the_golden_dataset_is_planned_as_its_run_was(golden):
    options = ("--strategy", "tdbs_paper", "--epochs", 2, "--seed", 3)
    planned = run_command("plan", "dataset", *options, "--json").json
    assert planned["plan_digest"] == read_run(Path("run")).config["plan_digest"]
    assert run_command("estimate-speedup", "dataset", "--json").json["baseline"] == "random"


def test_the_golden_run_is_read_and_its_model_scores_as_it_did(golden):
    run = read_run(Path("run"))
    assert [step["batch_size"] for step in run.steps] == [30, 30]
    assert [row.drop_rate for row in newest_over_rates(Path("run"))] == [0.0, 0.5]
    assert evaluate("run").score == pytest.approx(run.result["score"])
    assert run_command("report", "run", "--out", "page.html").code == 0


def test_the_golden_run_predicts(golden):
    Path("in.csv").write_text("text\nthe film was very good\n")
    assert tdbs.predict("run", "in.csv", out="out.jsonl").rows == 1
