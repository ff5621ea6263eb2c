"""What every result states: hardware, versions, commit, date."""

import datetime
import subprocess
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


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Return rows as a Markdown table; the first one gives the columns."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row[name] for name in names) + " |" for row in rows]
    return "\n".join(lines)
