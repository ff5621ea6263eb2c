"""The main job through the command line: prepare, inspect, plan, estimate, train, evaluate, report, models, env."""

import csv
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tdbs.train.planning.strategies import STRATEGIES
from tests.cli.conftest import TOKENIZER, TRAIN_ROWS, VALIDATION_ROWS, Outcome, run_command, tree
from tests.reports.conftest import make_row, write_comparison

SPLIT_KEYS = {
    "rows": int,
    "tokens": int,
    "L_avg": float,
    "L_87.5": int,
    "padding_fraction_est": float,
    "droppable_fraction": float,
}
ESTIMATE_KEYS = {
    "strategy": str,
    "steps": int,
    "tokens": int,
    "padding_fraction": float,
    "seconds": NoneType,
    "speedup": float,
    "speedup_low": float,
    "speedup_high": float,
}
# The public keys of DESIGN, "The command line"; a list holds one kind of thing.
PUBLIC_KEYS: dict[str, Any] = {
    "prepare": {
        "path": str,
        "cached": bool,
        "splits": {"train": SPLIT_KEYS, "validation": SPLIT_KEYS},
        "seconds": dict.fromkeys(("read", "tokenize", "annotate", "write", "total"), float),
    },
    "inspect": {"path": str, "split": str, "bucket_edges": [int], "length_histogram": [int]},
    "plan": {
        "epochs": [
            {
                **dict.fromkeys(("epoch", "steps", "batches", "samples", "tokens"), int),
                "padding_fraction": float,
                "largest_batch": int,
            }
        ],
        "plan_digest": str,
    },
    "estimate-speedup": {"baseline": str, "strategies": [ESTIMATE_KEYS]},
    "train": {
        "run": str,
        "strategy": str,
        "seed": int,
        "steps": int,
        "samples": int,
        "tokens": int,
        "padding_fraction": float,
        "seconds": dict.fromkeys(("train", "evaluate", "total"), float),
        "metrics": {"accuracy": float},
        "score": float,
    },
    "evaluate": {"run": str, "split": str, "rows": int, "metrics": {"accuracy": float}, "score": float},
    "report": {"report": str, "run": str, "comparison": NoneType, "dataset": str, "files": [str]},
    "models": {
        "model": NoneType,
        "models": [dict.fromkeys(("unpadded", "packed", "sorted", "unpadded_seq2seq"), bool)],
    },
    "env": {"python": str, "packages": dict, "devices": [str]},
}
EVERY_SPLIT_ONCE = ("--strategy", "tdbs_paper", "--caps", "16", "--base-batch-size", "16", "--seed", "3")
ONE_EPOCH = ("--epochs", "1", "--lr", "0.001")
COMMANDS: dict[str, tuple[str, ...]] = {
    "prepare": ("prepare", "{files}", "--tokenizer", TOKENIZER),
    "inspect": ("inspect", "--samples", "2"),
    "plan": ("plan", *EVERY_SPLIT_ONCE, *ONE_EPOCH, "--out", "{n}/plan.parquet"),
    "estimate-speedup": ("estimate-speedup", "--epochs", "2"),
    "train": ("train", *EVERY_SPLIT_ONCE, *ONE_EPOCH, "--model", "tiny", "--out", "{n}/run"),
    "evaluate": ("evaluate",),
    "report": ("report", "--out", "{n}/report.html", "--files"),
    "models": ("models",),
    "env": ("env",),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journey")


@pytest.fixture(scope="module")
def journeys(place: Path, small_files: Path) -> dict[str, list[Outcome]]:
    """Return the outcomes of all commands in order, with --json, and once more without."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in COMMANDS}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for n, options in (("with_json", ("--json",)), ("without", ())):
            for name, arguments in COMMANDS.items():
                given = [argument.format(files=small_files, n=n) for argument in arguments]
                outcomes[name].append(run_command(*given, *options))
    return outcomes


def steps_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]


def check_kinds(found: Any, kinds: Any, where: str) -> None:
    """Compare a JSON value with what is promised: every key is there and holds the right kind of thing."""
    if isinstance(kinds, dict):
        for key, kind in kinds.items():
            assert key in found, f"{where} lacks {key}"
            check_kinds(found[key], kind, f"{where}.{key}")
    elif isinstance(kinds, list):
        assert isinstance(found, list), where
        assert found, where
        for value in found:
            check_kinds(value, kinds[0], f"{where}[]")
    else:
        assert type(found) is kinds, f"{where} is {found!r}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_succeeds_and_prints_one_json_object_with_the_public_keys(journeys, name):
    with_json, _ = journeys[name]
    assert with_json.code == 0, with_json.stderr
    check_kinds(with_json.json, PUBLIC_KEYS[name], name)


@pytest.mark.parametrize("name", COMMANDS)
def test_without_json_results_are_on_stdout_and_notes_on_stderr(journeys, name):
    _, without = journeys[name]
    assert without.code == 0, without.stderr
    assert without.stdout.strip()
    assert "dataset data/" not in without.stdout  # which dataset was taken is a note


def test_prepare_counts_and_finds_the_same_contents_again(journeys):
    first, second = journeys["prepare"]
    found = first.json
    assert found["cached"] is False
    assert (found["splits"]["train"]["rows"], found["splits"]["validation"]["rows"]) == (TRAIN_ROWS, VALIDATION_ROWS)
    assert "Nothing to do: a dataset with the same contents already exists." in second.stderr.splitlines()


def test_a_command_without_a_dataset_takes_the_last_one_and_names_it_on_stderr(journeys):
    path = journeys["prepare"][0].json["path"]
    for name in ("inspect", "plan", "estimate-speedup", "train"):
        for outcome in journeys[name]:
            assert outcome.stderr.splitlines()[0] == f"dataset {path}"
    run = journeys["train"][0].json["run"]
    assert journeys["evaluate"][0].stderr.splitlines()[0] == f"run {run}"
    assert journeys["report"][0].stderr.splitlines()[0] == f"run {run}"


def test_the_plan_file_has_one_row_a_batch_and_its_rows_partition_the_samples(journeys, place):
    table = pq.read_table(place / "with_json/plan.parquet")
    columns = ["epoch", "step", "batch", "bucket", "sample_ids", "padded_length", "tokens", "lr"]
    assert table.column_names == columns
    [epoch] = journeys["plan"][0].json["epochs"]
    assert table.num_rows == epoch["batches"] == epoch["steps"]
    batches = table["sample_ids"].to_pylist()
    assert sorted(sample for batch in batches for sample in batch) == list(range(TRAIN_ROWS))
    assert max(len(batch) for batch in batches) == epoch["largest_batch"] == 16
    assert table["step"].to_pylist() == list(range(epoch["steps"]))
    padded = [len(batch) * width for batch, width in zip(batches, table["padded_length"].to_pylist(), strict=True)]
    assert table["tokens"].to_pylist() == padded
    assert sum(padded) == epoch["tokens"]
    assert pq.read_table(place / "without/plan.parquet").equals(table)


def test_training_does_what_the_plan_said_step_by_step(journeys, place):
    plan = pq.read_table(place / "with_json/plan.parquet").to_pylist()
    steps = steps_of(place / "with_json/run")
    assert [step["lr"] for step in steps] == [row["lr"] for row in plan]
    assert [step["step"] for step in steps] == [row["step"] for row in plan]
    assert [step["padded_length"] for step in steps] == [row["padded_length"] for row in plan]
    assert [step["batch_size"] for step in steps] == [len(row["sample_ids"]) for row in plan]
    keys = {"step", "epoch", "batch_size", "predicted", "padded_length", "tokens", "lr", "loss", "seconds"}
    assert set(steps[0]) == keys
    [epoch] = journeys["plan"][0].json["epochs"]
    result = journeys["train"][0].json
    keys = ("steps", "samples", "tokens", "padding_fraction")
    assert [result[key] for key in keys] == [epoch[key] for key in keys]
    config = tomllib.loads((place / "with_json/run/config.toml").read_text())
    assert config["plan_digest"] == journeys["plan"][0].json["plan_digest"]


def test_evaluate_gives_the_score_of_train(journeys):
    trained, scored = journeys["train"][0].json, journeys["evaluate"][0].json
    assert (scored["score"], scored["metrics"]) == (trained["score"], trained["metrics"])
    assert (scored["split"], scored["rows"], scored["run"]) == ("validation", VALIDATION_ROWS, trained["run"])


def test_the_same_seed_trains_the_same_run_again(journeys, place):
    first, second = ([dict(s, seconds=None) for s in steps_of(place / n / "run")] for n in ("with_json", "without"))
    assert first == second
    results = [json.loads((place / n / "run/result.json").read_text()) for n in ("with_json", "without")]
    for result in results:
        del result["run"], result["seconds"]
    assert results[0] == results[1]


def test_a_run_folder_holds_the_resolved_config_and_a_model_that_transformers_loads(journeys, place):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run = place / "with_json/run"
    assert {path.name for path in run.iterdir()} == {"config.toml", "steps.jsonl", "result.json", "model", "samples"}
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["strategy"]["name"] == "tdbs_paper"
    assert config["strategy"]["caps"] == "16"
    assert {**config, "dataset": None, "plan_digest": None, "strategy": None, "versions": None} == {
        "dataset": None,
        "task": {"kind": "classification", "classes": ["0", "1"]},
        "model": "tiny",
        "seed": 3,
        "epochs": 1,
        "lr": 0.001,
        "warmup": 0.06,
        "lr_scheduler": "linear",
        "weight_decay": 0.0,
        "dropout": 0.0,  # buckets and fewer than 10,000 rows
        "plan_digest": None,
        "memory": "2GiB",
        "windows": 1,
        "strategy": None,
        "part": {},
        "execution": config["execution"],
        "versions": None,
    }
    assert "auto" not in config["execution"].values()
    assert (run / "model/model.safetensors").is_file()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    assert model.config.id2label == {0: "0", 1: "1"}
    inputs = tokenizer(["never dull", "a stale , pretentious fable"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        assert model(**inputs).logits.shape == (2, 2)


def test_the_tokenizer_of_a_run_makes_the_prepared_tokens(journeys, place, small_files):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place / "with_json/run/model")
    rows = csv.DictReader((small_files / "validation.csv").read_text(encoding="utf-8").splitlines())
    texts = [row["text"] for row in rows]
    shards = Path(place / journeys["prepare"][0].json["path"]) / "validation"
    table = pq.read_table(shards, partitioning=None).sort_by("sample_id")
    assert tokenizer(texts)["input_ids"] == table["input_ids"].to_pylist()


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["t5-small", *(pytest.param(name, marks=pytest.mark.slow) for name in ("roberta-base", "gpt2"))]
)
def test_a_tiny_model_keeps_whatever_tokenizer_its_dataset_has(tdbs, small_files, shared, workplace, name):
    """The tiny model is a BERT; its tokenizer need not be a WordPiece one."""
    from transformers import AutoTokenizer

    source = shared / "tokenizers" / name
    tdbs("prepare", small_files, "--tokenizer", source, "--out", "d")
    tdbs("train", "d", "--model", "tiny", "--epochs", 1, "--out", "run")
    text = "it isn't dull"
    loaded = AutoTokenizer.from_pretrained(workplace / "run/model")
    assert loaded(text)["input_ids"] == AutoTokenizer.from_pretrained(source)(text)["input_ids"]


def test_inspect_marks_droppable_words_and_shows_bucket_edges(journeys):
    found, shown = journeys["inspect"][0].json, journeys["inspect"][1].stdout
    assert sum(found["length_histogram"]) == TRAIN_ROWS
    assert found["bucket_edges"][:3] == [0, 5, 10]
    assert len(found["samples"]) == 2
    for sample in found["samples"]:
        words = [text.strip() for text, droppable in sample["pieces"] if droppable]
        line = next(line for line in shown.splitlines() if line.startswith(f"{sample['sample_id']} ("))
        assert [f"[{word}]" in line for word in words] == [True] * len(words)
    assert "005-010" in shown


def test_estimates_are_over_the_baseline_and_say_what_they_count(journeys):
    found = journeys["estimate-speedup"][0].json
    assert found["baseline"] == "random"
    by_name = {row["strategy"]: row for row in found["strategies"]}
    assert list(by_name) == list(STRATEGIES)
    random = by_name["random"]
    assert (random["speedup"], random["speedup_low"], random["speedup_high"]) == (1.0, 1.0, 1.0)
    for row in found["strategies"]:
        assert row["speedup"] == random["tokens"] / row["tokens"]
        assert row["speedup_low"] <= row["speedup"] <= row["speedup_high"]
    shown = journeys["estimate-speedup"][1].stdout
    assert "Speedup in tokens processed, padding included." in shown


def test_the_report_is_one_page_that_asks_for_nothing_from_outside(journeys, place):
    page = (place / "with_json/report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.count("<svg") >= 4
    for outside in ('src="http', 'href="http', "@import", "<script"):
        assert outside not in page
    assert journeys["report"][0].json["report"] == "with_json/report.html"


def test_the_files_of_a_report_are_named_and_there(journeys, place):
    files = journeys["report"][0].json["files"]
    assert {str(path.relative_to(place)) for path in (place / "with_json/report_files").iterdir()} == set(files)
    numbers = json.loads((place / "with_json/report_files/numbers.json").read_text(encoding="utf-8"))
    assert numbers["run"]["result"]["score"] == journeys["train"][0].json["score"]
    assert [row["strategy"] for row in numbers["strategies"]] == [
        row["strategy"] for row in journeys["estimate-speedup"][0].json["strategies"]
    ]


def test_report_takes_a_comparison(tdbs, small, finished_run, workplace):
    """A comparison's folder holds compare.json and the runs that it names."""
    run = {"run": finished_run.name, "evaluate_seconds": None, "plan_seconds": None, "score": None}
    shutil.copytree(finished_run, workplace / "compared" / finished_run.name)
    rows = [make_row("random", 0, run=None), make_row("reach", 0, **run)]
    write_comparison(workplace / "compared", dataset=str(small), rows=rows)
    found = tdbs("report", "compared", "--out", "page.html", "--json").json
    assert (found["report"], found["run"], found["comparison"]) == ("page.html", None, "compared")
    assert found["files"] == []
    assert "Time by strategy" in (workplace / "page.html").read_text(encoding="utf-8")


def test_models_shows_each_type_and_the_reason_of_each_exception(journeys):
    _, shown = journeys["models"]
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "model type unpadded packed sorted attention head reads except"
    assert "deberta-v2 yes yes yes its own first conv_kernel_size" in lines
    assert "t5 seq2seq no yes transformers'" in lines
    assert "any other no no yes" in lines
    assert "conv_kernel_size: a convolution mixes neighbours in the row" in lines
    assert "any other: refused if padding changes its outputs, tried before training" in lines


def test_env_names_the_versions_of_this_environment(journeys):
    from importlib.metadata import version

    found = journeys["env"][0].json
    assert found["packages"]["torch"] == version("torch")
    assert found["packages"]["tdbs"] == version("tdbs")


def test_default_places_are_below_data_runs_and_reports(tdbs, small_files, workplace):
    """Two seeds in a row, and a report of the last: every default of --out at once."""
    prepared = tdbs("prepare", small_files, "--tokenizer", TOKENIZER, "--json").json
    assert prepared["path"].startswith("data/small/sample_tokenizer-128-")
    runs = [
        tdbs("train", "--model", "tiny", "--epochs", 1, "--seed", seed, "--base-batch-size", 100, "--json").json["run"]
        for seed in (0, 1)
    ]
    assert [run[: len("runs/small/unpadded-seed0-")] for run in runs] == [
        "runs/small/unpadded-seed0-",
        "runs/small/unpadded-seed1-",
    ]
    page = tdbs("report", "--json").json["report"]
    assert page == f"reports/local/small-{Path(runs[1]).name}.html"
    assert {path.name for path in workplace.iterdir()} == {"data", "runs", "reports"}


def test_two_runs_in_one_second_do_not_stand_in_each_others_way(tdbs, small, workplace, monkeypatch):
    """A loop over settings with one seed must not fail because both runs start in one second."""
    monkeypatch.setattr("time.strftime", lambda *_: "20260101-120000")
    options = ("--model", "tiny", "--epochs", 1, "--base-batch-size", 100, "--json")
    assert tdbs("train", small, *options).json["run"] != tdbs("train", small, *options).json["run"]


def test_a_run_can_be_evaluated_from_another_folder(tdbs, small_files, workplace, monkeypatch):
    tdbs("prepare", small_files, "--tokenizer", TOKENIZER, "--out", "d")
    tdbs("train", "d", "--model", "tiny", "--epochs", 1, "--base-batch-size", 100, "--out", "run")
    elsewhere = workplace / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert tdbs("evaluate", workplace / "run", "--json").json["rows"] == VALIDATION_ROWS


def test_both_precisions_can_be_trained_in_one_process(tdbs, small, workplace):
    for precision in ("fp32", "bf16"):
        options = ("--model", "tiny", "--epochs", 1, "--base-batch-size", 100, "--precision", precision)
        tdbs("train", small, *options, "--out", precision)
        config = tomllib.loads((workplace / precision / "config.toml").read_text())
        assert config["execution"]["precision"] == precision


def test_frozen_layers_are_an_option_and_recorded(tdbs, small, workplace):
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--freeze-layers", 1, "--out", "run")
    assert tomllib.loads((workplace / "run/config.toml").read_text())["part"] == {"freeze_layers": 1}


def test_the_sample_is_prepared_whole_and_found_again(tdbs, workplace):
    first, second = (tdbs("prepare", "--json").json for _ in range(2))
    assert (first["cached"], second["cached"]) == (False, True)
    rows = {name: split["rows"] for name, split in first["splits"].items()}
    assert rows == {"train": 20_000, "validation": 2_000}
    assert first["path"].startswith("data/sample/sample_tokenizer-128-")
    assert (first["path"], first["splits"]) == (second["path"], second["splits"])
    parts = [first["seconds"][stage] for stage in ("read", "tokenize", "annotate", "write")]
    assert 0 < sum(parts) <= first["seconds"]["total"]
    before = tree(workplace)
    planned = tdbs("plan", "--strategy", "random", "--epochs", 1, "--out", "p.parquet", "--json").json
    assert planned["epochs"][0]["samples"] == 20_000
    assert {name: entry for name, entry in tree(workplace).items() if name != "p.parquet"} == before


def test_the_plan_of_the_sample_has_the_rates_that_train_will_use(tdbs, workplace):
    """`tdbs plan` says what `tdbs train` does with the same options: on the sample that is tiny's rate."""
    from tdbs.train.planning.model_choice import TINY_RATE

    tdbs("prepare")
    tdbs("plan", "--strategy", "random", "--epochs", 1, "--out", "p.parquet")
    assert np.isclose(pq.read_table("p.parquet")["lr"].to_numpy().max(), TINY_RATE, rtol=0.02)


def test_the_installed_command_prints_json_and_nothing_else(small, tmp_path):
    """One real process: libraries' notices and progress bars stay out of stdout."""
    command = [Path(sys.executable).with_name("tdbs"), "train", small, "--model", "tiny", "--epochs", "1", "--json"]
    run = subprocess.run(
        [*command, "--base-batch-size", "100"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(run.stdout)["samples"] == TRAIN_ROWS
    assert run.stdout.count("\n") == 1
    assert "Warning" not in run.stderr
