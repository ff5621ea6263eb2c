"""What a page on a run opens with: its own padding, seconds and score, and what the next best choice would have saved.

Two choices are named: the strategy of fewest tokens that makes the same updates, and the one of fewest tokens of all.
Their tokens are planned for the run's own batch size, epochs and seed; no seconds are promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports.number_format import count, duration, figure, percent
from tdbs.train.planning.strategies import SAME_UPDATES
from tdbs.train.run_folder import Run

_LEAST = 0.001  # of a run's tokens: less is not worth another strategy


@dataclass(frozen=True, kw_only=True, slots=True)
class Better:
    """A strategy that reads fewer tokens than a run did."""

    strategy: str
    tokens: int  # of the whole run, targets included
    share: float  # of the run's tokens, saved


@dataclass(frozen=True, kw_only=True, slots=True)
class NextBest:
    """The tokens of a finished run, and the strategies that would have read the fewest."""

    tokens: int  # read by the run, targets included
    is_random: bool  # whether its updates are those of random batches: other strategies make the same ones
    same: Better | None  # the fewest tokens with the same updates; None: at least 99.9 % of the run's
    other: Better | None  # the fewest of all, with other updates; None: not fewer than `same`

    @property
    def strategies(self) -> list[str]:
        """The names of the better choices."""
        return [better.strategy for better in (self.same, self.other) if better is not None]


def run_numbers(run: Run, metric: str) -> list[tuple[str, str]]:
    """Return what a finished run opens its page with, each number with its name."""
    result = run.result or {}
    return [
        ("padding of this run", percent(result["padding_fraction"])),
        ("of training", duration(result["seconds"]["train"])),
        (f"score ({metric})", figure(result["score"])),
    ]


def next_best(run: Run, estimates: Sequence[StrategyEstimate]) -> NextBest | None:
    """Return what the next best choices would have saved; None for an unfinished run, or if nothing was planned."""
    strategy = run.config.get("strategy", {})
    if run.result is None or not isinstance(strategy, Mapping):
        return None
    tokens = run.result["tokens"] + run.result.get("target_tokens", 0)
    others = [each for each in estimates if each.strategy != strategy.get("name") and not each.is_refused]
    if not tokens or not others:
        return None
    is_random = [strategy.get(part) for part in ("batches", "drop", "lrm")] == ["random", "none", False]
    alike = [each for each in others if is_random and each.strategy in SAME_UPDATES]
    same = _fewest(alike, tokens)
    other = _fewest([each for each in others if each not in alike], tokens)
    if same and other and other.share < same.share + _LEAST:
        other = None
    return NextBest(tokens=tokens, is_random=is_random, same=same, other=other)


def next_best_sentence(found: NextBest) -> str:
    """Return in one sentence what the next best choices would have saved, or that there is none."""
    if found.same is None and found.other is None:
        least = percent(_LEAST)
        return f"In tokens, this run already is the best choice: no strategy below saves even {least} of its tokens."
    parts = []
    if found.same is not None:
        parts.append(f"with the same updates, {_would(found.same, found.tokens)}")
    elif found.is_random:
        parts.append(f"with the same updates, no strategy saves even {percent(_LEAST)} of the tokens")
    if found.other is not None:
        parts.append(f"with other updates, and perhaps another score, {_would(found.other, found.tokens)}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _fewest(estimates: Sequence[StrategyEstimate], of_run: int) -> Better | None:
    """Return the strategy of fewest tokens, if it saves some."""
    if not estimates:
        return None
    tokens, strategy = min((each.tokens + each.target_tokens, each.strategy) for each in estimates)
    share = 1 - tokens / of_run
    return Better(strategy=strategy, tokens=tokens, share=share) if share >= _LEAST else None


def _would(better: Better, of_run: int) -> str:
    fewer = f"{percent(better.share)} fewer tokens ({count(better.tokens)} instead of {count(of_run)})"
    return f"{better.strategy} would have read {fewer}"
