"""The framework's share of a step in words, for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from tdbs.reports.words import percent

_MUCH = 0.2


def overhead_notes(overhead: Sequence[Mapping[str, Any]], device: str | None) -> list[str]:
    """Return sentences on what `tdbs profile` measured on a kind of device; none where it did not.

    Of a single sample the share is always large: the hint is by batches.
    """
    if not overhead:
        return []
    shares = [f"{percent(entry['share'])} at {entry['batch_size']} x {entry['length']}" for entry in overhead]
    meaning = "in which the device waits" if device == "cuda" else "outside torch's operations"
    notes = [f"Overhead of the framework, the part of a step {meaning}: {', '.join(shares)} tokens."]
    waiting = [entry for entry in overhead if entry["batch_size"] > 1 and entry["share"] > _MUCH]
    if device == "cuda" and waiting:
        most = max(waiting, key=lambda entry: entry["share"])
        notes.append(
            f"Steps of {most['batch_size']} x {most['length']} tokens are bound by launches rather than arithmetic: "
            "tdbs train --compile may shorten them."
        )
    return notes
