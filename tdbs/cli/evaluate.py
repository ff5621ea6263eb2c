"""`tdbs evaluate`: score a run's model on a split."""

import dataclasses
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, RunArgument, console, print_json, quiet_libraries, reported, run_folder
from tdbs.errors import ConfigError, TrainingError
from tdbs.reports.terminal import duration, flips_table, metrics_line

NAME = "evaluate"


@reported
def command(
    run: RunArgument = None,
    dataset: Annotated[
        str | None, typer.Option(help="Another prepared dataset. [default: the run's own]", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to score. [default: the task's validation split]", show_default=False)
    ] = None,
    flips: Annotated[
        bool, typer.Option("--flips", help="Count predictions that differ once words are dropped.")
    ] = False,
    drop_rate: Annotated[float, typer.Option(help="Share of the droppable words that go, with --flips.")] = 0.3,
    max_flips: Annotated[
        float | None, typer.Option(help="Share of flips above which the command fails, with --flips.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the dropped words, with --flips.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Score a run's model on a split, nothing dropped; with --flips, tell whether TokenDrop turns predictions round.

    \b
    Example:
      tdbs evaluate runs/sample/reach-seed0-20260101-120000 --split validation
      tdbs evaluate --flips --drop-rate 0.3 --max-flips 0.05
    """
    if max_flips is not None and not (flips and 0 <= max_flips <= 1):
        raise ConfigError(
            "--max-flips is a share from 0 to 1, and goes with --flips.", next_step="Pass --flips --max-flips 0.05."
        )
    folder = run_folder(run)
    quiet_libraries()
    from tdbs.analysis.flips import count_flips
    from tdbs.pipeline.dataset import load
    from tdbs.train.evaluate import evaluate

    opened = None if dataset is None else load(dataset)
    result = evaluate(folder, split=split, dataset=opened)
    counted = count_flips(folder, split=split, dataset=opened, drop_rate=drop_rate, seed=seed) if flips else None
    if as_json:
        found = dataclasses.asdict(result)
        print_json(found if counted is None else {**found, "flips": dataclasses.asdict(counted)})
    else:
        scores = metrics_line(result.metrics)
        console.print(f"{result.split}, {result.rows:,} rows: {scores} ({duration(result.seconds)})", markup=False)
        if counted is not None:
            console.print(flips_table(counted.by_word))
            console.print(
                f"{counted.flips:,} of {counted.rows:,} predictions flip ({counted.share:.2%}) at drop rate "
                f"{counted.drop_rate:g}; {counted.changed:,} samples lost a word.",
                markup=False,
            )
    if counted is not None and max_flips is not None and counted.share > max_flips:
        raise TrainingError(
            f"{counted.share:.2%} of the predictions flip, more than {max_flips:.2%}.",
            next_step="Look at the words with most flips, and prepare again with --keep WORDS or --forbid-drop REASON.",
        )
