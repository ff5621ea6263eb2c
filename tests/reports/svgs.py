"""Read a figure: its texts, its groups by their ids, the points of its shapes."""

import re
import xml.etree.ElementTree as ET

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  # our own output


def texts(svg: str) -> list[str]:
    found = ["".join(text.itertext()) for text in parse(svg).iter(f"{SVG}text")]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def groups(svg: str, ending: str) -> list[ET.Element]:
    """Return the groups whose id is the figure's name and something that matches, in order."""
    return [g for g in parse(svg).iter(f"{SVG}g") if re.fullmatch(rf".*-\d+-{ending}", g.get("id", ""))]


def points_of(group: ET.Element) -> list[tuple[float, float]]:
    """Return the points of a shape in pixels; y grows downwards."""
    outline = next(group.iter(f"{SVG}path")).get("d", "")
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", outline)]


def extent(group: ET.Element, axis: int) -> float:
    values = [point[axis] for point in points_of(group)]
    return max(values) - min(values)


def text_boxes(svg: str) -> list[tuple[str, Box]]:
    """Return each text with the room that it takes, measured by the font that figures fall back to."""
    found = []
    for text in parse(svg).iter(f"{SVG}text"):
        words, style = "".join(text.itertext()), text.get("style", "")
        weight, size = (re.search(rf"font-{name}: ([\d.]+)", style) for name in ("weight", "size"))
        font = FontProperties(family="DejaVu Sans", size=float(size[1]), weight=int(weight[1]) if weight else 400)
        width, height, descent = TextToPath().get_text_width_height_descent(words, font, ismath=False)
        x, y = float(text.get("x")), float(text.get("y"))
        anchor = re.search(r"text-anchor: (\w+)", style)
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[anchor[1] if anchor else "start"]
        found.append((words, (left, y + descent - height, left + width, y + descent)))
    return found


def shape_boxes(svg: str) -> list[tuple[str, Box]]:
    """Return the room of each bar, and of each mark: those of legends, and dots."""
    bars = []
    for group in groups(svg, r"(?:kept|pad|seconds|whole|stages)-\d+"):
        xs, ys = zip(*points_of(group), strict=True)
        bars.append((group.get("id", ""), (min(xs), min(ys), max(xs), max(ys))))
    marks = [(float(use.get("x", 0)), float(use.get("y", 0))) for use in parse(svg).iter(f"{SVG}use")]
    return [*bars, *(("mark", (x - 5, y - 5, x + 5, y + 5)) for x, y in marks)]


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes share more than a hair."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide > 1 and high > 2
