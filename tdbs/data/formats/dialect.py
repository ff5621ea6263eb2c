"""Find how a table of text is written: delimiter and quote, by the rows at the file's beginning.

With a header, the extension's own delimiter counts if the header has two fields or more and half of the rows have as
many; a row that differs is an error when it is read. Otherwise a delimiter must give all rows one number of fields; of
several, the standard library's sniffer decides. Without a header nothing confirms a delimiter, so if two fit, the user
must say which one. Which quote encloses fields is found by quotes.py.
"""

import csv
from dataclasses import replace

from tdbs.data.formats.data_file import DataFile, Dialect, open_text
from tdbs.data.formats.quotes import Fit, best_quote, fit_of_dialect
from tdbs.data.header import conll_step
from tdbs.errors import ConfigError, SourceError
from tdbs.shown import fitted

DELIMITERS = (",", ";", "\t", "|")
USUAL_DIALECTS = {
    "csv": Dialect(delimiter=",", quote='"'),
    "tsv": Dialect(delimiter="\t", quote=None),  # like GLUE's own files: a quote is a character
    "txt": Dialect(delimiter="\t", quote=None),
}
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_EXAMPLES = {"--delimiter": "; or tab", "--quote": """'"' or none"""}
_SAMPLE = 1 << 16  # characters of the file that are looked at


def dialect_of(file: DataFile, *, delimiter: str | None, quote: str | None, has_header: bool) -> Dialect:
    """Return the dialect of a file: what the user says of it, and the rest as it is found.

    Raises ConfigError for a delimiter or quote of more than one character, and SourceError if a `.txt` file has one
    column in every dialect, if two delimiters fit a file without a header, or if it is unclear what quotes enclose.
    """
    usual = USUAL_DIALECTS[file.format]
    if delimiter is not None:
        delimiter = _one("--delimiter", _NAMES.get(delimiter, delimiter))
    is_given = quote is not None
    quote = None if quote is None or quote == "none" else _one("--quote", quote)
    if delimiter is not None and is_given:
        return Dialect(delimiter=delimiter, quote=quote, has_header=has_header)
    sample, is_whole = _beginning(file)

    def fit_of(mark: str) -> Fit:
        if is_given:
            return fit_of_dialect(sample, Dialect(delimiter=mark, quote=quote), is_whole=is_whole)
        is_excel = file.format == "txt"
        return best_quote(sample, mark, usual, is_whole=is_whole, has_header=has_header, is_excel=is_excel)

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
    if found.doubt is not None:
        raise SourceError(
            found.doubt.format(name=file.name),
            next_step="""Pass the --quote around the fields: '"', "'" or none.""",
        )
    return replace(found.dialect, has_header=has_header)


def delimiter_name(mark: str) -> str:
    """Return a delimiter as messages name it."""
    return {"\t": "tab", " ": "space"}.get(mark, mark)


def _chosen(usual: Fit, fitting: list[Fit], sample: str, where: str, *, has_header: bool) -> Fit:
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
            next_step=f"Pass one, such as {_EXAMPLES[option]}, or leave it out.",
        )
    return value
