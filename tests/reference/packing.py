"""Best-fit decreasing bin packing, sample by sample: each goes to the fullest row that still takes it."""

from collections.abc import Sequence


def best_fit(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Return the lengths of each row."""
    rows: list[list[int]] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row in rows if sum(row) + length <= width]
        if fitting:
            max(fitting, key=sum).append(length)
        else:
            rows.append([length])
    return rows
