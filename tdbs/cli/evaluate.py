"""`tdbs evaluate`: score a run's model on a split."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, RunArgument, console, print_json, quiet_libraries, reported, run_folder
from tdbs.reports.terminal import metrics_line

NAME = "evaluate"


@reported
def command(
    run: RunArgument = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Another prepared dataset. [default: the run's own]", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to score. [default: the task's validation split]", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run's model on a split, nothing dropped.

    \b
    Example:
      tdbs evaluate runs/sample/reach-seed0-20260101-120000 --split validation
    """
    folder = run_folder(run)
    quiet_libraries()
    from tdbs.pipeline.dataset import load
    from tdbs.train.evaluate import evaluate

    result = evaluate(folder, split=split, dataset=None if dataset is None else load(dataset))
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    console.print(
        f"{result.split}, {result.rows:,} rows: {metrics_line(result.metrics)} ({result.seconds:.1f} s)", markup=False
    )
