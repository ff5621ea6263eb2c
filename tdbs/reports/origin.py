"""When and with what a run or a comparison was made, as it recorded it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tdbs.reports.comparison import Comparison
from tdbs.train.run_folder import Run


def date_of(file: Path) -> str:
    """Return when a file was written, to the minute: the records of a run have no date of their own."""
    return f"{datetime.fromtimestamp(file.stat().st_mtime, UTC):%Y-%m-%d %H:%M} UTC"


def run_origin(run: Run) -> list[str]:
    """Return the machine and the versions of a run, without what its configuration lacks."""
    found = dict(_items(run.config.get("execution")))
    attention = f"{found['attention']} attention" if "attention" in found else None
    machine = ", ".join(part for part in (found.get("device"), found.get("precision"), attention) if part)
    return [part for part in (machine, _versions(run)) if part]


def comparison_origin(comparison: Comparison) -> list[str]:
    """Return the machine of a comparison, and the versions of its first run if that is there."""
    machine = f"{comparison.device}, {comparison.precision}, {comparison.attention} attention"
    versions = next(map(_versions, comparison.runs.values()), "")
    return [part for part in (machine, versions) if part]


def _versions(run: Run) -> str:
    return ", ".join(f"{name} {version}" for name, version in _items(run.config.get("versions")))


def _items(table: Any) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in table.items()] if isinstance(table, Mapping) else []
