"""`tdbs predict` on the command line: what goes to stdout and stderr, files, and what is refused."""

import json

import pytest

from tests.inference.conftest import read_jsonl, write_csv
from tests.inference.models import save_checkpoint


def test_rows_go_to_stdout_and_all_else_to_stderr(tdbs, finished_run, small_files):
    outcome = tdbs("predict", finished_run, small_files / "validation.csv")
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["source_row"] for row in rows] == list(range(60))
    assert "60 rows, " in outcome.stderr


def test_one_json_object_where_predictions_go_to_a_file(tdbs, finished_run, small_files, tmp_path):
    out = tmp_path / "out.jsonl"
    found = tdbs("predict", finished_run, small_files / "validation.csv", "--out", out, "--json").json
    assert (found["rows"], found["out"], found["strategy"], found["drop"]) == (60, str(out), "bucket", "none")
    assert found["milliseconds"] == {"p50": None, "p95": None, "p99": None}
    assert len(read_jsonl(out)) == 60


def test_real_time_tells_its_percentiles(tdbs, finished_run, small_files, tmp_path):
    source = small_files / "validation.csv"
    options = ("--batch-size", 1, "--drop-rate", 1, "--out", tmp_path / "out.jsonl")
    assert ", p50 " in tdbs("predict", finished_run, source, *options).stderr


def test_bad_rows_are_named(tdbs, finished_run, tmp_path):
    source = write_csv(tmp_path / "in.csv", ["text"], [["fine"], ["a", "b"], ["good"]])
    outcome = tdbs("predict", finished_run, source, "--skip-bad-rows")
    assert "Skipped 1 bad rows: 2\n" in outcome.stderr
    assert outcome.stdout.count("\n") == 2


def test_an_error_about_a_row_names_the_option_that_skips_it(refused, finished_run, tmp_path):
    source = write_csv(tmp_path / "in.csv", ["text"], [["fine"], ["a", "b"], ["good"]])
    message, next_step = refused("predict", finished_run, source)
    assert message.startswith("Row 2 of ")
    assert next_step.endswith("; or pass --skip-bad-rows.")


@pytest.mark.parametrize("kind", ["regression", None])
def test_one_output_of_a_kind_that_nothing_names_is_read_as_regression_and_told(tdbs, small_files, tmp_path, kind):
    """transformers' own pipeline would show its sigmoid."""
    folder = save_checkpoint(tmp_path / "m", "regression", problem_type=kind)
    outcome = tdbs("predict", folder, small_files / "validation.csv")
    note = (
        f"{folder} has one output and no problem_type in its config.json: it is read as regression, and its numbers "
        "are printed unchanged, without a sigmoid.\n"
    )
    assert outcome.stderr.startswith(note) == ("problem_type" in outcome.stderr) == (kind is None)
    found = [json.loads(line)["prediction"] for line in outcome.stdout.splitlines()]
    assert not all(0 <= number <= 1 for number in found)


def test_what_is_refused_leaves_nothing(refused, finished_run, small_files, tmp_path, untouched):
    source = small_files / "validation.csv"
    with untouched(tmp_path):
        assert refused("predict", finished_run, source, "--json") == (
            "--json and the predictions cannot share stdout.",
            "Pass --out with it.",
        )
        assert refused("predict", finished_run, source, "--drop-rate", 2, "--out", tmp_path / "out.jsonl") == (
            "--drop-rate must be from 0 to 1, got 2.0.",
            "Pass a share such as --drop-rate 0.3.",
        )
        assert refused("predict", finished_run, source, "--text", "review", "--out", tmp_path / "out.jsonl") == (
            "validation.csv has no column 'review'; it has: 'text', 'label'.",
            "Name the column with --text.",
        )
