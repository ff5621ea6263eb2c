"""Figures as files of their own: those of a page, and those of studies and sweeps. They follow the reader's dark mode.

Colours are plain, and a style sheet replaces them in the dark: a viewer without media queries shows the light ones.
"""

import io
import re

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tdbs.reports.figures.canvas import DARK, LIGHT, NO_METADATA, SERIES, TEXT_STYLE

# Sizes are CSS pixels.

_MARGIN = 16  # around a figure of a page
_FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
COLORS = tuple(LIGHT[name] for name in SERIES)
STYLE = TEXT_STYLE | {
    "font.size": 11,
    "text.color": LIGHT["ink"],
    "figure.facecolor": LIGHT["paper"],
    "axes.facecolor": LIGHT["paper"],
    **dict.fromkeys(("axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), LIGHT["muted"]),
}


def standalone(svg: str) -> str:
    """Return a figure of a page as a file: a size, a margin, a ground, fonts that machines have."""
    head, rest = svg.split(">", 1)
    left, top, width, height = (float(part) for part in re.findall(r'viewBox="([^"]*)"', head)[0].split())
    left, top, width, height = left - _MARGIN, top - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN
    head = re.sub(r'viewBox="[^"]*"', f'viewBox="{left:g} {top:g} {width:g} {height:g}"', head)
    size = f'width="{width:g}" height="{height:g}"'
    ground = f'<rect x="{left:g}" y="{top:g}" {size} style="fill: {LIGHT["paper"]}"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_of_file(f"{head} {size}", ground + rest)}'


def figure_svg(figure: Figure) -> str:
    """Return a figure that was drawn with STYLE as a file."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=NO_METADATA)
    before, svg = buffer.getvalue().split("<svg", 1)
    return f"{before}{_of_file(*f'<svg{svg}'.split('>', 1))}"


def _of_file(head: str, rest: str) -> str:
    """Return an <svg> element, from its tag's text and what follows, in plain colours with those of the dark."""
    rest = re.sub(r"<[^>]+>", lambda tag: _plain_tag(tag[0]), rest)
    return f"{head}>{_dark_rules(rest)}{rest}"


def _plain_tag(tag: str) -> str:
    """Return a tag without CSS properties and without fonts of matplotlib's own: not every viewer knows those."""
    tag = re.sub(r"var\(--\w+, (#\w+)\)", r"\1", tag)
    return re.sub(r"'DejaVu Sans'[^;\"]*", _FONT, tag)


def _dark_rules(svg: str) -> str:
    """Return a style sheet that replaces, in the dark, each colour that a figure has."""
    rules = [
        f'[style*="{part}: {color}"] {{ {part}: {DARK[name]} !important }}'
        for name, color in LIGHT.items()
        for part in ("fill", "stroke")
        if f"{part}: {color}" in svg
    ]
    return f"<style>@media (prefers-color-scheme: dark) {{ {' '.join(rules)} }}</style>"
