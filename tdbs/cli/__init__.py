"""The command line: one file a command; each parses, calls one function and prints."""

import sys
from typing import Annotated

import typer

from tdbs import __version__
from tdbs.cli import (
    compare,
    env,
    estimate_speedup,
    evaluate,
    inspect,
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


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


app = typer.Typer(
    name="tdbs",
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
    """Prepare text datasets for fine-tuning once, tell what padding costs, and train without it."""


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
    env,
):
    app.command(command.NAME)(command.command)


def main() -> None:
    """Run the command line: exit code 0 done, 1 the user's problem, 2 what the parser cannot parse."""
    sys.exit(app())
