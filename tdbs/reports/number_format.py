"""Numbers as text: shares, ratios, durations, sizes; and the framework's share of a step in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tdbs.train.energy import WORLD

NOTHING = "–"
_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_MUCH = 0.2  # of a step: overhead that gets a hint


def percent(share: float | None) -> str:
    """Return 0.698 as 69.8 %."""
    return NOTHING if share is None else f"{100 * share:.1f}{_SPACE}%"


def signed_percent(share: float | None) -> str:
    """Return 0.032 as +3.2 %, and -0.032 with a real minus."""
    if share is None:
        return NOTHING
    shown = f"{100 * share:+.1f}{_SPACE}%"
    return shown.replace("-", _MINUS)


def times(ratio: float | None) -> str:
    """Return 3.627 as 3.63 ×."""
    return NOTHING if ratio is None else f"{ratio:.2f}{_SPACE}×"


def figure(value: float | None) -> str:
    """Return a loss or a score with four decimals, or a dash if there is none."""
    return NOTHING if value is None else f"{value:.4f}"


def epochs_in_words(epochs: int) -> str:
    """Return 3 as 3 epochs."""
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"


def count(value: float) -> str:
    """Return 25862016 as 25,862,016; a mean of counts is rounded."""
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Return seconds as a reader says them: 20 ms, 31.4 s, 12 min 5 s, 3 h 2 min."""
    if seconds is None:
        return NOTHING
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f}{_SPACE}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def energy(kwh: float | None) -> str:
    """Return kWh as a reader says them: 3.4 mWh, 41.2 Wh, 1.25 kWh."""
    return _scaled(kwh, ("kWh", "Wh", "mWh"))


def co2e(kilograms: float | None) -> str:
    """Return kg of CO2e as a reader says them: 1.6 mg, 19.6 g, 0.59 kg."""
    return _scaled(kilograms, ("kg", "g", "mg"))


def energy_note(country: str, powers: Iterable[str | None]) -> str:
    """Return a note on the energy figures: their scope, their source, and the electricity."""
    found = "; ".join(sorted({power for power in powers if power is not None}))
    whose = "the world's average electricity" if country == WORLD else f"the electricity of {country}"
    return f"Energy of the whole machine while training and evaluating ({found}), CO2e of {whose}."


def gibibytes(size: int | None) -> str:
    """Return a size in GiB for a table of the terminal; empty if it is not known."""
    return "" if size is None else f"{size / 2**30:.2f} GiB"


def mebibytes(size: float | None) -> str:
    """Return bytes as MiB, or as GiB if large."""
    if size is None:
        return NOTHING
    return f"{size / 2**20:,.0f}{_SPACE}MiB" if size < 2**30 else f"{size / 2**30:,.1f}{_SPACE}GiB"


def overhead_notes(overhead: Sequence[Mapping[str, Any]], device: str | None) -> list[str]:
    """Return sentences on the overhead that `tdbs profile` measured on a kind of device; none if it did not.

    The share of a single sample is always large, so the hint depends on batches.
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


def _scaled(value: float | None, units: tuple[str, ...]) -> str:
    """Return three figures in the largest unit, each a thousandth of the last, in which it is 1 or more."""
    if value is None:
        return NOTHING
    for unit in units[:-1]:
        if value >= 0.9995:
            return f"{_three_figures(value)}{_SPACE}{unit}"
        value *= 1000
    return f"{_three_figures(value)}{_SPACE}{units[-1]}"


def _three_figures(value: float) -> str:
    """Return 1.25, 41.2, 340 and 12,500."""
    return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"
