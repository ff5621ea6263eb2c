"""`tdbs predict` on the command line: what goes to stdout and stderr, files, and what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
    assert "Skipped 1 bad row: 2\n" in outcome.stderr
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


@pytest.fixture
def squad_file(shared, tmp_path):
    """Return questions of SQuAD, each with nine paragraphs, of which the one named `own` has the answer."""
    table = pq.read_table(shared / "datasets/squad/validation.parquet").slice(0, 2_000)
    contexts = list(dict.fromkeys(table["context"].to_pylist()))[::10][:9]
    rows = [
        {"question": row["question"], "paragraphs": contexts, "own": contexts.index(row["context"])}
        for row in table.to_pylist()
        if row["context"] in contexts
    ][::4]
    place = tmp_path / "questions.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.mark.real_data
def test_a_real_model_finds_the_paragraphs_of_squad(tdbs, minilm, squad_file, tmp_path):
    """Most questions' own paragraph has rank 1 among nine; embeddings are cut, and have 16 bits a number."""
    out = tmp_path / "ranks.jsonl"
    found = tdbs(
        *("predict", minilm, squad_file, "--columns", "question,paragraphs"),
        *("--max-length", 96, "--out", out, "--json"),
    ).json
    own = [row["own"] for row in read_jsonl(squad_file)]
    ranks = np.array([row["ranks"] for row in read_jsonl(out)])
    assert found["rows"] == len(own) == len(ranks)
    assert found["strategy"] == "unpadded"
    assert np.mean(ranks[np.arange(len(own)), own] == 1) >= 0.8
    vectors = tmp_path / "vectors.parquet"
    options = ("--text", "question", "--dimensions", 64, "--float16", "--out", vectors)
    tdbs("predict", minilm, squad_file, *options)
    column = pq.read_table(vectors)["embedding"]
    assert column.type == pa.list_(pa.float16())
    assert np.linalg.norm(np.array(column.to_pylist(), dtype=np.float32), axis=1) == pytest.approx(1, abs=2e-3)


def test_options_of_embeddings_are_refused_for_other_models(refused, finished_run, small_files):
    for option, cause in {
        ("--dimensions", 8): "--dimensions only applies to models that embed texts.",
        ("--float16",): "--float16 only applies to embeddings.",
        ("--columns", "text,label"): "--columns is for embeddings and rerankers; this model is for classification.",
    }.items():
        found = refused("predict", finished_run, small_files / "validation.csv", *option)
        assert found == (cause, "Leave it out.")
