"""The table of `tdbs evaluate` with several runs or conditions."""

from typing import TYPE_CHECKING

from rich.table import Table

from tdbs.reports.terminal import duration, plain_table
from tdbs.shown import shown

if TYPE_CHECKING:  # their modules load torch
    from tdbs.analysis.condition import ConditionRow
    from tdbs.analysis.evaluations import Evaluation


def conditions_table(found: "Evaluation") -> Table:
    """Return runs under conditions: scores, what is lost against the first, tokens kept; padding and speed if known."""
    is_timed = any(row.seconds is not None for row in found.rows)
    has_batches = any(row.padding_fraction is not None for row in found.rows)
    table = plain_table(
        *("run", "trained with", "condition", "score", "difference", "kept"),
        *(("padding",) if has_batches else ()),
        *(("time", "speedup") if is_timed else ()),
    )
    for column in table.columns[1:3]:
        column.justify = "left"
    last = None
    for row in found.rows:
        names = ("", "") if row.run == last else (row.run, row.strategy)
        table.add_row(
            *map(shown, (*names, row.condition)),
            _score(row),
            "" if row.difference is None else f"{100 * row.difference:+.2f}",
            f"{row.kept:.1%}",
            *((f"{row.padding_fraction or 0:.1%}",) if has_batches else ()),
            *(_times(row) if is_timed else ()),
        )
        last = row.run
    return table


def _score(row: "ConditionRow") -> str:
    """Return a score in percent, with its deviation over draws."""
    if row.score is None:
        return "not defined"
    return f"{100 * row.score:.2f}" + ("" if row.score_std is None else f" ± {100 * row.score_std:.2f}")


def _times(row: "ConditionRow") -> tuple[str, str]:
    if row.seconds is None or row.speedup is None:
        return "", ""
    return duration(row.seconds), f"{row.speedup:.2f}x"
