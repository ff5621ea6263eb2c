"""Ctrl-C and SIGTERM: two lines that name the work itself, not the run it was in, and the command that they say."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification

from tests.cli.conftest import TOKENIZER

TINY = ("--model", "tiny", "--precision", "fp32")


def command_of(*words: object) -> list[str]:
    return [sys.executable, "-c", "from tdbs.cli import main; main()", *map(str, words)]


def stopped(words: tuple[object, ...], place: Path, number: int) -> tuple[int, list[str]]:
    """Return exit code and stderr of a command that is stopped in the first steps of a run below its folder."""
    process = subprocess.Popen(command_of(*words), cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if any(log.stat().st_size for log in place.rglob("steps.jsonl")):
            break
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert stdout == ""
    assert "Traceback" not in stderr
    return process.returncode, stderr.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_names_its_folder_and_goes_on_as_it_says(small, workplace, number):
    words = ("sweep", small, "--lr", "1e-3", "--epochs", 12, "--base-batch-size", 16, *TINY, "--out", "s")
    code, lines = stopped(words, workplace, number)
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The sweep in s was stopped by {number.name}.",
        "Next:  Run the same command with --resume --out s to continue.",
    ]
    assert not any("-seed0" in line for line in lines)  # the folder of the run it was in
    [run] = (workplace / "s/runs").iterdir()
    assert list((run / "checkpoints").iterdir())
    if number == signal.SIGTERM:
        return
    done = subprocess.run(
        command_of(*words, "--resume", "--json"), cwd=workplace, capture_output=True, text=True, check=True
    )
    assert [trial["state"] for trial in json.loads(done.stdout)["trials"]] == ["complete"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_comparison_names_its_folder_and_goes_on_as_it_says(small, workplace, number):
    words = ("compare", small, "--strategy", "random", "--epochs", 12, "--base-batch-size", 16, *TINY, "--out", "c")
    code, lines = stopped(words, workplace, number)
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The comparison in c was stopped by {number.name}.",
        "Next:  Run the same command with --resume --out c to continue.",
    ]
    if number == signal.SIGTERM:
        return
    done = subprocess.run(
        command_of(*words, "--resume", "--json"), cwd=workplace, capture_output=True, text=True, check=True
    )
    assert len(json.loads(done.stdout)["rows"]) == 1


def test_a_stopped_study_names_the_folder_of_its_runs(small_files, workplace):
    (workplace / "files").symlink_to(small_files)
    shutil.copytree(TOKENIZER, workplace / "m")
    vocabulary = len(json.loads((workplace / "m/tokenizer.json").read_text())["model"]["vocab"])
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertForSequenceClassification(BertConfig(vocab_size=vocabulary, **sizes)).save_pretrained(workplace / "m")
    words = ("reproduce", "fig6", "--tasks", "./files", "--seeds", "1", "--epochs", 40, "--model", "m")
    code, lines = stopped(words, workplace, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert lines[-2:] == [
        "Error: The study in runs/reproduce/fig6 was stopped by SIGTERM.",
        "Next:  Run the same command again to continue.",
    ]


ANEW = "Next:  Run the same command again: it starts again."


def stopped_at(done, words, place, *, number=signal.SIGINT, lines=0):
    """Return exit code and stderr of a prediction that is stopped once `done` is there, after lines of stdin."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command_of(*words), cwd=place, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdin.write("a fine film\n" * lines)
        process.stdin.flush()
        until = time.monotonic() + 120
        while process.poll() is None and not (place / done).exists() and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(number)
        process.wait(timeout=120)
        return process.returncode, process.stderr.read().splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_prediction_goes_on_as_it_says(finished_run, workplace, number):
    (workplace / "in.csv").write_text("text\n" + "a fine film\n" * 60_000)
    words, parts = ("predict", finished_run, "in.csv", "--out", "out.jsonl"), ".out.jsonl.parts"
    code, lines = stopped_at(f"{parts}/part-00000.json", words, workplace, number=number)
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The prediction of in.csv was stopped by {number.name}.",
        "Next:  Run the same command with --resume to continue.",
    ]
    if number == signal.SIGTERM:
        return
    (workplace / parts / "part-00001.json").unlink(missing_ok=True)
    (workplace / "out.jsonl").write_text("of before\n")
    _, lines = stopped_at(f"{parts}/part-00001.json", (*words, "--overwrite"), workplace)
    assert lines[-1] == "Next:  Run the same command with --resume instead of --overwrite to continue."
    subprocess.run(command_of(*words, "--resume"), cwd=workplace, capture_output=True, check=True)
    assert (workplace / "out.jsonl").read_bytes().count(b"\n") == 60_000


def test_a_prediction_that_is_stopped_before_its_first_part_begins_anew(finished_run, workplace):
    words, parts = ("predict", finished_run, "-", "--out", "out.jsonl"), ".out.jsonl.parts"
    code, lines = stopped_at(f"{parts}/predict.json", words, workplace)
    assert (code, lines) == (130, ["Error: The prediction of stdin was stopped by SIGINT.", ANEW])
    assert list(workplace.iterdir()) == []
    _, lines = stopped_at(f"{parts}/part-00000.json", (*words, "--batch-size", 1), workplace, lines=1)
    assert lines[-1] == "Next:  Run the same command with --overwrite: it starts again."  # stdin has no second time


AT_A_MODEL = """
import os, signal, sys
def interrupt(event, arguments):
    if event == "open" and str(arguments[0]).endswith("model/config.json"):
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
from tdbs.cli import main
main()
"""


def test_a_stopped_evaluation_and_a_stopped_profile_begin_anew(finished_run, small, workplace):
    for words, what in (
        (("evaluate", finished_run), f"evaluation of {finished_run}"),
        (("evaluate", finished_run, "--drop-rate", 1), f"evaluation of {finished_run}"),
        (("profile", small, "--model", finished_run / "model", "--out", "p.json"), "profile for p.json"),
    ):
        command = [sys.executable, "-c", AT_A_MODEL, *map(str, words)]
        found = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (130, "")
        assert found.stderr.splitlines()[-2:] == [f"Error: The {what} was stopped by SIGINT.", ANEW]
        assert list(workplace.iterdir()) == []
