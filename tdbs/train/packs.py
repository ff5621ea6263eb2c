"""Several samples in one row: best fit over the histogram of lengths (Krell et al. 2021, "Efficient Sequence Packing").

Samples are placed from long to short, each into the row with the least room that still takes it. All samples of one
length that go into rows of equal room are placed at once, so the loop is over (length, room), never over samples.
"""

import numpy as np

from tdbs.arrays import IntArray

# Shapes: N samples.


def pack_rows(lengths_N: IntArray, *, width: int) -> IntArray:
    """Return the row of each sample (N), rows counted from 0; no row holds more than `width` tokens.

    Which of the samples of one length comes first follows their order: shuffle them beforehand.
    """
    rows_N = np.empty(len(lengths_N), dtype=np.int64)
    longest_first = np.argsort(-lengths_N, kind="stable")
    counts = np.bincount(lengths_N, minlength=width + 1)
    rows_of_room: list[list[int]] = [[] for _ in range(width + 1)]
    rows = placed = 0
    for length in range(width, -1, -1):
        waiting = int(counts[length])
        while waiting:
            room = next((room for room in range(length, width + 1) if rows_of_room[room]), None)
            if room is None:  # a new row
                room = width
                rows_of_room[room].append(rows)
                rows += 1
            # Once a sample is in a row, that row has the least room: it takes all it can before the next one does.
            each = room // length if length else waiting
            filled = rows_of_room[room][: max(waiting // each, 1)]
            del rows_of_room[room][: len(filled)]
            each = min(each, waiting)
            taken = len(filled) * each
            rows_N[longest_first[placed : placed + taken]] = np.repeat(filled, each)
            rows_of_room[room - each * length] += filled
            placed += taken
            waiting -= taken
    return rows_N
