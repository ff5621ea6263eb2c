"""Ctrl-C and SIGTERM: two lines that name the work itself, not the run it was in, and the command that they say.

Most commands run in this process, where a thread sends the signal; one of each way to stop is a process of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torchmetrics  # noqa: F401  # no signal may come while it is imported with the first score
from transformers import BertConfig, BertForSequenceClassification

from tests.cli.conftest import TOKENIZER
from tests.in_process import Ended, run_command

ROOT = Path(__file__).parents[2]
TINY = ("--model", "tiny", "--precision", "fp32")
SIGNALS = [(signal.SIGINT, False), (signal.SIGTERM, True)]  # and whether the process is one of its own
ANEW = "Next:  Run the same command again: it starts again."
PATIENCE = 120


def command_of(*words: object) -> list[str]:
    return [sys.executable, "-c", "from tdbs.cli import main; main()", *map(str, words)]


def stopped(
    words: tuple[object, ...], place: Path, number: signal.Signals, when: Callable[[], bool], *, real: bool = False
) -> tuple[int, list[str]]:
    """Return exit code and stderr of a command that is sent a signal as soon as `when` says so."""
    ended = _stopped_process(words, place, number, when) if real else _stopped_here(words, place, number, when)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.code, ended.stderr.splitlines()


def _stopped_process(words, place, number, when) -> Ended:
    process = subprocess.Popen(command_of(*words), cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until and not when():
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return Ended(code=process.returncode, stdout=stdout, stderr=stderr)


def _stopped_here(words, place, number, when) -> Ended:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            if when():
                os.kill(os.getpid(), number)
                return

    watcher = threading.Thread(target=watch)
    before = signal.signal(number, lambda *_: None)  # one that comes too late ends a test, not all of them
    watcher.start()
    try:
        return run_command(*words, folder=place)
    finally:
        over.set()
        watcher.join()
        signal.signal(number, before)


def in_first_steps(place: Path) -> Callable[[], bool]:
    """Return what says whether a run below the folder has made steps."""
    return lambda: any(log.stat().st_size for log in place.rglob("steps.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "real"), SIGNALS)
def test_a_stopped_sweep_names_its_folder_and_goes_on_as_it_says(tdbs, small, workplace, number, real):
    words = ("sweep", small, "--lr", "1e-3", "--epochs", 12, "--base-batch-size", 16, *TINY, "--out", "s")
    code, lines = stopped(words, workplace, number, in_first_steps(workplace), real=real)
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The sweep in s was stopped by {number.name}.",
        "Next:  Run the same command with --resume --out s to continue.",
    ]
    assert not any("-seed0" in line for line in lines)  # the folder of the run it was in
    [run] = (workplace / "s/runs").iterdir()
    assert list((run / "checkpoints").iterdir())
    if not real:
        found = tdbs(*words, "--resume", "--json").json
        assert [trial["state"] for trial in found["trials"]] == ["complete"]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_stopped_comparison_names_its_folder_and_goes_on_as_it_says(tdbs, small, workplace, number):
    words = ("compare", small, "--strategy", "random", "--epochs", 12, "--base-batch-size", 16, *TINY, "--out", "c")
    code, lines = stopped(words, workplace, number, in_first_steps(workplace))
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The comparison in c was stopped by {number.name}.",
        "Next:  Run the same command with --resume --out c to continue.",
    ]
    if number == signal.SIGINT:
        assert len(tdbs(*words, "--resume", "--json").json["rows"]) == 1


@pytest.mark.slow
def test_a_stopped_study_names_the_folder_of_its_runs(small_files, workplace):
    (workplace / "files").symlink_to(small_files)
    shutil.copytree(TOKENIZER, workplace / "m")
    vocabulary = len(json.loads((workplace / "m/tokenizer.json").read_text())["model"]["vocab"])
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertForSequenceClassification(BertConfig(vocab_size=vocabulary, **sizes)).save_pretrained(workplace / "m")
    words = ("reproduce", "fig6", "--tasks", "./files", "--seeds", "1", "--epochs", 400, "--model", "m")
    code, lines = stopped(words, workplace, signal.SIGTERM, in_first_steps(workplace))
    assert code == 128 + signal.SIGTERM
    assert lines[-2:] == [
        "Error: The study in runs/reproduce/fig6 was stopped by SIGTERM.",
        "Next:  Run the same command again to continue.",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_prediction_goes_on_as_it_says(tdbs, finished_run, workplace, monkeypatch, number):
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 100)
    (workplace / "in.csv").write_text("text\n" + "a fine film\n" * 3_000)
    words, parts = ("predict", finished_run, "in.csv", "--out", "out.jsonl"), workplace / ".out.jsonl.parts"
    code, lines = stopped(words, workplace, number, (parts / "part-00000.json").exists)
    assert code == 128 + number
    assert lines[-2:] == [
        f"Error: The prediction of in.csv was stopped by {number.name}.",
        "Next:  Run the same command with --resume to continue.",
    ]
    if number == signal.SIGTERM:
        return
    for part in parts.glob("part-*"):
        if not part.name.startswith("part-00000"):
            part.unlink()
    (workplace / "out.jsonl").write_text('{"source_row": 0, "prediction": "1"}\n')
    again = (*words, "--overwrite")
    _, lines = stopped(again, workplace, number, (parts / "part-00001.json").exists)
    assert lines[-1] == "Next:  Run the same command with --resume instead of --overwrite to continue."
    tdbs(*words, "--resume")
    assert (workplace / "out.jsonl").read_bytes().count(b"\n") == 3_000


def stopped_at_stdin(done: str, words: tuple[object, ...], place: Path, *, lines: int = 0) -> tuple[int, list[str]]:
    """Return exit code and stderr of a process that waits for stdin, after some lines, and is stopped at a file."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command_of(*words), cwd=place, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdin.write("a fine film\n" * lines)
        process.stdin.flush()
        until = time.monotonic() + PATIENCE
        while process.poll() is None and not (place / done).exists() and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE)
        return process.returncode, process.stderr.read().splitlines()


@pytest.mark.slow
def test_a_prediction_that_is_stopped_before_its_first_part_begins_anew(finished_run, workplace):
    words, parts = ("predict", finished_run, "-", "--out", "out.jsonl"), ".out.jsonl.parts"
    code, lines = stopped_at_stdin(f"{parts}/predict.json", words, workplace)
    assert (code, lines) == (130, ["Error: The prediction of stdin was stopped by SIGINT.", ANEW])
    assert list(workplace.iterdir()) == []
    _, lines = stopped_at_stdin(f"{parts}/part-00000.json", (*words, "--batch-size", 1), workplace, lines=1)
    assert lines[-1] == "Next:  Run the same command with --overwrite: it starts again."  # stdin has no second time


# One process for all: an audit hook stays as long as its process.
AT_A_MODEL = """
import json, os, signal, sys
from dataclasses import asdict
from pathlib import Path
from tests.in_process import run_command
def interrupt(event, arguments):
    if event == "open" and str(arguments[0]).endswith("model/config.json"):
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
folder, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
found = [(asdict(run_command(*words, folder=folder)), os.listdir(folder)) for words in commands]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_stopped_evaluation_and_a_stopped_profile_begin_anew(finished_run, small, workplace):
    cases = [
        (("evaluate", finished_run), f"evaluation of {finished_run}"),
        (("evaluate", finished_run, "--drop-rate", 1), f"evaluation of {finished_run}"),
        (("profile", small, "--model", finished_run / "model", "--out", "p.json"), "profile for p.json"),
    ]
    commands = json.dumps([[str(word) for word in words] for words, _ in cases])
    command = [sys.executable, "-c", AT_A_MODEL, str(workplace), commands]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE)
    for (ended, left), (_, what) in zip(json.loads(done.stdout), cases, strict=True):
        assert (ended["code"], ended["stdout"]) == (130, "")
        assert ended["stderr"].splitlines()[-2:] == [f"Error: The {what} was stopped by SIGINT.", ANEW]
        assert left == []
