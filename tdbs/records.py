"""Read the records that tdbs writes (JSON, TOML, line logs): any file gives a record or a TdbsError.

Files may come from elsewhere, from a killed process, or from a later tdbs (docs/format.md, "Versions"). So unknown keys
are ignored, every known key is checked against its type, and an error names the file and the field. No file that may
block is opened, and none is read before its size is checked.
"""

import json
import math
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, NoReturn, TypeVar

import msgspec

from tdbs.errors import TdbsError, reason_of
from tdbs.fields import field_reason, printable
from tdbs.shown import fitted

T = TypeVar("T")

MOST_BYTES = 64 << 20  # of a record: a manifest of 200,000 shards fits
MOST_BYTES_OF_A_LINE = 1 << 20
MOST_BYTES_OF_A_TOKENIZER = 512 << 20
_MOST_NESTED = 64
_MOST_DIGITS = 300  # a float can still hold such a number
_MOST_BITS = (10**_MOST_DIGITS).bit_length()


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One kind of record: how errors name it, what to do if it is damaged, and the version that is known."""

    what: str  # "a manifest of tdbs"
    error: type[TdbsError]
    next_step: str
    version: int = 1
    version_key: str = "schema_version"  # a record without it has version 1
    foreign: bool = False  # another program writes it: a key may come twice, a number may be infinite
    width: int = 1 << 16  # characters of an error; files of the user's own may have any name and contents

    def unreadable(self, named: str, reason: str) -> TdbsError:
        """Return the error for a file that is not what it should be as a file, or as JSON or TOML."""
        return self._error("{named} cannot be read: {reason}.", named, reason)

    def misfit(self, named: str, reason: str) -> TdbsError:
        """Return the error for a record with a field that does not fit."""
        return self._error("{named} is not " + self.what + ": {reason}.", named, reason)

    def _error(self, sentence: str, named: str, reason: str) -> TdbsError:
        return self.error(fitted(sentence, width=self.width, named=named, reason=reason), next_step=self.next_step)


def read_bytes(path: Path, form: Form, *, named: str | None = None, most: int | None = MOST_BYTES) -> bytes:
    """Return the bytes of a regular file of at most this many.

    Raises the form's error if it cannot be read; its cause is a FileNotFoundError if there is no file.
    """
    with opened(path, form, named=named) as file:
        if most is None:
            return file.read()
        size = os.fstat(file.fileno()).st_size if isinstance(path, PurePath) else 0
        data = file.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise form.unreadable(named or str(path), f"it has more than {most >> 20} MiB")
    return data


@contextmanager
def opened(path: Path, form: Form, *, named: str | None = None) -> Iterator[IO[bytes]]:
    """Open a regular file to read; a pipe or a device is refused at once, as reading it may never end.

    What the system raises until it is closed becomes the form's error.
    """
    try:
        if not isinstance(path, PurePath):  # of an object store
            with path.open("rb") as file:
                yield file
            return
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is not a regular file")
            yield file
    except (OSError, ValueError, MemoryError) as error:  # ValueError: of a path with a NUL, of bytes that are not UTF-8
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else reason_of(error)  # without the paths of the system's text
        raise form.unreadable(named or str(path), reason) from error


def read_text(path: Path, form: Form, *, named: str | None = None, most: int = MOST_BYTES) -> str:
    """Return the text of a file in UTF-8, without the mark by which some editors begin it. Raises the form's error."""
    try:
        return read_bytes(path, form, named=named, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise form.unreadable(named or str(path), reason_of(error)) from error


def whole_lines(path: Path, form: Form) -> list[str]:
    """Return the lines of a log without a last one that was cut off; none if there is no file."""
    if not path.exists():
        return []
    lines: list[str] = []
    with opened(path, form) as file:
        while (line := file.readline(MOST_BYTES_OF_A_LINE + 1)).endswith(b"\n"):
            lines.append(line.decode("utf-8"))
    if len(line) > MOST_BYTES_OF_A_LINE:
        raise form.unreadable(f"Line {len(lines) + 1} of {path}", f"it has more than {MOST_BYTES_OF_A_LINE >> 20} MiB")
    return lines


def read_record(path: Path, kind: type[T], form: Form, *, named: str | None = None) -> T:
    """Return a JSON file as a dataclass. Raises the form's error, which names the file and the field."""
    return record_of(read_json(path, form, named=named), kind, form, named=named or str(path))


def read_fields(path: Path, kind: type[T], form: Form, *, named: str | None = None) -> T:
    """Return a JSON object as it is in its file, unknown keys too, once its known ones fit a TypedDict."""
    found = read_json(path, form, named=named)
    record_of(found, kind, form, named=named or str(path))
    return found


def read_rows(path: Path, kind: type[T], form: Form) -> list[T]:
    """Return the records of a log, one per line; a last line that was cut off is skipped, as is a missing file."""
    places = ((f"Line {number} of {path}", line) for number, line in enumerate(whole_lines(path, form), start=1))
    return [record_of(json_of(line, form, named=named), kind, form, named=named) for named, line in places]


def read_field_rows(path: Path, kind: type[T], form: Form) -> list[T]:
    """Return the objects of a log as they are in it, once the known keys of each fit a TypedDict."""
    found: list[T] = []
    for number, line in enumerate(whole_lines(path, form), start=1):
        named = f"Line {number} of {path}"
        found.append(json_of(line, form, named=named))
        record_of(found[-1], kind, form, named=named)
    return found


def read_json(path: Path, form: Form, *, named: str | None = None) -> Any:
    """Return what a JSON file holds, unchecked. Raises the form's error."""
    return json_of(read_text(path, form, named=named), form, named=named or str(path))


def json_of(text: str | bytes, form: Form, *, named: str) -> Any:
    """Return what a JSON text holds; keys that come twice and numbers that are not finite are errors."""
    try:
        decoder = _FOREIGN if form.foreign else _JSON
        found = decoder.decode(text.decode("utf-8") if isinstance(text, bytes) else text)
        _check_nesting(found)
        return found
    except (ValueError, RecursionError) as error:
        raise form.unreadable(named, _parser_reason(error)) from error


def read_toml(path: Path, form: Form, *, named: str | None = None) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises the form's error."""
    try:
        found = tomllib.loads(read_text(path, form, named=named), parse_float=_finite)
        _check_nesting(found)
        return found
    except (ValueError, RecursionError) as error:
        raise form.unreadable(named or str(path), _parser_reason(error)) from error


def record_of(found: Any, kind: type[T], form: Form, *, named: str) -> T:
    """Return a value of JSON or TOML as a dataclass, without unknown keys.

    Raises the form's error for a version that is not known, and for the first field that does not fit.
    """
    check_version(found, form, named=named)
    try:
        return msgspec.convert(found, kind)
    except TdbsError as error:  # what a class says of its own values
        raise form.misfit(named, error.message.rstrip(".")) from error
    except (msgspec.ValidationError, OverflowError) as error:
        raise form.misfit(named, field_reason(found, kind, str(error))) from error
    except UnicodeEncodeError as error:  # of a text where none belongs; JSON can escape what UTF-8 cannot hold
        raise form.misfit(named, "it has half of a surrogate pair, which is not a character") from error


def check_version(found: Any, form: Form, *, named: str) -> None:
    """Refuse a record of another version. Raises the form's error, which names both versions."""
    if not isinstance(found, Mapping):
        return
    version = found.get(form.version_key, 1)
    if isinstance(version, int) and not isinstance(version, bool) and version == form.version:
        return
    later = isinstance(version, int) and version > form.version
    shown = version if isinstance(version, int | str | float | None) else type(version).__name__
    raise form.error(
        fitted(
            "{named} has schema version {found}; this tdbs reads version {known}.",
            width=form.width,
            named=named,
            found=printable(str(shown)),
            known=form.version,
        ),
        next_step="Update tdbs: pip install --upgrade tdbs." if later else form.next_step,
    )


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check_nesting(value: Any, left: int = _MOST_NESTED) -> None:
    """Refuse what later code would walk too deeply into: Python may read more levels than it can copy."""
    if left == 0:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            _check_nesting(inner, left - 1)
        elif isinstance(inner, int) and inner.bit_length() > _MOST_BITS:  # of TOML, whose reader has no limit
            raise ValueError(f"it has a number of more than {_MOST_DIGITS} digits")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is duplicated")
    return found


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _not_finite(text)


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it has a number of {len(text)} digits")
    return int(text)


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"it has the number {text[:20]}")


def _parser_reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else printable(reason_of(error))


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_int=_whole, parse_constant=_not_finite)
_FOREIGN = json.JSONDecoder(parse_int=_whole)
