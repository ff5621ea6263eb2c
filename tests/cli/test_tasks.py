"""All nine GLUE tasks of the real data, through the command line: kinds, classes, and the paper's policies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from tdbs.data.tasks import HUB_TASKS
from tests.cli.conftest import run_command

pytestmark = pytest.mark.real_data

ROWS = 100  # of each split, in a mirror of our own
# task: classes in label order (none: regression), splits that are scored or reported, metrics
TASKS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "cola": (("unacceptable", "acceptable"), ("validation",), ("matthews",)),
    "sst2": (("negative", "positive"), ("validation",), ("accuracy",)),
    "mrpc": (("not_equivalent", "equivalent"), ("validation",), ("accuracy", "f1")),
    "qqp": (("not_duplicate", "duplicate"), ("validation",), ("accuracy", "f1")),
    "stsb": ((), ("validation",), ("pearson", "spearman")),
    "mnli": (
        ("entailment", "neutral", "contradiction"),
        ("validation_matched", "validation_mismatched"),
        ("accuracy",),
    ),
    "qnli": (("entailment", "not_entailment"), ("validation",), ("accuracy",)),
    "rte": (("entailment", "not_entailment"), ("validation",), ("accuracy",)),
    "wnli": (("not_entailment", "entailment"), ("validation",), ("accuracy",)),
}
LIKE_ANOTHER = {"qqp", "qnli", "rte", "wnli", "sst2"}  # in kind, columns, splits or metrics
PAIRS = set(TASKS) - {"cola", "sst2"}
COLA_RULE = "task 'glue/cola' judges grammar; TokenDrop would break its labels (paper, section 3)"
# The personal pronouns of the paper's list: WNLI asks what one of them stands for.
PRONOUNS = {"i", "me", "my", "we", "our", "you", "your", "he", "him", "his", "she", "her", "it", "its", "they", "them"}


@pytest.fixture(scope="module")
def mirror(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a mirror with the first rows of every split."""
    folder = tmp_path_factory.mktemp("mirror")
    for task in TASKS:
        for file in (shared / "datasets/glue" / task).glob("*.parquet"):
            place = folder / "glue" / task / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetFile(file) as whole:
                pq.write_table(whole.read().slice(0, ROWS), place)
    return folder


@pytest.fixture(scope="module")
def prepared(mirror: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that prepares a task, once."""
    place = tmp_path_factory.mktemp("tasks")
    made: dict[str, Path] = {}

    def prepare(task: str) -> Path:
        if task not in made:
            tokenizer = shared / "tokenizers/bert-base-uncased"
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                options = ("--mirror", mirror, "--tokenizer", tokenizer, "--out", place / task)
                outcome = run_command("prepare", f"glue/{task}", *options)
            assert outcome.code == 0, outcome.stderr
            made[task] = place / task
        return made[task]

    return prepare


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_every_task_of_the_table_is_tested():
    assert {f"glue/{name}" for name in TASKS} == {name for name in HUB_TASKS if name.startswith("glue/")}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LIKE_ANOTHER else name for name in TASKS]
)
def test_a_task_is_prepared_planned_and_trained_on(prepared, tdbs, mirror, workplace, name):
    classes, validation, metrics = TASKS[name]
    folder = prepared(name)
    manifest = manifest_of(folder)
    task = manifest["task"]
    assert (task["kind"], tuple(task["classes"]), tuple(task["metrics"])) == (
        "classification" if classes else "regression",
        classes,
        metrics,
    )
    assert task["scored_split"] == validation[0]
    assert [split for split in manifest["splits"] if split.startswith("validation")] == list(validation)
    for split, info in manifest["splits"].items():
        on_disk = pq.read_table(mirror / "glue" / name / f"{split}.parquet")
        shards = [pq.read_table(folder / shard["path"], partitioning=None) for shard in info["shards"]]
        labels = {row["sample_id"]: row["label"] for table in shards for row in table.to_pylist()}
        assert [labels[i] for i in range(len(labels))] == pytest.approx(on_disk["label"].to_pylist())
        assert all(("segment_start" in table.column_names) == (name in PAIRS) for table in shards)
    [epoch] = tdbs("plan", folder, "--epochs", 1, "--json").json["epochs"]
    assert epoch["samples"] == manifest["splits"]["train"]["rows"]
    assert 0 <= epoch["padding_fraction"] < 0.5
    run = tdbs("train", folder, "--model", "tiny", "--epochs", 1, "--out", workplace / "run", "--json").json
    assert (run["steps"], run["tokens"]) == (epoch["steps"], epoch["tokens"])
    scored = [metric if split == validation[0] else f"{split}/{metric}" for split in validation for metric in metrics]
    assert list(run["metrics"]) == scored
    assert run["score"] == run["metrics"][metrics[0]]


def test_cola_runs_without_tokendrop_and_says_so(prepared, tdbs):
    folder = prepared("cola")
    for strategy in ("reach", "tdbs_paper"):
        shown = tdbs("plan", folder, "--strategy", strategy, "--epochs", 1).stderr.splitlines()
        assert shown[0] == f"{strategy} runs without TokenDrop: {COLA_RULE}."
    shown = tdbs("estimate-speedup", folder, "--epochs", 1).stderr.splitlines()
    assert shown[:2] == [f"{name} runs without TokenDrop: {COLA_RULE}." for name in ("tdbs_paper", "reach")]
    assert "TokenDrop" not in tdbs("plan", folder, "--strategy", "bucket", "--epochs", 1).stderr


def test_cola_keeps_every_token_unless_the_user_insists(prepared, tdbs, refused, workplace):
    folder = prepared("cola")
    tokens = manifest_of(folder)["splits"]["train"]["tokens"]
    kept = []
    for options in ((), ("--allow-drop",)):
        strategy = ("--strategy", "reach", "--caps", "paper")
        [epoch] = tdbs("plan", folder, "--epochs", 1, *strategy, *options, "--json").json["epochs"]
        kept.append(round(epoch["tokens"] * (1 - epoch["padding_fraction"])))
    assert kept[0] == tokens
    assert kept[1] < tokens
    for command in (("plan",), ("train", "--model", "tiny")):
        assert refused(command[0], folder, *command[1:], "--drop", "reach") == (
            f"T{COLA_RULE.removeprefix('t')}.",
            "Leave --drop out, or pass --allow-drop.",
        )
    tdbs("plan", folder, "--drop", "reach", "--allow-drop", "--epochs", 1)
    tdbs("plan", folder, "--drop", "none", "--epochs", 1)


def test_wnli_keeps_its_pronouns_and_other_tasks_drop_them(prepared):
    dropped = {name: droppable_words(prepared(name)) for name in ("wnli", "mrpc")}
    assert dropped["wnli"].isdisjoint(PRONOUNS)
    assert {"the", "to", "of"} <= dropped["wnli"]
    assert dropped["mrpc"] >= {"he", "his", "it"}


def droppable_words(folder: Path) -> set[str]:
    """Return the words that the shards of train mark as droppable."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = set()
    for shard in manifest_of(folder)["splits"]["train"]["shards"]:
        for row in pq.read_table(folder / shard["path"], partitioning=None).to_pylist():
            for word in row["droppable"]:
                ids = row["input_ids"][word["start"] : word["start"] + word["length"]]
                found.add(tokenizer.decode(ids))
    return found


def test_scores_of_similarity_are_learned_as_numbers(prepared, tdbs, workplace):
    options = ("--model", "tiny", "--epochs", 1, "--base-batch-size", 25, "--seed", 1, "--precision", "fp32")
    found = tdbs("train", prepared("stsb"), *options, "--out", "run", "--json").json
    assert found["steps"] == 4
    assert list(found["metrics"]) == ["pearson", "spearman"]
    assert found["score"] == found["metrics"]["pearson"]
    assert -1 <= found["score"] <= 1
    evaluated = tdbs("evaluate", "run", "--json").json
    assert evaluated["metrics"] == found["metrics"]


def test_mnli_is_scored_on_the_matched_split_and_reports_the_other(prepared, tdbs, workplace):
    options = ("--model", "tiny", "--epochs", 1, "--base-batch-size", 50, "--precision", "fp32")
    found = tdbs("train", prepared("mnli"), *options, "--out", "run", "--json").json
    assert list(found["metrics"]) == ["accuracy", "validation_mismatched/accuracy"]
    assert found["score"] == found["metrics"]["accuracy"]
    matched = tdbs("evaluate", "run", "--json").json
    assert (matched["split"], matched["score"]) == ("validation_matched", found["score"])
    other = tdbs("evaluate", "run", "--split", "validation_mismatched", "--json").json
    assert other["score"] == found["metrics"]["validation_mismatched/accuracy"]
