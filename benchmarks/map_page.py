"""The page of the map (`bench_map.py`): each point, where the gain ends, and what updates cost beyond their tokens.

`share` is how much of the saved tokens becomes saved seconds. The table of costs is MAP of tdbs/analysis/worth.py: what
an update of random costs beyond its tokens (`fixed`), what one of the strategy costs more (`more`), both in tokens, and
what a token of the strategy costs more (`rate`). Least squares over the points of a model and a precision find them:
share of seconds saved x (tokens of random + fixed) = tokens of random - (1 + rate) x tokens of the strategy - more.
Texts of one length are left out there: batches without padding have no mask, so random is faster with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.common import markdown_table
from tdbs.analysis.worth import LEAST_SAVING
from tdbs.numerics import non_negative_least_squares

BASE, DEFAULT = "random", "unpadded"
STRATEGIES = (BASE, DEFAULT, "sorted", "length_grouped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One strategy at one point of the map."""

    model: str
    precision: str
    dropout: float
    batch_size: int
    spread: float
    strategy: str
    tokens: int  # of an update, padding included
    seconds: float  # of an update
    fewer_tokens: float  # tokens of random / of this strategy
    speedup: float  # seconds of random / of this strategy


def share_of(row: Row) -> float | None:
    """Return how much of the saved tokens became saved seconds; None if hardly any token was saved."""
    saved = 1 - 1 / row.fewer_tokens
    return None if saved < 0.1 else (1 - 1 / row.speedup) / saved


def padded_rows(rows: Sequence[Row]) -> list[dict[str, list[Row]]]:
    """Return for each model and precision the rows of each strategy, without the texts of one length."""
    found: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        if row.spread:
            found.setdefault((row.model, row.precision), {}).setdefault(row.strategy, []).append(row)
    return list(found.values())


def update_cost(rows: Sequence[Row], points: Sequence[Row]) -> tuple[float, float, float]:
    """Return `fixed`, `more` and `rate` from rows of a strategy and those of random at the same points."""
    left_P = np.array([1 / row.fewer_tokens for row in rows])
    gained_P = np.array([1 - 1 / row.speedup for row in rows])
    tokens_P = np.array([row.tokens for row in points])
    counts_P3 = np.column_stack([gained_P / tokens_P, 1 / tokens_P, left_P])
    fixed, more, rate = non_negative_least_squares(counts_P3, 1 - left_P - gained_P)
    return float(fixed), float(more), float(rate)


def map_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return a line for each point."""
    lines = []
    for first in range(0, len(rows), len(STRATEGIES)):
        base, *others = rows[first : first + len(STRATEGIES)]
        line = {
            "model": base.model,
            "precision": base.precision,
            "dropout": f"{base.dropout:g}",
            "batch": str(base.batch_size),
            "spread": f"{base.spread:g}",
            "tokens": f"{base.tokens:,}",
            "random, ms": f"{1e3 * base.seconds:,.0f}",
        }
        for row in others:
            line[row.strategy] = f"{row.speedup:.2f} x of {row.fewer_tokens:.2f} x"
        share = share_of(others[0])
        lines.append({**line, "share": "" if share is None else f"{share:.2f}"})
    return lines


def cost_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what updates cost beyond their tokens, by model and precision, for the default and for `sorted`."""
    lines = []
    for own in padded_rows(rows):
        line = {"model": own[BASE][0].model, "precision": own[BASE][0].precision}
        for name in STRATEGIES[1:3]:
            fixed, more, rate = update_cost(own[name], own[BASE])
            line[f"{name}: fixed, more, rate"] = f"{fixed:,.0f}, {more:,.0f}, {rate:.2f}"
        lines.append(line)
    return lines


def gain_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return the share of random's seconds that the default saves, a column for each spread of lengths."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row.strategy == DEFAULT:
            line = {
                "model": row.model,
                "precision": row.precision,
                "dropout": f"{row.dropout:g}",
                "batch": str(row.batch_size),
            }
            saved = 1 - 1 / row.speedup
            share = f"{saved:.0%}"
            found.setdefault(tuple(line.values()), line)[f"spread {row.spread:g}"] = (
                share if saved >= LEAST_SAVING else f"({share})"
            )
    return list(found.values())


def largest_error(rows: Sequence[Row], name: str) -> float:
    """Return how far the formula is from a measured share of seconds saved, at its worst; a loss counts as 0."""
    errors = []
    for own in padded_rows(rows):
        fixed, more, rate = update_cost(own[name], own[BASE])
        for row, base in zip(own[name], own[BASE], strict=True):
            saved = base.tokens * (1 - (1 + rate) / row.fewer_tokens) - more
            errors.append(abs(max(saved / (base.tokens + fixed), 0) - max(1 - 1 / row.speedup, 0)))
    return max(errors)


def page_of(rows: Sequence[Row], facts: Mapping[str, object]) -> str:
    """Return the page: what the default saves, all points, and the costs of updates with the formula's error."""
    errors = " and ".join(f"{100 * largest_error(rows, name):.0f} % with `{name}`" for name in STRATEGIES[1:3])
    parts = [
        "# Where the gain ends",
        "Seconds of an update of the default beside padded random batches, by spread of lengths, size of model\n"
        "(layers x width), batch size, dropout and precision. Texts are synthetic, 32 tokens in the mean, at most\n"
        "128. A spread is the sigma of the logarithm of their lengths.",
        f"{'; '.join(f'{name}: {value}' for name, value in facts.items())}.\n"
        "Made by `python -m benchmarks.bench_map --page reports/map/README.md`.",
        "## The time that the default saves",
        f"In parentheses: below {LEAST_SAVING:.0%}, where plain batches do as well.",
        markdown_table(gain_table(rows)),
        "## All points",
        "`a x of b x`: random takes a times the seconds, and has b times the tokens. tokens: of an update of random,\n"
        "padding included. share: how much of the tokens that the default saves becomes saved seconds.",
        markdown_table(map_table(rows)),
        "## What updates cost beyond their tokens",
        "The constants of `estimate-speedup` (`tdbs/analysis/worth.py`), in tokens, by least squares over the points\n"
        f"with padding. With them the share of seconds saved is off by at most {errors}.",
        markdown_table(cost_table(rows)),
    ]
    return "\n\n".join(parts) + "\n"
