"""Queries with positives and negatives on the command line: prepare, inspect, plan and audit, on rows made of SQuAD."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tdbs.pipeline.dataset import load, read_split
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.memory_windows import shard_bytes
from tdbs.train.planning.strategies import STRATEGIES

ROWS, NEGATIVES = 400, 2


def write_questions(shared: Path, folder: Path) -> Path:
    """Write questions of SQuAD, the paragraph that answers each, and others of the file as negatives."""
    frame = pl.scan_parquet(shared / "datasets/squad/train*.parquet").select("question", "context").head(20 * ROWS)
    rows = frame.collect().gather_every(20)
    contexts = rows["context"].to_list()
    lines = [
        {"query": query, "positive": contexts[i], "negatives": [contexts[(i + 7 * k) % ROWS] for k in range(1, 3)]}
        for i, query in enumerate(rows["question"].to_list())
    ]
    for line in lines:
        line["negatives"] = [text for text in line["negatives"] if text != line["positive"]]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def place(shared, tmp_path_factory) -> Path:
    """Return a folder with the questions, prepared for both kinds of task."""
    from tests.cli.conftest import run_command

    folder = tmp_path_factory.mktemp("grouped")
    source = write_questions(shared, folder)
    for task in ("embedding", "ranking"):
        options = ("--columns", "query,positive,negatives", "--task", task, "--validation", 0.1)
        tokenizer = shared / "tokenizers/bert-base-uncased"
        outcome = run_command("prepare", source, *options, "--tokenizer", tokenizer, "--out", folder / task)
        assert outcome.code == 0, outcome.stderr
    return folder


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_numbers_of_prepare_and_inspect_are_those_of_sequences(place, task, tdbs):
    """Mean and padding are of what the model reads; the histogram is of samples, as buckets are."""
    split = read_split(load(place / task), "train")
    lengths = split.sequences.lengths_Q
    found = tdbs("inspect", place / task, "--json").json
    statistics = found["statistics"]
    assert (statistics["rows"], statistics["sequences"]) == (len(split.lengths_N), len(lengths))
    assert statistics["average_length"] == pytest.approx(lengths.mean())
    shuffled = np.random.default_rng(1).permutation(len(split.lengths_N))
    of_sample = np.split(lengths, split.sequences.offsets_N1[1:-1])
    batches = [np.concatenate([of_sample[i] for i in shuffled[k : k + 64]]) for k in range(0, 320, 64)]
    padding = 1 - sum(map(sum, batches)) / sum(len(batch) * max(batch) for batch in batches)
    assert statistics["expected_random_padding"] == pytest.approx(padding, abs=0.03)
    assert sum(found["length_histogram"]) == len(split.lengths_N)
    assert "sequences" in tdbs("inspect", place / task).stdout


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["embedding", "ranking"])
@pytest.mark.parametrize("strategy", ["random", "unpadded"])
def test_plan_counts_the_tokens_that_a_model_sees(place, task, strategy, tdbs):
    """Against plain loops over the batches of the table."""
    out = place / f"{task}-{strategy}.parquet"
    options = ("--strategy", strategy, "--epochs", 1, "--model", "tiny", "--out", out, "--overwrite")
    planned = tdbs("plan", place / task, *options, "--json").json["epochs"][0]
    split = read_split(load(place / task), "train")
    of_sample = np.split(split.sequences.lengths_Q, split.sequences.offsets_N1[1:-1])
    tokens = 0
    for samples in pl.read_parquet(out)["sample_ids"].to_list():
        batch = np.concatenate([of_sample[sample] for sample in samples])
        tokens += -(-batch.sum() // 32) * 32 if strategy == "unpadded" else len(batch) * batch.max()
    assert planned["tokens"] == tokens
    assert planned["padding_fraction"] == pytest.approx(1 - split.lengths_N.sum() / tokens)


@pytest.mark.real_data
def test_a_split_in_windows_has_the_same_sequences(place):
    """Each sample once, in batches of as many rows as its window's samples have sequences."""
    dataset = load(place / "embedding")
    info = dataset.manifest.splits["train"]
    data = open_training_data(dataset, memory=sum(shard_bytes(info, dataset.manifest)) // 2)
    assert data.windows > 1
    split = read_split(dataset, "train")
    counts, lengths = np.diff(split.sequences.offsets_N1), split.lengths_N
    (plan,) = make_feed(data, STRATEGIES["random"], seed=0, epochs=1).plans
    assert sorted(plan.sample_ids_N.tolist()) == list(range(info.rows))
    assert plan.kept_N.tolist() == lengths[plan.sample_ids_N].tolist()
    assert plan.sequences_B.tolist() == np.add.reduceat(counts[plan.sample_ids_N], plan.batch_offsets_B1[:-1]).tolist()
    longest = np.maximum.reduceat(split.sequences.lengths_Q, split.sequences.offsets_N1[:-1])
    assert plan.longest_N.tolist() == longest[plan.sample_ids_N].tolist()


@pytest.mark.real_data
def test_held_out_paragraphs_are_not_in_train(place):
    """As positives; a negative of train may be a positive of validation."""
    lines = [json.loads(line) for line in (place / "questions.jsonl").read_text().splitlines()]
    dataset = load(place / "embedding")
    sides = {
        name: {lines[row]["positive"] for row in read_split(dataset, name).source_rows_N.tolist()}
        for name in ("train", "validation")
    }
    assert len(sides["validation"]) > 10
    assert not sides["train"] & sides["validation"]


@pytest.mark.real_data
@pytest.mark.parametrize("strategy", ["reach", "tdbs_paper"])
def test_dropped_words_leave_every_sequence_a_token(place, strategy, tdbs):
    found = tdbs("inspect", place / "ranking", "--drop", "--strategy", strategy, "--samples", 2, "--json").json
    assert [drop["before"]["sample_id"] for drop in found["drops"]] == [s["sample_id"] for s in found["samples"]]


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_audit_runs_on_sequences(place, task, tdbs):
    """Sequences, not samples, are cut and counted."""
    found = tdbs("audit", place / task, "--json").json
    truncation = found["splits"]["train"]["truncation"]
    assert truncation["max_length"] == 128
    split = read_split(load(place / task), "train")
    at_64 = next(cut for cut in truncation["cuts"] if cut["max_length"] == 64)
    assert at_64["samples"] == (split.sequences.lengths_Q > 64).sum()
    kinds = {each["kind"] for each in found["findings"]}
    assert "positives_as_negatives" in kinds
    assert "false_negatives" not in kinds


@pytest.mark.real_data
def test_names_of_columns_may_be_repeated_or_separated_by_commas(shared, workplace, tdbs):
    (workplace / "a.csv").write_text("q,p,n\nwho,me,you\nwhere,here,there\n")
    options = ("--tokenizer", shared / "tokenizers/bert-base-uncased", "--json")
    once = tdbs("prepare", "a.csv", "--columns", "q,p,n", *options).json
    again = tdbs("prepare", "a.csv", "--columns", "q", "--columns", "p", "--columns", "n", *options).json
    assert (once["cached"], again["cached"], once["path"]) == (False, True, again["path"])
    (workplace / "b.csv").write_text('"my q","p, good",n\nwho,me,you\nwhere,here,there\n')
    for given in ("my q,p, good,n", '"my q","p, good",n'):
        named = tdbs("prepare", "b.csv", "--columns", given, *options).json["source"]["columns"]
        assert named == {"text": "my q", "pair": "p, good", "labels": [], "negatives": ["n"]}
    columns = {"text": "q", "pair": "p", "labels": [], "negatives": ["n"]}
    assert once["source"]["columns"] == columns
    assert once["splits"]["train"]["sequences"] == 6
