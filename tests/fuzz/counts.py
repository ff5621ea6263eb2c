"""How many inputs each target had, as the table that benchmarks/results/ keeps."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import markdown_table, provenance

_SCALE = "TDBS_FUZZ_SCALE"  # share of the inputs to run
_RESULT = "TDBS_FUZZ_RESULT"  # file to write the table to


class Count(NamedTuple):
    """What came of a target."""

    target: str
    inputs: int
    faults: int
    seconds: float


def inputs_of(full: int) -> int:
    """Return how many inputs of a target to run: all of them, or the share that TDBS_FUZZ_SCALE says."""
    return max(1, round(full * float(os.environ.get(_SCALE, "1"))))


def counts_table(counts: Sequence[Count]) -> str:
    """Return the table with where it comes from; it is written to the file that TDBS_FUZZ_RESULT names."""
    rows = [*sorted(counts), Count("all", *(sum(values) for values in list(zip(*counts, strict=True))[1:]))]
    table = markdown_table(
        [
            {
                "target": row.target,
                "inputs": f"{row.inputs:,}",
                "faults": str(row.faults),
                "seconds": f"{row.seconds:,.0f}",
            }
            for row in rows
        ]
    )
    facts = "\n".join(f"- {name}: {value}" for name, value in {**provenance(), "python": _python()}.items())
    text = f"{facts}\n\n{table}"
    if os.environ.get(_RESULT):
        Path(os.environ[_RESULT]).write_text(f"{_HEAD}\n{text}\n\n{_FOOT}", encoding="utf-8")
    return text


def _python() -> str:
    return sys.version.split()[0]


_HEAD = """# Random inputs

Each input ended with a right result or an error of tdbs's own (a fault is anything else, counted once a place in the
code). Written by `make fuzz-result`.
"""
_FOOT = """Seconds are those of each target's own process, two at a time. Inputs are drawn by hypothesis from one fixed
seed a target: valid records with parts dropped, added and replaced, files cut short and with bits turned, and random
bytes.
What this does not show: that no input of another kind fails, and what happens where several processes meet.
"""
