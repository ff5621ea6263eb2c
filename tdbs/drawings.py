"""Figures that a lower room shows and a higher one draws: the package sets them, so that no import goes up."""

from collections.abc import Callable
from typing import Any

# the histogram of lengths (counts of each length, edges of the buckets) as SVG; None: not set, and nothing is shown
lengths: Callable[[Any, Any], str] | None = None
