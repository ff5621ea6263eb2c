"""Stop work so that it can be resumed.

The first signal ends a run after its current step, the second one at once. Work of many runs ends at once, with a
message about itself, not about its current run.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tdbs.errors import TrainingError

BEGINS_ANEW = "Run the same command again: it starts again."
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedError(TrainingError):
    """A run was stopped by a signal, and can be resumed."""

    def __init__(self, message: str, *, next_step: str, number: int) -> None:
        super().__init__(message, next_step=next_step)
        self.exit_code = 128 + number


def stopped_error(what: str, number: int, *, next_step: str) -> StoppedError:
    """Return the error that names the work that a signal stopped, and how to resume it."""
    return StoppedError(f"{what} was stopped by {signal.Signals(number).name}.", next_step=next_step, number=number)


@dataclass(slots=True)
class Stop:
    """The signal that asked to stop; None before it."""

    number: int | None = None


@contextmanager
def stopped_at_once(what: str, *, next_step: str | Callable[[], str] = BEGINS_ANEW) -> Iterator[None]:
    """Let SIGINT and SIGTERM end what runs inside at once, as StoppedError about `what`.

    For work of parts, each of which is whole or made again; a `next_step` that depends on the parts done so far is a
    function, called then. Only the main thread receives signals; in others only KeyboardInterrupt becomes the error.
    """
    received = [signal.SIGINT]

    def end(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS} if in_main else {}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt as error:
        step = next_step if isinstance(next_step, str) else next_step()
        raise stopped_error(what, received[-1], next_step=step) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield a Stop that notes the first SIGTERM or SIGINT; a second one acts as it would without tdbs.

    Only the main thread receives signals; in others nothing is noted.
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
