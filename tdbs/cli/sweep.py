"""`tdbs sweep`: search hyperparameters on one prepared dataset."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, quiet_libraries, reported, shown_command
from tdbs.cli.options import LIST, Chosen, SeedsOption, StrategyOption, listed_seeds, with_settings
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.errors import ConfigError, require
from tdbs.files import dated_folder, name_in_folder
from tdbs.settings import TrainSettings, documented_fields
from tdbs.train.planning.strategies import DEFAULT_STRATEGY

SWEEPS_FOLDER = Path("runs/sweep")
_SEARCHED = ("lr", "dropout")  # options with lists of values
_COMMON = tuple(name for name in documented_fields(TrainSettings) if name not in _SEARCHED)


@reported
@with_settings(*_COMMON)
def command(
    dataset: DatasetArgument = None,
    lr: Annotated[
        list[str] | None,
        typer.Option(
            "--learning-rate", "--lr", metavar=LIST, help="Base learning rates to search.", show_default=False
        ),
    ] = None,
    dropout: Annotated[
        list[str] | None, typer.Option(metavar=LIST, help="Dropouts to search.", show_default=False)
    ] = None,
    base_batch_size: Annotated[
        list[str] | None,
        typer.Option(
            "--batch-size", "--base-batch-size", metavar=LIST, help="Batch sizes to search.", show_default=False
        ),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="TOML file with values or ranges of more settings.", show_default=False)
    ] = None,
    seeds: SeedsOption = None,
    trials: Annotated[int, typer.Option(help="Number of trials for ranges; a grid is searched whole.", min=1)] = 20,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Stop trials with hopeless scores.")] = True,
    strategy: StrategyOption = DEFAULT_STRATEGY,
    storage: Annotated[
        str | None,
        typer.Option(help="URL of Optuna's storage, for several workers. [default: a file]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep. [default: runs/sweep/<source>-<time>]", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the sweep in --out.")] = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
) -> None:
    """Each combination is a trial, trained with every seed.

    Lists are searched whole; ranges of a TOML file by TPE. The models of the best trial are kept.

    \b
    Example:
      tdbs sweep --lr 3e-5,4e-5,5e-5 --seeds 0,1,2 --out runs/sweep/rte
      tdbs sweep --space space.toml --trials 30
    """
    from tdbs.pipeline.dataset import load

    if resume and out is None:
        raise ConfigError("--resume needs the folder of the sweep.", next_step="Pass --out with it.")
    require("optuna", "sweep", "tdbs[sweep]")
    opened = load(dataset_folder(dataset))
    from tdbs.analysis.sweep.result import SweepTerms, refuse_without_scores
    from tdbs.analysis.sweep.search import RUNS_FOLDER, sweep
    from tdbs.analysis.sweep.space import listed_values, read_space
    from tdbs.cli.notes import idle_diet_note
    from tdbs.reports.sweep import sweep_notes, terminal_table, write_sweep
    from tdbs.train.stopping import stop_on_signals, stopped_at_once

    chosen_seeds = listed_seeds(seeds)
    if len(chosen_seeds) == 1 and chosen_seeds[0] > 1:  # in earlier checkouts this was their number
        say(f"Each trial is trained once, with seed {chosen_seeds[0]}. For several, pass --seeds 0,1,2.")
    lists = {"lr": lr, "dropout": dropout, "base_batch_size": base_batch_size}
    asked = {name: listed_values(name, ",".join(given)) for name, given in lists.items() if given}
    folder = out or dated_folder(SWEEPS_FOLDER, name_in_folder(opened.manifest.source))
    quiet_libraries()
    say(*filter(None, [idle_diet_note(TrainSettings(**settings))]))
    how_to_resume = f"Run the same command with --resume --out {folder} to continue."
    with (
        stopped_at_once(f"The sweep in {folder}", next_step=how_to_resume),  # at a second signal
        stop_on_signals() as stop,
        spinner("sweep") as advance,
    ):
        result = sweep(
            opened,
            {**({} if space is None else read_space(space)), **asked},
            SweepTerms(
                seeds=chosen_seeds,
                strategy=strategy,
                trials=trials,
                prune=prune,
                **settings,
            ),
            out=folder,
            storage=storage,
            resume=resume,
            stop=stop,
            progress=advance,
        )
    page = write_sweep(folder, result, command=shown_command())
    if as_json:
        print_json({"sweep": str(folder), "report": str(page), **dataclasses.asdict(result)})
    else:
        show(terminal_table(result))
        print_lines(*sweep_notes(result, runs=str(folder / RUNS_FOLDER)), str(page))
    refuse_without_scores(result)
