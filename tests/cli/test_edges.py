"""`--bucket-width auto` through the command line, on the sample's first rows."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from tdbs.pipeline.dataset import load
from tests.cli.conftest import TRAIN_ROWS

AUTO = ("--strategy", "bucket", "--bucket-width", "auto", "--base-batch-size", "12", "--epochs", "2")


def test_plan_and_train_agree_and_a_run_records_its_costs(tdbs, small, workplace):
    """The run has the plan's digest, and its config.toml makes the same plan again."""
    plan = tdbs("plan", small, *AUTO, "--json").json
    trained = tdbs("train", small, *AUTO, "--model", "tiny", "--out", "run", "--json").json
    for key in ("steps", "samples", "tokens"):
        assert trained[key] == sum(epoch[key] for epoch in plan["epochs"])
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["plan_digest"] == plan["plan_digest"]
    assert config["strategy"]["bucket_width"] == "auto"
    assert config["strategy"]["batch_costs"] == {
        "call": 192.0,
        "token": 1.0,
        "pair": 0.0,
        "masked_pair": 0.0,
        "shape": 64.0,
    }
    tdbs("report", "run", "--out", "page.html")
    again = tdbs("train", small, "--config", "run/config.toml", "--out", "again", "--json").json
    assert again["tokens"] == trained["tokens"]
    assert tomllib.loads(Path("again/config.toml").read_text())["plan_digest"] == plan["plan_digest"]


def test_inspect_shows_the_edges_and_their_cost(tdbs, small, workplace):
    found = tdbs("inspect", small, "--bucket-width", "auto", "--json").json
    edges, predicted = found["bucket_edges"], found["predicted_edges"]
    assert predicted["buckets"] == len(edges) - 1
    assert predicted["cost"] <= predicted["best_fixed_cost"]
    assert np.all(np.diff(edges) > 0)
    shown = tdbs("inspect", small, "--bucket-width", "auto").stdout
    assert f"Epoch 0 in {predicted['buckets']} buckets: {predicted['cost']:,.0f} tokens" in shown
    assert tdbs("inspect", small, "--json").json["predicted_edges"] is None


def test_the_dataset_stays_as_it_was(tdbs, small, workplace):
    """Edges are planned: the shards keep those of the paper."""
    tdbs("plan", small, *AUTO)
    manifest = load(small).manifest
    assert manifest.bucket_edges[:3] == (0, 5, 10)
    assert manifest.splits["train"].rows == TRAIN_ROWS


@pytest.mark.parametrize("command", ["plan", "inspect"])
def test_other_strategies_are_refused(refused, small, workplace, command):
    assert refused(command, small, "--strategy", "reach", "--bucket-width", "auto") == (
        "--bucket-width auto is for --batches bucket, --drop none and --execution padded: there the edges decide the "
        "padding. Got reach, reach and padded.",
        "Pass --strategy bucket, or a number.",
    )


def test_a_text_is_refused(refused, small, workplace):
    for command in ("plan", "inspect"):
        assert refused(command, small, "--bucket-width", "wide") == (
            "--bucket-width takes a number or auto, got wide.",
            "Pass --bucket-width 5.",
        )
