"""Run a check on many inputs: it may raise errors of tdbs's own; anything else is a fault, kept by its place."""

import faulthandler
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import UnsatisfiedAssumption

import tdbs
from tdbs.errors import TdbsError

DEADLINE = 120  # seconds of one input; past them the process dumps its stacks and ends
_REARMED = 10  # seconds after which the deadline begins anew: for each input it would cost a thread
_PACKAGE = Path(tdbs.__file__).parent
_REPOSITORY = _PACKAGE.parent


class Faults:
    """The distinct faults of a target, each with the shortest input that shows it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def __str__(self) -> str:
        return "\n".join(
            f"- {kind} at {place}: {reason}\n    input: {example}"
            for (kind, place), (example, reason) in self._found.items()
        )

    def add(self, error: BaseException, example: object) -> None:
        """Keep a fault; of those of one kind and place in our code, the one with the shortest input."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(_REPOSITORY)]
        of_tdbs = [frame for frame in own if Path(frame.filename).is_relative_to(_PACKAGE)]
        last = (of_tdbs or own)[-1]  # of what tdbs raises, or the check's own line
        place = f"{Path(last.filename).relative_to(_REPOSITORY)}:{last.lineno}"
        key = (type(error).__name__, place)
        shown = repr(example)
        if key not in self._found or len(shown) < len(self._found[key][0]):
            self._found[key] = (shown[:2000], str(error)[:300])


def judge_inputs(
    target: str, inputs: int, of: Any, check: Callable[[Any], object], faults: Faults
) -> tuple[int, float]:
    """Check inputs of a strategy, the same ones each time; return how many there were and the seconds they took."""
    done, armed = 0, -float("inf")

    @seed(zlib.crc32(target.encode()))
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(of)
    def every(example: Any) -> None:
        nonlocal done, armed
        done += 1
        if time.monotonic() - armed > _REARMED:
            faulthandler.dump_traceback_later(DEADLINE, exit=True)
            armed = time.monotonic()
        judge(check, example, faults)

    clock = time.perf_counter()
    try:
        every()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return done, time.perf_counter() - clock


def judge(check: Callable[[Any], object], example: Any, faults: Faults) -> None:
    """Run a check on one input."""
    try:
        check(example)
    except TdbsError as error:
        if not (error.message.strip() and error.next_step.strip()):
            faults.add(error, example)  # names no cause, or no next step
    except UnsatisfiedAssumption:
        raise
    except BaseException as error:
        # what a library in Rust panics with is no Exception; hypothesis's own StopTest is none either
        if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise
        faults.add(error, example)
