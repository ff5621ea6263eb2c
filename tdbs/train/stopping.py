"""Stop a run where it can go on later: the first signal ends it after the current step, the second one at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tdbs.errors import TrainingError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedError(TrainingError):
    """A run was stopped by a signal, and can be resumed."""

    def __init__(self, message: str, *, next_step: str, number: int) -> None:
        super().__init__(message, next_step=next_step)
        self.exit_code = 128 + number


@dataclass(slots=True)
class Stop:
    """The signal that asked to stop, once there was one."""

    number: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield what notes the first SIGTERM or SIGINT; a second one does what it would do without us.

    Only the main thread can take signals; elsewhere nothing is noted.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, _frame: FrameType | None) -> None:
        if stop.number is None:
            stop.number = number
            return
        for each, handler in before.items():
            signal.signal(each, handler)
        os.kill(os.getpid(), number)

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
