"""Find how a table of text is written: delimiter and quote, by the rows at the file's beginning.

With a header, the extension's own delimiter counts if the header has two fields or more and half of the rows have as
many; a row that differs is an error when it is read. Otherwise a delimiter must give all rows one number of fields; of
several, the standard library's sniffer decides. Without a header nothing confirms a delimiter, so if two fit, the user
must say which one. A quote `'` (and `"` in tables that have no quotes) counts if it encloses a whole column, or a
delimiter that would otherwise make one field more; each time on one line, unless all fields are in quotes.
"""

import csv
import io
import re
from dataclasses import dataclass, replace
from typing import Any

from tdbs.data.columns import conll_step
from tdbs.data.formats.data_file import DataFile, Dialect, open_text
from tdbs.errors import ConfigError, SourceError
from tdbs.shown import fitted

DELIMITERS = (",", ";", "\t", "|")
USUAL_DIALECTS = {
    "csv": Dialect(delimiter=",", quote='"'),
    "tsv": Dialect(delimiter="\t", quote=None),  # like GLUE's own files: a quote is a character
    "txt": Dialect(delimiter="\t", quote=None),
}
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SAMPLE = 1 << 16  # characters of the file that are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """How the first rows look in a dialect."""

    dialect: Dialect
    width: int  # fields of the first row
    share: float  # share of the rows that have as many
    fits: bool  # two fields or more, and all rows have as many
    has_quotes: bool = False  # some fields stand in quotes

    @property
    def is_likely(self) -> bool:
        """Return whether a header would confirm the dialect."""
        return self.width > 1 and self.share >= 0.5


def dialect_of(file: DataFile, *, delimiter: str | None, quote: str | None, has_header: bool) -> Dialect:
    """Return the dialect of a file: what the user says of it, and the rest as it is found.

    Raises ConfigError for a delimiter or quote of more than one character, and SourceError if a `.txt` file has one
    column in every dialect, or if two delimiters fit a file without a header.
    """
    usual = USUAL_DIALECTS[file.format]
    if delimiter is not None:
        delimiter = _one("--delimiter", _NAMES.get(delimiter, delimiter))
    is_given = quote is not None
    quote = None if quote is None or quote == "none" else _one("--quote", quote)
    if delimiter is not None and is_given:
        return Dialect(delimiter=delimiter, quote=quote, has_header=has_header)
    sample, is_whole = _beginning(file)

    def fit_of(mark: str) -> _Fit:
        if is_given:
            return _fit(sample, Dialect(delimiter=mark, quote=quote), is_whole=is_whole)
        return _best_quote(sample, mark, usual, is_whole=is_whole, has_header=has_header)

    found = fit_of(usual.delimiter if delimiter is None else delimiter)
    if delimiter is None and not (has_header and found.is_likely):
        fits = [found if mark == usual.delimiter else fit_of(mark) for mark in DELIMITERS]
        found = _chosen(found, [fit for fit in fits if fit.fits], sample, file.name, has_header=has_header)
    if delimiter is None and found.width < 2 and file.format == "txt":
        raise SourceError(
            f"{file.name} has no delimiter: tdbs looked for comma, semicolon, tab and |.",
            next_step=conll_step(sample.splitlines()[:1] or [""])
            or "Pass its --delimiter; for one with unbalanced quotes, pass --quote none with it.",
        )
    return replace(found.dialect, has_header=has_header)


def reader_options(dialect: Dialect) -> dict[str, Any]:
    """Return a dialect as options of `csv.reader`."""
    if dialect.quote is None:
        return {"delimiter": dialect.delimiter, "quoting": csv.QUOTE_NONE, "strict": True}
    return {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "strict": True}


def delimiter_name(mark: str) -> str:
    """Return a delimiter as messages name it."""
    return {"\t": "tab", " ": "space"}.get(mark, mark)


def _chosen(usual: _Fit, fitting: list[_Fit], sample: str, where: str, *, has_header: bool) -> _Fit:
    """Return the fit of the delimiter to read by, of the usual one and those that fit; the usual one if none fits."""
    if not fitting:
        return usual
    if has_header:
        by_sniffer = _sniffed(sample)
        return next((fit for fit in fitting if fit.dialect.delimiter == by_sniffer), fitting[0])
    quoted = [fit for fit in fitting if fit.has_quotes]
    if len(quoted) == 1 and not usual.has_quotes:
        return quoted[0]
    likely = fitting if usual.fits or not usual.is_likely else [usual, *fitting]
    if len(likely) > 1:
        marks = " or ".join(delimiter_name(fit.dialect.delimiter) for fit in likely)
        raise SourceError(f"The fields of {where} may be separated by {marks}.", next_step="Pass its --delimiter.")
    return likely[0]


def _best_quote(sample: str, mark: str, usual: Dialect, *, is_whole: bool, has_header: bool) -> _Fit:
    """Return how the first rows look with a delimiter, in the usual quotes or in those that they clearly have."""
    plain = Dialect(delimiter=mark, quote=usual.quote if mark == usual.delimiter else '"')
    fit = _fit(sample, plain, is_whole=is_whole)
    for quote in ("'", '"') if plain.quote is None else ("'",):
        rows = _rows_in_quotes(sample, mark, quote, is_whole=is_whole) if quote in sample else None
        if rows is None or len(rows[0]) < 2:
            continue
        is_quoted = [[len(field) > 1 and field[0] == field[-1] == quote for field in row] for row in rows]
        columns = list(zip(*(is_quoted[1:] if has_header else is_quoted), strict=True))
        encloses = any(mark in field for row in rows for field in row if field[:1] == quote)
        if any(column and all(column) for column in columns) or (encloses and not fit.fits):
            found = Dialect(delimiter=mark, quote=quote)
            return _Fit(dialect=found, width=len(rows[0]), share=1.0, fits=True, has_quotes=True)
    return fit


def _fit(sample: str, dialect: Dialect, *, is_whole: bool) -> _Fit:
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
        return _Fit(dialect=dialect, width=0, share=0.0, fits=False)
    width = len(rows[0])
    share = sum(len(row) == width for row in rows) / len(rows)
    quote = dialect.quote or "\0"
    has_quotes = re.search(rf"(?:^|{re.escape(dialect.delimiter)}){re.escape(quote)}", sample, re.MULTILINE) is not None
    return _Fit(
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


def _sniffed(sample: str) -> str | None:
    """Return the delimiter that the standard library finds, if any."""
    try:
        return csv.Sniffer().sniff(sample, "".join(DELIMITERS)).delimiter
    except csv.Error:
        return None


def _beginning(file: DataFile) -> tuple[str, bool]:
    """Return the first characters of a file, and whether they are all."""
    with open_text(file) as text:
        sample = text.read(_SAMPLE + 1)
    return sample[:_SAMPLE], len(sample) <= _SAMPLE


def _one(option: str, value: str) -> str:
    if len(value) != 1 or value in "\r\n":
        raise ConfigError(
            fitted(option + " must be one character, got '{value}'.", value=value),
            next_step="Pass one, such as ; or tab, or leave it out.",
        )
    return value
