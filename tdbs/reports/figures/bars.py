"""Figures with a row for each strategy: its tokens, its seconds, or its prediction's error.

Also where the time goes: the cost paid once, by `prepare`, and the cost of each run, as numbers and as one bar.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports.figures.canvas import (
    BOLD,
    LETTER,
    LIGHT,
    WIDE,
    blank,
    canvas,
    drawing,
    fitting,
    legend,
    legend_height,
    text,
    to_svg,
)
from tdbs.reports.number_format import duration, percent, signed_percent, times
from tdbs.shown import shown

# Sizes are CSS pixels.

_HEAD, _ROW, _BAR = 8, 44, 13  # below a legend, then a line of words and a bar for each strategy
_LINE = 17  # of numbers below the name, if the two do not fit side by side
_ERROR_ROW = 26
_NEAR = 0.1  # the target of predictions: within 10 % of what is measured
_STAGES = ("read", "tokenize", "annotate", "write")
_STAGE_COLORS = ("soft", "kept", "next", "muted", "pad")
_RUN_COLORS = {"prepare": "mark", "plan": "next", "train": "kept", "evaluate": "soft", "other": "pad"}
_STAGE_BAR = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenBar:
    """Tokens of a run, and what stands beside its name."""

    name: str
    tokens: int
    padding_fraction: float
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyTime:
    """Seconds of a run with a strategy; unknown values are None."""

    strategy: str
    measured: float | None
    predicted: float | None
    low: float | None  # the prediction's range
    high: float | None
    speedup: float | None  # speedup shown by the bar
    deviation: float | None = None  # standard deviation of the measured seconds over seeds


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyError:
    """What the prediction of a strategy's seconds was off by: predicted / measured - 1."""

    strategy: str
    runs: tuple[float, ...]
    mean: float  # mean of the means over its runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Overheads:
    """Wall-clock seconds by stage. Stages of `prepare` overlap; their shares of its wall-clock are by their work."""

    prepare: float  # paid once
    stages: Mapping[str, float]  # stages of prepare: work over all workers
    run: Mapping[str, float]  # paid in each run
    strategy: str | None


def padding_by_strategy_svg(estimates: Sequence[StrategyEstimate], *, width: int = WIDE) -> str:
    """Draw the tokens of a run for each strategy, kept and pad, with padding and speedup in tokens in words."""
    bars = [
        TokenBar(
            name=each.strategy,
            tokens=each.tokens,
            padding_fraction=each.padding_fraction,
            words=f"{percent(each.padding_fraction)} padding · {times(each.speedup)}",
        )
        for each in estimates
    ]
    return tokens_svg(bars, name="padding", width=width)


def tokens_svg(bars: Sequence[TokenBar], *, name: str, width: int = WIDE) -> str:
    """Draw kept and pad tokens as bars of one scale; `name` is the figure's on its page."""
    most = max(bar.tokens for bar in bars)
    entries = [("kept tokens", "kept"), ("pad tokens", "pad")]
    with drawing():
        figure, axes, places = _rows_with_legend([(bar.name, bar.words) for bar in bars], entries, width)
        for index, (bar, y) in enumerate(zip(bars, places, strict=True)):
            tokens = bar.tokens / most
            pad = tokens * bar.padding_fraction
            axes.barh(y, tokens - pad, height=_BAR, color=LIGHT["kept"], gid=f"kept-{index}")
            axes.barh(y, pad, left=tokens - pad, height=_BAR, color=LIGHT["pad"], gid=f"pad-{index}")
        names = ", ".join(bar.name for bar in bars)
        return to_svg(figure, name=f"{name}-{width}", label=f"Kept and pad tokens of a run with: {names}")


def time_by_strategy_svg(rows: Sequence[StrategyTime], *, is_projected: bool = False, width: int = WIDE) -> str:
    """Draw the seconds of a run for each strategy: a bar of the measured time, below it the predicted one.

    Over several seeds, the bar has its deviation. If nothing was measured, the bar shows the prediction.
    `is_projected`: the measured times are those of some steps, projected to a run.
    """
    most = max(second for row in rows for second in _ends(row) if second is not None)
    measured = any(row.measured is not None for row in rows)
    over_seeds = measured and any(row.deviation is not None for row in rows)
    bar = ("projected from timed steps" if is_projected else "measured") if measured else "predicted"
    entries: list[tuple[str, ...]] = [(f"{bar}, with its deviation over seeds" if over_seeds else bar, "kept")]
    if measured and any(row.predicted is not None for row in rows):
        entries.append(("predicted before, with its range", "mark", "o"))
    seconds = [row.predicted if row.measured is None else row.measured for row in rows]
    words = [f"{duration(spent)} · {times(row.speedup)}" for row, spent in zip(rows, seconds, strict=True)]
    with drawing():
        named = [(row.strategy, said) for row, said in zip(rows, words, strict=True)]
        figure, axes, bars = _rows_with_legend(named, entries, width)
        for index, (row, spent, y) in enumerate(zip(rows, seconds, bars, strict=True)):
            axes.barh(y - 2, (spent or 0) / most, height=_BAR - 4, color=LIGHT["kept"], gid=f"seconds-{index}")
            if row.measured is not None and row.deviation is not None:
                low, high = max(0.0, row.measured - row.deviation), row.measured + row.deviation
                _whisker(axes, y - 2, low / most, high / most, "ink", name=f"deviation-{index}")
            if row.low is not None and row.high is not None:
                _whisker(axes, y + 8, row.low / most, row.high / most, "mark", name=f"range-{index}")
            if row.measured is not None and row.predicted is not None:
                dot = {"marker": "o", "markersize": 7, "markeredgewidth": 0, "clip_on": False}
                axes.plot([row.predicted / most], [y + 8], color=LIGHT["mark"], gid=f"predicted-{index}", **dot)
        names = ", ".join(row.strategy for row in rows)
        return to_svg(figure, name=f"time-{width}", label=f"Seconds of a run with: {names}")


def errors_svg(errors: Sequence[StrategyError], *, width: int = WIDE) -> str:
    """Draw what predictions were off by: a row for each strategy, a dot for each of its runs, the mean in words."""
    left = min(max(112.0, 8 + LETTER * max(len(shown(error.strategy)) for error in errors)), 0.4 * width)
    farthest = 1.15 * max(_NEAR, *(abs(off) for error in errors for off in error.runs))
    with drawing():
        figure, axes = canvas(width, 84 + _ERROR_ROW * len(errors), left=math.ceil(left), top=30, right=68, bottom=44)
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
            name = fitting(error.strategy, left - 8)
            axes.annotate(name, (0, index), xycoords=sides, xytext=(-math.ceil(left), 0), **inside)
            axes.annotate(signed_percent(error.mean), (1, index), xycoords=sides, xytext=(68, 0), ha="right", **inside)
        above = {"xycoords": "axes fraction", "textcoords": "offset points", "color": LIGHT["muted"]}
        axes.annotate("← predicted less", (0.5, 1), xytext=(-8, 10), ha="right", **above)
        axes.annotate("predicted more →", (0.5, 1), xytext=(8, 10), ha="left", **above)
        axes.xaxis.set_major_locator(MaxNLocator(4 if width == WIDE else 2, symmetric=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: _tick(share)))
        axes.set_xlabel("predicted against measured seconds")
        names = ", ".join(error.strategy for error in errors)
        return to_svg(figure, name=f"prediction-{width}", label=f"Errors of the prediction for: {names}")


def prepare_stages(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the wall-clock of prepare's stages: their work, scaled down if stages ran side by side."""
    total = seconds.get("total", 0.0)
    work = {stage: seconds[stage] for stage in _STAGES if seconds.get(stage)}
    scale = min(1.0, total / sum(work.values())) if work else 1.0
    scaled = {stage: scale * spent for stage, spent in work.items()}
    other = total - sum(scaled.values())
    return {**scaled, "other": other} if scaled and other > 0.005 * total else scaled


def overheads_svg(overheads: Overheads, *, width: int = WIDE) -> str:
    """Draw one bar of a run with `prepare` before it, and `prepare` by its stages as a larger bar below."""
    whole = {"prepare": overheads.prepare, **overheads.run}
    total = sum(whole.values())
    colors = [_RUN_COLORS.get(stage, "pad") for stage in whole]
    notes = [", once", *([", each run"] * len(overheads.run))] if overheads.run else [", once"]
    above = _stage_entries(whole, colors, notes)
    below = _stage_entries(overheads.stages, _STAGE_COLORS, [""] * len(overheads.stages))
    upper = legend_height([words for words, _ in above], width=width) + 4
    lower = legend_height([words for words, _ in below], width=width) if below else 0
    height = upper + _STAGE_BAR + 8 + (34 + lower + _STAGE_BAR + 8 if below else 0)
    with drawing():
        figure, axes = blank(width, height)
        legend(axes, above, top=0, width=width)
        _bar(axes, list(whole.values()), total, colors, y=upper + _STAGE_BAR / 2, name="whole")
        if below:
            first, second = upper + _STAGE_BAR, upper + _STAGE_BAR + 34
            for share in (0.0, 1.0):
                ends = [share * overheads.prepare / total, share]
                axes.plot(ends, [first + 2, second - 2], color=LIGHT["pad"], linewidth=1)
            spent = list(overheads.stages.values())
            _bar(axes, spent, sum(spent), _STAGE_COLORS, y=second + _STAGE_BAR / 2, name="stages")
            legend(axes, below, top=second + _STAGE_BAR + 6, width=width)
        return to_svg(figure, name=f"overheads-{width}", label="Seconds of preparing once and of one run, by stage")


def _rows_with_legend(
    rows: Sequence[tuple[str, str]], entries: Sequence[tuple[str, ...]], width: int
) -> tuple[Figure, Any, list[int]]:
    """Begin a figure: a legend, then for each row its name, its numbers and the room of a bar, whose place is returned.

    The numbers are beside the names, or below if there is no room for both.
    """
    names = [fitting(name, width, letter=BOLD) for name, _ in rows]
    widest = max(BOLD * len(name) + LETTER * len(numbers) for name, (_, numbers) in zip(names, rows, strict=True))
    line = _LINE if widest + 12 > width else 0
    head = legend_height([words for words, *_ in entries], width=width) + _HEAD
    figure, axes = blank(width, head + (_ROW + line) * len(rows))
    legend(axes, entries, top=0, width=width)
    bars = []
    for index, (name, (_, numbers)) in enumerate(zip(names, rows, strict=True)):
        top = head + (_ROW + line) * index
        text(axes, 0, top + 17, name, weight="bold")
        place = {"ha": "left"} if line else {"ha": "right"}
        text(axes, 0 if line else 1, top + line + 17, numbers, color=LIGHT["muted"], **place)
        bars.append(top + line + 30)
    return figure, axes, bars


def _ends(row: StrategyTime) -> tuple[float | None, ...]:
    """Return the seconds that a row has to have room for."""
    upto = None if row.measured is None else row.measured + (row.deviation or 0.0)
    return upto, row.predicted, row.high


def _whisker(axes: Any, y: float, low: float, high: float, color: str, *, name: str) -> None:
    look = {"color": LIGHT[color], "linewidth": 1.5, "clip_on": False}
    axes.plot([low, high], [y, y], gid=name, **look)
    for end in (low, high):
        axes.plot([end, end], [y - 3, y + 3], **look)


def _tick(share: float) -> str:
    return f"{100 * share:+.0f} %".replace("-", "−") if abs(share) > 1e-9 else "0"


def _bar(axes: Any, seconds: Sequence[float], total: float, colors: Sequence[str], *, y: float, name: str) -> None:
    left = 0.0
    for index, (spent, color) in enumerate(zip(seconds, colors, strict=False)):
        share = spent / total
        axes.barh(y, share, left=left, height=_STAGE_BAR, color=LIGHT[color], gid=f"{name}-{index}")
        left += share


def _stage_entries(seconds: Mapping[str, float], colors: Sequence[str], notes: Sequence[str]) -> list[tuple[str, str]]:
    spent = zip(seconds.items(), colors, notes, strict=False)
    return [(f"{stage} {duration(second)}{note}", color) for (stage, second), color, note in spent]
