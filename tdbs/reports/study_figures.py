"""The figures of studies: loss of several strategies over a run, and the spread of lengths against the speedup."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tdbs.arrays import FloatArray
from tdbs.reports.canvas import TEXT_STYLE
from tdbs.shown import shown

# Shapes: P points of a curve.

_POINTS = 100  # of a curve, after smoothing
# Colours that stay apart for colour-blind readers (Okabe and Ito), darkest first.
COLORS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLE = TEXT_STYLE | {"font.size": 11}


def loss_curves_svg(task: str, curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> str:
    """Draw the training loss of strategies over the share of the run that is done, means over seeds."""
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
        axes.scatter([spread for _, spread, _ in points], [speedup for *_, speedup in points], color=COLORS[1], s=22)
        for task, spread, speedup in points:
            axes.annotate(shown(task), (spread, speedup), xytext=(5, 3), textcoords="offset points")
        axes.set(xlabel="padding_fraction_est", ylabel="predicted speedup of reach over random")
        axes.margins(x=0.12, y=0.1)
        axes.spines[["top", "right"]].set_visible(False)
        return figure_svg(figure)


def figure_svg(figure: Figure) -> str:
    """Return a figure as a file of its own, on white: it is read outside of a page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return buffer.getvalue()
