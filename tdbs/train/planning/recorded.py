"""A strategy as records have it: two of them are of the same strategy if their parts are equal."""

from dataclasses import asdict
from typing import Any

from tdbs.train.planning.strategies import Strategy

# None of them is what a record without them means
_LATER_PARTS = ("max_tokens", "max_pairs", "call_tokens", "batch_costs")


def recorded_parts(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's parts without its name; newer ones only if given, so that older records stay equal."""
    return {
        name: value
        for name, value in asdict(strategy).items()
        if name != "name" and not (name in _LATER_PARTS and value is None)
    }
