"""`tdbs models`: what runs for each model type, or for one model."""

from dataclasses import asdict
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, reported
from tdbs.cli.screen import print_json, print_lines, show


@reported
def command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="Folder, hub name or model type. [default: every type]", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """One model is judged by its config.json.

    \b
    Example:
      tdbs models
      tdbs models microsoft/deberta-v3-small --json
    """
    from tdbs.reports.support import support_notes, support_table
    from tdbs.train.planning.model_choice import shown_model
    from tdbs.train.planning.support import all_support, find_support

    found = all_support() if model is None else (find_support(model),)
    if as_json:
        print_json({"model": model and shown_model(model), "models": [asdict(each) for each in found]})
        return
    show(support_table(found))
    print_lines(*support_notes(found))
