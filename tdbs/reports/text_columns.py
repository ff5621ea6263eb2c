"""The columns of queries, positives and negatives on the terminal: a table, and what padding is by column."""

from collections.abc import Sequence

from rich.table import Table

from tdbs.analysis.text_columns import TextColumn
from tdbs.reports.terminal import plain_table
from tdbs.shown import shown
from tdbs.train.planning.strategies import BASELINE


def columns_table(columns: Sequence[TextColumn]) -> Table:
    """Return the table of `inspect`: lengths and droppable words of each column."""
    table = plain_table("column", "texts", "L_avg", "longest", "at the limit", "droppable")
    for column in columns:
        table.add_row(
            shown(column.column),
            f"{column.sequences:,}",
            f"{column.tokens / column.sequences:.2f}",
            str(column.longest),
            f"{column.at_limit / column.sequences:.1%}",
            f"{column.droppable_tokens / column.tokens:.1%}" if column.tokens else "–",
        )
    return table


def by_column_line(padding: float) -> str:
    """Return the line of `estimate-speedup` on padding where each column is padded by itself."""
    return (
        f"Padded column by column, as in sentence-transformers, it is {padding:.1%}: {BASELINE} pads all texts of an "
        "update to the longest."
    )
