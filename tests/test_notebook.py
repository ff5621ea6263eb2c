"""Progress in a notebook: a bar in a kernel and only there; a caller's own progress, or none, in its place."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import tdbs
from tdbs.notebook import in_notebook, of_messages, of_steps, shown_progress
from tests.analysis.tiny import tiny_dataset


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let IPython say of this process what it says in the kernel of a notebook; bars are then lines on stderr."""
    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", ipython)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("notebook"))


def bars(text: str) -> list[str]:
    """Return the last state of each bar."""
    return [line.split("\r")[-1] for line in text.split("\n") if line.strip()]


def test_a_kernel_is_told_from_a_script_and_a_terminal(monkeypatch):
    assert not in_notebook()
    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(config={"TerminalIPythonApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()
    ipython.get_ipython = lambda: None  # imported by a library
    assert not in_notebook()


def test_a_bar_counts_the_steps_with_loss_and_speed(kernel, capsys):
    with shown_progress(True, of_steps("random, seed 0")) as shown:
        for step in range(4):
            shown(SimpleNamespace(step=step, tokens=1_000, loss=0.5 - step / 10, seconds=0.5), 4)
    [last] = bars(capsys.readouterr().err)
    assert last.startswith("random, seed 0: 100%|")
    assert "| 4/4 [" in last
    assert last.endswith(", loss 0.2000, 2,000 tokens/s]")


def test_a_bar_of_unknown_length_has_its_message_and_the_time(kernel, capsys):
    with shown_progress(True, of_messages("profile")) as shown:
        shown("attention kernel eager")
        shown("memory of 8 x 64")
    [last] = bars(capsys.readouterr().err)
    assert last.startswith("profile [00:0")
    assert last.endswith(", memory of 8 x 64]")
    with shown_progress(True, lambda count: count) as shown:
        shown("read", 5, None)
    [last] = bars(capsys.readouterr().err)
    assert last.endswith(", 5 done]")


def test_a_bar_ends_where_an_error_does(kernel, capsys):
    def fail() -> None:
        with shown_progress(True, lambda count: count) as shown:
            shown("tokenize", 3, 9)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    [last] = bars(capsys.readouterr().err)
    assert "| 3/9 [" in last


def test_functions_have_bars_in_a_kernel(kernel, dataset, workplace, capsys):
    """Prepare by its stages, train and each run of compare by their steps, timed parts and predict in one."""
    rows = [{"text": "the film is good", "label": i % 2} for i in range(8)]
    prepared = tdbs.prepare(rows, tokenizer=dataset).dataset
    assert [line.split(":")[0].split(" [")[0] for line in bars(capsys.readouterr().err)] == [
        "read",
        "tokenize",
        "write",
    ]
    run = tdbs.train(prepared, model="tiny", epochs=1, batch_size=4, out="run")
    bar, *_ = bars(capsys.readouterr().err)  # transformers has one of its own for the weights
    assert bar.startswith("unpadded, seed 0: 100%|")
    assert "| 2/2 [" in bar
    named = {"model": "tiny", "epochs": 1, "batch_size": 4}
    tdbs.compare(prepared, "unpadded", **named)
    assert [bar.split(":")[0] for bar in bars(capsys.readouterr().err)] == ["random, seed 0", "unpadded, seed 0"]
    tdbs.compare(prepared, "unpadded", part_steps=1, out="parts", **named)
    [bar] = bars(capsys.readouterr().err)
    assert bar.endswith("1 steps of each strategy, seed 0]")
    tdbs.predict(run, prepared, split="train", out="predicted.jsonl")
    *_, bar = bars(capsys.readouterr().err)
    assert "| 8/8 [" in bar


def test_progress_of_the_caller_or_none_is_in_the_place_of_a_bar(kernel, dataset, workplace, capsys):
    seen: list[tuple[int, int]] = []
    named: dict[str, Any] = {"model": "tiny", "epochs": 1, "batch_size": 128}
    saved: dict[str, Any] = named | {"save": False}
    run = tdbs.train(dataset, out="a", progress=lambda record, steps: seen.append((record.step, steps)), **saved)
    assert seen == [(step, run.steps) for step in range(run.steps)]
    tdbs.train(dataset, out="b", progress=False, **saved)
    lines: list[str] = []
    tdbs.compare(dataset, "random", out="c", progress=lines.append, **named)
    assert lines[0] == "random, seed 0"
    assert lines[-1] == f"random, seed 0: step {run.steps} of {run.steps}"
    assert capsys.readouterr().err == ""


def test_a_script_sees_no_bar(dataset, workplace, capsys):
    tdbs.train(dataset, model="tiny", epochs=1, batch_size=128, out="run", save=False)
    assert capsys.readouterr().err == ""


LOUD = """
import tdbs
rows = [{"text": "the film is good", "label": i % 2} for i in range(8)]
dataset = tdbs.prepare(rows, tokenizer=TOKENIZER).dataset
run = tdbs.train(dataset, model="tiny", epochs=1, batch_size=4, out="run")
"""
SILENT = """
run = tdbs.train(dataset, model="tiny", epochs=1, batch_size=4, out="again", progress=False)
"""


def test_a_real_kernel_shows_bars(dataset, workplace: Path) -> None:
    """Widgets, or lines where there are none; with progress=False, neither."""
    from jupyter_client.manager import run_kernel

    def shown_by(client: Any, cell: str) -> str:
        shown: list[Any] = []
        reply = client.execute_interactive(
            cell, timeout=300, output_hook=lambda message: shown.append(message["content"])
        )
        assert reply["content"]["status"] == "ok", reply
        return str(shown)

    with run_kernel() as client:
        loud = shown_by(client, LOUD.replace("TOKENIZER", repr(str(dataset.path))))
        silent = shown_by(client, SILENT)
    for name in ("read", "tokenize", "write", "unpadded, seed 0"):
        assert name in loud
    assert "unpadded, seed 0" not in silent
