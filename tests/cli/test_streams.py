"""Results on stdout, notes and progress on stderr, by the real command; without a terminal progress is lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tdbs.cli.progress import Lines

TDBS = [sys.executable, "-c", "from tdbs.cli import main; main()"]


def real(*words: object, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [*TDBS, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_a_file_holds_the_table_and_the_terminal_the_notes(small, workplace):
    """`tdbs estimate-speedup > t.txt`."""
    found = real("estimate-speedup", small, "--model", "tiny", "--strategy", "reach", folder=workplace)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[1].split()[:2] == ["strategy", "steps"]
    assert re.search(r"^reach +\d", found.stdout, re.MULTILINE)
    assert found.stderr == ""


def test_training_without_a_terminal_prints_lines_of_steps_and_epochs(small, workplace):
    found = real("train", small, "--model", "tiny", "--epochs", 2, "--out", "run", folder=workplace)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "run"
    first, *epochs = found.stderr.splitlines()
    assert re.fullmatch(r"step 1 of \d+, epoch 1 of 2, loss \d\.\d{4}, rate \S+, [\d,]+ tokens/s", first)
    assert [re.sub(r"\d\.\d{4}", "N", line) for line in epochs if line.startswith("epoch")] == [
        "epoch 1 of 2: loss N, score N",
        "epoch 2 of 2: loss N, score N",
    ]
    assert "\x1b" not in found.stderr + found.stdout


def test_a_reader_that_stops_reading_ends_the_command_quietly(workplace):
    """As `tdbs models | head -1` does."""
    with subprocess.Popen([*TDBS, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=workplace) as process:
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (1, b"")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_results_are_escaped_where_stdout_cannot_encode_them(small, workplace, encoding):
    """A histogram has blocks, which few encodings have."""
    found = real("inspect", small, folder=workplace, PYTHONIOENCODING=encoding)
    assert found.returncode == 0, found.stderr
    assert "\\u2588" in found.stdout


def test_lines_are_due_every_30_seconds_and_say_what_is_left():
    now = 0.0
    lines = Lines(clock=lambda: now)
    assert lines.counted("rows", 0, 1000) is None
    now = 29.0
    assert lines.counted("rows", 100, 1000) is None
    now = 30.0
    assert lines.counted("rows", 250, 1000, "fast") == "rows 250 of 1,000, fast, 1 min 30 s left"
    now = 59.0
    assert lines.counted("rows", 500, 1000) is None
    now = 60.0
    assert lines.counted("rows", 500, None) == "rows 500"
    assert Lines(at_once=True, clock=lambda: now).line("first") == "first"


def test_what_was_done_before_a_run_resumed_does_not_make_it_look_fast():
    now = 0.0
    lines = Lines(at_once=True, clock=lambda: now)
    assert lines.counted("step", 900, 1000) == "step 900 of 1,000"
    now = 30.0
    assert lines.counted("step", 910, 1000) == "step 910 of 1,000, 4 min 30 s left"
