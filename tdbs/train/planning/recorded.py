"""A strategy as records have it: two of them are of the same strategy if their parts are equal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tdbs.errors import TrainingError
from tdbs.fields import Count
from tdbs.records import Form, record_of
from tdbs.train.planning.edges import AUTO, BatchCosts
from tdbs.train.planning.strategies import Strategy

# None of them is what a record without them means
_LATER_PARTS = ("max_tokens", "max_pairs", "call_tokens", "batch_costs")
_FORM = Form(what="one that tdbs recorded", error=TrainingError, next_step="Pass the options of the run by hand.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Costs:
    """What a profile gave to a recorded strategy."""

    call_tokens: Count | None = None
    batch_costs: BatchCosts | None = None


def recorded_parts(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's parts without its name; newer ones only if given, so that older records stay equal."""
    return {
        name: value
        for name, value in asdict(strategy).items()
        if name != "name" and not (name in _LATER_PARTS and value is None)
    }


def with_costs_of(strategy: Strategy, recorded: Mapping[str, Any]) -> Strategy:
    """Return a strategy with what calls or batches cost by a recorded one, if both are cut or bucketed by such costs.

    A run has these costs from a profile, and its record alone has them afterwards. Raises TrainingError for a record
    that does not fit.
    """
    costs = record_of(recorded, _Costs, _FORM, named="The strategy of --config")
    if strategy.execution == recorded.get("execution") == "sorted":
        strategy = replace(strategy, call_tokens=costs.call_tokens)
    if strategy.bucket_width == recorded.get("bucket_width") == AUTO:
        strategy = replace(strategy, batch_costs=costs.batch_costs)
    return strategy
