"""Progress on stderr: bars on a terminal; elsewhere a line every 30 seconds, and one at each epoch of training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tdbs.cli.screen import NOTES, say
from tdbs.shown import shown

if TYPE_CHECKING:  # its module loads torch
    from tdbs.train.run_context import StepRecord

SECONDS = 30.0  # between two lines
_BAR = 12  # columns: a terminal of 80 has room for the rest


class Counted(Protocol):
    """Shows how many of something are done."""

    def __call__(self, name: str, done: int, total: int | None, state: str = "", brief: str = "") -> None:
        """Show `done` of `total` (None: not known yet), and words: `state` on a line, `brief` on a bar."""


@dataclass(kw_only=True, slots=True)
class Lines:
    """Lines of progress that are due: one every `every` seconds, the first after that time or at once."""

    every: float = SECONDS
    at_once: bool = False
    clock: Callable[[], float] = time.monotonic
    _printed: float | None = field(default=None, init=False)
    _begun: dict[str, tuple[float, int]] = field(default_factory=dict, init=False)

    def counted(self, name: str, done: int, total: int | None, state: str = "") -> str | None:
        """Return the line that says how many are done and how long the rest takes, if it is due."""
        from tdbs.reports.terminal import duration

        now = self.clock()
        begun, first = self._begun.setdefault(name, (now, done))
        parts = [f"{name} {done:,}" + ("" if total is None else f" of {total:,}")]
        if state:
            parts.append(state)
        if total is not None and done > first and now > begun:
            parts.append(f"{duration((now - begun) / (done - first) * (total - done))} left")
        return self.line(", ".join(parts))

    def line(self, text: str) -> str | None:
        """Return a line if it is due."""
        now = self.clock()
        if self._printed is None:
            self._printed = now
            return text if self.at_once else None
        if now - self._printed < self.every:
            return None
        self._printed = now
        return text


@contextmanager
def counting(*, remaining: bool = False, at_once: bool = False) -> Iterator[Counted]:
    """Yield what shows how many of something are done, from the first call on: what is refused before shows no bar.

    `remaining` adds the time that is left to a bar; lines always have it. `at_once`: the first line does not wait.
    """
    if not NOTES.is_terminal:
        lines = Lines(at_once=at_once)

        def say_count(name: str, done: int, total: int | None, state: str = "", brief: str = "") -> None:  # noqa: ARG001
            _say_due(lines.counted(name, done, total, state))

        yield say_count
        return
    left = [TimeRemainingColumn()] if remaining else []
    columns = [BarColumn(_BAR), MofNCompleteColumn(), TimeElapsedColumn(), *left, _Words("{task.fields[brief]}")]
    with _bars(_Words("{task.description}"), *columns) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(name: str, done: int, total: int | None, state: str = "", brief: str = "") -> None:  # noqa: ARG001
            bars.start()
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total, brief=brief)
            bars.update(tasks[name], completed=done, total=total, brief=brief)

        yield advance


@contextmanager
def spinner(name: str) -> Iterator[Callable[[str], None]]:
    """Yield what shows a message beside a spinner and the time that has passed, from the first message on."""
    if not NOTES.is_terminal:
        lines = Lines(at_once=True)
        yield lambda message: _say_due(lines.line(f"{name}: {message}"))
        return
    with _bars(SpinnerColumn(), _Words("{task.description}"), TimeElapsedColumn()) as bars:
        bar = bars.add_task(name, total=None)

        def advance(message: str) -> None:
            bars.start()
            bars.update(bar, description=message)

        yield advance


@dataclass(kw_only=True, slots=True)
class TrainingProgress:
    """What people see of a run: its steps, and a line about each epoch with the mean loss and the score."""

    advance: Counted
    epochs: int
    _tokens: int = 0
    _seconds: float = 0.0
    _loss_sum: float = 0.0
    _predicted: int = 0

    def step(self, record: "StepRecord", steps: int) -> None:
        """Show a step of the run's `steps`."""
        self._tokens += record.tokens
        self._seconds += record.seconds
        self._loss_sum += record.loss * record.predicted
        self._predicted += record.predicted
        epoch, speed = f"{record.epoch + 1} of {self.epochs}", self._tokens / max(self._seconds, 1e-9)
        state = f"epoch {epoch}, loss {record.loss:.4f}, rate {record.lr:.2e}, {speed:,.0f} tokens/s"
        brief = f"loss {record.loss:.4f} {speed:,.0f} tokens/s"
        self.advance("step", record.step + 1, steps, state, brief)

    def scored(self, epoch: int, score: float | None) -> None:
        """Print the line of an epoch; the loss is a mean over its steps since this command began."""
        parts = [f"loss {self._loss_sum / self._predicted:.4f}"] if self._predicted else []
        parts += [] if score is None else [f"score {score:.4f}"]
        say(f"epoch {epoch + 1} of {self.epochs}: {', '.join(parts)}")
        self._loss_sum, self._predicted = 0.0, 0


def _say_due(line: str | None) -> None:
    if line is not None:
        say(line)


@contextmanager
def _bars(*columns: ProgressColumn) -> Iterator[Progress]:
    """Yield bars that the caller starts with the first progress."""
    bars = Progress(*columns, console=NOTES)
    try:
        yield bars
    finally:
        if bars.live.is_started:
            bars.stop()


class _Words(TextColumn):
    """A column of words about a task, as they are shown."""

    def render(self, task: Task) -> Text:
        return Text(shown(self.text_format.format(task=task)))
