"""Edits of raw texts: the small errors that a model meets at inference (paper, section 3.1), and the user's own.

Articles and punctuation marks go as the resilience test has it: 'a', 'an', 'the'; comma, full stop, apostrophe and the
like. A text of which nothing would be left stays as it is, as one token stays with TokenDrop.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tdbs.errors import ConfigError, reason_of
from tdbs.pipeline.matches import combining_marks
from tdbs.records import Form, read_text

ARTICLES = ("a", "an", "the")
PUNCTUATION = ",.;:!?'’‘\"“”`…"  # no hyphens and brackets: they hold words together or apart
_FORM = Form(what="a file of edits", error=ConfigError, next_step="Pass a text file in UTF-8.")
REMOVABLE = ("articles", "punctuation")
_NEXT_STEP = "Write lines of a regular expression, a tab, and what stands for its matches."


Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEdit:
    """A change of texts: what it is called, and what stands for each pattern, in order."""

    name: str
    rules: tuple[Rule, ...]


def removal(kinds: Sequence[str]) -> TextEdit:
    """Return the edit that takes articles, punctuation or both out of a text, at once.

    Raises ConfigError where something else is to go.
    """
    for kind in kinds:
        if kind not in REMOVABLE:
            raise ConfigError(
                f"--remove has no choice {kind}.", next_step=f"Choose some of: {','.join(REMOVABLE)}; or pass --edits."
            )
    chosen = tuple(kind for kind in REMOVABLE if kind in kinds)
    return TextEdit(name=f"without {', '.join(chosen)}", rules=((_removed(chosen), _space_that_stays),))


def read_edits(path: Path) -> TextEdit:
    """Read the user's edits: lines of a regular expression, a tab and what stands for its matches, done in order.

    Empty lines and those that begin with # say nothing. Raises ConfigError that names the line.
    """
    lines = read_text(path, _FORM, named=f"The edits {path}").splitlines()
    rules = [
        _rule(f"line {number} of {path}", line)
        for number, line in enumerate(lines, start=1)
        if line.strip(" ") and not line.startswith("#")
    ]
    if not rules:
        raise ConfigError(f"{path} holds no edit.", next_step=_NEXT_STEP)
    return TextEdit(name=path.name, rules=tuple(rules))


def edited(text: str, edit: TextEdit) -> str:
    """Return a text after an edit; the text itself where nothing but white space would be left."""
    after = text
    for pattern, replacement in edit.rules:
        after = pattern.sub(replacement, after)
    return after if after.strip() else text


@cache
def _removed(kinds: Sequence[str]) -> re.Pattern[str]:
    """Return what matches words and marks that go, several in a row at once, with the white space around them.

    An article is a word of its own: neither in "U.S.A." nor in "a-list" nor in "a's". A mark between digits is part of
    a number, and stays.
    """
    letter, joint = rf"[\w{combining_marks()}]", r"[.'’\-\u2010\u2011]"
    mark = f"[{re.escape(PUNCTUATION)}]"
    patterns = {
        "articles": rf"(?<!{letter})(?<!\w{joint})(?:{'|'.join(ARTICLES)})(?!{letter})(?!{joint}\w)",
        "punctuation": rf"(?<!\d){mark}|{mark}(?!\d)",
    }
    one = "|".join(patterns[kind] for kind in kinds)
    # From the first space of several on: else a page of spaces would be looked at again from each of them.
    return re.compile(rf"(?<!\s)\s*(?:(?:{one})\s*)+", re.IGNORECASE)


def _space_that_stays(found: re.Match[str]) -> str:
    """Return the first white space of a match, nothing at the ends of the text."""
    if found.start() == 0 or found.end() == len(found.string):
        return ""
    return next(filter(str.isspace, found[0]), "")


def _rule(where: str, line: str) -> Rule:
    find, tab, replacement = line.partition("\t")
    if not tab or not find:
        raise ConfigError(f"In {where} there is no tab after a pattern.", next_step=_NEXT_STEP)
    try:
        pattern = re.compile(find)
        pattern.sub(replacement, "")  # reads the replacement, whose groups must be there
    except (re.error, IndexError) as error:
        raise ConfigError(f"{where} is no regular expression: {reason_of(error)}.", next_step=_NEXT_STEP) from error
    return pattern, replacement
