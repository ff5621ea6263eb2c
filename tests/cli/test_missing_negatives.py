"""Samples without negatives: commands refuse what needs them, or say how many samples lack them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import load
from tdbs.settings import TrainSettings
from tdbs.train.objectives.negatives import check_negatives
from tests.cli.conftest import run_command

TINY = ("--model", "tiny", "--epochs", "1", "--batch-size", "16")
UNDEFINED = "No row of validation has a negative: nothing is ranked, and its score is undefined."


def write_rows(path: Path, *, rows: int, with_negatives: int) -> Path:
    """Write rows of which the last ones have an empty list of negatives."""
    lines = [
        {"q": f"question {row}", "p": f"answer {row}", "n": [f"other {row}"] if row < with_negatives else []}
        for row in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def options_of(task: str, out: Path) -> tuple[object, ...]:
    return ("--columns", "q,p,n", "--task", task, "--tokenizer", TOKENIZER_FOLDER, "--out", out)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """Return folders of datasets by the kind of task and how many of the 20 rows of train have a negative."""
    folder = tmp_path_factory.mktemp("negatives")
    found = {}
    for task, count in (("embedding", 0), ("embedding", 16), ("ranking", 16)):
        train = write_rows(folder / "rows.jsonl", rows=20, with_negatives=count)
        validation = write_rows(folder / "validation.jsonl", rows=8, with_negatives=0)
        place = folder / f"{task}-{count}"
        outcome = run_command("prepare", train, "--validation", validation, *options_of(task, place))
        assert outcome.code == 0, outcome.stderr
        assert (f"Warning: {UNDEFINED}" in outcome.stderr.splitlines()) == (task == "ranking")
        found[f"{task} {count}"] = place
    return found


def test_a_reranker_of_rows_without_negatives_is_not_prepared(tmp_path, refused):
    source = write_rows(tmp_path / "rows.jsonl", rows=20, with_negatives=0)
    assert refused("prepare", source, *options_of("ranking", tmp_path / "out")) == (
        "No train row of rows.jsonl has a negative, so a reranker has nothing to learn.",
        "Give rows texts that do not answer their query, or pass --task embedding.",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_the_note_on_a_split_that_cannot_be_ranked_stays_with_the_dataset(places):
    assert load(places["ranking 16"]).manifest.notes == (UNDEFINED,)
    assert load(places["embedding 16"]).manifest.notes == ()


def test_a_loss_that_needs_negatives_is_refused_without_any(places, refused, tmp_path):
    space = tmp_path / "space.toml"
    space.write_text('[loss]\nvalues = ["negatives", "triplet"]\n')
    out = tmp_path / "out"
    for command, options in (
        ("train", ("--loss", "triplet", *TINY, "--out", out)),
        ("plan", ("--loss", "triplet", *TINY)),
        ("estimate-speedup", ("--loss", "triplet", "--model", "tiny")),
        ("sweep", ("--space", space, *TINY, "--out", out)),
    ):
        assert refused(command, places["embedding 0"], *options) == (
            "--loss triplet needs negatives, and no sample of train has one.",
            "Prepare rows with negatives, or pass --loss negatives.",
        )
    assert not out.exists()


@pytest.mark.parametrize("command", ["train", "plan", "estimate-speedup"])
def test_a_loss_of_another_task_is_refused_by_every_command(command, places, refused):
    assert refused(command, places["embedding 16"], "--loss", "listwise", "--model", "tiny") == (
        "--loss listwise is not for a task of embedding.",
        "Pass one of: negatives, symmetric, cosine, triplet.",
    )


@pytest.mark.parametrize("loss", [None, "listwise"])
def test_a_reranker_without_negatives_is_refused(places, loss):
    """prepare makes no such dataset; an older one may be."""
    manifest = load(places["ranking 16"]).manifest
    info = manifest.splits["train"]
    bare = replace(info, sequence_histogram=(0, info.rows))
    with pytest.raises(ConfigError) as caught:
        check_negatives(TrainSettings(loss=loss), replace(manifest, splits={"train": bare}))
    assert caught.value.message == f"--loss {loss or 'binary'} needs negatives, and no sample of train has one."
    assert caught.value.next_step == "Prepare rows with negatives, or with --task embedding."
    check_negatives(TrainSettings(loss=loss), manifest)


@pytest.mark.parametrize(
    ("name", "loss", "notes"),
    [
        (
            "embedding 16",
            "triplet",
            ["4 of 20 samples of train have no negative: --loss triplet learns nothing from them."],
        ),
        ("embedding 16", "negatives", []),
        (
            "ranking 16",
            "listwise",
            [
                "4 of 20 samples of train have no negative: --loss listwise learns nothing from them.",
                "mrr@10 will be undefined: no sample of validation has a negative to rank.",
            ],
        ),
        ("ranking 16", "binary", ["mrr@10 will be undefined: no sample of validation has a negative to rank."]),
    ],
)
def test_train_notes_what_it_learns_nothing_from(places, tdbs, tmp_path, name, loss, notes):
    told = tdbs("train", places[name], "--loss", loss, *TINY, "--out", tmp_path / "run").stderr.splitlines()
    assert [line for line in told if "negative" in line] == notes


def test_updates_of_one_sample_are_noted(places, tdbs, tmp_path):
    """The loss of a pair alone is 0, whatever the model."""
    note = (
        "20 of 20 updates have one sample: without negatives of its own it teaches nothing, since negatives are those "
        "of the update."
    )
    for size in (1, 4):
        out = ("--model", "tiny", "--epochs", "1", "--batch-size", size, "--out", tmp_path / str(size))
        assert (note in tdbs("train", places["embedding 0"], *out).stderr.splitlines()) == (size == 1)


def test_a_sweep_of_a_split_that_cannot_be_ranked_is_refused(places, refused, tmp_path):
    options = ("--lr", "1e-3", *TINY, "--out", tmp_path / "sweep")
    assert refused("sweep", places["ranking 16"], *options) == (
        "No sample of validation has a negative, so its score is undefined, and a sweep ranks its trials by scores.",
        "Prepare it with validation rows that have negatives.",
    )
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_without_any_score_ends_with_the_reason(tmp_path):
    """The correlation with scores that are all equal is undefined."""
    pairs = [{"a": f"text {row}", "b": f"another {row}", "s": row / 20} for row in range(20)]
    for name, rows in (("train", pairs), ("validation", [{**row, "s": 0.5} for row in pairs])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = ("prepare", tmp_path / "train.jsonl", "--validation", tmp_path / "validation.jsonl")
    outcome = run_command(*source, "--columns", "a,b", "--label", "s", *options_of("embedding", tmp_path / "d")[2:])
    assert outcome.code == 0, outcome.stderr
    outcome = run_command("sweep", tmp_path / "d", "--lr", "1e-3,3e-3", *TINY, "--out", tmp_path / "sweep")
    assert outcome.code == 1
    assert outcome.error == (
        "No trial of the sweep has a score: spearman is undefined.",
        "Search other values; sweep.json has the reason of each trial.",
    )
    assert "Trial 1 was pruned: spearman is undefined." in outcome.stdout
    trials = json.loads((tmp_path / "sweep/sweep.json").read_text())["trials"]
    assert [(trial["state"], trial["reason"]) for trial in trials] == [("pruned", "spearman is undefined.")] * 2


def test_a_sweep_names_the_folder_of_its_models(places, tdbs, tmp_path):
    found = tdbs("sweep", places["embedding 16"], "--lr", "1e-3", *TINY, "--out", tmp_path / "sweep").stdout
    assert f"its models are in {tmp_path / 'sweep/runs'}." in found.replace("\n", "")
    assert "its models are in runs." in (tmp_path / "sweep/README.md").read_text()
