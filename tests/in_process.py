"""A program run in this process: the command line, or a snippet, as a process of its own would, less 6 s of imports.

What a process has of its own is set before and put back after: the current folder, the environment, `sys.argv`,
`sys.path`, the three streams, handlers of signals, and what accelerate and transformers keep for a process.
"""

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from unittest import mock

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str


Env = Mapping[str, str | None]


def run_command(*arguments: object, folder: Path, env: Env = MappingProxyType({}), stdin: str = "") -> Ended:
    """Run `tdbs` with arguments in a folder; None in `env` takes a variable away."""
    from tdbs.cli import main

    return _run(main, ["tdbs", *map(str, arguments)], folder, env, stdin)


def run_snippet(code: str, *, folder: Path, env: Env = MappingProxyType({})) -> Ended:
    """Run Python code as `python -c` does."""
    names = {"__name__": "__main__"}
    return _run(lambda: exec(compile(code, "<snippet>", "exec"), names), ["-c"], folder, env, "")  # noqa: S102


def _run(program: Callable[[], None], argv: list[str], folder: Path, env: Env, stdin: str) -> Ended:
    stdout, stderr = _stream(), _stream()
    code = 0
    with _own_state(argv, folder, env, stdin), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            program()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            traceback.print_exc()
            code = 1
    return Ended(code=code, stdout=_text(stdout), stderr=_text(stderr))


@contextmanager
def _own_state(argv: list[str], folder: Path, env: Env, stdin: str) -> Iterator[None]:
    import torch

    changed = {name: value for name, value in env.items() if value is not None}
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    before, log = Path.cwd(), logging.getLogger("transformers")
    level = log.level
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, changed))  # puts back what is taken away too
        for name in env.keys() - changed.keys():
            os.environ.pop(name, None)
        stack.enter_context(mock.patch.object(sys, "argv", argv))
        stack.enter_context(mock.patch.object(sys, "path", [str(folder), *sys.path]))
        stack.enter_context(mock.patch.object(sys, "stdin", _stream(stdin)))
        if env.get("CUDA_VISIBLE_DEVICES") == "":  # torch reads it once
            stack.enter_context(mock.patch.object(torch.cuda, "is_available", return_value=False))
            stack.enter_context(mock.patch.object(torch.cuda, "device_count", return_value=0))
        try:
            _forget_processes()
            os.chdir(folder)
            yield
        finally:
            os.chdir(before)
            _forget_processes()
            log.setLevel(level)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _forget_processes() -> None:
    """Take accelerate's state away: a first run has none."""
    state = sys.modules.get("accelerate.state")
    if state is not None:
        state.AcceleratorState._reset_state(reset_partial_state=True)


def _stream(text: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="\n", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode("utf-8")
