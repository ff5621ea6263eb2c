"""The one place that prints: tables, notes, errors and progress on stderr, one JSON object on stdout.

Texts, labels, columns and file names reach a terminal only through here, and always as `shown` has them, whether
stderr is a terminal or a file: what is printed there is for people. Programs take `--json`, whose strings have every
character. Nothing is ever read as rich's markup.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tdbs.shown import json_line, shown

# With several processes of torchrun, only the first one prints; each process reports its own errors.
SPEAKS = os.environ.get("RANK", "0") == "0"
_WIDEST = 200  # columns of a table


class _Screen(Console):
    """A console on stderr that escapes all that it renders; rich is extended by these two methods."""

    def __init__(self, **options: Any) -> None:
        super().__init__(stderr=True, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as it is shown: cells, heads and titles of tables come through here, measured too."""
        return super().render_str(shown(text, lines=True), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is printed of a thing; of Text, which may have come by another way, what is shown."""
        return super().render(_shown_text(renderable) if isinstance(renderable, Text) else renderable, options)


_console = _Screen(soft_wrap=True, quiet=not SPEAKS)


def say(*lines: str, style: str = "") -> None:
    """Print notes on stderr, each on one line."""
    for line in lines:
        _console.print(shown(line), style=style)


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
    """Print a table, a marked text or a page of several lines on stderr."""
    _console.print(part)


def print_table(table: Table) -> None:
    """Print a table at its own width: numbers that are cut off would say nothing."""
    width = _console.measure(table, options=_console.options.update(width=_WIDEST)).maximum
    _Screen(width=max(width, _console.width), quiet=not SPEAKS).print(table)


def print_error(message: str, next_step: str, details: Sequence[str] = ()) -> None:
    """Print cause, details and next step on stderr, a line each, whatever they quote."""
    lines = [
        f"Error: {shown(message)}",
        *(f"       {shown(detail)}" for detail in details),
        f"Next:  {shown(next_step)}",
    ]
    _Screen(soft_wrap=True).print("\n".join(lines))


def print_line(line: str) -> None:
    """Print a result of one line on stdout."""
    sys.stdout.write(shown(line) + "\n")


def print_json(value: object) -> None:
    """Print the one JSON object of a command on stdout."""
    if SPEAKS:
        sys.stdout.write(json_line(value) + "\n")


@contextmanager
def progress_bars(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """Yield bars that the caller starts with the first progress: what is refused before it shows no bar.

    A column that is a string is a format of the task.
    """
    bars = Progress(*(_Words(each) if isinstance(each, str) else each for each in columns), console=_console)
    try:
        yield bars
    finally:
        if bars.live.is_started:
            bars.stop()


@contextmanager
def spinner(name: str) -> Iterator[Callable[[str], None]]:
    """Yield what shows a message beside a spinner and the time that has passed, from the first message on."""
    with progress_bars(SpinnerColumn(), "{task.description}", TimeElapsedColumn()) as bars:
        bar = bars.add_task(name, total=None)

        def advance(message: str) -> None:
            bars.start()
            bars.update(bar, description=message)

        yield advance


def _shown_text(text: Text) -> Text:
    if shown(text.plain, lines=True) == text.plain:
        return text
    escaped = text.blank_copy()
    for place in range(len(text)):
        piece = text[place]
        escaped.append(shown(piece.plain, lines=True), text.get_style_at_offset(_console, place))
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


class _Words(ProgressColumn):
    """A column of words about a task, as they are shown."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.template = template

    def render(self, task: Task) -> Text:
        return Text(shown(self.template.format(task=task)))
