"""What the default strategy saves over random batches, and whether that is worth it, in one sentence.

With a profile the seconds of both are known. Without one a measured map (`benchmarks/bench_map.py`) predicts them from
tokens: an update costs more than its tokens, and one of the default more than one of random. The map covers encoders on
a CPU; for other models and devices the sentence has tokens alone (docs/decisions.md, "Where the gain ends").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.train.planning.strategies import BASELINE

LEAST_SAVING = 0.1  # of random's time: below it plain batches do as well
LEAST_SHOWN = 0.005  # of a time: the rest rounds to 0 %


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateCost:
    """What updates of a model cost beyond their tokens; the unit is what a token of random costs."""

    fixed: int  # tokens: of an update of random
    more: int  # tokens: of an update of the default, beyond that
    rate: float  # what a token of the default costs more, as a share

    def saved_seconds(self, plain: float, default: float) -> float:
        """Return the share of random's seconds that is saved, from the tokens of both an update; never below 0."""
        return max(plain - (1 + self.rate) * default - self.more, 0.0) / (plain + self.fixed)


# By strategy and width of the model: in fp32, in bf16 (reports/map/README.md).
MAP: Mapping[str, Mapping[int, tuple[UpdateCost, UpdateCost]]] = {
    "unpadded": {
        128: (UpdateCost(fixed=580, more=98, rate=0.0), UpdateCost(fixed=988, more=149, rate=0.13)),
        384: (UpdateCost(fixed=153, more=24, rate=0.0), UpdateCost(fixed=507, more=62, rate=0.0)),
        768: (UpdateCost(fixed=191, more=0, rate=0.02), UpdateCost(fixed=241, more=0, rate=0.11)),
    },
    "sorted": {
        128: (UpdateCost(fixed=2290, more=31, rate=0.0), UpdateCost(fixed=0, more=0, rate=0.43)),
        384: (UpdateCost(fixed=393, more=18, rate=0.0), UpdateCost(fixed=897, more=0, rate=0.16)),
        768: (UpdateCost(fixed=375, more=0, rate=0.01), UpdateCost(fixed=3351, more=0, rate=0.27)),
    },
}
USUAL_WIDTH = 768  # of a model whose configuration is not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What the default saves over random, in shares of random's; the fields are JSON keys of `estimate-speedup`."""

    strategy: str
    padding_fraction: float  # of random, targets included
    update_tokens: float  # of random, padding included; a mean
    tokens: float  # share that is saved; below 0: the default has more
    seconds: float | None  # by a profile
    seconds_low: float | None  # by the map, the least and the greatest over precisions; None: not mapped, or a profile
    seconds_high: float | None
    is_worthwhile: bool


def saving_of(default: StrategyEstimate, plain: StrategyEstimate, *, width: int | None, is_mapped: bool) -> Saving:
    """Return what the default saves over random, from the estimates of both.

    Args:
        default: The estimate of the default strategy.
        plain: The estimate of random.
        width: Hidden width of the model. None: not known.
        is_mapped: Whether the map has the model's kind and the device: an encoder on a CPU.
    """
    all_tokens = _tokens(plain)
    update_tokens, default_tokens = all_tokens / plain.steps, _tokens(default) / default.steps
    tokens = 1 - default_tokens / update_tokens
    seconds = low = high = None
    if default.seconds is not None and plain.seconds is not None:
        seconds = 1 - default.seconds / plain.seconds
    elif is_mapped:
        costs = _costs(default.strategy, width)
        low, *_, high = sorted(cost.saved_seconds(update_tokens, default_tokens) for cost in costs)
    expected = next(share for share in (seconds, high, tokens) if share is not None)
    return Saving(
        strategy=default.strategy,
        padding_fraction=_padding(plain) / all_tokens,
        update_tokens=update_tokens,
        tokens=tokens,
        seconds=seconds,
        seconds_low=low,
        seconds_high=high,
        is_worthwhile=expected >= LEAST_SAVING,
    )


def saving_sentence(found: Saving) -> str:
    """Return what the default saves, or that it would save little, as one sentence."""
    padding, default = (
        f"Padding is {found.padding_fraction:.1%} of {BASELINE}'s tokens",
        f"{found.strategy}, the default,",
    )
    if not found.is_worthwhile:
        return f"{_why_little(found, padding, default)}; plain batches do as well."
    if found.seconds is not None:
        return f"{padding}: by this profile {default} saves {found.seconds:.0%} of the time."
    if found.seconds_low is None or found.seconds_high is None:
        return f"{padding}: {default} saves {found.tokens:.1%} of them; tdbs profile says how much time that is."
    low, high = f"{found.seconds_low:.0%}", f"{found.seconds_high:.0%}"
    share = low if low == high else f"{low} to {high}"
    return f"{padding}: on a CPU {default} saves about {share} of the time."


def _why_little(found: Saving, padding: str, default: str) -> str:
    if not found.padding_fraction:
        return f"Batches of {BASELINE} have no padding here: {default} would save nothing"
    if found.seconds is not None:
        share = f"{found.seconds:.0%} of the time" if found.seconds >= LEAST_SHOWN else "no time"
        return f"{padding}: by this profile {default} saves {share}"
    if found.tokens >= LEAST_SAVING:
        return f"{padding}, but an update has only {found.update_tokens:,.0f}: {default} would save little time"
    return f"{padding}: {default} would save little here"


def _costs(strategy: str, width: int | None) -> tuple[UpdateCost, UpdateCost]:
    """Return the costs of the mapped model whose width is nearest by ratio."""
    own = MAP[strategy]
    return own[min(own, key=lambda mapped: abs(math.log(mapped / (width or USUAL_WIDTH))))]


def _tokens(found: StrategyEstimate) -> int:
    return found.tokens + found.target_tokens


def _padding(found: StrategyEstimate) -> float:
    return found.padding_fraction * found.tokens + (found.target_padding_fraction or 0.0) * found.target_tokens
