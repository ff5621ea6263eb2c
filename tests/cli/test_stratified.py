"""Stratified updates through the command line: every command that takes a strategy, on the sample's first rows."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tdbs.pipeline.dataset import load, read_split
from tests.cli.conftest import TRAIN_ROWS

# 200 rows in batches of 12: 16 full updates and one of 8.
SMALL = ("--base-batch-size", "12", "--epochs", "2", "--seed", "4")
BY_PARTS = ("--strategy", "random", "--batches", "stratified", *SMALL)


def updates_of(path: Path) -> list[tuple[int, list[int]]]:
    """Return the epoch and the samples of each update."""
    table = pq.read_table(path).to_pydict()
    found: dict[tuple[int, int], list[int]] = {}
    for epoch, step, samples in zip(table["epoch"], table["step"], table["sample_ids"], strict=True):
        found.setdefault((epoch, step), []).extend(samples)
    return [(epoch, samples) for (epoch, _), samples in found.items()]


def test_the_plan_has_the_sizes_of_random_and_nearly_equal_tokens(tdbs, small, workplace):
    lengths = read_split(load(small), "train").lengths_N
    sizes = {}
    for batches in ("random", "stratified"):
        tdbs("plan", small, *SMALL, "--batches", batches, "--execution", "padded", "--out", f"{batches}.parquet")
        updates = updates_of(Path(f"{batches}.parquet"))
        sizes[batches] = [len(samples) for _, samples in updates]
        for epoch in (0, 1):
            assert sorted(s for e, samples in updates if e == epoch for s in samples) == list(range(TRAIN_ROWS))
        tokens = [lengths[samples].sum() for _, samples in updates if len(samples) == 12]
        is_within = np.ptp(tokens) <= np.ptp(lengths)
        assert is_within == (batches == "stratified")
    assert sizes["stratified"] == sizes["random"]


@pytest.mark.parametrize(
    "parts",
    [
        ("--execution", "sorted"),
        ("--execution", "unpadded", "--max-tokens", "64"),
        *(
            pytest.param(parts, marks=pytest.mark.slow)
            for parts in (
                ("--execution", "padded_max", "--drop", "rate"),
                ("--execution", "padded", "--drop", "batch_min"),
                ("--devices", "2", "--caps", "4"),
            )
        ),
    ],
)
def test_plan_and_train_agree_whatever_goes_with_the_batches(tdbs, small, workplace, parts):
    plan = tdbs("plan", small, *BY_PARTS, *parts, "--json").json
    trained = tdbs("train", small, *BY_PARTS, *parts, "--model", "tiny", "--out", "run", "--json").json
    for key in ("steps", "samples", "tokens"):
        assert trained[key] == sum(epoch[key] for epoch in plan["epochs"])
    assert plan["epochs"][0]["samples"] == TRAIN_ROWS


def test_inspect_estimate_and_compare_know_the_strategy(tdbs, small, workplace):
    labels = tdbs("inspect", small, "--strategy", "stratified", "--json").json["label_length"]
    assert (labels["strategy"], labels["at_random"], labels["is_risky"]) == ("stratified", False, False)
    assert labels["p_value"] > 0.01
    of = ("--strategy", "stratified", "--strategy", "unpadded")
    estimated = tdbs("estimate-speedup", small, *of, "--base-batch-size", "12", "--epochs", "2", "--json").json
    steps = {row["strategy"]: row["steps"] for row in estimated["strategies"]}
    assert steps["stratified"] == steps["unpadded"] == 2 * 17
    tdbs("compare", small, *of, *SMALL, "--model", "tiny", "--out", "c")
    rows = json.loads(Path("c/compare.json").read_text())["rows"]
    assert {row["strategy"] for row in rows} == {"random", "stratified", "unpadded"}


def test_a_packed_row_has_batches_of_its_own(refused, small, workplace):
    assert refused("plan", small, *BY_PARTS, "--execution", "packed") == (
        "--batches stratified does not go with --execution packed.",
        "Pass --batches packs with --execution packed, or neither.",
    )
