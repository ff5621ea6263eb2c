"""`--bucket-width auto` through the command line, on the sample's first rows."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.bucket_edges import PredictedEdges, predict_edges
from tdbs.data.sample import SAMPLE_TASK
from tdbs.pipeline.dataset import load
from tdbs.reports.terminal import edges_lines
from tdbs.train.planning.strategies import resolve_strategy
from tests.cli.conftest import TRAIN_ROWS

PREDICTED = PredictedEdges(buckets=1, cost=2.0, best_fixed_width=5, best_fixed_cost=3.0)
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


def listed(line: str) -> list[int]:
    """Return the numbers of a line such as "0, 5 to 8 by 1, 12"."""
    found: list[int] = []
    for part in line.split(", "):
        first, _, rest = part.partition(" to ")
        last, _, step = rest.partition(" by ")
        found += range(int(first), int(last) + 1, int(step)) if rest else [int(first)]
    return found


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 3))
def test_edges_in_a_line_are_those_edges(numbers: set[int], step: int):
    """Whatever runs they have, and each run of three or more is one part."""
    edges = [number * step for number in sorted(numbers)]
    [line, _] = edges_lines(np.array(edges), PREDICTED, epoch=0)
    assert listed(line.removeprefix("Edges: ")) == edges


def test_a_run_of_edges_is_one_part():
    [line, _] = edges_lines(np.array([0, 5, 6, 7, 8, 12, 16, 20, 33]), PREDICTED, epoch=0)
    assert line == "Edges: 0, 5 to 8 by 1, 12 to 20 by 4, 33"


def test_of_widths_that_cost_the_same_the_widest_is_named():
    """All samples have 30 tokens, in one batch of one bucket, whatever the width: 64 has the fewest shapes."""
    counts_L1 = np.zeros(65, dtype=np.int64)
    counts_L1[30] = 64
    _, found = predict_edges(counts_L1, resolve_strategy("bucket", SAMPLE_TASK), max_length=64, epoch=0)
    assert found.best_fixed_width == 64


def test_inspect_shows_the_edges_and_their_cost(tdbs, small, workplace):
    found = tdbs("inspect", small, "--bucket-width", "auto", "--json").json
    edges, predicted = found["bucket_edges"], found["predicted_edges"]
    assert predicted["buckets"] == len(edges) - 1
    assert predicted["cost"] <= predicted["best_fixed_cost"]
    assert np.all(np.diff(edges) > 0)
    shown = tdbs("inspect", small, "--bucket-width", "auto").stdout
    assert f"Epoch 0 in {predicted['buckets']} buckets: {predicted['cost']:,.0f} tokens" in shown
    [line] = [line for line in shown.splitlines() if line.startswith("Edges: ")]
    assert listed(line.removeprefix("Edges: ")) == edges
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
