"""A comparison is read as it was written, and refused with a cause and a next step where it is none."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import tomli_w

from tdbs.errors import DatasetError
from tdbs.reports.comparison import error_of, is_comparison, read_comparison
from tests.reports.conftest import make_comparison, make_row, make_steps, make_summary, write_comparison

AGAIN = "Name a folder that tdbs compare wrote, or compare again."


def write(folder: Path, text: str) -> Path:
    write_comparison(folder)
    (folder / "compare.json").write_text(text)
    return folder


def test_a_comparison_is_read_as_it_was_written(compared):
    """Keys that this version does not know are left alone."""
    found = compared(lr=0.001, rows=[make_row("random", 0, new_key=1), make_row("reach", 0)])
    assert [asdict(row) for row in found.rows] == [make_row("random", 0), make_row("reach", 0)]
    assert [asdict(summary) for summary in found.summaries] == make_comparison()["summary"]
    assert (found.epochs, found.baseline, found.median_error) == (2, "random", 0.125)
    assert [(estimate.strategy, estimate.seconds_low) for estimate in found.estimates] == [
        ("random", 36.0),
        ("reach", 24.0),
    ]


def test_the_best_strategy_is_the_fastest_and_errors_are_of_the_prediction(compared):
    """25 s predicted, 20 s measured: a quarter too much."""
    found = compared()
    assert found.best.strategy == "reach"
    assert error_of(found.best) == 0.25
    assert error_of(found.summary_of("random")) == 0.0


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"score_mean": 0.8626, "score_std": 0.1}, "reach"),  # random's deviation, 0.0125, is chance
        ({"score_mean": 0.8624, "score_std": 0.1}, "random"),
        ({"score_mean": None, "score_std": None}, "random"),  # not defined: all predictions alike
    ],
)
def test_a_strategy_that_loses_score_is_not_the_best(compared, scores, best):
    slow = make_summary("random", seconds=40.0, speedup=1.0)
    found = compared(summary=[slow, make_summary("reach", **scores)])
    assert found.best.strategy == best
    assert [summary.strategy for summary in found.too_low] == (["reach"] if best == "random" else [])


def test_without_a_deviation_half_a_point_is_chance(compared):
    one = {"seeds": 1, "score_std": None}
    slow = make_summary("random", seconds=40.0, speedup=1.0, **one)
    found = {
        score: compared(summary=[slow, make_summary("reach", score_mean=score, **one)]).best.strategy
        for score in (0.8701, 0.8699)
    }
    assert found == {0.8701: "reach", 0.8699: "random"}
    timed = [replace_scores(summary) for summary in (slow, make_summary("reach"))]
    assert compared(summary=timed).best.strategy == "reach"  # parts have no scores


def replace_scores(summary):
    return {**summary, "score_mean": None, "score_std": None}


def test_runs_are_those_of_the_first_seed_and_may_be_missing(compared, tmp_path):
    assert compared().runs == {}
    for seed in (0, 1):
        run = tmp_path / f"reach-seed{seed}"
        run.mkdir()
        (run / "config.toml").write_text(tomli_w.dumps({"plan_digest": "aa", "seed": seed}))
        (run / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in make_steps([0.5, 0.25])))
    found = compared()
    assert list(found.runs) == ["reach"]
    assert found.runs["reach"].config["seed"] == 0
    assert [step["loss"] for step in found.runs["reach"].steps] == [0.5, 0.25]


def test_a_folder_is_of_a_comparison_where_its_result_is(tmp_path):
    assert not is_comparison(tmp_path)
    assert is_comparison(write(tmp_path, "{}"))


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DatasetError) as caught:
        read_comparison(write(tmp_path, "{"))
    assert caught.value.message.startswith(f"{tmp_path}/compare.json cannot be read: Expecting property name")
    assert caught.value.next_step == AGAIN


def test_a_comparison_that_is_not_finished_is_refused(tmp_path):
    """It has terms and no result yet."""
    (write_comparison(tmp_path) / "compare.json").unlink()
    assert is_comparison(tmp_path)
    with pytest.raises(DatasetError) as caught:
        read_comparison(tmp_path)
    assert str(caught.value) == f"The comparison in {tmp_path} is not finished. Run tdbs compare with --resume."


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"rows": [make_row("random", 0, seconds="fast")]}, "TypeError(\"seconds is 'fast'\")"),
        ({"epochs": True}, "TypeError('epochs is True')"),
        ({"rows": [make_row("random", 0, run="../elsewhere")]}, "KeyError('../elsewhere')"),
        ({"rows": [make_row("random", 0, run="/etc")]}, "KeyError('/etc')"),
        ({"baseline": "other"}, "StopIteration()"),
        ({"summary": [make_summary("random", seconds=None)]}, "TypeError('seconds is None')"),
        ({"rows": None}, "TypeError(\"'NoneType' object is not iterable\")"),
    ],
)
def test_what_is_no_comparison_is_refused(tmp_path, overrides, reason):
    with pytest.raises(DatasetError) as caught:
        read_comparison(write(tmp_path, json.dumps(make_comparison(**overrides))))
    assert caught.value.message == f"{tmp_path}/compare.json is not a comparison of tdbs: {reason}."
    assert caught.value.next_step == AGAIN
