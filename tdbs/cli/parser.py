"""How the command line is parsed: commands that are imported when they are called, and help by panels."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import getdoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tdbs.cli.panels import PANELS
from tdbs.errors import TdbsError
from tdbs.shown import shown

_WIDEST = 160  # columns of help in a wider terminal: longer lines are hard to read


class Commands(TyperGroup):
    """The commands: placeholders with a name and a summary, until one is called."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse what comes before the command."""
        with _usage_shown():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the command's own options, and run it."""
        with _usage_shown():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is named."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and _loaded(str(name), summary=found.help or ""), rest


class Command(TyperCommand):
    """A command whose help has its options in panels."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options; what --config refuses ends the command, as what the command refuses does."""
        try:
            return super().make_context(*arguments, **options)
        except TdbsError as error:
            from tdbs.cli.screen import print_error

            print_error(error.message, error.next_step)
            raise typer.Exit(error.exit_code) from error

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options of each panel."""
        found: dict[str, dict[str, Any]] = {"argument": {}, "option": {}}
        for param in self.get_params(ctx):
            found[param.param_type_name][str(param.name)] = param.get_help_record(ctx)
        options = found["option"]
        panels = {title: [options[name] for name in names if name in options] for title, names in PANELS.items()}
        for title, rows in {"Arguments": list(found["argument"].values()), **panels}.items():
            if any(rows):
                with formatter.section(title):
                    formatter.write_dl([row for row in rows if row])


def make_app(commands: dict[str, str], **options: Any) -> typer.Typer:
    """Return the app of commands, each with its summary; a command is the module of its name in this folder."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: the same text in docs and in a terminal
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST},
        **options,
    )
    for name, summary in commands.items():
        app.command(name, help=summary)(_placeholder)
    return app


def _placeholder() -> None:
    """Stand for a command that is not imported yet."""


def _loaded(name: str, *, summary: str) -> Any:
    """Import a command; its help is the summary and what its docstring adds."""
    function = import_module(f"tdbs.cli.{name.replace('-', '_')}").command
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=Command, help=f"{summary}\n\n{getdoc(function)}")(function)
    return typer.main.get_command(app)


@contextmanager
def _usage_shown() -> Iterator[None]:
    """Let the parser's errors, which it prints itself, quote options and values as they are shown."""
    try:
        yield
    except Exception as error:
        # the class differs from typer to typer; the help that a call without a command prints has lines of its own
        if hasattr(error, "format_message") and hasattr(error, "message") and "Help" not in type(error).__name__:
            error.message = shown(error.message + _file_of(error))
        raise


def _file_of(error: Any) -> str:
    """Return which file of --config has the option that an error is about; nothing if the command line has it."""
    ctx, param = getattr(error, "ctx", None), getattr(error, "param", None)
    if ctx is None or param is None:
        return ""
    source = ctx.get_parameter_source(param.name)
    return f" (in {ctx.params['config']})" if source is not None and source.name == "DEFAULT_MAP" else ""
