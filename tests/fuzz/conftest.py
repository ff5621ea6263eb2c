"""The fixture that runs a target over many inputs, and the table of counts at the end of a run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.counts import Count, counts_table, inputs_of
from tests.fuzz.judging import Faults, judge_inputs

FEW = 6  # inputs of a target in the ordinary suite
_PROPERTY = "fuzz"

Fuzz = Callable[..., None]


@pytest.fixture(params=[pytest.param("few"), pytest.param("all", marks=pytest.mark.fuzz)])
def fuzz(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Fuzz:
    """Return a function that checks many inputs of a target and fails with each distinct fault that it found.

    A target's tests run twice: on a few inputs in the ordinary suite, and on all of them by `make test-fuzz`.
    """

    def run(target: str, *, inputs: int, of: Any, check: Callable[[Any], object]) -> None:
        faults = Faults()
        asked = inputs_of(inputs) if request.param == "all" else min(inputs, FEW)
        done, seconds = judge_inputs(target, asked, of, check, faults)
        record_property(_PROPERTY, [target, done, len(faults), seconds])
        assert not faults, f"{target}: {done:,} inputs\n{faults}"

    return run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder below the current one, in which an input's files are written."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many inputs each target had; with xdist the reports of all workers are here."""
    found = [
        Count(*value)
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, ())
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY and getattr(report, "when", "") == "call" and "[all" in report.nodeid
    ]
    if found:
        terminalreporter.section("inputs of fuzzing")
        terminalreporter.write_line(counts_table(found))
