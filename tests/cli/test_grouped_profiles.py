"""Embeddings and rerankers by command: a profile, what it predicts of their runs, and what a comparison measures."""

import json
from pathlib import Path

import pytest

from tests.analysis.tiny import time_steps_once
from tests.cli.conftest import TOKENIZER, run_command
from tests.train.grouped import grouped_dataset

TINY = ("--model", "tiny", "--epochs", 1)
STRATEGIES = ("--strategy", "random,unpadded")


@pytest.fixture(scope="module", params=["embedding", "ranking"])
def profiled(request, tmp_path_factory) -> tuple[Path, Path]:
    """Return a dataset of queries cut to 8 tokens, and a profile of it: each step is timed once."""
    place = tmp_path_factory.mktemp("profiled") / request.param
    grouped_dataset(place / "files", task=request.param)
    options = ("--columns", "query,positive,negatives", "--task", request.param, "--max-length", 8)
    files = (place / "files/train.jsonl", "--validation", place / "files/validation.jsonl")
    done = run_command("prepare", *files, *options, "--tokenizer", TOKENIZER, "--out", place / "data")
    assert done.code == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        time_steps_once(patch)
        command = ("profile", place / "data", "--model", "tiny", "--precision", "fp32", "--attention", "eager")
        done = run_command(*command, "--out", place / "p.json")
    assert done.code == 0, done.stderr
    return place / "data", place / "p.json"


def test_a_profile_times_whole_samples_of_the_kind(profiled):
    """A sample to embed has two texts at least; a row of several samples is `unpadded` there, never `packed`."""
    _, place = profiled
    profile = json.loads(place.read_text())
    kind = profile["settings"]["kind"]
    assert kind == profiled[0].parent.name
    assert {point["execution"] for point in profile["points"]} == {"padded", "unpadded"}
    smallest = min(point["batch_size"] for point in profile["points"])
    assert smallest == (2 if kind == "embedding" else 1)


def test_seconds_are_predicted_and_a_comparison_measures_them(profiled, tmp_path):
    """The estimate predicts the tokens and seconds that a comparison with the profile does."""
    dataset, place = profiled
    asked = (*TINY, *STRATEGIES, "--profile", place, "--json")
    estimated = run_command("estimate-speedup", dataset, *asked)
    assert estimated.code == 0, estimated.stderr
    of = {row["strategy"]: row for row in json.loads(estimated.stdout)["strategies"]}
    out = ("--steps", 2, "--seeds", "0", "--precision", "fp32", "--out", tmp_path / "c")
    compared = run_command("compare", dataset, *asked, *out)
    assert compared.code == 0, compared.stderr
    rows = json.loads(compared.stdout)["rows"]
    assert [row["strategy"] for row in rows] == ["random", "unpadded"]
    for row in rows:
        assert row["tokens"] == of[row["strategy"]]["tokens"]
        predicted = of[row["strategy"]]["seconds"]
        assert row["predicted_seconds"] == pytest.approx(predicted, abs=0.5)  # planning is timed anew, milliseconds
        assert row["seconds"] > 0
