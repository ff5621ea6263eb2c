"""The command line: one file a command; each parses, calls one function and prints."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tdbs import __version__
from tdbs.cli import (
    compare,
    env,
    estimate_speedup,
    evaluate,
    inspect,
    models,
    plan,
    predict,
    prepare,
    profile,
    report,
    reproduce,
    sweep,
    train,
    verify,
)
from tdbs.cli.screen import escape_unencodable, print_lines
from tdbs.shown import shown


def _print_version(asked: bool) -> None:
    if asked:
        print_lines(__version__)
        raise typer.Exit


@contextmanager
def _usage_shown() -> Iterator[None]:
    """Let the parser's errors, which it prints itself, quote options and values as they are shown."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "message"):  # the class differs from typer to typer
            error.message = shown(error.message)
        raise


class _Commands(TyperGroup):
    """The commands, whose parser is typer's."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _usage_shown():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _usage_shown():
            return super().invoke(ctx)


app = typer.Typer(
    name="tdbs",
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, the same in docs and in a terminal of any width
    pretty_exceptions_enable=False,
)


@app.callback()
def tdbs_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Prepare text datasets for fine-tuning once, report what padding costs, and train without it."""


for command in (
    prepare,
    verify,
    inspect,
    profile,
    plan,
    estimate_speedup,
    train,
    compare,
    sweep,
    reproduce,
    evaluate,
    predict,
    report,
    models,
    env,
):
    app.command(command.NAME)(command.command)


def main() -> None:
    """Run the command line: exit code 0 done, 1 the user's problem, 2 what the parser cannot parse."""
    escape_unencodable()
    sys.exit(app())
