"""A device profile on disk: one portable JSON file, measured by `tdbs profile`, or shipped under a name.

This module reads it, `tdbs.analysis.profile.measure` measures it. tdbs uses only a profile whose file the user names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from tdbs.errors import ConfigError
from tdbs.fields import Amount, Count, TokenLength
from tdbs.given import Place, checked
from tdbs.records import Form, json_of, read_json, record_of
from tdbs.shown import shown

SCHEMA_VERSION = 1
_FORM = Form(
    what="a profile of tdbs",
    error=ConfigError,
    next_step="Run tdbs profile --out FILE.",
    version=SCHEMA_VERSION,
    version_key="tdbs_profile",
)


class MeasuredWork(TypedDict):
    """The amount of computation in a measured step, as counts."""

    steps: Amount
    calls: Amount
    samples: Annotated[float, Meta(gt=0)]
    tokens: Amount  # that linear layers see, padding included
    pairs: Amount  # of tokens that attention compares, padding included
    masked: Amount  # pairs in padded batches with padding: their scores need a mask
    places: Amount  # tokens that are regrouped for attention, padding included (unpadded)
    blocks: Amount  # entries of block-diagonal masks (packed)
    targets: Amount  # tokens of targets, padding included (seq2seq)
    target_pairs: Amount  # of targets with each other and with the source


class MeasuredStep(TypedDict):
    """A measured step of a profile's `points`; cost models are fitted to these."""

    attention: str
    length: Count
    dropout: bool
    tokens: Count
    seconds: Annotated[float, Meta(gt=0)]
    work: MeasuredWork


class Overhead(TypedDict):
    """The framework's share of a step."""

    batch_size: Count
    length: Count
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CapTable:
    """Caps of lengths: entry i holds for lengths up to lengths[i], and the last one for all above it."""

    lengths: tuple[Count, ...]
    caps: tuple[Count, ...]

    def __post_init__(self) -> None:
        rising = all(one < other for one, other in pairwise(self.lengths))
        if not self.lengths or len(self.lengths) != len(self.caps) or not rising or min(self.caps) < 1:
            raise ValueError("expected rising lengths, and a cap of 1 or more for each")


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The measurements of a model on a device."""

    model: Mapping[str, Any]
    device: Mapping[str, Any]
    settings: Mapping[str, Any]  # kind of task, precision, optimizer, the fastest attention kernel
    max_length: int
    memory_caps: CapTable | None  # None: not searched, on a CPU
    knee_caps: CapTable | None
    points: Sequence[MeasuredStep]
    overhead: Sequence[Overhead] = ()  # the framework's share of some steps; missing in older profiles
    call_tokens: int | None = None  # what a call costs beyond its tokens, in tokens; None in older profiles

    def __repr__(self) -> str:
        model, device = (named.get("name", "unknown") for named in (self.model, self.device))
        return shown(f"<Profile of {model} on {device}: {len(self.points):,} timed steps>")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Caps:
    lengths: tuple[Count, ...]
    memory: tuple[Count, ...] | None = None
    knee: tuple[Count, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """A profile, as in its file."""

    model: Mapping[str, Any]
    device: Mapping[str, Any]
    max_length: TokenLength
    caps: _Caps
    settings: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[MeasuredStep, ...] = ()
    overhead: tuple[Overhead, ...] = ()
    call_tokens: Count | None = None


@checked
def read_profile(path: Place) -> Profile:
    """Read a device profile from its file.

    Args:
        path: JSON file that `tdbs profile` wrote.

    Returns:
        The profile: measured steps (seconds), batch caps by length (tokens), and the settings they hold for.

    Raises:
        ConfigError: The file is missing, is not a profile, or has another version.
    """
    place = Path(path)
    named = f"The profile {place}"
    return _parsed(read_json(place, _FORM, named=named), named)


def is_profile(path: Path) -> bool:
    """Return whether a file is a profile of tdbs, of any version."""
    try:
        return _has_version(read_json(path, _FORM))
    except ConfigError:
        return False


def opened_profile(given: Profile | Place | None) -> Profile | None:
    """Return a profile that is given as it is, or by its file."""
    return given if given is None or isinstance(given, Profile) else read_profile(given)


def profiled_attention(profile: Profile | None, attention: str) -> str:
    """Return the attention kernel to use: with `auto`, the fastest of a profile."""
    return attention if profile is None or attention != "auto" else str(profile.settings.get("attention", attention))


@cache
def named_profile(name: str) -> Profile:
    """Return a profile that tdbs ships."""
    text = files("tdbs.train.planning").joinpath("profiles", f"{name}.json").read_text(encoding="utf-8")
    return _parsed(json_of(text, _FORM, named=name), name)


def _parsed(found: Any, named: str) -> Profile:
    if not _has_version(found):
        raise _FORM.misfit(named, f"{_FORM.version_key} is missing")
    record = record_of(found, _Record, _FORM, named=named)
    try:
        memory, knee = (_table(record.caps.lengths, caps) for caps in (record.caps.memory, record.caps.knee))
    except ValueError as error:
        raise _FORM.misfit(named, f"caps: {error}") from error
    return Profile(
        model=record.model,
        device=record.device,
        settings=record.settings,
        max_length=record.max_length,
        memory_caps=memory,
        knee_caps=knee,
        points=tuple(found.get("points", ())),  # as they are in the file: comparisons know a profile by its hash
        overhead=record.overhead,
        call_tokens=record.call_tokens,
    )


def _has_version(found: Any) -> bool:
    return isinstance(found, dict) and _FORM.version_key in found


def _table(lengths: tuple[int, ...], caps: tuple[int, ...] | None) -> CapTable | None:
    return None if caps is None else CapTable(lengths=lengths, caps=caps)
