"""Ctrl-C and SIGTERM in work made of many runs: two lines that name its own folder, and the command that they say."""

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
        "Next:  Run the same command with --resume --out s to go on.",
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
        "Next:  Run the same command with --resume --out c to go on.",
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
        "Next:  Run the same command again to go on.",
    ]
