"""`tdbs evaluate`: score runs' models on a split, whole or under conditions."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, quiet_libraries, reported, run_folder
from tdbs.cli.completion import complete_run, completes, strategy_names
from tdbs.cli.options import LIST, listed
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, show
from tdbs.errors import ConfigError, TrainingError
from tdbs.reports.terminal import conditions_table, duration, flips_table, metrics_line
from tdbs.train.stopping import stopped_at_once

_FLIPS_RATE = 0.3  # the paper's Table 8
_WHAT = "The evaluation of {}"


@reported
def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Folders of runs. [default: the last one]",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Another prepared dataset. [default: the run's own]", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to score. [default: the task's validation split]", show_default=False)
    ] = None,
    drop_rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LIST,
            help="Shares of droppable words to drop. [with --flips: 0.3]",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[articles|punctuation]",
            help="Take these out of the raw texts: one, or both with a comma. Repeat it for several conditions.",
            show_default=False,
            autocompletion=completes(("articles", "punctuation"), listed=True),
        ),
    ] = None,
    edits: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LIST,
            help="Edit the raw texts: files of lines with a regular expression, a tab and its replacement.",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Random draws of the dropped words.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the dropped words.")] = 0,
    time: Annotated[
        bool, typer.Option("--time", help="Time one model call for each of 64 samples, with --drop-rate.")
    ] = False,
    batches: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LIST,
            help="Score and time the split in the batches of these strategies, as large as HWCap allows.",
            show_default=False,
            autocompletion=completes(strategy_names, listed=True),
        ),
    ] = None,
    mirror: Annotated[
        Path | None,
        typer.Option(
            help="Folder to use instead of the hub, with --remove and --edits. [default: as prepared]",
            envvar="TDBS_MIRROR",
            show_default=False,
        ),
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Count predictions that flip when words are dropped.")] = False,
    max_flips: Annotated[float | None, typer.Option(help="With --flips, fail above this share of flips.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Runs are scored side by side: on whole texts, with words dropped, with articles or punctuation removed.

    \b
    Example:
      tdbs evaluate runs/sample/reach-seed0-20260101-120000 --split validation
      tdbs evaluate runs/without runs/with --drop-rate 0,0.25,0.5,0.75,1 --time
      tdbs evaluate --remove articles,punctuation
      tdbs evaluate --batches random,bucket,tdbs_paper
      tdbs evaluate --flips --drop-rate 0.3 --max-flips 0.05
    """
    rates = _shares(drop_rate)
    asks_conditions = bool(remove or edits or time or batches) or len(runs or ()) > 1
    if max_flips is not None and not (flips and 0 <= max_flips <= 1):
        raise ConfigError(
            "--max-flips is a share from 0 to 1, and goes with --flips.", next_step="Pass --flips --max-flips 0.05."
        )
    if flips and (asks_conditions or len(rates) > 1):
        raise ConfigError(
            "--flips takes one run and one --drop-rate, without --remove, --edits, --time and --batches.",
            next_step="Count flips in a separate command.",
        )
    if batches and (rates or remove or edits or time):
        raise ConfigError(
            "--batches is timed alone, without --drop-rate, --remove, --edits and --time.",
            next_step="Pass --batches alone.",
        )
    if flips or not (asks_conditions or rates):
        _one_run(
            run_folder(runs[0] if runs else None),
            dataset,
            split,
            flips_rate=(rates or [_FLIPS_RATE])[0] if flips else None,
            max_flips=max_flips,
            seed=seed,
            as_json=as_json,
        )
        return
    from tdbs.analysis.conditions.asked import Question
    from tdbs.analysis.conditions.conditions import choose_batches, choose_conditions
    from tdbs.analysis.conditions.evaluate import evaluate_runs
    from tdbs.pipeline.dataset import load

    conditions = (
        choose_batches(listed(batches, "--batches"))
        if batches
        else choose_conditions(rates, remove or (), _files(edits))
    )
    asked = Question(conditions=conditions, draws=draws, seed=seed, timed=time or bool(batches))
    folders = runs or [run_folder(None)]
    opened = None if dataset is None else load(dataset)
    quiet_libraries()
    with stopped_at_once(_WHAT.format(", ".join(map(str, folders)))), spinner("evaluate") as advance:
        found = evaluate_runs(folders, asked, split=split, dataset=opened, mirror=mirror, progress=advance)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    show(conditions_table(found))
    print_lines(f"Scores x 100 are {' and '.join(found.scored)}.")
    if len(found.scored) > 1:
        print_lines("The runs have different datasets, so their scores do not compare.")


def _files(given: list[str] | None) -> list[Path]:
    """Return the files of `--edits`; a file whose name has a comma is one file."""
    texts = given or []
    return [Path(file) for text in texts for file in ([text] if Path(text).is_file() else listed([text], "--edits"))]


def _shares(given: list[str] | None) -> list[float]:
    """Return the rates of `--drop-rate`."""
    try:
        return [float(rate) for rate in listed(given, "--drop-rate")]
    except ValueError:
        raise ConfigError(
            f"--drop-rate takes shares separated by commas, got {','.join(given or ())}.",
            next_step="Pass --drop-rate 0,0.5,1.",
        ) from None


def _one_run(
    folder: Path,
    dataset: str | None,
    split: str | None,
    *,
    flips_rate: float | None,
    max_flips: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Score one run on the whole texts, and count its flips at a rate."""
    quiet_libraries()
    from tdbs.analysis.conditions.flips import count_flips
    from tdbs.pipeline.dataset import load
    from tdbs.train.evaluate import evaluate

    opened = None if dataset is None else load(dataset)
    counted = None
    with stopped_at_once(_WHAT.format(folder)):
        result = evaluate(folder, split=split, dataset=opened)
        if flips_rate is not None:
            counted = count_flips(folder, split=split, dataset=opened, drop_rate=flips_rate, seed=seed)
    if as_json:
        found = dataclasses.asdict(result)
        print_json(found if counted is None else {**found, "flips": dataclasses.asdict(counted)})
    else:
        scores = metrics_line(result.metrics)
        print_lines(f"{result.split}, {result.rows:,} rows: {scores} ({duration(result.seconds)})")
        if counted is not None:
            show(flips_table(counted.by_word))
            print_lines(
                f"{counted.flips:,} of {counted.rows:,} predictions flip ({counted.share:.2%}) at drop rate "
                f"{counted.drop_rate:g}; {counted.changed:,} samples lost a word."
            )
    if counted is not None and max_flips is not None and counted.share > max_flips:
        raise TrainingError(
            f"{counted.share:.2%} of the predictions flip, more than {max_flips:.2%}.",
            next_step="Look at the words with most flips, and prepare again with --keep WORDS or --forbid-drop REASON.",
        )
