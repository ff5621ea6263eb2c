"""Tables for the terminal: what is long is told in few lines."""

import numpy as np
from rich.console import Console

from tdbs.pipeline.lengths import bucket_edges, length_histogram
from tdbs.reports import terminal


def lines_of(table) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_empty_buckets_side_by_side_share_a_line():
    """A sample of 64,000 tokens beside short ones made 12,800 lines."""
    lengths = np.array([7, 7, 11, 64_001])
    table = terminal.length_histogram(length_histogram(lengths, 64_005), bucket_edges(64_005))
    rows = [line.split()[:3] for line in lines_of(table)[1:]]
    assert rows == [
        ["00000-00005", "0", "0.0%"],
        ["00005-00010", "2", "50.0%"],
        ["00010-00015", "1", "25.0%"],
        ["00015-64000", "0", "0.0%"],
        ["64000-64005", "1", "25.0%"],
    ]
