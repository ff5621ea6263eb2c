"""Commands in processes of their own that are forked from one with torch imported: each starts in 0.1 s, not in 4 s.

Signals, exit codes and what a kill leaves behind are those of any process. What they print goes into files.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

_IMPORTED = ["tdbs.cli.train", "tdbs.train.models.load", "tdbs.train.trainer", "torchmetrics.functional"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Forked:
    """A command that runs, or has run, and where its streams go."""

    process: ForkServerProcess
    streams: Path  # a folder

    def is_running(self) -> bool:
        return self.process.is_alive()

    def send(self, number: signal.Signals) -> None:
        os.kill(self._pid(), number)

    def ended(self, seconds: float) -> tuple[int, str, str]:
        """Wait for the end; return the exit code, negative for a signal, and what went to stdout and stderr."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise TimeoutError(f"the command still ran after {seconds} s: {self._text('stderr')}")
        return code, self._text("stdout"), self._text("stderr")

    def _pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def _text(self, name: str) -> str:
        return (self.streams / name).read_text()


def start_command(arguments: Sequence[object], *, streams: Path) -> Forked:
    """Start `tdbs` with arguments; its streams become files of a new folder."""
    streams.mkdir(parents=True)
    process = _context().Process(target=_run, args=([*map(str, arguments)], streams))
    process.start()
    return Forked(process=process, streams=streams)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)  # counts for the first process of all; heard no more after it
    return context


def _run(arguments: list[str], streams: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(streams / name, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["tdbs", *arguments]
    from tdbs.cli import main

    main()
