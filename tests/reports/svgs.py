"""Read a figure: its texts, its groups by their ids, the points of its shapes."""

import re
import xml.etree.ElementTree as ET

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
