"""The rows of an audit's findings as JSONL: a line for each row of each finding, to leave rows out of a source."""

from pathlib import Path

from tdbs.analysis.audit.audit import Audit
from tdbs.errors import ConfigError
from tdbs.files import write_text
from tdbs.records import Form, json_of
from tdbs.shown import json_line

_KEYS = {"finding", "split", "row"}
_HEAD = 1 << 10  # bytes that a first line has at most
_FORM = Form(what="rows of an audit", error=ConfigError, next_step="Pass another --rows.")


def write_audit_rows(path: Path, found: Audit) -> None:
    """Write the rows, which count from 1. Raises ConfigError if the file cannot be written."""
    lines = (
        f"{json_line({'finding': each.kind, 'split': each.split, 'row': row})}\n"
        for each in found.findings
        for row in each.rows.tolist()
    )
    try:
        write_text(path, "".join(lines))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}.", next_step="Pass another --rows.") from error


def are_own_rows(path: Path) -> bool:
    """Return whether tdbs wrote a file of rows: its first line has their keys alone."""
    with path.open("rb") as file:
        line = file.readline(_HEAD)
    try:
        first = json_of(line, _FORM, named=str(path))
    except ConfigError:
        return False
    return isinstance(first, dict) and first.keys() == _KEYS
