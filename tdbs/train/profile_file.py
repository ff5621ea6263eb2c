"""A device profile on disk: one portable JSON file, measured by `tdbs profile`, or shipped under a name.

Read here, measured in `tdbs.analysis.profile`. A profile found by chance is never used: the user names its file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tdbs.errors import ConfigError, reason_of

SCHEMA_VERSION = 1
_MEASURE = "Measure one with tdbs profile --out FILE."


@dataclass(frozen=True, kw_only=True, slots=True)
class CapTable:
    """Caps of lengths: entry i holds for lengths up to lengths[i], and the last one for all above it."""

    lengths: tuple[int, ...]
    caps: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What is known of a model on a device."""

    model: Mapping[str, Any]
    device: Mapping[str, Any]
    settings: Mapping[str, Any]  # kind of task, precision, optimizer, the fastest attention kernel
    max_length: int
    memory_caps: CapTable | None  # None: not searched, on a CPU
    knee_caps: CapTable | None
    points: Sequence[Mapping[str, Any]]  # measured steps: what was in them, and their seconds
    overhead: Sequence[Mapping[str, Any]] = ()  # the framework's share of some steps; none in profiles of before


def read_profile(path: str | Path) -> Profile:
    """Read a profile. Raises ConfigError where the file is missing, no profile, or of another version."""
    place = Path(path)
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The profile {place} cannot be read: {error.strerror or error}.", next_step=_MEASURE
        ) from error
    except ValueError as error:
        raise ConfigError(f"{place} is no profile: it is not JSON.", next_step=_MEASURE) from error
    return _parsed(found, str(place))


def profiled_attention(profile: Profile | None, attention: str) -> str:
    """Return the attention kernel to take: where it is left open, the fastest of a profile."""
    return attention if profile is None or attention != "auto" else str(profile.settings.get("attention", attention))


@cache
def named_profile(name: str) -> Profile:
    """Return a profile that tdbs ships."""
    text = files("tdbs.train").joinpath("profiles", f"{name}.json").read_text(encoding="utf-8")
    return _parsed(json.loads(text), name)


def _parsed(found: Any, place: str) -> Profile:
    if not isinstance(found, dict) or "tdbs_profile" not in found:
        raise ConfigError(f"{place} is no profile of tdbs.", next_step=_MEASURE)
    if found["tdbs_profile"] != SCHEMA_VERSION:
        raise ConfigError(
            f"The profile {place} has version {found['tdbs_profile']}; this tdbs reads version {SCHEMA_VERSION}.",
            next_step=_MEASURE,
        )
    try:
        caps = found["caps"]
        return Profile(
            model=found["model"],
            device=found["device"],
            settings=found.get("settings", {}),
            max_length=int(found["max_length"]),
            memory_caps=_table(caps["lengths"], caps.get("memory")),
            knee_caps=_table(caps["lengths"], caps.get("knee")),
            points=tuple(found.get("points", ())),
            overhead=read_overhead(found.get("overhead", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"The profile {place} is damaged: {type(error).__name__} {reason_of(error)}.", next_step=_MEASURE
        ) from error


def read_overhead(entries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the framework's share of steps as a file has it. Raises KeyError, TypeError or ValueError."""
    return tuple(
        {"batch_size": int(entry["batch_size"]), "length": int(entry["length"]), "share": float(entry["share"])}
        for entry in entries
    )


def _table(lengths: Sequence[int], caps: Sequence[int] | None) -> CapTable | None:
    if caps is None:
        return None
    table = CapTable(lengths=tuple(map(int, lengths)), caps=tuple(map(int, caps)))
    rising = all(a < b for a, b in zip(table.lengths[:-1], table.lengths[1:], strict=True))
    if not table.lengths or len(table.lengths) != len(table.caps) or not rising or min(table.caps) < 1:
        raise ValueError("caps are no table")
    return table
