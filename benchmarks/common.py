"""What every result states: hardware, versions, commit, date."""

import datetime
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tdbs.analysis.environment import environment


def provenance() -> dict[str, str]:
    """Return what is needed to know where a number comes from."""
    found = environment()
    packages = found["packages"]
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "../tdbs"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB",
        "versions": ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers", "tokenizers", "numpy")),
        "commit": commit + (" with uncommitted changes" if changed else ""),
    }


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that a run takes by a clock."""
    begun = clock()
    run()
    return clock() - begun


def print_rows(rows: list[dict[str, float | int | str]], *, as_json: bool, **facts: object) -> None:
    """Print what was measured with where it comes from: as one JSON object, or as a Markdown table."""
    if as_json:
        print(json.dumps({**provenance(), **facts, "rows": rows}))
        return
    print("\n".join(f"{name}: {value}" for name, value in {**provenance(), **facts}.items()))
    print(markdown_table([{name: shown_number(value) for name, value in row.items()} for row in rows]))


def shown_number(value: float | int | str) -> str:
    """Return a value of a table: three digits, or whole from 1,000 on."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1_000 else f"{value:.3g}"


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Return rows as a Markdown table; the first one gives the columns."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in rows]
    return "\n".join(lines)
