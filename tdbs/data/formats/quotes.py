"""Find the quote around the fields of a table of text, by the rows at its beginning.

A quote `'` (and `"` in tables that have no quotes) counts if it encloses a whole column, or a delimiter that would
otherwise make one field more; each time on one line, unless all fields are in quotes. In tables that have no quotes,
`"` also counts if rows have one number of fields only with it, and if all fields with a `"` are written as Excel and
pandas write them: in quotes, a quote inside twice. If fields are in both quotes, or quotes may belong to the texts, the
user must say what encloses them.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tdbs.data.formats.data_file import Dialect

_OTHER = {"'": '"', '"': "'"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How the first rows look in a dialect."""

    dialect: Dialect
    width: int  # fields of the first row
    share: float  # share of the rows that have as many
    fits: bool  # two fields or more, and all rows have as many
    has_quotes: bool = False  # some fields stand in quotes
    doubt: str | None = None  # why quotes may be others, with the place {name}

    @property
    def is_likely(self) -> bool:
        """Return whether a header would confirm the dialect."""
        return self.width > 1 and self.share >= 0.5


def reader_options(dialect: Dialect) -> dict[str, Any]:
    """Return a dialect as options of `csv.reader`."""
    if dialect.quote is None:
        return {"delimiter": dialect.delimiter, "quoting": csv.QUOTE_NONE, "strict": True}
    return {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "strict": True}


def best_quote(sample: str, mark: str, usual: Dialect, *, is_whole: bool, has_header: bool, is_excel: bool) -> Fit:
    """Return how the first rows look with a delimiter, in the usual quotes or in those that they clearly have.

    `is_excel`: the file may be Excel's text, in which fields with a comma are in quotes too.
    """
    plain = Dialect(delimiter=mark, quote=usual.quote if mark == usual.delimiter else '"')
    fit = fit_of_dialect(sample, plain, is_whole=is_whole)
    for quote in ("'", '"') if plain.quote is None else ("'",):
        rows = _rows_in_quotes(sample, mark, quote, is_whole=is_whole) if quote in sample else None
        if rows is None or len(rows[0]) < 2:
            continue
        columns = list(zip(*(rows[1:] if has_header else rows), strict=True))
        encloses = any(mark in field for row in rows for field in row if field[:1] == quote)
        is_column = any(column and all(_is_in(quote, field) for field in column) for column in columns)
        if is_column or (encloses and not fit.fits) or (quote == '"' and _are_doubled(rows)):
            found = Dialect(delimiter=mark, quote=quote)
            is_mixed = quote == "'" and any(_is_in('"', field) for row in rows for field in row)
            doubt = """Some fields of {name} are in ', others in "."""
            return Fit(
                dialect=found,
                width=len(rows[0]),
                share=1.0,
                fits=True,
                has_quotes=True,
                doubt=doubt if is_mixed else None,
            )
        if quote == '"' and is_excel and _are_around_commas(rows):
            return replace(fit, doubt="Quotes around fields of {name} may belong to its texts, or be Excel's.")
    if plain.quote is None and not fit.fits:
        quoted = fit_of_dialect(sample, replace(plain, quote='"'), is_whole=is_whole)
        return quoted if quoted.fits else fit
    return fit


def _is_in(quote: str, field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == quote


def _are_doubled(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether fields are as Excel and pandas write them: those with a quote in quotes, with the quote twice."""
    marked = [field for row in rows for field in row if '"' in field]
    is_written = all(_is_in('"', field) and re.search('""|,', field[1:-1]) for field in marked)
    return is_written and any('""' in field[1:-1] for field in marked)


def _are_around_commas(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether fields with a comma, and no others, are in quotes."""
    fields = [field for row in rows for field in row]
    return any("," in field for field in fields) and all(_is_in('"', field) == ("," in field) for field in fields)


def fit_of_dialect(sample: str, dialect: Dialect, *, is_whole: bool) -> Fit:
    """Return how the first rows look in a dialect. The last row of a sample that is cut is left out."""
    rows: list[list[str]] = []
    is_sound = True
    try:
        rows.extend(csv.reader(io.StringIO(sample, newline=""), **reader_options(dialect)))
    except csv.Error as error:
        is_sound = not is_whole and "unexpected end" in str(error)  # a quote that the cut left open
    if not is_whole:
        rows = rows[:-1] or rows
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        return Fit(dialect=dialect, width=0, share=0.0, fits=False)
    width = len(rows[0])
    share = sum(len(row) == width for row in rows) / len(rows)
    quote = dialect.quote or "\0"
    has_quotes = re.search(rf"(?:^|{re.escape(dialect.delimiter)}){re.escape(quote)}", sample, re.MULTILINE) is not None
    return Fit(
        dialect=dialect, width=width, share=share, fits=is_sound and width > 1 and share == 1.0, has_quotes=has_quotes
    )


def _rows_in_quotes(sample: str, mark: str, quote: str, *, is_whole: bool) -> list[list[str]] | None:
    """Return the raw fields of each row, quotes and all; None unless all rows are sound and have as many."""
    lines = [line.rstrip("\r\n") for line in io.StringIO(sample, newline="")]
    rows = [_raw_fields(line, mark, quote) for line in (lines if is_whole else lines[:-1]) if line]
    sound = [row for row in rows if row is not None]
    if len(sound) < len(rows):
        sound = _enclosed_rows(sample, mark, quote, is_whole=is_whole)
    return sound if len({len(row) for row in sound}) == 1 else None


def _enclosed_rows(sample: str, mark: str, quote: str, *, is_whole: bool) -> list[list[str]]:
    """Return the raw fields of each row if all fields are in quotes, so that a break in one does not end its row."""
    end = r"|\Z" if is_whole else ""
    pattern = re.compile(f"({_enclosed(quote)})({re.escape(mark)}|[\r\n]+{end})")
    rows: list[list[str]] = [[]]
    last = 0
    while found := pattern.match(sample, last):
        rows[-1].append(found[1])
        last = found.end()
        if found[2] != mark:
            rows.append([])
    is_sound = not rows[-1] and last == len(sample) if is_whole else sample[last : last + 1] in ("", quote)
    return rows[:-1] if is_sound else []


def _enclosed(quote: str) -> str:
    return f"{quote}(?:[^{quote}]|{quote}{quote})*+{quote}"


def _raw_fields(line: str, mark: str, quote: str) -> list[str] | None:
    """Return the fields of a line with their quotes; None if one begins with a quote and does not end with it."""
    enclosed = re.compile(_enclosed(quote))
    fields: list[str] = []
    first = 0
    while True:
        if line.startswith(quote, first):
            found = enclosed.match(line, first)
            if found is None or line[found.end() : found.end() + 1] not in ("", mark):
                return None
            last = found.end()
        else:
            last = line.find(mark, first)
            last = len(line) if last < 0 else last
        fields.append(line[first:last])
        if last == len(line):
            return fields
        first = last + 1
