"""The figures of models at inference: scores and speedups over the drop rate as in Fig. 4, and what edits cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from tdbs.analysis.studies.paper import FREE_RATE, FULL_SPEEDUP
from tdbs.analysis.studies.study import AtRate, LossBar
from tdbs.reports.figures.canvas import LIGHT, canvas, drawing, panel, short_number, title, to_svg
from tdbs.reports.figures.files import COLORS, STYLE, figure_svg
from tdbs.shown import shown

_PAPER = {"color": LIGHT["muted"], "marker": "D", "linestyle": "none", "markersize": 7}
_BAR = 0.38


def over_rates_svg(over: Mapping[str, Sequence[AtRate]]) -> str:
    """Draw what trainings lose over the drop rate, and how much faster a call is; the paper's numbers as diamonds."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        losses, speedups = figure.subplots(1, 2)
        for color, (name, points) in zip(COLORS * 3, over.items(), strict=False):
            rates = [point.rate for point in points]
            spread = [point.difference_std or 0.0 for point in points]
            look: dict[str, Any] = {
                "color": color,
                "linewidth": 1.5,
                "marker": "o",
                "markersize": 4,
                "label": shown(name),
            }
            losses.errorbar(rates, [point.difference for point in points], yerr=spread, capsize=3, **look)
            if all(point.speedup is not None for point in points):
                speedups.plot(rates, [point.speedup for point in points], **look)
        losses.plot([FREE_RATE], [0], label="no loss, paper", **_PAPER)
        speedups.plot([1], [FULL_SPEEDUP], label="paper", **_PAPER)
        losses.set(xlabel="share of the words dropped", ylabel="points against whole texts")
        speedups.set(xlabel="share of the words dropped", ylabel="speedup of a call, one sample")
        for axes in (losses, speedups):
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=9)
        return figure_svg(figure)


def lost_svg(bars: Sequence[LossBar]) -> str:
    """Draw what trainings lose without articles and punctuation, the paper's numbers beside ours."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7, 1.2 + 0.8 * len(bars)), layout="constrained")
        axes = figure.add_subplot()
        places = np.arange(len(bars))
        known = [(place, bar.paper) for place, bar in zip(places, bars, strict=True) if bar.paper is not None]
        spread = [bar.here_std or 0.0 for bar in bars]
        axes.barh(
            places,
            [bar.here for bar in bars],
            _BAR,
            xerr=spread,
            align="edge",
            color=LIGHT["kept"],
            ecolor=LIGHT["ink"],
            label="here",
            capsize=3,
        )
        axes.barh(
            [place - _BAR for place, _ in known], [paper for _, paper in known], _BAR, align="edge", color=LIGHT["pad"],
            label="paper",
        )  # fmt: skip
        axes.axvline(0, color=LIGHT["ink"], linewidth=0.8)
        axes.set_yticks(places, [shown(bar.title) for bar in bars])
        axes.invert_yaxis()
        axes.set(xlabel="points lost without articles and punctuation")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure_svg(figure)


def drop_rates_svg(rates: Sequence[float], values: Sequence[tuple[str, Sequence[float]]], *, width: int) -> str:
    """Draw what a run's model has over the drop rate, a panel for each value with its words (score, speedup)."""
    beside = width > 500  # on a phone one panel stands above the other
    columns, rows = (len(values), 1) if beside else (1, len(values))
    panel_width, panel_height = width // columns, 230
    with drawing():
        right, bottom = width - panel_width + 12, panel_height * (rows - 1) + 44
        figure, axes = canvas(width, panel_height * rows, left=52, top=30, right=right, bottom=bottom)
        for number, (words, heights) in enumerate(values):
            if number > 0:
                axes = panel(
                    figure,
                    left=52 + (panel_width * number if beside else 0),
                    top=30 + (0 if beside else panel_height * number),
                    right=12,
                    bottom=44,
                )
            axes.plot(rates, heights, color=LIGHT["kept"], marker="o", markersize=4, gid=f"values-{number}")
            axes.set(xlim=(-0.02, 1.02), xlabel="share of the words dropped")
            axes.yaxis.set_major_formatter(lambda value, _: short_number(round(value, 6)))
            title(axes, words, above=13)
        drawn = " and ".join(words for words, _ in values)
        return to_svg(figure, name=f"drop_rates-{width}", label=f"{drawn} over the share of the words dropped")
