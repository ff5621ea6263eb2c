"""A figure of lengths: the samples of each length, the edges of the buckets, and the largest batch of each length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tdbs.arrays import IntArray
from tdbs.pipeline.lengths import PAPER_PERCENT, average_length, longest_lengths, percentile_length
from tdbs.reports.figures.canvas import (
    LETTER,
    LIGHT,
    WIDE,
    canvas,
    drawing,
    fitting,
    panel,
    short_count,
    title,
    to_svg,
)
from tdbs.train.planning.batching import epoch_caps
from tdbs.train.planning.caps import hardware_caps
from tdbs.train.planning.strategies import BUCKETED, Strategy

# Shapes: L1 = greatest length + 1, E bucket edges. Sizes are CSS pixels.

_TICK_STRIDES = (1, 2, 4, 5, 10, 20, 50, 100)
_CAPS_HEIGHT = 150  # of the panel below the histogram, its axis texts included
_EPOCH_COLORS = ("soft", "next", "kept")


@dataclass(frozen=True, kw_only=True, slots=True)
class CapLines:
    """The largest batch for each length: the device's limit, and the cap of each epoch of a run."""

    strategy: str
    hardware_L1: IntArray  # HWCap
    by_epoch: tuple[IntArray, ...]  # BatchCap, L1 each; if an update has micro-batches, of each
    micro_batches: int = 1


def cap_lines(strategy: Strategy, *, max_length: int, epochs: int) -> CapLines | None:
    """Return the caps of a strategy; None if its batches all have one size."""
    if strategy.batches not in BUCKETED:
        return None
    hardware_L1 = hardware_caps(strategy.hw_caps, max_length=max_length)
    by_epoch = tuple(epoch_caps(strategy, max_length=max_length, epoch=epoch) for epoch in range(epochs))
    return CapLines(
        strategy=strategy.name, hardware_L1=hardware_L1, by_epoch=by_epoch, micro_batches=strategy.micro_batches
    )


def length_histogram_svg(
    counts_L1: IntArray, edges_E: IntArray, *, caps: CapLines | None = None, width: int = WIDE
) -> str:
    """Draw how many samples have each length: one shape a bucket, two shades in turn, with L_avg and L_87.5 marked.

    With caps, a second panel below has HWCap and BatchCap for the same lengths.
    """
    average, percentile = average_length(counts_L1), percentile_length(counts_L1)
    lasts = longest_lengths(edges_E, len(counts_L1) - 1)
    filled = [bucket for bucket, last in enumerate(lasts) if counts_L1[edges_E[bucket] : last + 1].any()]
    longest = int(lasts[filled[-1]])
    below = _CAPS_HEIGHT if caps else 0
    with drawing():
        figure, axes = canvas(width, 280 + below, left=52, top=56, right=8, bottom=44 + below)
        for bucket in filled:
            lengths = np.arange(edges_E[bucket], lasts[bucket] + 2)
            shape = axes.stairs(counts_L1[lengths[:-1]], lengths - 0.5, fill=True, linewidth=0, clip_on=False)
            shape.set(facecolor=LIGHT["next" if bucket % 2 else "kept"], gid=f"bucket-{bucket}")
        axes.set(ylim=(0, counts_L1.max() * 1.02))
        _lengths_axis(axes, edges_E, longest, width)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        title(axes, "samples", above=41)
        _mark(axes, average, f"L_avg {average:.1f}", above=34, flip=average > 0.7 * longest)
        _mark(axes, percentile, f"L_{PAPER_PERCENT:g} {percentile}", above=17, flip=percentile > 0.7 * longest)
        label = f"Histogram of lengths: {average:.1f} tokens on average, {percentile} or fewer in {PAPER_PERCENT:g} %"
        if caps:
            axes.set_xlabel("")
            lower = panel(figure, left=52, top=280 + 4, right=8, bottom=44)
            _draw_caps(lower, caps, longest)
            _lengths_axis(lower, edges_E, longest, width)
            label += "; below it, the largest batch for each length"
        return to_svg(figure, name=f"lengths-{width}", label=label)


def _lengths_axis(axes: Any, edges_E: IntArray, longest: int, width: int) -> None:
    starts = edges_E[edges_E <= longest]
    stride = next((n for n in _TICK_STRIDES if len(starts) / n <= width / 44), len(starts))
    axes.set(xlim=(-0.5, longest + 0.5), xticks=starts[::stride])
    axes.set_xlabel("tokens of a sample, special ones included")


def _draw_caps(axes: Any, caps: CapLines, longest: int) -> None:
    """Draw HWCap and, below or on it, BatchCap of the epochs, each as steps; the axis doubles from line to line."""
    borders = np.arange(longest + 2) - 0.5
    hardware_L1 = caps.hardware_L1[: longest + 1]
    groups = _same_epochs([epoch_L1[: longest + 1] for epoch_L1 in caps.by_epoch])
    axes.set_yscale("log", base=2)
    least = min(int(hardware_L1.min()), *(int(caps_L1.min()) for caps_L1, _ in groups))
    greatest = int(hardware_L1.max())
    axes.stairs(hardware_L1, borders, baseline=None, color=LIGHT["muted"], linewidth=1, linestyle="--", gid="hwcap")
    for index, (caps_L1, name) in reversed(list(enumerate(groups))):
        color = LIGHT[_EPOCH_COLORS[min(index, 2) if len(groups) > 1 else 2]]
        axes.stairs(caps_L1, borders, baseline=None, color=color, linewidth=2, gid=f"batchcap-{index}")
        _cap_label(axes, 0, caps_L1[0], f"{name}: {caps_L1[0]:,}", above=-12)
    if greatest > max(int(caps_L1.max()) for caps_L1, _ in groups):
        place = int(np.argmax(hardware_L1 < greatest))
        _cap_label(axes, place, greatest, f"HWCap, at most {greatest:,}", above=-5)
    axes.set(ylim=(least / 2.4, max(greatest, 2 * least) * 1.4))  # words stand below their lines
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    around = LETTER * len("largest batch of , samples")
    room = 72 * axes.figure.get_figwidth() - around
    title(axes, f"largest batch of {fitting(caps.strategy, room)}, samples", above=4)


def _same_epochs(by_epoch: Sequence[IntArray]) -> list[tuple[IntArray, str]]:
    """Return each line that epochs in a row share, with the words for them."""
    groups: list[tuple[IntArray, list[int]]] = []
    for epoch, caps_L1 in enumerate(by_epoch):
        if groups and np.array_equal(groups[-1][0], caps_L1):
            groups[-1][1].append(epoch)
        else:
            groups.append((caps_L1, [epoch]))
    if len(groups) == 1:
        return [(groups[0][0], "every epoch")]
    return [
        (caps_L1, f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}")
        for caps_L1, epochs in groups
    ]


def _cap_label(axes: Any, length: int, cap: int, words: str, *, above: int) -> None:
    place = {"xycoords": "data", "textcoords": "offset points", "xytext": (5, above)}
    axes.annotate(words, (length, cap), color=LIGHT["muted"], fontsize=11, **place)


def _mark(axes: Any, value: float, words: str, *, above: int, flip: bool) -> None:
    """Draw a vertical line with its text above the axes, on its left if `flip`."""
    transform = axes.get_xaxis_transform()
    top = 1 + above / (axes.get_position().height * axes.figure.get_figheight() * 72)
    axes.plot([value, value], [0, top], color=LIGHT["mark"], linewidth=1.2, clip_on=False, transform=transform)
    side = {"xytext": (-5, 0), "ha": "right"} if flip else {"xytext": (5, 0), "ha": "left"}
    place = {"xycoords": transform, "textcoords": "offset points"}
    axes.annotate(words, (value, top), color=LIGHT["mark"], va="top", **place, **side)
