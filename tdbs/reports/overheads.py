"""Where the time goes: what is paid once, by `prepare`, and what each run pays; as numbers and as one bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tdbs.reports.canvas import LIGHT, WIDE, blank, drawing, swatch, to_svg
from tdbs.reports.words import duration

# Sizes are CSS pixels.

_STAGES = ("read", "tokenize", "annotate", "write")
_STAGE_COLORS = ("soft", "kept", "next", "muted", "pad")
_RUN_COLORS = {"prepare": "mark", "plan": "next", "train": "kept", "evaluate": "soft", "other": "pad"}
_BAR = 18
_COLUMN = 172  # of a legend


@dataclass(frozen=True, kw_only=True, slots=True)
class Overheads:
    """Wall-clock seconds by stage. Stages of `prepare` overlap; their shares of its wall-clock are by their work."""

    prepare: float  # paid once
    stages: Mapping[str, float]  # of prepare: work over all workers
    run: Mapping[str, float]  # paid in each run
    strategy: str | None


def prepare_stages(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the wall-clock of prepare's stages: their work, scaled down where stages ran side by side."""
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
    height = upper + _BAR + 8 + (34 + lower + _BAR + 8 if overheads.stages else 0)
    with drawing():
        figure, axes = blank(width, height)
        colors = [_RUN_COLORS.get(stage, "pad") for stage in whole]
        notes = ["once", *(["each run"] * len(overheads.run))] if overheads.run else ["once"]
        _legend(axes, whole, colors, top=0, columns=columns, width=width, notes=notes)
        _bar(axes, list(whole.values()), total, colors, y=upper + _BAR / 2, name="whole")
        if overheads.stages:
            first, second = upper + _BAR, upper + _BAR + 34
            for share in (0.0, 1.0):
                ends = [share * overheads.prepare / total, share]
                axes.plot(ends, [first + 2, second - 2], color=LIGHT["pad"], linewidth=1)
            colors = list(_STAGE_COLORS)
            spent = list(overheads.stages.values())
            _bar(axes, spent, sum(spent), colors, y=second + _BAR / 2, name="stages")
            _legend(axes, overheads.stages, colors, top=second + _BAR + 6, columns=columns, width=width)
        return to_svg(figure, name=f"overheads-{width}", label="Seconds of preparing once and of one run, by stage")


def _bar(axes: Any, seconds: Sequence[float], total: float, colors: Sequence[str], *, y: float, name: str) -> None:
    left = 0.0
    for index, (spent, color) in enumerate(zip(seconds, colors, strict=False)):
        share = spent / total
        axes.barh(y, share, left=left, height=_BAR, color=LIGHT[color], gid=f"{name}-{index}")
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
