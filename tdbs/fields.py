"""What a field of a record may hold: types with bounds, and why a value does not fit its type.

A record comes from a file, and some of its values decide what is allocated or opened.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from tdbs.errors import TdbsError, reason_of

LONGEST = 2**20  # tokens of a sample: tables have an entry for each length

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
CutLengths = tuple[tuple[Count, Count], ...]  # lengths before a cut, ascending, each with how often it comes
TokenLength = Annotated[int, msgspec.Meta(ge=1, le=LONGEST)]
VocabularySize = Annotated[int, msgspec.Meta(ge=1, le=2**24)]  # a model has a vector for each entry
Amount = Annotated[float, msgspec.Meta(ge=0)]
Several = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
_DIGITS, _SHA256, _PLAIN = r"^[0-9]{1,15}\Z", r"^[0-9a-f]{64}\Z", r"^[^\x00]+\Z"
_INNER = r"^(?!.*(?:^|/)\.{0,2}(?:/|\Z))(?![A-Za-z]:)[^\\\x00-\x1f\x7f]+\Z"
_INNER_OR_OWN = rf"^\Z|{_INNER}"
_NAME = r"^(?!\.{0,2}\Z)(?![A-Za-z]:)[^/\\\x00-\x1f\x7f]+\Z"
Digits = Annotated[str, msgspec.Meta(pattern=_DIGITS)]  # a number that is a key
Sha256 = Annotated[str, msgspec.Meta(pattern=_SHA256)]
PlainText = Annotated[str, msgspec.Meta(pattern=_PLAIN)]  # a path: a user's may hold anything else
InnerFolder = Annotated[str, msgspec.Meta(pattern=_INNER_OR_OWN)]  # below the record's own folder, or that itself
InnerPath = Annotated[str, msgspec.Meta(pattern=_INNER)]  # of a file below the record's own folder
FileName = Annotated[str, msgspec.Meta(pattern=_NAME)]  # of a file or folder beside the record
_MEANINGS = {  # of these patterns, in errors
    _DIGITS: "digits",
    _SHA256: "64 hexadecimal digits",
    _PLAIN: "text without NUL",
    _INNER: "a path that stays in this folder",
    _INNER_OR_OWN: "a path that stays in this folder",
    _NAME: "a file name",
}

_TOLD = re.compile(r"(?P<reason>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<field>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_PATTERN = re.compile(r"`str` matching regex '(.*)'", re.DOTALL)


def field_reason(found: Any, kind: type[Any], error: str) -> str:
    """Return why a value does not fit a type, as "field: reason"; `error` is what msgspec says of it."""
    told = _TOLD.fullmatch(error)
    reason, field = (error, "") if told is None else (told["reason"], told["field"] or "")
    if "[...]" in field:
        field = _with_key(found, kind, field, error)
    missing = _MISSING.fullmatch(reason)
    if missing:
        return printable(reason_of(ValueError(f"{field}.{missing[1]}".lstrip(".") + " is missing")))
    got = _value_at(found, field)
    reason = _PATTERN.sub(lambda pattern: _MEANINGS.get(pattern[1].replace("\\\\", "\\"), "other text"), reason)
    if ", got" not in reason and isinstance(got, int | float | str) and reason.startswith("Expected"):
        reason += f", got {got!r}"
    said = (reason[:1].lower() + reason[1:]).replace("`", "")
    return printable(reason_of(ValueError(f"{field}: {said}" if field else said)))


def printable(text: str) -> str:
    """Return a text with a question mark for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _value_at(found: Any, field: str) -> Any:
    """Return the value of a field by its path, None if it is not found."""
    for name in re.findall(r"[^.\[\]]+", field):
        if isinstance(found, Mapping):
            found = found.get(name)
        else:
            found = found[int(name)] if isinstance(found, list) and name.isdigit() and int(name) < len(found) else None
    return found


def _with_key(found: Any, kind: type[Any], field: str, error: str) -> str:
    """Return a field's path with the key of the mapping that `[...]` stands for: the first one alone to be refused."""
    before, after = field.split("[...]", 1)
    names = before.split(".")
    table = found
    for name in names:
        table = table.get(name) if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping):
        return field
    for key, value in table.items():
        try:
            msgspec.convert(_replaced(found, names, {key: value}), kind)
        except (msgspec.ValidationError, UnicodeEncodeError, TdbsError) as again:
            if str(again) == error:
                return f"{before}.{key}{after}"
    return field


def _replaced(found: Any, names: list[str], value: Any) -> Any:
    return {**found, names[0]: _replaced(found[names[0]], names[1:], value)} if names else value
