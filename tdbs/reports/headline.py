"""What a page on a run opens with: its own padding, seconds and score, and what the next best choice would have saved.

Two choices are named: the strategy of fewest tokens that makes the same updates, and the one of fewest tokens of all.
A run without padding is also compared with padded random batches. All tokens are planned for the run's own batch size,
epochs and seed; no seconds are promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports.figures.bars import TokenBar
from tdbs.reports.number_format import count, duration, figure, percent
from tdbs.train.planning.strategies import BASELINE, SAME_UPDATES
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
    same: Better | None  # the fewest tokens with the same updates; None: at least 99.9 % of the run's
    other: Better | None  # the fewest of all, with other updates; None: not fewer than `same`
    padded: int | None = None  # tokens of padded random batches, if the run made their updates with fewer

    @property
    def strategies(self) -> list[str]:
        """The names of the better choices."""
        return [better.strategy for better in (self.same, self.other) if better is not None]


def run_numbers(run: Run, metric: str, found: NextBest | None) -> list[tuple[str, str]]:
    """Return what a finished run opens its page with, each number with its name: the last is what could be saved."""
    result = run.result or {}
    best = found and (found.same or found.other)
    return [
        ("padding of this run", percent(result["padding_fraction"])),
        ("of training", duration(result["seconds"]["train"])),
        (f"score ({metric})", figure(result["score"])),
        *([(f"fewer tokens with {best.strategy}", percent(best.share))] if best else []),
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
    read = next((_tokens(each) for each in alike if each.strategy == BASELINE), 0)
    padded = read if tokens <= (1 - _LEAST) * read else None
    return NextBest(tokens=tokens, same=same, other=other, padded=padded)


def next_best_text(found: NextBest) -> str:
    """Return in a few sentences what the run saved, and what the next best choices would have saved."""
    sentences = []
    if found.padded is not None:
        fewer = percent(1 - found.tokens / found.padded)
        sentences.append(
            f"Padded random batches would have read {count(found.padded)} tokens for the same updates; this run read "
            f"{fewer} fewer, {count(found.tokens)}."
        )
    if found.same is not None:
        sentences.append(f"With {found.same.strategy}, the same updates read {_fewer(found.same, found.tokens)}.")
    if found.other is not None:
        sentences.append(
            f"With {found.other.strategy}, a run reads {_fewer(found.other, found.tokens)}; its updates are others, so "
            "its score may differ."
        )
    if found.same is None and found.other is None:
        sentences.append(f"No strategy below saves even {percent(_LEAST)} of this run's tokens.")
    return " ".join(sentences)


def token_bars(found: NextBest, run: Run, estimates: Sequence[StrategyEstimate]) -> list[TokenBar]:
    """Return bars of padded random batches, if the run read fewer tokens, of the run, and of the better choices."""
    result = run.result or {}
    names = [*([] if found.padded is None else [BASELINE]), *found.strategies]
    bars = [_bar(each.strategy, asdict(each)) for each in estimates if each.strategy in names]
    return sorted([_bar(f"{result['strategy']}, this run", result), *bars], key=lambda bar: -bar.tokens)


def _bar(name: str, counts: Mapping[str, Any]) -> TokenBar:
    """Return the bar of a run or an estimate: sources and targets together."""
    pairs = [(counts["tokens"], counts["padding_fraction"])]
    pairs += [(counts.get("target_tokens", 0), counts.get("target_padding_fraction") or 0.0)]
    tokens = sum(each for each, _ in pairs)
    padding = sum(each * share for each, share in pairs) / tokens
    words = f"{count(tokens)} tokens · {percent(padding)} padding"
    return TokenBar(name=name, tokens=tokens, padding_fraction=padding, words=words)


def _fewest(estimates: Sequence[StrategyEstimate], of_run: int) -> Better | None:
    """Return the strategy of fewest tokens, if it saves some."""
    if not estimates:
        return None
    tokens, strategy = min((_tokens(each), each.strategy) for each in estimates)
    share = 1 - tokens / of_run
    return Better(strategy=strategy, tokens=tokens, share=share) if share >= _LEAST else None


def _tokens(estimate: StrategyEstimate) -> int:
    return estimate.tokens + estimate.target_tokens


def _fewer(better: Better, of_run: int) -> str:
    return f"{percent(better.share)} fewer tokens ({count(better.tokens)} instead of {count(of_run)})"
