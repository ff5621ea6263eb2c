"""What runs for each model type as rows of words: `tdbs models` and docs/models.md print the same ones."""

from collections.abc import Sequence

from rich.table import Table

from tdbs.reports.terminal import plain_table
from tdbs.train.planning.support import Support

HEAD = ("model type", "unpadded", "packed", "sorted", "attention", "head reads", "except")


def support_row(found: Support) -> tuple[str, ...]:
    """Return the cells of a type."""
    return (
        found.model_type or "any other",
        "seq2seq" if found.unpadded_seq2seq else _yes(found.unpadded),
        _yes(found.packed),
        _yes(found.sorted),
        {"interface": "transformers'", "own": "its own", None: ""}[found.attention],
        found.head_reads or "",
        found.unless or "",
    )


def support_table(supported: Sequence[Support]) -> Table:
    """Return a table of types."""
    table = plain_table(*HEAD)
    for column in table.columns:
        column.justify = "left"
    for found in supported:
        table.add_row(*support_row(found))
    return table


def support_notes(supported: Sequence[Support]) -> list[str]:
    """Return the reasons of exceptions, each once."""
    named = (
        f"{found.unless or found.model_type or 'any other'}: {found.reason}" for found in supported if found.reason
    )
    return list(dict.fromkeys(named))


def _yes(runs: bool) -> str:
    return "yes" if runs else "no"
