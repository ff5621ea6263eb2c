"""One tree of errors; each names the cause and the next step.

The command line prints both lines and exits with 1. Callers of the Python API catch `TdbsError` or a subclass.
"""

import importlib.util
import os
import textwrap
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tdbs.shown import clipped, fitted, shown, shown_number

_SHOWN_REASON = 50  # characters of what the system says


class TdbsError(Exception):
    """The base of all errors of tdbs: something that the user can act on.

    Args:
        message: One sentence with the cause.
        next_step: What to do about it.
    """

    exit_code = 1  # of the command line
    details: tuple[str, ...] = ()  # lines between message and next step, one per row of the source

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(f"{message} {next_step}")
        self.message = message
        self.next_step = next_step

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error travel between processes with both of its sentences."""
        return _again, (type(self), self.message, self.next_step)


class ConfigError(TdbsError):
    """An option's value is out of range, or two options do not go together."""


class SourceError(TdbsError):
    """The text source is missing, unreachable, or holds something that cannot be prepared."""


class RowError(SourceError):
    """Rows of a source cannot be used; the message names the first that a check found.

    Args:
        message: One sentence with the cause.
        next_step: What to do about it.
        reasons: What is wrong with each row that the check found, by its number from 0.
        details: A line about each of some rows.
    """

    def __init__(
        self, message: str, *, next_step: str, reasons: Mapping[int, str], details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.reasons = dict(reasons)
        self.details = details

    def __str__(self) -> str:
        return "\n".join([self.message, *self.details, self.next_step]) if self.details else super().__str__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error travel between processes with all that it says."""
        return _rows_again, (self.message, self.next_step, self.reasons, self.details)


class TokenizerError(TdbsError):
    """The tokenizer is missing, has no fast implementation, or is not the prepared one."""


class DatasetError(TdbsError):
    """A folder is not a prepared dataset, or one of its shards is damaged."""


class ModelError(TdbsError):
    """The model is missing or does not fit the prepared dataset."""


class TrainingError(TdbsError):
    """A run cannot start, or had to stop."""


class HubError(TdbsError):
    """The hub cannot be reached, or does not take what is pushed."""


def reason_of(error: Exception) -> str:
    """Return a library's error as one line, as it is shown, without its full stop; some have several lines."""
    text = " ".join(str(error).split()) or type(error).__name__
    return shown(textwrap.shorten(text, width=300, placeholder=" …").rstrip(". "))


def choose(option: str, value: object, choices: Collection[str]) -> None:
    """Raise ConfigError if an option's value is not one of its choices."""
    if value not in choices:
        raise ConfigError(
            fitted("Unknown value '{value}' for " + option + ".", value=value),
            next_step=f"Pass {option} with one of: {', '.join(choices)}.",
        )


def at_least(option: str, value: int, least: int) -> None:
    """Raise ConfigError if an option's value is below the least one."""
    if value < least:
        raise ConfigError(
            f"{option} must be {least} or more, got {shown_number(value)}.",
            next_step=f"Pass {option} {least} or more.",
        )


def require(package: str, what: str, install: str) -> None:
    """Raise ConfigError if a package is not installed: `what` needs it, and pip finds it by the name `install`."""
    if importlib.util.find_spec(package) is None:
        named = f'"{install}"' if "[" in install else install
        raise ConfigError(f"{what} needs {package}, which is not installed.", next_step=f"Run pip install {named}.")


@contextmanager
def system_errors_as(kind: type[TdbsError], failure: str, *, next_step: str) -> Iterator[None]:
    """Turn what the system says of files into one of our errors: `failure`, and what the error number means."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else reason_of(error)  # without the paths of the system's text
        raise kind(f"{failure}: {clipped(reason, _SHOWN_REASON)}.", next_step=next_step) from error


def _rows_again(message: str, next_step: str, reasons: dict[int, str], details: tuple[str, ...]) -> RowError:
    return RowError(message, next_step=next_step, reasons=reasons, details=details)


def _again(kind: type[TdbsError], message: str, next_step: str) -> TdbsError:
    return kind(message, next_step=next_step)
