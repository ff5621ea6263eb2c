"""What a sweep searches: hyperparameters with lists of values, or ranges, from the command line or a TOML file."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdbs.errors import ConfigError
from tdbs.records import Form, read_toml
from tdbs.settings import TrainSettings, canonical
from tdbs.train.planning.strategies import Strategy

Value = float | int | str

# What can be searched, and how a text becomes its value. Those of a strategy are parts of it; no strategy has a rate at
# which it drops, so a rate is not among them.
KINDS: dict[str, type] = {
    "lr": float,
    "dropout": float,
    "warmup": float,
    "lr_scheduler": str,
    "weight_decay": float,
    "epochs": int,
    "strategy": str,
    "base_batch_size": int,
    "bucket_width": int,
    "grid_lengths": int,
    "loss": str,
    "temperature": float,
    "margin": float,
    "pooling": str,
}
STRATEGY_PARTS = ("base_batch_size", "bucket_width", "grid_lengths")
_NAMED = {float: "numbers", int: "whole numbers", str: "names"}
_TAKEN = {float: int | float | str, int: int | str, str: str}
_EXAMPLE = "Write [lr] and below it values = [3e-5, 5e-5], or low = 1e-5, high = 1e-4 and log = true."
_FORM = Form(what="a space of a sweep", error=ConfigError, next_step=_EXAMPLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """All numbers from `low` to `high`; with `log` evenly over their logarithms."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Sequence[Value] | Range]


def listed_values(name: str, text: str) -> tuple[Value, ...]:
    """Return the values of a list such as 3e-5,4e-5. Raises ConfigError if one is not a value."""
    return _values(name, [part.strip() for part in text.split(",")])


def read_space(path: Path) -> dict[str, Sequence[Value] | Range]:
    """Return the space of a TOML file: a table for each hyperparameter, with `values`, or `low`, `high` and `log`.

    Raises ConfigError for a file that is none, a name that cannot be searched and a table that is neither.
    """
    tables = read_toml(path, _FORM, named=f"The space {path}")
    return {name: _part(name, table) for name, table in canonical(tables, TrainSettings, Strategy).items()}


def check_names(space: Space) -> None:
    """Refuse a space with a name that cannot be searched."""
    for name in space:
        _check_name(name)


def ends_of(space: Space) -> dict[str, Sequence[Value]]:
    """Return a space of lists: of each range its ends, between which all other values lie."""
    return {name: (part.low, part.high) if isinstance(part, Range) else part for name, part in space.items()}


def is_grid(space: Space) -> bool:
    """Return whether a space has a last combination."""
    return not any(isinstance(part, Range) for part in space.values())


def combinations(space: Space) -> Iterator[dict[str, Value]]:
    """Yield each combination of a space of lists, the last name changing fastest."""
    lists = [part for part in space.values() if not isinstance(part, Range)]
    return (dict(zip(space, values, strict=True)) for values in itertools.product(*lists))


def _part(name: str, table: Any) -> Sequence[Value] | Range:
    _check_name(name)
    if isinstance(table, Mapping) and set(table) == {"values"} and isinstance(table["values"], list):
        return _values(name, table["values"])
    if isinstance(table, Mapping) and {"low", "high"} <= set(table) <= {"low", "high", "log"} and KINDS[name] is float:
        low, high, log = table["low"], table["high"], table.get("log", False)
        if _is_number(low) and _is_number(high) and isinstance(log, bool) and low < high and (low > 0 or not log):
            return Range(low=float(low), high=float(high), log=log)
    raise ConfigError(f"[{name}] is neither a list of values nor a range of numbers.", next_step=_EXAMPLE)


def _values(name: str, given: Sequence[Any]) -> tuple[Value, ...]:
    _check_name(name)
    try:
        values = tuple(dict.fromkeys(_value(KINDS[name], value) for value in given))
    except (TypeError, ValueError) as error:
        kind = _NAMED[KINDS[name]]
        shown = ", ".join(map(str, given))
        raise ConfigError(f"{name} takes {kind}, got {shown}.", next_step="Separate them with commas.") from error
    if not values:
        raise ConfigError(f"{name} has no value.", next_step=_EXAMPLE)
    return values


def _value(kind: type, given: Any) -> Value:
    """Return a value as its kind. Raises ValueError for one of another kind that Python would turn into it."""
    if isinstance(given, bool) or not isinstance(given, _TAKEN[kind]):
        raise ValueError
    value: Value = kind(given)
    return value


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _check_name(name: str) -> None:
    if name not in KINDS:
        raise ConfigError(f"{name} cannot be searched.", next_step=f"Choose from: {', '.join(KINDS)}.")
