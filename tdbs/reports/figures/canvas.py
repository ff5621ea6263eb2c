"""What all figures share: the palette, an area with margins to draw on, texts, and the way to SVG.

The same arrays give the same bytes, without a clock, a window or a global state. Colours are CSS custom properties
with the light palette as fallback (`var(--ink, #1f2328)`), and text stays text: a page that inlines a figure restyles
it, for dark mode too. Ids begin with the figure's name, so figures share a page.
"""

import html
import io
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tdbs.shown import clipped, shown

# Sizes are CSS pixels: one point is one pixel here.

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
    "first": "#0b6fb0",
    "second": "#d35a00",
    "third": "#0a8f6a",
    "fourth": "#b5548c",
    "fifth": "#a37b00",
    "sixth": "#4f5b67",
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
    "first": "#5cb3ee",
    "second": "#f58a42",
    "third": "#38c79c",
    "fourth": "#e193bd",
    "fifth": "#e3c14a",
    "sixth": "#b4bdc6",
}
# For lines over each other: Okabe and Ito's hues, which colour-blind readers can distinguish, as dark as a page needs.
SERIES = ("first", "second", "third", "fourth", "fifth", "sixth")
TEXT_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "tdbs", "text.parse_math": False}  # names may have a $
_STYLE = TEXT_STYLE | {"font.size": 12, "lines.linewidth": 1.5}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
LETTER, BOLD = 7.2, 8.4  # of words, widest in browsers' fonts: what stands beside them has to leave that room
_SWATCH, _GAP, _LEGEND_ROW = 17, 12, 22  # of a legend: before its words, after them, and a line


def drawing() -> AbstractContextManager[None]:
    """Return the context that figures are drawn in: matplotlib's defaults, whatever the user's settings are."""
    return style.context(["default", _STYLE])


def canvas(width: int, height: int, *, left: int, top: int, right: int, bottom: int) -> tuple[Figure, Any]:
    """Return a figure and its axes, with margins: no frame but the baseline, faint lines across."""
    figure = Figure(figsize=(width / 72, height / 72))
    figure.patch.set_visible(False)
    return figure, panel(figure, left=left, top=top, right=right, bottom=bottom)


def panel(figure: Figure, *, left: int, top: int, right: int, bottom: int) -> Any:
    """Add axes to a figure; the margins are those to the figure's edges."""
    width, height = (72 * inches for inches in figure.get_size_inches())
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    axes.patch.set_visible(False)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["muted"])
    axes.tick_params(length=0, pad=6, labelcolor=LIGHT["muted"])
    axes.xaxis.label.set_color(LIGHT["muted"])
    axes.grid(axis="y", color=LIGHT["line"], linewidth=1)
    axes.set_axisbelow(True)
    return axes


def blank(width: int, height: int) -> tuple[Figure, Any]:
    """Return a figure and axes without any decoration; x is a share of the width, y grows downwards in pixels."""
    figure, axes = canvas(width, height, left=0, top=0, right=0, bottom=0)
    axes.set(xlim=(0, 1), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def title(axes: Any, words: str, *, above: int) -> None:
    """Write what the vertical axis counts, above it."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(shown(words), (0, 1), xytext=(-52, above), color=LIGHT["ink"], **place)


def text(axes: Any, x: float, y: float, words: str, **look: Any) -> None:
    """Write plain text at a share of the width and a height in pixels."""
    axes.text(x, y, shown(words), transform=axes.get_yaxis_transform(), **{"color": LIGHT["ink"], **look})


def swatch(axes: Any, x: float, y: float, words: str, color: str, *, width: int, marker: str = "s") -> None:
    """Write one entry of a legend at x and y in pixels: a mark in the colour, and its meaning."""
    look = {"marker": marker, "markersize": 10 if marker == "s" else 8, "markeredgewidth": 0, "color": LIGHT[color]}
    axes.plot([(x + 5) / width], [y - 4], transform=axes.get_yaxis_transform(), **look)
    text(axes, (x + _SWATCH) / width, y, words, color=LIGHT["muted"])


def fitting(words: str, room: float, *, letter: float = LETTER) -> str:
    """Return words that fit a room, cut if they must."""
    return clipped(words, max(1, math.floor(room / letter + 1e-6)))


def legend_height(words: Sequence[str], *, width: int) -> int:
    """Return the height of the lines that the entries of a legend fill."""
    return _LEGEND_ROW * (1 + _flow(words, width)[-1][1])


def legend(axes: Any, entries: Sequence[tuple[str, ...]], *, top: float, width: int) -> None:
    """Write a legend below `top`, as many entries on a line as fit; each has words, a colour and perhaps a marker."""
    places = _flow([words for words, *_ in entries], width)
    for (words, color, *marker), (x, row) in zip(entries, places, strict=True):
        swatch(axes, x, top + 13 + _LEGEND_ROW * row, words, color, width=width, marker=marker[0] if marker else "s")


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


def to_svg(figure: Figure, *, name: str, label: str) -> str:
    """Return the figure as one <svg> element that fills its place on a page."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=NO_METADATA)
    svg = buffer.getvalue()
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    svg = re.sub(r"<[^>]+>", lambda tag: _page_tag(tag[0], name), svg)  # text holds no bare < or >: only tags change
    view_box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg {_SPACES} {view_box[0] if view_box else ""} role="img" aria-label="{html.escape(shown(label))}">'
    return head + svg[svg.index(">") + 1 :]


def _flow(words: Sequence[str], width: int) -> list[tuple[float, int]]:
    """Return for each entry of a legend its place on its line, and the line."""
    places, x, row = [], 0.0, 0
    for entry in words:
        room = _SWATCH + LETTER * len(shown(entry))
        if x > 0 and x + room > width:
            x, row = 0.0, row + 1
        places.append((x, row))
        x += room + _GAP
    return places


def _page_tag(tag: str, name: str) -> str:
    """Return a tag with the page's colours, and ids that no other figure has."""
    for variable, color in LIGHT.items():
        tag = tag.replace(f": {color}", f": var(--{variable}, {color})")
    return re.sub(r'( id="|url\(#|href="#)', rf"\1{name}-", tag)
