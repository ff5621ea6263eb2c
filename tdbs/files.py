"""Write files so that nobody ever sees half of one: beside their place under a name with a dot, then renamed."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

LATEST_NAME = "latest.json"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one visible step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        hidden.write_bytes(data)
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one visible step."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a JSON file in one visible step."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(data: bytes) -> str:
    """Return the hash that manifests record."""
    return hashlib.sha256(data).hexdigest()


def remember(folder: Path, place: Path) -> None:
    """Note in `folder` the place that commands use when none is named; a convenience, so never an error."""
    with suppress(OSError):
        write_json(folder / LATEST_NAME, {"path": str(place)})


def last_place(folder: Path) -> Path | None:
    """Return the place noted last in `folder`, or None."""
    try:
        return Path(json.loads((folder / LATEST_NAME).read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
