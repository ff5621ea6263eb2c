"""Progress in a notebook, where functions would show nothing for minutes: a bar for each thing that is counted.

A function called from a script shows nothing, and commands have bars of their own (cli/progress.py). TQDM_DISABLE=1
turns these off, too.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

HELP = "True: a bar in a notebook, elsewhere nothing. False: nothing."
_COUNTED = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_NOT_COUNTED = "{desc} [{elapsed}{postfix}]"  # how many there are is not known

Progress = TypeVar("Progress", bound=Callable[..., None])


class Count(Protocol):
    """Shows how many of something are done."""

    def __call__(self, name: str, done: int, total: int | None, state: str = "") -> None:
        """Show `done` of `total` (None: not known) and words on the state of things."""


class Step(Protocol):
    """What a bar says of a step of training (train/run_context.py)."""

    @property
    def step(self) -> int:
        """Its number, from 0."""

    @property
    def tokens(self) -> int:
        """Tokens that the linear layers see."""

    @property
    def loss(self) -> float:
        """Mean over what the batch predicts."""

    @property
    def seconds(self) -> float:
        """Its wall-clock."""


@contextmanager
def shown_progress(progress: Progress | bool, of_bars: Callable[[Count], Progress]) -> Iterator[Progress]:
    """Yield a caller's own progress; for True in a notebook, what `of_bars` makes of bars; else what shows nothing."""
    if callable(progress):
        yield progress
    elif progress and in_notebook():
        with _bars() as count:
            yield of_bars(count)
    else:
        yield cast(Progress, _nothing)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def of_messages(name: str) -> Callable[[Count], Callable[[str], None]]:
    """Return what shows messages beside a name and the time that has passed."""
    return lambda count: lambda message: count(name, 0, None, message)


def of_steps(name: str) -> Callable[[Count], Callable[[Step, int], None]]:
    """Return what shows the steps of a run, the loss, and the tokens a second so far."""

    def begin(count: Count) -> Callable[[Step, int], None]:
        tokens, seconds = 0, 0.0

        def show(record: Step, steps: int) -> None:
            nonlocal tokens, seconds
            tokens, seconds = tokens + record.tokens, seconds + record.seconds
            speed = tokens / max(seconds, 1e-9)
            count(name, record.step + 1, steps, f"loss {record.loss:.4f}, {speed:,.0f} tokens/s")

        return show

    return begin


@contextmanager
def _bars() -> Iterator[Count]:
    from tqdm.auto import tqdm

    bars: dict[str, Any] = {}

    def count(name: str, done: int, total: int | None, state: str = "") -> None:
        if name not in bars:
            for earlier in bars.values():
                earlier.close()
            look = _NOT_COUNTED if total is None else _COUNTED
            bars[name] = tqdm(desc=name, total=total, initial=done, bar_format=look)
        bar = bars[name]
        of_unknown = f"{done:,} done" if done and total is None else ""
        bar.set_postfix_str(state or of_unknown, refresh=total is None)
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    try:
        yield count
    finally:
        for bar in bars.values():
            bar.close()


def _nothing(*_: Any) -> None:
    """Show nothing."""
