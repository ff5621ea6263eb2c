"""Rows that cannot be used: the first one is an error, or they are noted and left out where a command was asked to."""

from tdbs.errors import SourceError

BadRows = dict[int, str]  # what is wrong with a row, by its number from 0; the first reason found stands


def refuse_or_note(bad: BadRows | None, row: int, where: str, reason: str, *, next_step: str) -> None:
    """Raise for a row, or note it where bad rows are left out; errors count rows from 1."""
    if bad is None:
        raise SourceError(f"row {row + 1} of {where} {reason}.", next_step=next_step)
    bad.setdefault(row, reason)
