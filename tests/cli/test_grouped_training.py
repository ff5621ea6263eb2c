"""Commands on runs of embeddings and rerankers: what they note, and what they refuse with which next step."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.integrations.loops import PreparedSteps
from tdbs.pipeline.dataset import load
from tests.train.grouped import grouped_dataset

NOTE = (
    "bucket chooses by length which samples share an update, and so which texts are the negatives of a query. "
    "Random and stratified batches do not."
)
TINY = ("--model", "tiny", "--epochs", "1", "--batch-size", "16")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """Return the folder of a dataset of each kind, and of a run on it."""
    from tests.cli.conftest import run_command

    found = {}
    for task in ("embedding", "ranking"):
        folder = tmp_path_factory.mktemp(task)
        found[task] = grouped_dataset(folder / "files", task=task, rows=48).path
        found[f"run of {task}"] = folder / "run"
        outcome = run_command("train", found[task], *TINY, "--out", folder / "run")
        assert outcome.code == 0, outcome.stderr
    return found


def test_plan_and_train_note_that_buckets_choose_negatives(places, tdbs, tmp_path):
    planned = tdbs("plan", places["embedding"], "--strategy", "bucket", "--model", "tiny")
    assert planned.stderr.splitlines() == [NOTE]
    out = ("--out", tmp_path / "run")
    assert NOTE in tdbs("train", places["embedding"], "--strategy", "bucket", *TINY, *out).stderr.splitlines()


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("embedding", ("--strategy", "unpadded")),
        ("embedding", ("--strategy", "stratified")),
        ("embedding", ("--strategy", "bucket", "--loss", "triplet")),
        ("ranking", ("--strategy", "bucket")),
    ],
)
def test_batches_or_losses_that_leave_negatives_alone_are_not_noted(places, tdbs, task, options):
    assert tdbs("plan", places[task], "--model", "tiny", *options).stderr == ""


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_words_that_padded_rows_drop_for_nothing_are_noted(places, tdbs, task):
    """The plan has as many tokens as without TokenDrop; that of unpadded rows has fewer, and no note."""
    note = (
        "reach drops words, but its rows stay as wide as their longest text, so that saves no time. "
        "--strategy unpadded --drop rate does."
    )
    tokens = {}
    for options in ("bucket", "reach", "unpadded", "unpadded --drop rate"):
        found = tdbs("plan", places[task], "--model", "tiny", "--json", "--strategy", *options.split())
        tokens[options] = sum(row["tokens"] for row in found.json["epochs"])
        assert (note in found.stderr.splitlines()) == (options == "reach")
    assert tokens["reach"] == tokens["bucket"]
    assert tokens["unpadded --drop rate"] < tokens["unpadded"]


def test_an_estimate_tells_padding_by_column_and_what_is_left_out(places, tdbs):
    found = tdbs("estimate-speedup", places["embedding"], "--model", "tiny")
    assert "packed is left out: samples are of several sequences." in found.stderr.splitlines()
    as_json = tdbs("estimate-speedup", places["embedding"], "--model", "tiny", "--json").json
    assert as_json["left_out"] == ["packed"]
    line = (
        f"Padded column by column, as in sentence-transformers, it is {as_json['padding_by_column']:.1%}: random pads "
        "all texts of an update to the longest."
    )
    assert line in found.stdout.splitlines()
    assert 0 < as_json["padding_by_column"] < as_json["saving"]["padding_fraction"]
    assert NOTE in tdbs("estimate-speedup", places["embedding"], "--strategy", "bucket").stderr.splitlines()
    of_ranking = tdbs("estimate-speedup", places["ranking"], "--model", "tiny", "--json").json
    assert of_ranking["padding_by_column"] is None


def test_inspect_shows_each_column(places, tdbs):
    found = tdbs("inspect", places["embedding"], "--samples", 0)
    [head] = [line for line in found.stdout.splitlines() if line.startswith("column")]
    assert head.split() == ["column", "texts", "L_avg", "longest", "at", "the", "limit", "droppable"]
    columns = tdbs("inspect", places["embedding"], "--samples", 0, "--json").json["columns"]
    assert [column["column"] for column in columns] == ["query", "positive", "negatives"]
    assert tdbs("inspect", places["ranking"], "--samples", 0, "--json").json["columns"] == []


def test_first_entries_of_embeddings_are_learned_too(places, tdbs, refused, tmp_path):
    """Another loss than that of whole embeddings; no more entries than there are."""
    losses = []
    for name, options in (("whole", ()), ("sizes", ("--dimensions", "64,32"))):
        tdbs("train", places["embedding"], *TINY, *options, "--out", tmp_path / name)
        losses.append(json.loads((tmp_path / name / "steps.jsonl").read_text().splitlines()[0])["loss"])
    assert losses[1] > 2 * losses[0]
    assert refused("train", places["embedding"], *TINY, "--dimensions", "64,4096", "--out", tmp_path / "large") == (
        "--dimensions has 4096, but the model's embeddings have 128 entries.",
        "Pass smaller numbers.",
    )
    assert not (tmp_path / "large").exists()
    assert refused("plan", places["embedding"], "--model", "tiny", "--loss", "cosine")[1] == (
        "Pass --loss negatives or symmetric or triplet."
    )


def test_a_score_that_is_a_text_names_its_row(refused, tmp_path):
    (tmp_path / "pairs.csv").write_text("a,b,score\nx,y,0.5\nx,z,good\nv,w,1\n")
    options = ("--columns", "a,b", "--label", "score", "--tokenizer", TOKENIZER_FOLDER, "--out", tmp_path / "out")
    message, next_step = refused("prepare", tmp_path / "pairs.csv", *options)
    assert message == "Row 2 of pairs.csv has 'good' in 'score', which is not a finite number."
    assert next_step == "Fix the row: the score of a pair is a number; or pass --skip-bad-rows."


def test_train_says_by_what_it_divides_scores(tdbs, tmp_path):
    rows = [{"a": f"text {row}", "b": f"other {row}", "s": -9999 if row == 7 else row / 20} for row in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--columns", "a,b", "--label", "s", "--tokenizer", TOKENIZER_FOLDER, "--out", tmp_path / "prepared")
    tdbs("prepare", tmp_path / "pairs.jsonl", *options)
    told = tdbs("train", tmp_path / "prepared", *TINY, "--out", tmp_path / "run").stderr
    assert "Scores are divided by 9999, the largest absolute one of train: a cosine is at most 1." in told.splitlines()


def test_compare_names_all_strategies_that_choose_negatives(places, tdbs, tmp_path):
    out = ("--out", tmp_path / "compared", "--steps", "1")
    told = tdbs(
        "compare", places["embedding"], "--strategy", "unpadded,bucket,reach", "--seeds", "0", *TINY, *out
    ).stderr
    assert NOTE.replace("bucket chooses", "bucket, reach choose") in told.splitlines()


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_what_has_no_meaning_for_samples_of_several_texts_is_refused(places, refused, task, tmp_path):
    dataset, run = places[task], places[f"run of {task}"]
    no_scores = (
        f"Samples of {task} have no scores.",
        "Score a run of classification, regression or several labels.",
    )
    assert refused("score", run) == no_scores
    assert refused("audit", dataset, "--scores", run) == no_scores
    assert refused("train", dataset, *TINY, "--keep", f"{run}:0.5", "--out", tmp_path / "run") == no_scores
    assert refused("train", dataset, *TINY, "--data-diet", "0.5", "--out", tmp_path / "run") == (
        f"--data-diet ranks samples by EL2N, which needs one class for each sample; this task is {task}.",
        "Leave --data-diet out, or list the samples to train on with --keep.",
    )
    assert refused("evaluate", run, "--flips") == (
        f"--flips needs a task that predicts classes of whole samples; this task is {task}.",
        "Leave --flips out.",
    )
    assert refused("evaluate", run, "--remove", "articles") == (
        "Samples of this task are several texts; --remove and --edits change one text or a pair.",
        "Leave --remove and --edits out.",
    )
    for options in (("--strategy", "packed"), ("--batches", "packs", "--execution", "packed")):
        assert refused("plan", dataset, *options) == (
            "--execution packed packs samples of one sequence; these have several.",
            "Pass --strategy unpadded, without --batches and --execution: it puts all of them in one row.",
        )
    assert refused("plan", dataset, "--strategy", "bucket", "--caps", "knee") == (
        "--caps knee takes a sample for a row of the model; samples of this task are several.",
        "Pass --caps N, or --max-tokens N.",
    )
    for command in ("plan", "inspect"):
        assert refused(command, dataset, "--strategy", "bucket", "--bucket-width", "auto") == (
            "--bucket-width auto takes a sample for a row of the model; samples of this task are several.",
            "Pass --bucket-width N.",
        )
    assert not (tmp_path / "run").exists()


def test_rows_to_train_on_may_be_listed(places, tdbs, tmp_path):
    (tmp_path / "rows.txt").write_text("\n".join(map(str, range(20))))
    found = tdbs(
        "train", places["ranking"], *TINY, "--keep", tmp_path / "rows.txt", "--out", tmp_path / "run", "--json"
    )
    assert found.json["samples"] == 20


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_a_loop_of_ones_own_is_refused(places, task):
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=30_522, hidden_size=8, num_attention_heads=1, num_hidden_layers=1))
    with pytest.raises(ConfigError) as refused:
        PreparedSteps(places[task], model=model)
    assert str(refused.value) == (
        f"Samples of {task} are several texts, whose loss no model of transformers has. "
        "Train with tdbs.train, or with sentence-transformers on the source."
    )


@pytest.mark.parametrize(
    ("task", "values"), [("embedding", ["negatives", "triplet"]), ("ranking", ["binary", "listwise"])]
)
def test_a_sweep_searches_losses(places, tdbs, refused, tmp_path, task, values):
    """Its page is there at the end, and `report` says so."""
    (tmp_path / "space.toml").write_text(f"[loss]\nvalues = {json.dumps(values)}\n")
    options = ("--space", tmp_path / "space.toml", "--model", "tiny", "--epochs", "1", "--batch-size", "16")
    found = tdbs("sweep", places[task], *options, "--seeds", "0", "--out", tmp_path / "sweep", "--json").json
    assert sorted(trial["params"]["loss"] for trial in found["trials"]) == values
    assert refused("report", tmp_path / "sweep") == (
        f"{tmp_path / 'sweep'} is a sweep; a finished one has its page, README.md, beside its trials.",
        f"Pass one of its runs, below {tmp_path / 'sweep/runs'}.",
    )


def test_a_sweep_refuses_losses_that_do_not_fit_before_it_writes(places, refused, tmp_path):
    (tmp_path / "space.toml").write_text('[loss]\nvalues = ["negatives", "triplet"]\n[temperature]\nvalues = [0.1]\n')
    options = ("--space", tmp_path / "space.toml", *TINY[:2], "--out", tmp_path / "sweep")
    assert refused("sweep", places["embedding"], *options) == (
        "--temperature has no effect with --loss triplet.",
        "Leave it out.",
    )
    assert refused("sweep", places["ranking"], *options) == (
        "--loss negatives is not for a task of ranking.",
        "Pass one of: binary, listwise.",
    )
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_a_run_is_made_again_by_its_configuration(places, tdbs, tmp_path, task):
    first = json.loads((places[f"run of {task}"] / "result.json").read_text())
    config = places[f"run of {task}"] / "config.toml"
    recorded = tomllib.loads(config.read_text())
    resolved = {"embedding": {"loss": "negatives", "temperature": 0.05}, "ranking": {"loss": "binary"}}
    assert {name: recorded[name] for name in ("loss", "temperature", "margin") if name in recorded} == resolved[task]
    again = tdbs("train", places[task], "--config", config, "--out", tmp_path / "again", "--json").json
    assert again["metrics"] == first["metrics"]


def test_scores_of_different_datasets_do_not_compare(places, tdbs):
    found = tdbs("evaluate", places["run of embedding"], places["run of ranking"]).stdout.splitlines()
    sources = [load(places[task]).manifest.source for task in ("embedding", "ranking")]
    assert found[-2:] == [
        f"Scores x 100 are mrr@10 on {sources[0]} and mrr@10 on {sources[1]}.",
        "The runs have different datasets, so their scores do not compare.",
    ]


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_a_report_names_the_kind_the_metrics_and_the_columns(places, tdbs, tmp_path, task):
    tdbs("report", places[f"run of {task}"], "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for said in (f"<td>{task}</td>", "mrr@10", "ndcg@10", "<td>negatives</td>", "tokens a sequence"):
        assert said in page
