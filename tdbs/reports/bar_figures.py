"""Strategies side by side as figures: a row for each, with its tokens, its seconds, or its prediction's error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports.canvas import LIGHT, WIDE, blank, canvas, drawing, swatch, text, to_svg
from tdbs.reports.words import duration, percent, signed_percent, times
from tdbs.shown import shown

# Sizes are CSS pixels.

_HEAD, _ROW, _BAR = 30, 44, 13  # a legend, then a line of words and a bar for each strategy
_ERROR_ROW = 26
_NEAR = 0.1  # the target of predictions: within 10 % of what is measured


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyTime:
    """Seconds of a run with a strategy; what is not known is None."""

    strategy: str
    measured: float | None
    predicted: float | None
    low: float | None  # the prediction's range
    high: float | None
    speedup: float | None  # of what the bar shows


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyError:
    """What the prediction of a strategy's seconds was off by: predicted / measured - 1."""

    strategy: str
    runs: tuple[float, ...]
    mean: float  # of the means over its runs


def padding_by_strategy_svg(estimates: Sequence[StrategyEstimate], *, width: int = WIDE) -> str:
    """Draw the tokens of a run for each strategy, kept and pad, with padding and speedup by tokens in words."""
    most = max(estimate.tokens for estimate in estimates)
    with drawing():
        figure, axes = blank(width, _HEAD + _ROW * len(estimates))
        swatch(axes, 0, 13, "kept tokens", "kept", width=width)
        swatch(axes, 108, 13, "pad tokens", "pad", width=width)
        for index, estimate in enumerate(estimates):
            numbers = f"{percent(estimate.padding_fraction)} padding · {times(estimate.speedup)}"
            y = _row_words(axes, index, estimate.strategy, numbers)
            tokens = estimate.tokens / most
            pad = tokens * estimate.padding_fraction
            axes.barh(y, tokens - pad, height=_BAR, color=LIGHT["kept"], gid=f"kept-{index}")
            axes.barh(y, pad, left=tokens - pad, height=_BAR, color=LIGHT["pad"], gid=f"pad-{index}")
        names = ", ".join(estimate.strategy for estimate in estimates)
        return to_svg(figure, name=f"padding-{width}", label=f"Kept and pad tokens of a run with: {names}")


def time_by_strategy_svg(rows: Sequence[StrategyTime], *, width: int = WIDE) -> str:
    """Draw the seconds of a run for each strategy: a bar of what was measured, below it what was predicted.

    What was not measured has a bar of what was predicted.
    """
    most = max(second for row in rows for second in (row.measured, row.predicted, row.high) if second is not None)
    measured = any(row.measured is not None for row in rows)
    with drawing():
        figure, axes = blank(width, _HEAD + _ROW * len(rows))
        swatch(axes, 0, 13, "measured" if measured else "predicted", "kept", width=width)
        if measured and any(row.predicted is not None for row in rows):
            swatch(axes, 92, 13, "predicted before, with its range", "mark", width=width, marker="o")
        for index, row in enumerate(rows):
            seconds = row.predicted if row.measured is None else row.measured
            y = _row_words(axes, index, row.strategy, f"{duration(seconds)} · {times(row.speedup)}")
            axes.barh(y - 2, (seconds or 0) / most, height=_BAR - 4, color=LIGHT["kept"], gid=f"seconds-{index}")
            if row.low is not None and row.high is not None:
                _whisker(axes, y + 8, row.low / most, row.high / most)
            if row.measured is not None and row.predicted is not None:
                dot = {"marker": "o", "markersize": 7, "markeredgewidth": 0, "clip_on": False}
                axes.plot([row.predicted / most], [y + 8], color=LIGHT["mark"], gid=f"predicted-{index}", **dot)
        names = ", ".join(row.strategy for row in rows)
        return to_svg(figure, name=f"time-{width}", label=f"Seconds of a run with: {names}")


def _row_words(axes: Any, index: int, name: str, numbers: str) -> int:
    """Write a row's name and numbers and return where its bar is."""
    top = _HEAD + _ROW * index
    text(axes, 0, top + 17, name, weight="bold")
    text(axes, 1, top + 17, numbers, ha="right", color=LIGHT["muted"])
    return top + 30


def _whisker(axes: Any, y: float, low: float, high: float) -> None:
    look = {"color": LIGHT["mark"], "linewidth": 1.5, "clip_on": False}
    axes.plot([low, high], [y, y], **look)
    for end in (low, high):
        axes.plot([end, end], [y - 3, y + 3], **look)


def errors_svg(errors: Sequence[StrategyError], *, width: int = WIDE) -> str:
    """Draw what predictions were off by: a row for each strategy, a dot for each of its runs, the mean in words."""
    farthest = 1.15 * max(_NEAR, *(abs(off) for error in errors for off in error.runs))
    with drawing():
        figure, axes = canvas(width, 84 + _ERROR_ROW * len(errors), left=112, top=30, right=68, bottom=44)
        axes.grid(visible=False)
        axes.set(xlim=(-farthest, farthest), ylim=(len(errors) - 0.5, -0.5), yticks=[])
        axes.axvspan(-_NEAR, _NEAR, color=LIGHT["line"], linewidth=0)
        axes.axvline(0, color=LIGHT["muted"], linewidth=1)
        inside = {"textcoords": "offset points", "va": "center", "color": LIGHT["ink"]}
        sides = axes.get_yaxis_transform()
        for index, error in enumerate(errors):
            look = {"marker": "o", "markersize": 8, "markeredgewidth": 1.5, "markeredgecolor": LIGHT["paper"]}
            dots = {"linestyle": "none", "color": LIGHT["mark"], "clip_on": False, "gid": f"errors-{index}"}
            axes.plot(error.runs, [index] * len(error.runs), **look, **dots)
            axes.annotate(shown(error.strategy), (0, index), xycoords=sides, xytext=(-112, 0), **inside)
            axes.annotate(signed_percent(error.mean), (1, index), xycoords=sides, xytext=(68, 0), ha="right", **inside)
        above = {"xycoords": "axes fraction", "textcoords": "offset points", "color": LIGHT["muted"]}
        axes.annotate("← predicted less", (0.5, 1), xytext=(-8, 10), ha="right", **above)
        axes.annotate("predicted more →", (0.5, 1), xytext=(8, 10), ha="left", **above)
        axes.xaxis.set_major_locator(MaxNLocator(4 if width == WIDE else 2, symmetric=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: _tick(share)))
        axes.set_xlabel("predicted against measured seconds")
        names = ", ".join(error.strategy for error in errors)
        return to_svg(figure, name=f"prediction-{width}", label=f"Errors of the prediction for: {names}")


def _tick(share: float) -> str:
    return f"{100 * share:+.0f} %".replace("-", "−") if abs(share) > 1e-9 else "0"
