"""`tdbs score`: score the train samples of a run, and show the likeliest label errors."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, quiet_libraries, reported, run_folder, say_url
from tdbs.cli.completion import complete_run
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.train.stopping import stopped_at_once


@reported
def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Folder of a finished run. [default: the last one]",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    label_errors: Annotated[int, typer.Option(help="Number of likeliest label errors to show.")] = 10,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="The run's dataset, if it is elsewhere now. [default: the place that the run names]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Scores are of the run's own epochs: loss, EL2N, margin, area under the margin (AUM), forgetting events.

    They are written to scores.parquet in the run's folder, with the source row of each sample.

    \b
    Example:
      tdbs score runs/first
      tdbs score runs/first --label-errors 100 --json
    """
    quiet_libraries()
    from tdbs.analysis.samples.label_errors import chance_sentence
    from tdbs.analysis.samples.score import score
    from tdbs.reports.terminal import duration, label_error_table

    folder = run_folder(run)
    if dataset is not None:
        say_url(dataset)
    with stopped_at_once(f"The scoring of {folder}"):
        result = score(folder, label_errors=label_errors, dataset=dataset)
    if result.source == "model":
        epochs = ", ".join(map(str, result.missing_epochs))
        lacks = f"lacks the scores of epoch {epochs}" if epochs else "has no scores of its epochs"
        say(
            f"The run {lacks}: these are of its trained model, without AUM and forgetting events. "
            "To have them, train again."
        )
    if result.train_fit is not None and result.train_fit.near_chance:
        say(f"Warning: {chance_sentence(result.train_fit)} Train longer, or with another learning rate.")
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    if result.label_errors:
        print_lines(f"Likeliest label errors, by {result.ranked_by} (row of the source, from 1):")
        show(label_error_table(result.label_errors))
    suspected = "" if result.ranked_by is None else f", {result.suspected:,} of them with a label that may be wrong"
    say(f"{result.rows:,} samples{suspected}, {duration(result.seconds)}")
    print_lines(result.scores)
