"""The one way for text from outside to a terminal, a page or a figure: hidden or steering characters are escaped.

Texts, labels, columns, file names, options and messages of libraries may contain control characters (a terminal obeys
them), marks that reorder a line, and characters without a glyph. They are printed as Python escapes, `\\x1b` or
`\\u202e`; all other Unicode stays as it is. Shown text has nothing left to escape, so showing it twice changes nothing.
Errors are lines of 120 characters: what they quote is cut, what helps is not.
"""

import json
import logging
import math
import re
from pathlib import PurePath

LINE = 120  # characters of a line
MESSAGE = 113  # characters of an error's cause or next step, behind "Error: " or "Next:  " on such a line
NOTE = 111  # characters of a note, behind "Warning: "
_LEAST = 8  # characters of a value that is cut
_EMPTY = '""'

# Control characters; soft hyphen; fillers and selectors without a glyph; zero-width characters; marks of direction and
# line ends of Unicode; lone surrogates; invisible operators; interlinear and musical format; tags.
_HIDING = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
# Persian, Indic scripts and emoji need the joiners, between two characters of their own; elsewhere they hide.
_JOINED = rf"[^\x00-\u02ff\s\u200c\u200d{_HIDING}]"
_JOINER = rf"[\u200c\u200d](?!{_JOINED})|(?<!{_JOINED})[\u200c\u200d]"
# Selectors of a form stand behind an emoji, or a character of a keycap; elsewhere nobody sees them.
_SELECTOR = rf"(?<!{_JOINED})(?<![0-9#*])[\ufe00-\ufe0f]"
_ONE_LINE = re.compile(f"[{_HIDING}]|{_JOINER}|{_SELECTOR}")
_LONG_BITS = 128
_LINES = re.compile(f"(?![\t\n])(?:{_ONE_LINE.pattern})")


def shown(text: object, *, lines: bool = False) -> str:
    """Return a text as one line that a person can see whole.

    Args:
        text: Anything; what is not a string is shown as `str` has it.
        lines: Keep line feeds and tabs, for text of our own that has several lines.

    Returns:
        The text, with control, format and other hiding characters as escapes.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return (_LINES if lines else _ONE_LINE).sub(lambda found: found[0].encode("unicode_escape").decode(), plain)


def seen(text: object) -> str:
    """Return a text as it is shown, and an empty one as two quotes: nothing would look like a mistake of the page."""
    return shown(text) or _EMPTY


def clipped(text: object, width: int) -> str:
    """Return a text as it is shown, cut to a number of characters. A path keeps its end, which says most."""
    plain = str(text)
    if isinstance(text, PurePath):
        kept = shown(plain[-width - 1 :])
        return kept if len(kept) <= width else "…" + kept[1 - width :]
    kept = shown(plain[: width + 1])
    return kept if len(kept) <= width else kept[: width - 1].rstrip() + "…"


def fitted(template: str, *, width: int = MESSAGE, **values: object) -> str:
    """Return a sentence of one line; values from outside are escaped, and the longest are cut as far as they must."""
    given = {name: value if isinstance(value, PurePath) else str(value) for name, value in values.items()}
    text = ""
    for longest in range(width, min(_LEAST, width) - 1, -1):
        text = template.format(**{name: clipped(value, longest) for name, value in given.items()})
        if len(text) <= width:
            return text
    return clipped(text, width)


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can hold a text: it has no half of a surrogate pair, as names of files and JSON can have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(text: str) -> bool:
    """Return whether Python reads a text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def notice(text: str) -> None:
    """Log what a user should know though nothing fails: one line on stderr, unless the program logs elsewhere."""
    logging.getLogger("tdbs").warning("%s", shown(text))


def shown_number(number: float) -> str:
    """Return a number as errors name it: Python refuses to write whole numbers of thousands of digits."""
    if isinstance(number, int) and number.bit_length() > _LONG_BITS:
        return f"a number of about {int(number.bit_length() * math.log10(2)):,} digits"
    return str(number)


def json_line(value: object) -> str:
    """Return a value as one line of JSON; what `shown` would escape is escaped as JSON does it, so values stay.

    Raises ValueError for a number that is not finite: JSON has none.
    """
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return plain if plain.isascii() and plain.isprintable() else _ONE_LINE.sub(_json_escape, plain)


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
