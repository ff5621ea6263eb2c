"""What an error says of bad rows: how many there are, and one sentence about each of the first ten."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from tdbs.data.columns import row_message, row_name
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import Source
from tdbs.errors import RowError, TdbsError
from tdbs.shown import MESSAGE, clipped

_LISTED = 10
_SKIP = "--skip-bad-rows"


def with_other_rows(source: Source, error: RowError) -> RowError:
    """Return an error about one row with the others that cannot be used; its next step names --skip-bad-rows.

    The source is read again, until ten are found. The message has the first one, and the details have the others; a
    first one that had to be cut is there too. The error of a single row keeps its message.
    """
    named = _naming_skip(error.next_step)
    lines, bad, seen = _found(source)
    if len(lines) < 2 and len(error.reasons) > 1:  # a fault of train's labels, or one that only the tokenizer finds
        first = min(error.reasons)
        wheres = (split.where for split in source.splits)
        what = error.reasons[first]
        where = next((each for each in wheres if error.message == row_message(row_name(first, each), what)), None)
        lines = [
            row_message(f"Row {row + 1}" if where is None else row_name(row, where), reason)
            for row, reason in sorted(error.reasons.items())[:_LISTED]
        ]
        bad, seen = len(error.reasons), max(error.reasons) + 1
    if len(lines) < 2:
        next_step = named if len(named) <= MESSAGE else error.next_step
        return RowError(error.message, next_step=next_step, reasons=error.reasons)
    message = f"{bad:,} of the {seen:,} rows looked at cannot be used. {lines[0]}"
    return RowError(
        clipped(message, MESSAGE),
        next_step=named if len(named) <= MESSAGE else f"Fix these rows, or pass {_SKIP}.",
        reasons=error.reasons,
        details=tuple(lines[1:] if len(message) <= MESSAGE else lines),
    )


@contextmanager
def skip_named() -> Iterator[None]:
    """Name --skip-bad-rows in the next step of errors about rows."""
    try:
        yield
    except RowError as error:
        raise RowError(
            error.message, next_step=_naming_skip(error.next_step), reasons=error.reasons, details=error.details
        ) from error


def _naming_skip(next_step: str) -> str:
    return next_step.removesuffix(".") + f"; or pass {_SKIP}."


def _found(source: Source) -> tuple[list[str], int, int]:
    """Return a line about each of the first bad rows, how many there are, and how many rows were looked at."""
    tolerant = replace(source, skips_bad_rows=True)
    lines: list[str] = []
    bad = seen = 0
    try:
        survey = survey_source(tolerant)
        for name, rows in survey.splits.items():
            for block in read_blocks(tolerant, survey, name):
                lines += _lines(block.skipped, rows.split.where)
                bad += len(block.skipped)
                seen += len(block.skipped) + len(block.rows_N)
                if bad >= _LISTED:
                    return lines[:_LISTED], bad, seen
    except TdbsError:  # what was raised first says enough
        pass
    return lines, bad, seen


def _lines(reasons: Mapping[int, str], where: str) -> list[str]:
    return [row_message(row_name(row, where), reason) for row, reason in sorted(reasons.items())[:_LISTED]]
