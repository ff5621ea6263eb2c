"""Figures over the steps of runs: loss, batch size and rate of one run, or the losses of several.

Also the figures of studies: losses of several strategies, and the spread of lengths against the speedup.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tdbs.arrays import FloatArray, IntArray, offsets_of
from tdbs.reports.figures.canvas import (
    LIGHT,
    SERIES,
    WIDE,
    canvas,
    drawing,
    fitting,
    short_number,
    title,
    to_svg,
)
from tdbs.reports.figures.files import COLORS, STYLE, figure_svg
from tdbs.shown import shown

# Shapes: S steps of a run, P points of a curve, K labels. Sizes are CSS pixels.

_MOST_POINTS = 1_500  # of a line: more would only make the page heavy
_OVERLAID_POINTS = 240  # of a smoothed line
_SMOOTHING = 20  # a smoothed loss is the mean over this part of a run: 1 / 20
_LABEL_GAP = 15
_LETTER = 6.6  # of a label, widest in browsers' fonts
_POINTS = 100  # of a curve, after smoothing


def run_svgs(steps: Sequence[Mapping[str, Any]], *, width: int = WIDE) -> dict[str, str]:
    """Draw a run's loss, batch size and learning rate over its steps; the keys are `loss`, `batch_size` and `lr`.

    A loss that is not finite (None in the log) leaves a gap and a mark. Long runs are thinned to their extremes.
    """
    epochs_S = np.array([step["epoch"] for step in steps], dtype=np.int64)
    starts = np.flatnonzero(np.diff(epochs_S)) + 1
    columns = {key: np.array([step[key] for step in steps], dtype=np.float64) for key in ("loss", "batch_size", "lr")}
    window = max(1, len(steps) // 50)
    loss = "loss" if window == 1 else f"loss, and its mean over {window} steps"
    with drawing():
        return {
            "loss": _curve_svg("loss", loss, columns["loss"], starts, window=window, width=width),
            "batch_size": _curve_svg("batch_size", "batch size, samples", columns["batch_size"], starts, width=width),
            "lr": _curve_svg("lr", "learning rate", columns["lr"], starts, width=width),
        }


def losses_svg(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, width: int = WIDE) -> str:
    """Draw the smoothed loss of each strategy (name: its logged steps) over the epochs, each line with its name.

    Strategies make different numbers of steps, so a step's place is the share of the run's samples seen by then.
    """
    lines = {shown(name): _smoothed_loss(steps) for name, steps in runs.items()}
    epochs = max(int(steps[-1]["epoch"]) + 1 for steps in runs.values())
    height, top, bottom = max(280, 90 + _LABEL_GAP * len(lines)), 30, 44
    right = min(max(122, 24 + math.ceil(_LETTER * max(map(len, lines)))), width // 2)
    # the first mean is of the first step alone: noise that would set the scale
    highest = max(
        float(np.nanmax(losses[1:] if len(losses) > 1 else losses, initial=0.0)) for _, losses in lines.values()
    )
    highest = highest * 1.04 or 1.0
    pixels = (height - top - bottom) / highest
    with drawing():
        figure, axes = canvas(width, height, left=52, top=top, right=right, bottom=bottom)
        for index, (places, losses) in enumerate(lines.values()):
            axes.plot(places * epochs, losses, **_look(index), gid=f"strategy-{index}")
        ends = [_last_finite(losses) for _, losses in lines.values()]
        heights = spread(np.array(ends) * pixels, gap=_LABEL_GAP, highest=highest * pixels) / pixels
        for index, (name, end, height_of_label) in enumerate(zip(lines, ends, heights, strict=True)):
            label = {"xytext": (22, -4), "textcoords": "offset points", "color": LIGHT["ink"]}
            axes.plot(
                [1, 1 + 18 / (width - 52 - right)],
                [end, height_of_label],
                transform=axes.get_yaxis_transform(),
                clip_on=False,
                **{**_look(index), "linewidth": 1},
            )
            words = fitting(name, right - 24, letter=_LETTER)
            axes.annotate(words, (1, height_of_label), xycoords=axes.get_yaxis_transform(), fontsize=11, **label)
        axes.set(xlim=(0, epochs), ylim=(0, highest), xlabel="epochs")
        axes.xaxis.set_major_locator(MaxNLocator(min(epochs, 6), integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        title(axes, f"loss, its mean over 1/{_SMOOTHING} of the run", above=13)
        return to_svg(figure, name=f"losses-{width}", label=f"Smoothed training loss with: {', '.join(lines)}")


def spread(heights_K: FloatArray, *, gap: float, highest: float) -> FloatArray:
    """Move labels as little as possible to have `gap` between any two and none above `highest`, in the same order."""
    order_K = np.argsort(heights_K, kind="stable")
    ranks_K = np.arange(len(heights_K)) * gap
    pushed_K = np.maximum.accumulate(heights_K[order_K] - ranks_K) + ranks_K
    ceiling_K = highest - ranks_K[::-1]
    moved_K = np.empty_like(heights_K)
    moved_K[order_K] = np.minimum(pushed_K, ceiling_K)
    return moved_K


def moving_average(values_S: FloatArray, window: int) -> FloatArray:
    """Return the mean of each step and the `window` - 1 before it; the mean skips values that are not finite."""
    finite_S = np.isfinite(values_S)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite_S, values_S, 0.0))])
    counts = offsets_of(finite_S)
    last_S = np.arange(1, len(values_S) + 1)
    first_S = np.maximum(last_S - window, 0)
    number_S = counts[last_S] - counts[first_S]
    return np.where(number_S > 0, (sums[last_S] - sums[first_S]) / np.maximum(number_S, 1), np.nan)


def loss_curves_svg(task: str, curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> str:
    """Draw the training loss of strategies over the finished share of the run, means over seeds."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for color, (name, seeds) in zip(COLORS * 3, curves.items(), strict=False):
            mean_P = np.mean([smoothed(np.array(curve)) for curve in seeds], axis=0)
            axes.plot(np.linspace(0, 100, _POINTS), mean_P, color=color, linewidth=1.5, label=shown(name))
        axes.set(xlabel="share of the run's samples, %", ylabel="training loss", title=shown(task))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure_svg(figure)


def smoothed(curve: FloatArray) -> FloatArray:
    """Return a curve (share done, loss) at evenly spread shares: means over a twentieth of the run (P)."""
    shares, losses = curve[:, 0], curve[:, 1]
    upto = np.append(0.0, np.cumsum(losses))
    ends = np.linspace(0, 1, _POINTS)
    last = np.maximum(np.searchsorted(shares, ends, side="right"), 1)
    first = np.minimum(np.searchsorted(shares, ends - 0.05, side="right"), last - 1)
    return (upto[last] - upto[first]) / (last - first)


def spread_svg(points: Sequence[tuple[str, float, float]]) -> str:
    """Draw predicted speedups against padding_fraction_est, each task named."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(6, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.scatter(
            [spread for _, spread, _ in points], [speedup for *_, speedup in points], color=LIGHT["kept"], s=22
        )
        for task, spread, speedup in points:
            axes.annotate(shown(task), (spread, speedup), xytext=(5, 3), textcoords="offset points")
        axes.set(xlabel="padding_fraction_est", ylabel="predicted speedup of reach over random")
        axes.margins(x=0.12, y=0.1)
        axes.spines[["top", "right"]].set_visible(False)
        return figure_svg(figure)


def _curve_svg(
    name: str, words: str, values_S: FloatArray, starts: IntArray, *, width: int, window: int | None = None
) -> str:
    finite_S = np.isfinite(values_S)
    figure, axes = canvas(width, 180 if window is None else 230, left=52, top=30, right=12, bottom=44)
    for start in starts:
        axes.axvline(start - 0.5, color=LIGHT["line"], linewidth=1)
    for step in np.flatnonzero(~finite_S):
        axes.axvline(step, color=LIGHT["mark"], linewidth=1, gid=f"not-finite-{step}")
    if window is None:
        axes.plot(*_thin(values_S), color=LIGHT["kept"], linewidth=1.2, gid="values")
    else:
        axes.plot(*_thin(np.where(finite_S, values_S, np.nan)), color=LIGHT["soft"], linewidth=0.8, gid="values")
        axes.plot(*_thin(moving_average(values_S, window)), color=LIGHT["kept"], gid="average")
    lowest, highest = (extreme(values_S[finite_S], initial=0.0) for extreme in (np.min, np.max))
    axes.set(xlim=(-0.5, len(values_S) - 0.5), ylim=(lowest, highest + 0.06 * (highest - lowest) or 1.0), xlabel="step")
    axes.xaxis.set_major_locator(MaxNLocator(max(3, width // 110), integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    title(axes, words, above=13)
    return to_svg(figure, name=f"{name}-{width}", label=f"{words}, over {len(values_S)} steps")


def _look(index: int) -> dict[str, Any]:
    """Return a line's style: a colour of the series, dashed once all are used."""
    return {"color": LIGHT[SERIES[index % len(SERIES)]], "linestyle": "-" if index < len(SERIES) else (0, (4, 2))}


def _smoothed_loss(steps: Sequence[Mapping[str, Any]]) -> tuple[FloatArray, FloatArray]:
    """Return shares of a run's samples and the mean loss of the last steps there; of long runs at some steps."""
    losses_S = np.array([step["loss"] for step in steps], dtype=np.float64)
    seen_S = np.cumsum([step["batch_size"] for step in steps], dtype=np.float64)
    smooth_S = moving_average(losses_S, max(1, len(steps) // _SMOOTHING))
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _OVERLAID_POINTS)).round().astype(np.int64))
    return seen_S[chosen] / seen_S[-1], smooth_S[chosen]


def _last_finite(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else 0.0


def _thin(values_S: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return positions and values of a line: of long ones, the least and the greatest of each stretch."""
    stretch = -(-2 * len(values_S) // _MOST_POINTS)
    if stretch <= 2:
        return np.arange(len(values_S)), values_S
    chosen: set[int] = set()
    for first in range(0, len(values_S), stretch):
        part = values_S[first : first + stretch]
        if np.isnan(part).any():
            chosen.add(first + int(np.argmax(np.isnan(part))))  # a gap stays a gap
        if not np.isnan(part).all():
            chosen |= {first + int(np.nanargmin(part)), first + int(np.nanargmax(part))}
    points = np.array(sorted(chosen), dtype=np.int64)
    return points, values_S[points]
