"""Write the generated parts of the documentation anew: `make docs`.

A generated part stands between `<!-- name -->` and `<!-- /name -->`; all other text is written by hand. The columns of
a shard come from tdbs/pipeline/schema.py, the models from tdbs/model_families.py, the help texts from the command line
itself, 80 columns wide, and the arguments of functions from the records that they take.
tests/docs/test_docs.py fails where a part is stale.
"""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import typer.main
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.data.tasks import GROUPED_KINDS, Columns, Task, TaskKind
from tdbs.pipeline.schema import Column, columns
from tdbs.reports.support import HEAD, support_row
from tdbs.settings import documented_fields
from tdbs.train.planning.support import all_support

FOLDER = Path(__file__).parent
GENERATED = (FOLDER / "format.md", FOLDER / "models.md", FOLDER / "cli.md", FOLDER / "api.md")
_HELP_WIDTH = 78  # click leaves two of the 80 columns free
_PART = re.compile(r"<!-- (?P<name>columns|models|(?:help|arguments) [\w-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def commands() -> list[str]:
    """Return the names of all commands, in the order of `tdbs --help`."""
    return list(typer.main.get_command(app).commands)


def parts() -> dict[str, str]:
    """Return every generated part by its name."""
    found = {"columns": columns_table(), "models": models_table(), "help tdbs": help_text([])}
    found |= {f"arguments {name}": arguments_list(record) for name, record in records().items()}
    return found | {f"help {name}": help_text([name]) for name in commands()}


def columns_table() -> str:
    """Return the columns of a shard as a Markdown table; asking for all kinds of tasks tells which have a column."""
    found: dict[Column, str] = {}
    for where, task, labelled in _asked():
        found |= dict.fromkeys(columns(task, labelled=labelled), where)
    rows = [f"| `{column.name}` | `{column.type}` | {where} | {column.meaning} |" for column, where in found.items()]
    return "\n".join(["| column | type | in | holds |", "|---|---|---|---|", *rows])


def models_table() -> str:
    """Return what runs for each model type as a Markdown table, with the reason of each exception."""
    rows = []
    for found in all_support():
        name, *cells, unless = support_row(found)
        exception = ": ".join(filter(None, (unless, found.reason)))
        rows.append(" | ".join([f"| `{name}`" if found.model_type else f"| {name}", *cells, f"{exception} |"]))
    return "\n".join([f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *rows])


def records() -> dict[str, Callable[..., Any]]:
    """Return the record of each function whose arguments are the fields of one."""
    from tdbs.analysis.compare.compare import CompareArguments  # they import torch
    from tdbs.pipeline.prepare import PrepareArguments
    from tdbs.train.arguments import TrainArguments

    return {"prepare": PrepareArguments, "train": TrainArguments, "compare": CompareArguments}


def arguments_list(record: Callable[..., Any]) -> str:
    """Return the fields of a record as a Markdown list: what a function that takes it may be called with."""
    lines = []
    for name, (parameter, option) in documented_fields(record).items():
        names = ", also ".join(f"`{each}`" for each in (name, option.alias) if each)
        choices = f" One of {', '.join(option.choices)}." if option.choices else ""
        is_plain = parameter.default is None or isinstance(parameter.default, str | int | float | tuple)
        default = option.default or (f"`{parameter.default!r}`" if is_plain else "")
        said = html.escape(option.help, quote=False) + choices
        lines.append(f"- {names}: {said}" + (f" Default: {html.escape(default, quote=False)}." if default else ""))
    return "\n".join(lines)


def _asked() -> list[tuple[str, Task, bool]]:
    """Return tasks whose columns make up all there are, from rare to common: what is always there ends as "all"."""
    several = Task(name="", kind="regression", columns=Columns(text="text", labels=("a", "b")))
    asked = [("labelled, regression with several targets", several, True)]
    for kind in get_args(TaskKind):
        pair = "context" if kind in ("question_answering", *GROUPED_KINDS) else None
        task = Task(name="", kind=kind, columns=Columns(text="text", pair=pair))
        named = kind.replace("_", " ")
        asked += [(f"labelled, {named}", task, True), (named, task, False)]
    both = Task(name="", kind="embedding", columns=Columns(text="query", pair="positive", labels=()))
    asked.append((", ".join(GROUPED_KINDS), both, False))
    plain = Task(name="", kind="classification", columns=Columns(text="text"))
    return [*asked, ("pairs", replace(plain, columns=Columns(text="text", pair="pair")), False), ("all", plain, False)]


def help_text(command: list[str]) -> str:
    """Return what `tdbs COMMAND --help` prints in a terminal of 80 columns."""
    options = {"prog_name": "tdbs", "terminal_width": _HELP_WIDTH, "catch_exceptions": False}
    printed = CliRunner().invoke(app, [*command, "--help"], **options).stdout
    return "\n".join(["```text", *(line.rstrip() for line in printed.rstrip().splitlines()), "```"])


def with_parts(text: str, generated: dict[str, str]) -> str:
    """Return a page with its generated parts replaced."""
    return _PART.sub(lambda part: f"<!-- {part['name']} -->\n{generated[part['name']]}\n<!-- /{part['name']} -->", text)


def main() -> None:
    """Write all generated parts."""
    generated = parts()
    for page in GENERATED:
        page.write_text(with_parts(page.read_text(encoding="utf-8"), generated), encoding="utf-8")


if __name__ == "__main__":
    main()
