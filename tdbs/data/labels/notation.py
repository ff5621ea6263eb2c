"""Numbers that are written in another way than programs read: with a decimal comma, groups of digits, a currency.

As texts each would be a class of its own, so one among the labels is an error, whatever the others are.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import SourceColumn, first_true
from tdbs.errors import SourceError
from tdbs.shown import fitted

_SIGN = "[+\u2212-]?"
_BLANK = "[ \u00a0\u2009\u202f]"
_APOSTROPHE = "['\u2019]"
_UNIT = "(?:%|EUR|USD|GBP|CHF|JPY|[$\u20ac\u00a3\u00a5])"
_GROUPED = "[1-9][0-9]{0,2}(?:,[0-9]{3})+"  # 1,000, which may also be a number with a decimal comma
_COMMA = f"[0-9]+(?:(?:[.]|{_APOSTROPHE}|{_BLANK})[0-9]{{3}})*,[0-9]+"  # 1,5 and 1.000,5
_FRACTION = r"\.[0-9]+"
_OTHERS = "|".join(
    [
        f"[0-9]{{1,3}}(?:{_APOSTROPHE}[0-9]{{3}})+(?:{_FRACTION})?",
        f"[0-9]{{1,3}}(?:{_BLANK}[0-9]{{3}})+{_FRACTION}",
        f"{_GROUPED}{_FRACTION}",
    ]
)
_NUMBER = f"(?:{_COMMA}|{_GROUPED}|{_OTHERS})"
_WITH_UNIT = f"(?:{_NUMBER}|[0-9]*{_FRACTION})"
_ANOTHER = f"^(?:{_SIGN}{_NUMBER}|{_SIGN}{_UNIT}{_BLANK}?{_SIGN}{_WITH_UNIT}"
_ANOTHER += f"|{_SIGN}{_WITH_UNIT}{_BLANK}?{_UNIT}|\u2212[0-9]+(?:{_FRACTION})?)$"
_PLAIN_COMMA, _PLAIN_GROUPED = f"^{_SIGN}{_COMMA}$", f"^[+-]?{_GROUPED}$"


def in_other_notation(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which texts are numbers in another notation."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _ANOTHER)


def has_decimal_comma(text: str) -> bool:
    """Return whether a text is a number with a decimal comma, or may be."""
    return re.match(_PLAIN_COMMA, text.strip()) is not None


def refuse_other_notation(column: SourceColumn) -> None:
    """Raise for the first label that is a number in another notation; one with a decimal comma says most."""
    found = in_other_notation(column.values)
    if first_true(found) is None:
        return
    plain = pc.utf8_trim_whitespace(column.values)
    is_grouped = pc.match_substring_regex(plain, _PLAIN_GROUPED)
    has_comma = pc.and_(pc.match_substring_regex(plain, _PLAIN_COMMA), pc.invert(is_grouped))
    what, step, mask = "numbers in another notation", "Write digits and a point alone", found
    if first_true(is_grouped) is not None:
        what, step, mask = "a comma", "Write numbers without commas", is_grouped
    if first_true(has_comma) is not None:
        what, step, mask = "a decimal comma", "Write them with a point", has_comma
    first = first_true(mask) or 0
    several = ', or --label-separator "," for several labels' if "comma" in what else ""
    raise SourceError(
        fitted(
            "Labels of {where} have " + what + ", such as '{value}' in row {row}.",
            where=column.where,
            value=column.values[first].as_py(),
            row=column.number(first),
        ),
        next_step=f"{step}, or pass --label-type class{several}.",
    )
