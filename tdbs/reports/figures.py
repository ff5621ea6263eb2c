"""Numbers become SVG text: the same arrays give the same bytes, without a clock, a window or a global state.

Colours are CSS custom properties with the light palette as fallback (`var(--ink, #1f2328)`), and text stays text: a
page that inlines a figure restyles it, for dark mode too. Ids begin with the figure's name, so figures share a page.
"""

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.arrays import FloatArray, IntArray
from tdbs.pipeline.buckets import longest_lengths
from tdbs.pipeline.lengths import PAPER_PERCENT, average_length, percentile_length

# Shapes: L1 = greatest length + 1, E bucket edges, S steps of a run. Sizes are CSS pixels: one point is one pixel here.

WIDE, NARROW = 720, 344  # of a page's column, and of a phone's
LIGHT = {
    "ink": "#1f2328",
    "muted": "#626c77",
    "line": "#e3e6ea",
    "kept": "#2b6a99",
    "next": "#5590bc",
    "soft": "#9cc0dc",
    "pad": "#d5d9df",
    "mark": "#b8511b",
    "paper": "#fefefe",
}
DARK = {
    "ink": "#e6e8eb",
    "muted": "#9aa4af",
    "line": "#2c3239",
    "kept": "#6fb1e2",
    "next": "#4a87b3",
    "soft": "#3f6786",
    "pad": "#474e57",
    "mark": "#f0a06c",
    "paper": "#14171a",
}
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "tdbs", "font.size": 12, "lines.linewidth": 1.5}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_MOST_POINTS = 1_500  # of a line: more would only make the page heavy
_TICK_STRIDES = (1, 2, 4, 5, 10, 20, 50, 100)


def length_histogram_svg(counts_L1: IntArray, edges_E: IntArray, *, width: int = WIDE) -> str:
    """Draw how many samples have each length: one shape a bucket, two shades in turn, with L_avg and L_87.5 marked."""
    average, percentile = average_length(counts_L1), percentile_length(counts_L1)
    lasts = longest_lengths(edges_E, len(counts_L1) - 1)
    filled = [bucket for bucket, last in enumerate(lasts) if counts_L1[edges_E[bucket] : last + 1].any()]
    longest = int(lasts[filled[-1]])
    starts = edges_E[edges_E <= longest]
    stride = next((n for n in _TICK_STRIDES if len(starts) / n <= width / 44), len(starts))
    with style.context(["default", _STYLE]):
        figure, axes = _figure(width, 280, left=52, top=56, right=8, bottom=44)
        for bucket in filled:
            lengths = np.arange(edges_E[bucket], lasts[bucket] + 2)
            shape = axes.stairs(counts_L1[lengths[:-1]], lengths - 0.5, fill=True, linewidth=0, clip_on=False)
            shape.set(facecolor=LIGHT["next" if bucket % 2 else "kept"], gid=f"bucket-{bucket}")
        axes.set(xlim=(-0.5, longest + 0.5), ylim=(0, counts_L1.max() * 1.02), xticks=starts[::stride])
        axes.set_xlabel("tokens of a sample, special ones included")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        _title(axes, "samples", above=41)
        _mark(axes, average, f"L_avg {average:.1f}", above=34, flip=average > 0.7 * longest)
        _mark(axes, percentile, f"L_{PAPER_PERCENT:g} {percentile}", above=17, flip=percentile > 0.7 * longest)
        label = f"Histogram of lengths: {average:.1f} tokens on average, {percentile} or fewer in {PAPER_PERCENT:g} %"
        return _to_svg(figure, name=f"lengths-{width}", label=label)


def padding_by_strategy_svg(estimates: Sequence[StrategyEstimate], *, width: int = WIDE) -> str:
    """Draw the tokens of a run for each strategy, kept and pad, with padding and speedup by tokens in words."""
    head, row = 30, 44
    height = head + row * len(estimates)
    with style.context(["default", _STYLE]):
        figure, axes = _figure(width, height, left=0, top=0, right=0, bottom=0)
        axes.set(xlim=(0, max(estimate.tokens for estimate in estimates)), ylim=(height, 0))
        axes.set_axis_off()
        for offset, color in ((0, "kept"), (108, "pad")):
            swatch = {"marker": "s", "markersize": 10, "markeredgewidth": 0, "color": LIGHT[color]}
            axes.plot([(offset + 5) / width], [9], transform=axes.get_yaxis_transform(), **swatch)
            _text(axes, (offset + 17) / width, 13, f"{color} tokens", color=LIGHT["muted"])
        for index, estimate in enumerate(estimates):
            top = head + row * index
            pad = estimate.tokens * estimate.padding_fraction
            kept = estimate.tokens - pad
            axes.barh(top + 30, kept, height=13, color=LIGHT["kept"], gid=f"kept-{index}")
            axes.barh(top + 30, pad, left=kept, height=13, color=LIGHT["pad"], gid=f"pad-{index}")
            _text(axes, 0, top + 17, estimate.strategy, weight="bold")
            numbers = f"{100 * estimate.padding_fraction:.1f} % padding · {estimate.speedup:.2f} ×"
            _text(axes, 1, top + 17, numbers, ha="right", color=LIGHT["muted"])
        names = ", ".join(estimate.strategy for estimate in estimates)
        return _to_svg(figure, name=f"padding-{width}", label=f"Kept and pad tokens of a run with: {names}")


def run_svgs(steps: Sequence[Mapping[str, Any]], *, width: int = WIDE) -> dict[str, str]:
    """Draw a run's loss, batch size and learning rate over its steps; the keys are `loss`, `batch_size` and `lr`.

    A loss that is not finite (None in the log) leaves a gap and a mark. Long runs are thinned to their extremes.
    """
    epochs_S = np.array([step["epoch"] for step in steps], dtype=np.int64)
    starts = np.flatnonzero(np.diff(epochs_S)) + 1
    columns = {key: np.array([step[key] for step in steps], dtype=np.float64) for key in ("loss", "batch_size", "lr")}
    window = max(1, len(steps) // 50)
    with style.context(["default", _STYLE]):
        return {
            "loss": _curve_svg(
                "loss", f"loss, and its mean over {window} steps", columns["loss"], starts, window=window, width=width
            ),
            "batch_size": _curve_svg("batch_size", "batch size, samples", columns["batch_size"], starts, width=width),
            "lr": _curve_svg("lr", "learning rate", columns["lr"], starts, width=width),
        }


def _curve_svg(
    name: str, title: str, values_S: FloatArray, starts: IntArray, *, width: int, window: int | None = None
) -> str:
    finite_S = np.isfinite(values_S)
    figure, axes = _figure(width, 180 if window is None else 230, left=52, top=30, right=12, bottom=44)
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
    _title(axes, title, above=13)
    return _to_svg(figure, name=f"{name}-{width}", label=f"{title}, over {len(values_S)} steps")


def moving_average(values_S: FloatArray, window: int) -> FloatArray:
    """Return the mean of each step and the `window` - 1 before it; what is not finite is left out of the mean."""
    finite_S = np.isfinite(values_S)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite_S, values_S, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite_S)])
    last_S = np.arange(1, len(values_S) + 1)
    first_S = np.maximum(last_S - window, 0)
    number_S = counts[last_S] - counts[first_S]
    return np.where(number_S > 0, (sums[last_S] - sums[first_S]) / np.maximum(number_S, 1), np.nan)


def short_count(value: float) -> str:
    """Return a count that fits an axis: 950, 9,500, 95 K, 9.5 M."""
    for unit, size in (("M", 1e6), ("K", 1e4)):
        if value >= size:
            return f"{value / (1e6 if unit == 'M' else 1e3):g} {unit}"
    return f"{value:,.0f}"


def short_number(value: float) -> str:
    """Return a number that fits an axis, without zeros that say nothing: 0.25, 2.5e-4."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    return f"{value / 10**exponent:.2g}e{exponent}"


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


def _figure(width: int, height: int, *, left: int, top: int, right: int, bottom: int) -> tuple[Figure, Any]:
    """Return a figure and its axes, with margins: no frame but the baseline, faint lines across."""
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["muted"])
    axes.tick_params(length=0, pad=6, labelcolor=LIGHT["muted"])
    axes.xaxis.label.set_color(LIGHT["muted"])
    axes.grid(axis="y", color=LIGHT["line"], linewidth=1)
    axes.set_axisbelow(True)
    return figure, axes


def _title(axes: Any, text: str, *, above: int) -> None:
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(text, (0, 1), xytext=(-52, above), color=LIGHT["ink"], **place)


def _mark(axes: Any, value: float, text: str, *, above: int, flip: bool) -> None:
    """Draw a vertical line with its text above the axes, on its left where `flip`."""
    transform = axes.get_xaxis_transform()
    top = 1 + above / (axes.get_position().height * axes.figure.get_figheight() * 72)
    axes.plot([value, value], [0, top], color=LIGHT["mark"], linewidth=1.2, clip_on=False, transform=transform)
    side = {"xytext": (-5, 0), "ha": "right"} if flip else {"xytext": (5, 0), "ha": "left"}
    place = {"xycoords": transform, "textcoords": "offset points"}
    axes.annotate(text, (value, top), color=LIGHT["mark"], va="top", **place, **side)


def _text(axes: Any, x: float, y: float, text: str, **look: str) -> None:
    """Write plain text (never TeX) at a share of the width and a height in pixels."""
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), parse_math=False, **{"color": LIGHT["ink"], **look})


def _to_svg(figure: Figure, *, name: str, label: str) -> str:
    """Return the figure as one <svg> element that fills its place on a page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=_NO_METADATA)
    svg = buffer.getvalue()
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    svg = re.sub(r"<[^>]+>", lambda tag: _page_tag(tag[0], name), svg)  # text holds no bare < or >: only tags change
    view_box = re.search(r'viewBox="[^"]*"', svg)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg {spaces} {view_box[0] if view_box else ""} role="img" aria-label="{html.escape(label)}">'
    return head + svg[svg.index(">") + 1 :]


def _page_tag(tag: str, name: str) -> str:
    """Return a tag with the page's colours, and ids that no other figure has."""
    for variable, color in LIGHT.items():
        tag = tag.replace(f": {color}", f": var(--{variable}, {color})")
    return re.sub(r'( id="|url\(#|href="#)', rf"\1{name}-", tag)
