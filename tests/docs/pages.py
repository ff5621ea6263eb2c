"""Pages of the documentation as a test reads them: fenced blocks, commands with their output, tables of keys."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.in_process import Ended, run_command, run_snippet

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "reports/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
WIDTH = 100  # columns of the terminal that outputs in the pages are from
_ENV: dict[str, str | None] = {
    "TDBS_MIRROR": None,
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": str(WIDTH),
    "PYTHONIOENCODING": "utf-8",
}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VARIES = (
    (r"(\d+ min )?\d+(\.\d+)? m?s\b", "T s"),
    (r"-[0-9a-f]{8}\b", "-KEY"),
    (r"accuracy [01]\.\d+", "accuracy A"),
    (r"\d+\.\d+ GiB", "M GiB"),  # of a plan: a machine without bf16 takes more
)
_NAMED_PLACES = {"splits": "<split>", "metrics": "<metric>", "packages": "<package>", "versions": "<package>"} | {
    "key_parts": "<part>",
    "params": "<name>",
    "scores": "<seed>",
    "run_seconds": "<seed>",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command or a snippet of a page, and what the page says that it prints."""

    argv: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a step printed."""

    step: Step
    stdout: str
    stderr: str


def text_of(page: str) -> str:
    """Return a page by its path from the root."""
    return (ROOT / page).read_text(encoding="utf-8")


def steps_of(text: str, kinds: Sequence[str]) -> Iterator[Step]:
    """Yield the commands of console and sh blocks and the snippets of python blocks, in order.

    A console block holds commands with their output. Other blocks print what the text block right after them shows.
    """
    for block, following in pairwise([*_FENCE.finditer(text), None]):
        if block is None or block[1] not in kinds:
            continue
        kind, lines = block[1], block[2].splitlines()
        shown: tuple[str, ...] = ()
        if following is not None and following[1] == "text" and not text[block.end() : following.start()].strip():
            shown = tuple(following[2].splitlines())
        if kind == "console":
            starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
            for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
                yield Step(argv=tuple(shlex.split(lines[start][2:])), shown=tuple(lines[start + 1 : end]))
        elif kind == "sh":
            commands = [shlex.split(line, comments=True) for line in lines if line.startswith("tdbs ")]
            for command in commands:
                yield Step(argv=tuple(command), shown=shown if command is commands[-1] else ())
        elif all(map(importlib.util.find_spec, _imported(lines))):  # duckdb is not ours to install
            yield Step(argv=("python", "-c", "\n".join(lines)), shown=shown)


def run_step(step: Step, folder: Path, *, real: bool = False) -> Outcome:
    """Run a step in a folder, offline, on one core of the CPU; it must succeed and print what the page shows.

    A real step is a process of its own, as the reader starts it. The others run in this one: each needs 6 s less.
    """
    assert step.argv[0] in ("tdbs", "python"), step.argv
    env = _ENV | {"HF_HOME": str(folder / ".hub")}
    if real:
        ended = _in_own_process(step, folder, env)
    elif step.argv[0] == "tdbs":
        ended = run_command(*step.argv[1:], folder=folder, env=env)
    else:
        ended = run_snippet(step.argv[2], folder=folder, env=env)
    assert ended.code == 0, f"{shlex.join(step.argv)}\n{ended.stdout}{ended.stderr}"
    printed = {comparable(line) for line in (ended.stdout + ended.stderr).splitlines()}
    for line in step.shown:
        assert comparable(line) in printed | {None}, f"{shlex.join(step.argv)}\nprints no line: {line}\n{ended.stderr}"
    return Outcome(step=step, stdout=ended.stdout, stderr=ended.stderr)


def _in_own_process(step: Step, folder: Path, env: Mapping[str, str | None]) -> Ended:
    program = Path(sys.executable).with_name("tdbs") if step.argv[0] == "tdbs" else sys.executable
    whole = {**os.environ, **env}
    done = subprocess.run(
        [program, *step.argv[1:]],
        cwd=folder,
        env={name: value for name, value in whole.items() if value is not None},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Ended(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def comparable(line: str) -> str | None:
    """Return a printed line without what differs from run to run; None for blank lines, bars and an ellipsis."""
    if not line.strip() or line.strip() == "…" or "━" in line:
        return None
    line = " ".join(line.split())
    for pattern, name in _VARIES:
        line = re.sub(pattern, name, line)
    return line


def section(text: str, title: str) -> str:
    """Return the part of a page below a heading, up to the next heading of that level or above."""
    level, rest = re.split(rf"^(#+) {re.escape(title)}$\n", text, maxsplit=1, flags=re.MULTILINE)[1:]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def documented_keys(part: str, *, table: int = 0) -> set[str]:
    """Return the keys in the first column of a table of a section that has the head "key": of the first one."""
    rows = re.findall(r"^\| key \|.*?\n\|---.*?\n((?:\|.*\n?)+)", part, re.MULTILINE)[table]
    return {key for row in rows.splitlines() for key in re.findall(r"`([^`]+)`", row.split("|")[1])}


def flat_keys(value: Mapping[str, Any], before: str = "", names: Mapping[str, str] = _NAMED_PLACES) -> set[str]:
    """Return the keys of nested objects, as the documentation writes them: `a.b`, `a[].b`, `splits.<split>.b`."""
    found: set[str] = set()
    for key, child in value.items():
        path = before + names.get(before[:-1].rsplit(".", maxsplit=1)[-1], key)
        if isinstance(child, Mapping):
            found |= flat_keys(child, f"{path}.")
        elif isinstance(child, list) and child and isinstance(child[0], Mapping):
            found |= {key for row in child for key in flat_keys(row, f"{path}[].")}
        else:
            found.add(path)
    return found


def _imported(lines: Sequence[str]) -> list[str]:
    return [match[1] for line in lines if (match := re.match(r"(?:import|from) (\w+)", line))]
