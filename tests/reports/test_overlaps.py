"""No words of a figure lie on other words, on bars or on marks of a legend, nor outside: on a screen and on a phone."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from tdbs.reports.figures.bars import (
    Overheads,
    StrategyError,
    StrategyTime,
    errors_svg,
    overheads_svg,
    padding_by_strategy_svg,
    time_by_strategy_svg,
)
from tdbs.reports.figures.canvas import NARROW, WIDE, blank, drawing, swatch, to_svg
from tdbs.reports.figures.curves import losses_svg, run_svgs
from tdbs.reports.figures.inference import drop_rates_svg
from tdbs.reports.figures.lengths import cap_lines, length_histogram_svg
from tdbs.train.planning.strategies import STRATEGIES, Strategy
from tests.reports.conftest import make_estimate, make_steps
from tests.reports.svgs import overlap, shape_boxes, text_boxes

LONG = "a_strategy_with_quite_a_name"
LONGEST = "a name of the Python API that nobody would ever give to any strategy of theirs"
NAMES = ("random", "batch_rebalance", LONG, LONGEST)
STEPS = make_steps([0.9, 0.5, None, 0.4, 0.3, 0.2, 0.2, 0.1])
COUNTS = np.bincount([5, 5, 9, 9, 13, 40, 128], minlength=129)
EDGES = np.append(np.arange(0, 128, 5), 128)
PAPER = Strategy(name=LONGEST, batches="bucket", drop="none", caps="paper", base_batch_size=64)


def times(deviation: float | None) -> list[StrategyTime]:
    return [
        StrategyTime(strategy=name, measured=7000.0, predicted=7100.0, low=6900.0, high=7300.0, speedup=12.5,
                     deviation=deviation)
        for name in NAMES
    ]  # fmt: skip


FIGURES: dict[str, Callable[[int], str]] = {
    "padding": lambda width: padding_by_strategy_svg(
        [make_estimate(name, 2_000_000_000, 0.043, 2.1) for name in NAMES], width=width
    ),
    "time": lambda width: time_by_strategy_svg(times(None), width=width),
    "time over seeds": lambda width: time_by_strategy_svg(times(123.0), width=width),
    "errors": lambda width: errors_svg(
        [StrategyError(strategy=name, runs=(0.05, -0.3, 0.3), mean=-0.123) for name in NAMES], width=width
    ),
    "overheads": lambda width: overheads_svg(
        Overheads(
            prepare=725.0,
            stages={"read": 125.0, "tokenize": 400.0, "annotate": 100.0, "write": 60.0, "other": 40.0},
            run={"plan": 61.0, "train": 3599.0, "evaluate": 725.0, "other": 100.0},
            strategy=LONG,
        ),
        width=width,
    ),
    "losses": lambda width: losses_svg(dict.fromkeys([*STRATEGIES, *NAMES], STEPS), width=width),
    "lengths": lambda width: length_histogram_svg(COUNTS, EDGES, width=width),
    "caps": lambda width: length_histogram_svg(
        COUNTS, EDGES, caps=cap_lines(PAPER, max_length=128, epochs=3), width=width
    ),
    "drop rates": lambda width: drop_rates_svg(
        (0.0, 0.5, 1.0), [("score", [0.9, 0.8, 0.7]), ("speedup, one sample a call", [1.0, 1.2, 1.5])], width=width
    ),
    **{name: lambda width, name=name: run_svgs(STEPS, width=width)[name] for name in ("loss", "batch_size", "lr")},
}


def faults(svg: str, width: int) -> list[str]:
    """Return what lies on what."""
    words = text_boxes(svg)
    found = [f"{a} / {b}" for (a, one), (b, other) in combinations(words, 2) if overlap(one, other)]
    found += [f"{a} / {name}" for a, one in words for name, other in shape_boxes(svg) if overlap(one, other)]
    return found + [f"{a} is outside" for a, box in words if box[0] < -1 or box[2] > width + 1]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", FIGURES)
def test_words_lie_on_nothing_and_stay_inside(name: str, width: int) -> None:
    assert faults(FIGURES[name](width), width) == []


def test_meta_the_check_above_can_fail() -> None:
    """Two entries of a legend that are too near, and one that leaves the figure."""
    with drawing():
        figure, axes = blank(100, 30)
        swatch(axes, 0, 13, "one", "kept", width=100)
        swatch(axes, 20, 13, "two and more words", "pad", width=100)
        found = faults(to_svg(figure, name="x", label="x"), 100)
    assert found == ["one / two and more words", "one / mark", "two and more words is outside"]
