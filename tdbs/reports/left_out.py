"""The rows of train that `prepare` left out since others have their text: as a line, and as JSON."""

import dataclasses
from pathlib import Path
from typing import Any

from tdbs.pipeline.duplicates.options import TRAIN
from tdbs.pipeline.manifest import DuplicatesInfo


def left_out_lines(folder: Path, found: DuplicatesInfo | None) -> list[str]:
    """Return a line about how many rows were left out, of which kinds, and where they are listed."""
    if found is None:
        return []
    parts = []
    for split, kinds in found.left_out.items():
        rows = sum(kinds.values())
        what = "repeat an earlier row" if split == TRAIN else f"stand in {split}"
        by_kind = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        parts.append(f"{rows:,} {what}{f' ({by_kind})' if rows else ''}")
    listed = "" if found.listing is None else f"; listed in {folder / found.listing.path}"
    return [f"Rows of train left out: {'; '.join(parts)}{listed}."]


def duplicates_json(found: DuplicatesInfo | None) -> dict[str, Any] | None:
    """Return what `--json` has of the rows that were left out; null if none were looked for."""
    if found is None:
        return None
    listing = None if found.listing is None else found.listing.path
    return {**dataclasses.asdict(found), "listing": listing}
