"""Figures with a row for each strategy: its tokens, its seconds, or its prediction's error.

Also where the time goes: the cost paid once, by `prepare`, and the cost of each run, as numbers and as one bar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports.figures.canvas import LIGHT, WIDE, blank, canvas, drawing, swatch, text, to_svg
from tdbs.reports.number_format import duration, percent, signed_percent, times
from tdbs.shown import shown

# Sizes are CSS pixels.

_HEAD, _ROW, _BAR = 30, 44, 13  # a legend, then a line of words and a bar for each strategy
_ERROR_ROW = 26
_NEAR = 0.1  # the target of predictions: within 10 % of what is measured
_STAGES = ("read", "tokenize", "annotate", "write")
_STAGE_COLORS = ("soft", "kept", "next", "muted", "pad")
_RUN_COLORS = {"prepare": "mark", "plan": "next", "train": "kept", "evaluate": "soft", "other": "pad"}
_STAGE_BAR = 18
_COLUMN = 172  # of a legend


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyTime:
    """Seconds of a run with a strategy; unknown values are None."""

    strategy: str
    measured: float | None
    predicted: float | None
    low: float | None  # the prediction's range
    high: float | None
    speedup: float | None  # speedup shown by the bar


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
    """Draw the seconds of a run for each strategy: a bar of the measured time, below it the predicted one.

    If nothing was measured, the bar shows the prediction.
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
    columns = max(1, width // _COLUMN)
    upper = 26 * -(-len(whole) // columns)
    lower = 26 * -(-len(overheads.stages) // columns) if overheads.stages else 0
    height = upper + _STAGE_BAR + 8 + (34 + lower + _STAGE_BAR + 8 if overheads.stages else 0)
    with drawing():
        figure, axes = blank(width, height)
        colors = [_RUN_COLORS.get(stage, "pad") for stage in whole]
        notes = ["once", *(["each run"] * len(overheads.run))] if overheads.run else ["once"]
        _legend(axes, whole, colors, top=0, columns=columns, width=width, notes=notes)
        _bar(axes, list(whole.values()), total, colors, y=upper + _STAGE_BAR / 2, name="whole")
        if overheads.stages:
            first, second = upper + _STAGE_BAR, upper + _STAGE_BAR + 34
            for share in (0.0, 1.0):
                ends = [share * overheads.prepare / total, share]
                axes.plot(ends, [first + 2, second - 2], color=LIGHT["pad"], linewidth=1)
            colors = list(_STAGE_COLORS)
            spent = list(overheads.stages.values())
            _bar(axes, spent, sum(spent), colors, y=second + _STAGE_BAR / 2, name="stages")
            _legend(axes, overheads.stages, colors, top=second + _STAGE_BAR + 6, columns=columns, width=width)
        return to_svg(figure, name=f"overheads-{width}", label="Seconds of preparing once and of one run, by stage")


def _row_words(axes: Any, index: int, name: str, numbers: str) -> int:
    """Write a row's name and numbers and return the position of its bar."""
    top = _HEAD + _ROW * index
    text(axes, 0, top + 17, name, weight="bold")
    text(axes, 1, top + 17, numbers, ha="right", color=LIGHT["muted"])
    return top + 30


def _whisker(axes: Any, y: float, low: float, high: float) -> None:
    look = {"color": LIGHT["mark"], "linewidth": 1.5, "clip_on": False}
    axes.plot([low, high], [y, y], **look)
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


def _legend(
    axes: Any,
    seconds: Mapping[str, float],
    colors: Sequence[str],
    *,
    top: float,
    columns: int,
    width: int,
    notes: Sequence[str] = (),
) -> None:
    for index, (stage, spent) in enumerate(seconds.items()):
        row, column = divmod(index, columns)
        note = f", {notes[index]}" if notes else ""
        words = f"{stage} {duration(spent)}{note}"
        swatch(axes, column * width / columns, top + 26 * row + 14, words, colors[index], width=width)
