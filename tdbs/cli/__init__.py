"""The command line: one file a command; each parses, calls one function and prints."""

import sys

import typer

from tdbs.cli import env, estimate_speedup, evaluate, inspect, plan, prepare, report, train

app = typer.Typer(
    name="tdbs",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, the same in docs and in a terminal of any width
    pretty_exceptions_enable=False,
    help="Prepare text datasets for fine-tuning once, tell what padding costs, and train without it.",
)
for command in (prepare, inspect, plan, estimate_speedup, train, evaluate, report, env):
    app.command(command.NAME)(command.command)


def main() -> None:
    """Run the command line: exit code 0 done, 1 the user's problem, 2 what the parser cannot parse."""
    sys.exit(app())
