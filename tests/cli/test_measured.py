"""The commands that measure, through the command line: profile, estimate-speedup --profile, compare, reproduce."""

import io
import json
import shutil
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import BertConfig, BertForSequenceClassification

from tdbs.analysis.studies.paper import STUDIES
from tdbs.reports.terminal_times import profile_tables
from tdbs.train.planning.strategies import STRATEGIES
from tests import in_process
from tests.analysis.tiny import memory_budget, time_steps_once
from tests.cli.conftest import TOKENIZER, Outcome, run_command, tree
from tests.cli.test_commands import check_kinds

SMALL = ("--model", "tiny", "--epochs", 1, "--precision", "fp32")
PAIR = ("--strategy", "random", "--strategy", "reach")
ROW_KEYS = {
    **dict.fromkeys(("strategy",), str),
    **dict.fromkeys(("seed", "tokens", "steps"), int),
    **dict.fromkeys(("seconds", "predicted_seconds", "speedup", "predicted_speedup", "padding_fraction"), float),
}
KEYS: dict[str, Any] = {
    "profile": {
        "profile": str,
        "tdbs_profile": int,
        "date": str,
        "model": {"name": str, "type": str, "parameters": int},
        "device": {"kind": str, "name": str, "cores": int, "memory_gib": float},
        "settings": {"kind": str, "precision": str, "attention": str, "kernels": [str], "memory_bytes": int},
        "max_length": int,
        "caps": {"lengths": [int], "memory": [int], "knee": [int]},
        "overhead": [{"batch_size": int, "length": int, "share": float}],
        "call_tokens": int,
        "points": [{"execution": str, "attention": str, "batch_size": int, "seconds": float, "work": dict}],
    },
    "estimate-speedup": {
        "baseline": str,
        "prepare_seconds": float,
        "runs": int,
        "strategies": [
            {
                "strategy": str,
                **dict.fromkeys(("seconds", "seconds_low", "seconds_high", "speedup", "speedup_low"), float),
                **dict.fromkeys(("seconds_over_runs", "speedup_over_runs"), float),
                "extrapolated": bool,
                "peak_memory_bytes": type(None),  # its model has no configuration
                "max_tokens": type(None),
                "is_refused": bool,
            }
        ],
    },
    "compare": {
        **dict.fromkeys(
            ("comparison", "dataset", "source", "baseline", "model", "precision", "attention", "device"), str
        ),
        "seeds": list,
        "prepare_seconds": float,
        "prediction": {
            "profile": dict,
            "pace": float,
            "strategies": [{"strategy": str, "seconds": float}],
            "overhead": [{"share": float}],
        },
        "rows": [ROW_KEYS],
        "summary": [{"strategy": str, "seeds": int, "seconds": float, "speedup": float, "score_std": NoneType}],
        "median_error": float,
        "worst_error": float,
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def short(small_files: Path, place: Path) -> Path:
    """Return the small corpus cut to 8 tokens: a profile of it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        outcome = run_command(
            "prepare", small_files, "--tokenizer", TOKENIZER, "--max-length", 8, "--out", place / "short"
        )
    assert outcome.code == 0, outcome.stderr
    return place / "short"


@pytest.fixture(scope="module")
def profiled(short: Path, place: Path) -> Outcome:
    """Return the outcome of a real profile; its file is p.json."""
    if torch.cuda.is_available():
        pytest.skip("the budget of memory is of a CPU's process")
    options = (
        "--model",
        "tiny",
        "--precision",
        "fp32",
        "--attention",
        "eager",
        "--memory",
        f"{memory_budget(60) >> 20}MiB",
    )
    with pytest.MonkeyPatch.context() as patch:
        time_steps_once(patch)
        outcome = run_command("profile", short, *options, "--out", place / "p.json", "--json")
    assert outcome.code == 0, outcome.stderr
    return outcome


@pytest.fixture
def profile(profiled: Outcome, place: Path) -> Path:
    return place / "p.json"


# ------------------------------------------------------------------------------------------------------------- profile


def test_profile_prints_what_it_writes(profiled, place):
    """One JSON object, the file's contents with its place."""
    check_kinds(profiled.json, KEYS["profile"], "profile")
    stored = json.loads((place / "p.json").read_text())
    assert profiled.json == {"profile": str(place / "p.json"), **stored}
    assert stored["settings"]["kernels"] == ["eager"]


def test_people_see_speeds_kernels_and_caps(profile):
    console = Console(width=120, record=True, file=io.StringIO())
    measured = json.loads(profile.read_text())
    for part in profile_tables(measured):
        console.print(part)
    shown = console.export_text()
    assert "tokens/s at length" in shown
    assert "Overhead of the framework, the part of a step outside torch's operations: " in shown
    assert "fastest" not in shown  # one kernel alone was timed
    for length, memory, knee in zip(*(measured["caps"][name] for name in ("lengths", "memory", "knee")), strict=True):
        [line] = [line for line in shown.splitlines() if line.startswith(f"up to {length} tokens ")]
        assert line.split()[4:] == [f"{memory:,}", f"{knee:,}"]


def test_a_place_that_is_taken_is_refused_before_anything_is_measured(refused, untouched, short, profile, place):
    with untouched(place):
        assert refused("profile", short, "--model", "tiny", "--out", profile) == (
            f"{profile} already exists.",
            "Pass another --out, or --overwrite.",
        )


# ----------------------------------------------------------------------------------------------------- estimate-speedup


def test_estimates_with_a_profile_are_in_seconds(tdbs, short, profile):
    found = tdbs("estimate-speedup", short, "--profile", profile, "--runs", 15, "--json").json
    check_kinds(found, KEYS["estimate-speedup"], "estimate-speedup")
    rows = {row["strategy"]: row for row in found["strategies"]}
    assert list(rows) == list(STRATEGIES)
    assert found["runs"] == 15
    assert (rows["random"]["speedup"], rows["random"]["speedup_over_runs"]) == (1.0, 1.0)
    for row in rows.values():
        assert row["seconds_over_runs"] == pytest.approx(found["prepare_seconds"] + 15 * row["seconds"])


def test_what_is_shown_names_the_model_the_device_and_the_kernel(tdbs, short, profile):
    measured = json.loads(profile.read_text())
    once = tdbs("estimate-speedup", short, "--profile", profile).stdout
    many = tdbs("estimate-speedup", short, "--profile", profile, "--runs", 15).stdout
    for shown in (once, many):
        assert f"Seconds of tiny on {measured['device']['name']}, eager attention." in shown.splitlines()
    assert "Preparing took " in once
    assert "The last two columns cover preparing once, " in many


def test_estimates_refuse_what_makes_no_sense(refused, short, profile, workplace):
    next_step = "Run tdbs profile --out FILE."
    assert refused("estimate-speedup", short, "--profile", "none.json") == (
        "The profile none.json cannot be read: No such file or directory.",
        next_step,
    )
    assert refused("estimate-speedup", short, "--runs", 0) == (
        "--runs must be 1 or more, got 0.",
        "Pass --runs 1 or more.",
    )
    assert refused("estimate-speedup", short, "--profile", profile, "--attention", "sdpa") == (
        "The profile has too few times of --attention sdpa: 0 steps, at least 12 are needed; most are of eager.",
        "Pass --attention eager, or run tdbs profile --attention sdpa.",
    )
    (workplace / "list.json").write_text('{"tdbs_profile": 1, "model": {}, "device": {}, "max_length": 8, "caps": []}')
    assert refused("estimate-speedup", short, "--profile", "list.json") == (
        "The profile list.json is not a profile of tdbs: caps: expected object, got array.",
        next_step,
    )


def test_estimates_without_a_profile_refuse_what_changes_seconds(refused, short):
    assert refused("estimate-speedup", short, "--runs", "5") == (
        "--runs only affects seconds, which need a profile.",
        "Pass --profile FILE; tdbs profile writes one.",
    )


def test_plans_take_measured_caps(tdbs, refused, short, profile):
    """No batch is above the largest cap of the table; without a profile there is none."""
    caps = json.loads(profile.read_text())["caps"]
    for name in ("memory", "knee"):
        options = ("--strategy", "bucket", "--no-batch-cap", "--epochs", 1, "--caps", name)
        [epoch] = tdbs("plan", short, *options, "--profile", profile, "--json").json["epochs"]
        assert epoch["largest_batch"] <= max(caps[name])
        assert refused("plan", short, *options) == (
            f"--caps {name} is measured on a device.",
            "Pass --profile FILE; tdbs profile writes one.",
        )


# ------------------------------------------------------------------------------------------------------------- compare


def test_compare_trains_and_shows_prediction_beside_measurement(tdbs, refused, short, profile, workplace):
    """Once more it is refused; with --resume it is read; what is shown has both times and the score."""
    options = (*PAIR, *SMALL, "--seed", 4, "--profile", profile, "--out", "c")
    found = tdbs("compare", short, *options, "--json").json
    check_kinds(found, KEYS["compare"], "compare")
    assert [(row["strategy"], row["seed"]) for row in found["rows"]] == [("random", 4), ("reach", 4)]
    assert {path.name for path in (workplace / "c").iterdir()} == {
        "settings.json", "prediction.json", "rows.jsonl", "compare.json", "random-seed4", "reach-seed4"
    }  # fmt: skip
    assert all(0 <= row["score"] <= 1 for row in found["rows"])
    before = tree(workplace)
    assert refused("compare", short, *options) == (
        "c contains a comparison.",
        "Pass --resume to continue, or another --out.",
    )
    assert tdbs("compare", short, *options, "--resume", "--json").json == found
    shown = tdbs("compare", short, *options, "--resume").stdout.splitlines()
    assert tree(workplace) == before
    told = shown.index(
        f"Predicted times are off by {found['median_error']:.1%} (median), {found['worst_error']:.1%} (worst)."
    )
    assert [line.split()[0] for line in shown[told - 2 : told]] == ["random", "reach"]
    assert all(line.startswith("Just before the runs, ") for line in shown[told + 1 : -1])  # where its pace has changed
    assert shown[-1] == "c"
    other = [option if option != 4 else 5 for option in options]
    assert refused("compare", short, *other, "--resume") == (
        "The comparison in c was started with other settings: seeds.",
        "Repeat the command that started it, or pass another --out.",
    )


def test_compare_times_parts_without_training(tdbs, short, workplace):
    """Without --out the folder is named before anything runs."""
    outcome = tdbs("compare", short, *PAIR, *SMALL, "--steps", 2)
    shown = outcome.stdout.splitlines()
    folder = outcome.stderr.splitlines()[0].removeprefix("comparison ")
    assert folder.startswith("runs/compare/small-")
    assert shown[-2:] == ["2 steps of each strategy were timed; a run's time is projected from them.", folder]
    result = json.loads((workplace / folder / "compare.json").read_text())
    assert [row["score"] for row in result["rows"]] == [None, None]
    assert result["prediction"]["profile"] is None
    assert "score" not in shown[1]


def test_compare_and_train_tell_energy(tdbs, refused, untouched, short, workplace):
    """The flag, the country, and what a terminal shows of them."""
    found = tdbs("compare", short, *PAIR, *SMALL, "--energy", "--country", "swe", "--out", "c", "--json").json
    assert found["energy"] == "SWE"
    assert all(row["co2e_kg"] > 0 for row in found["rows"] + found["summary"])
    shown = tdbs("compare", short, *PAIR, *SMALL, "--energy", "--country", "SWE", "--out", "c", "--resume").stdout
    assert shown.splitlines()[-2].startswith("Energy of the whole machine while training and evaluating (")
    assert shown.splitlines()[-2].endswith("), CO2e of the electricity of SWE.")
    told = tdbs("train", short, *SMALL, "--energy", "--out", "run").stdout.splitlines()[-2]
    assert told.endswith("CO2e of the world's average electricity.")
    with untouched(workplace):
        told = ("--country has no effect without --energy.", "Pass --energy with it.")
        assert refused("train", short, *SMALL, "--country", "SWE", "--out", "x") == told
        assert refused("compare", short, *SMALL, "--country", "SWE", "--out", "x") == told
        assert refused("train", short, *SMALL, "--energy", "--country", "Sweden", "--out", "x") == (
            "codecarbon has no electricity data of the country Sweden.",
            "Pass its three letters of ISO 3166, such as FRA, or world.",
        )


def test_two_names_of_one_strategy_are_one(tdbs, short, workplace):
    found = tdbs("compare", short, "--strategy", "tdbs", "--strategy", "unpadded", *SMALL, "--steps", 1, "--json").json
    assert [row["strategy"] for row in found["rows"]] == ["random", "unpadded"]


def test_compare_refuses_before_it_writes(refused, untouched, short, workplace):
    (workplace / "mine").mkdir()
    (workplace / "mine/thesis.txt").write_text("years")
    with untouched(workplace):
        assert refused("compare", short, "--resume") == (
            "--resume needs the folder of the comparison.",
            "Pass --out with it.",
        )
        assert refused("compare", short, *PAIR, *SMALL, "--out", "mine") == (
            "mine contains other files.",
            "Pass another --out.",
        )
        assert refused("compare", short, "--profile", "none.json", "--out", "c") == (
            "The profile none.json cannot be read: No such file or directory.",
            "Run tdbs profile --out FILE.",
        )
        assert refused("compare", short, *PAIR, *SMALL, "--seed", -1, "--out", "c") == (
            "--seeds takes numbers separated by commas, got -1.",
            "Pass --seeds 1,2,3.",
        )


# ----------------------------------------------------------------------------------------------------------- reproduce


@pytest.fixture(scope="module")
def model(place: Path) -> Path:
    """Return a folder with a BERT of a few thousand weights and the sample's tokenizer."""
    folder = place / "m"
    shutil.copytree(TOKENIZER, folder)
    vocabulary = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertForSequenceClassification(BertConfig(vocab_size=vocabulary, **sizes)).save_pretrained(folder)
    return folder


def test_reproduce_trains_writes_a_page_and_does_not_train_again(tdbs, small_files, model, workplace):
    """Figure 6 on a user's files: the command as it was called is on the page, the model's folder is not."""
    (workplace / "files").symlink_to(small_files)
    words = [
        "reproduce",
        "fig6",
        "--tasks",
        "./files",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--model",
        str(model),
        "--json",
    ]
    ended = in_process.run_command(*words, folder=workplace)
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found == {"study": "reports/local/fig6", "page": "reports/local/fig6/README.md", "findings": []}
    page = (workplace / found["page"]).read_text()
    assert f"`tdbs reproduce fig6 --tasks ./files --seeds 1 --epochs 1 --model {model.parent.name}/m --json`" in page
    assert str(model) not in page
    assert {path.name for path in (workplace / found["study"]).iterdir()} == {
        "README.md",
        "study.json",
        "loss-files.svg",
    }
    runs = workplace / "runs/reproduce/fig6"
    assert {path.name for path in (runs / "files").iterdir()} >= {"compare.json", "random-seed1", "tdbs_paper-seed1"}
    before = tree(runs)
    assert tdbs(*words).json == found
    assert tree(runs) == before


def test_reproduce_figure_8_prints_its_page(tdbs, small_files, workplace):
    """Without a profile; the page is what people read on stdout."""
    shown = tdbs("reproduce", "fig8", "--tasks", str(small_files), "--model", TOKENIZER, "--out", "s").stdout
    page = (workplace / "s/README.md").read_text()
    assert page.replace("![speedup](speedup.svg)\n\n", "").rstrip() in shown
    assert shown.splitlines()[-1] == "s/README.md"
    assert (workplace / "s/speedup.svg").read_text().count("<svg") == 1


def test_reproduce_refuses_before_it_prepares_anything(refused, untouched, workplace):
    """Preparing ten tasks takes minutes."""
    (workplace / "mine").mkdir()
    (workplace / "mine/README.md").write_text("years")
    seeds = "Pass --seeds 1,2,3."
    needs = "Pass --profile FILE; tdbs profile writes one."
    with untouched(workplace):
        assert refused("reproduce", "table9") == ("There is no study table9.", f"Choose one of: {', '.join(STUDIES)}.")
        for bad in ("1,x", "1,,2", "", "-1", "1.5", "²"):
            assert refused("reproduce", "table1", f"--seeds={bad}") == (
                f"--seeds takes numbers separated by commas, got {bad}.",
                seeds,
            )
        for study in ("fig7", "e1"):
            assert refused("reproduce", study) == (f"{study} is computed in seconds.", needs)
        assert refused("reproduce", "table1", "--profile", "none.json") == (
            "The profile none.json cannot be read: No such file or directory.",
            "Run tdbs profile --out FILE.",
        )
        assert refused("reproduce", "fig8", "--out", "mine", "--overwrite") == (
            "mine contains other files.",
            "Pass another --out, or --overwrite to replace a study.",
        )


@pytest.mark.real_data
def test_reproduce_figure_8_on_glue(tdbs, shared, workplace):
    """Three tasks of the real data: the speedup in tokens over random, and how it goes with the spread of lengths."""
    options = ("--mirror", shared / "datasets", "--model", shared / "tokenizers/roberta-base", "--json")
    found = tdbs("reproduce", "fig8", "--tasks", "rte,mrpc, wnli", *options).json
    study = json.loads((workplace / found["study"] / "study.json").read_text())
    assert [point[0] for point in study["points"]] == ["rte", "mrpc", "wnli"]
    assert all(1 < speedup < 4 for *_, speedup in study["points"])
    assert [row[8] for row in study["tables"][0]["rows"]] == ["2.05x", "2.75x", "3.80x"]
    assert found["findings"][0].startswith("Rank correlation over 3 tasks of padding_fraction_est")
