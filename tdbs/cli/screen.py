"""The one place that prints: results (tables, paths, JSON) on stdout; notes, errors and progress on stderr.

Texts, labels, columns and file names reach a terminal only through here, and always as `shown` has them, whether the
stream is a terminal or a file: what is printed is for people. Programs take `--json`, whose strings have every
character. Nothing is ever read as rich's markup.
"""

import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tdbs.shown import json_line, shown

# With several processes of torchrun, only the first one prints; each process reports its own errors.
SPEAKS = os.environ.get("RANK", "0") == "0"
_WIDEST = 200  # columns of a table


class _Screen(Console):
    """A console that escapes all that it renders; rich is extended by these two methods."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown: cells, heads and titles of tables come through here, measured too."""
        return super().render_str(shown(text, lines=True), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is printed of a thing; of Text, which may have come by another way, what is shown."""
        return super().render(_shown_text(renderable) if isinstance(renderable, Text) else renderable, options)


NOTES = _Screen(stderr=True, soft_wrap=True, quiet=not SPEAKS)
_RESULTS = _Screen(soft_wrap=True, quiet=not SPEAKS)


def say(*lines: str, style: str = "") -> None:
    """Print notes on stderr, each on one line."""
    for line in lines:
        NOTES.print(shown(line), style=style)


def print_lines(*lines: str) -> None:
    """Print results on stdout, each on one line."""
    with _to_reader():
        for line in lines:
            _RESULTS.print(shown(line))


@contextmanager
def notices_said() -> Iterator[None]:
    """Print on stderr what the library logs meanwhile."""
    log, handler = logging.getLogger("tdbs"), _Notices()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def show(part: Table | Text | str) -> None:
    """Print a table, a marked text or a page of several lines on stdout; a table at its own width."""
    if isinstance(part, Table):
        _print_table(part)
        return
    with _to_reader():
        _RESULTS.print(part)


def _print_table(table: Table) -> None:
    """Print a table on stdout at its own width: numbers that are cut off would say nothing."""
    width = _RESULTS.measure(table, options=_RESULTS.options.update(width=_WIDEST)).maximum
    with _to_reader():
        _Screen(width=max(width, _RESULTS.width), quiet=not SPEAKS).print(table)


def print_error(message: str, next_step: str, details: Sequence[str] = ()) -> None:
    """Print cause, details and next step on stderr, a line each, whatever they quote."""
    lines = [
        f"Error: {shown(message)}",
        *(f"       {shown(detail)}" for detail in details),
        f"Next:  {shown(next_step)}",
    ]
    _Screen(stderr=True, soft_wrap=True).print("\n".join(lines))


def print_json(value: object) -> None:
    """Print the one JSON object of a command on stdout."""
    if SPEAKS:
        with _to_reader():
            sys.stdout.write(json_line(value) + "\n")


def escape_unencodable() -> None:
    """Let stdout escape what its encoding lacks, as Python has stderr do."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _to_reader() -> Iterator[None]:
    """Print results now, and end quietly if nobody reads them any more: `head` closes a pipe when it has its lines."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        raise SystemExit(1) from error


def _shown_text(text: Text) -> Text:
    if shown(text.plain, lines=True) == text.plain:
        return text
    escaped = text.blank_copy()
    for place in range(len(text)):
        piece = text[place]
        escaped.append(shown(piece.plain, lines=True), text.get_style_at_offset(NOTES, place))
    return escaped


class _Notices(logging.Handler):
    """Prints what the library logs, each line once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record that was not printed before: a comparison opens the same model for each of its runs."""
        text = record.getMessage()
        if text not in self._said:
            self._said.add(text)
            say(text)
