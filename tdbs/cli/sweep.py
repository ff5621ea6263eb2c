"""`tdbs sweep`: search hyperparameters on one prepared dataset."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, quiet_libraries, reported, shown_command
from tdbs.cli.options import Chosen, StrategyOption, with_settings
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, print_table
from tdbs.errors import ConfigError, require
from tdbs.files import name_in_folder
from tdbs.settings import TrainSettings, documented_fields
from tdbs.train.planning.strategies import DEFAULT_STRATEGY

SWEEPS_FOLDER = Path("runs/sweep")
_SEARCHED = ("lr", "dropout")  # options with lists of values
_COMMON = tuple(name for name in documented_fields(TrainSettings) if name not in _SEARCHED)
_LISTED = "Values to search, separated by commas."


@reported
@with_settings(*_COMMON)
def command(
    dataset: DatasetArgument = None,
    lr: Annotated[str | None, typer.Option(help=_LISTED, show_default=False)] = None,
    dropout: Annotated[str | None, typer.Option(help=_LISTED, show_default=False)] = None,
    base_batch_size: Annotated[str | None, typer.Option(help=_LISTED, show_default=False)] = None,
    space: Annotated[
        Path | None, typer.Option(help="TOML file with values or ranges of more settings.", show_default=False)
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds of each trial, from 0.", min=1)] = 1,
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
      tdbs sweep --lr 3e-5,4e-5,5e-5 --seeds 5 --out runs/sweep/rte
      tdbs sweep --space space.toml --trials 30
    """
    from tdbs.pipeline.dataset import load

    if resume and out is None:
        raise ConfigError("--resume needs the folder of the sweep.", next_step="Pass --out with it.")
    require("optuna", "sweep", "tdbs[sweep]")
    opened = load(dataset_folder(dataset))
    from tdbs.analysis.sweep.result import SweepTerms
    from tdbs.analysis.sweep.search import sweep
    from tdbs.analysis.sweep.space import listed_values, read_space
    from tdbs.reports.sweep import sweep_notes, terminal_table, write_sweep
    from tdbs.train.stopping import stop_on_signals, stopped_at_once

    lists = {"lr": lr, "dropout": dropout, "base_batch_size": base_batch_size}
    asked = {name: listed_values(name, text) for name, text in lists.items() if text is not None}
    folder = out or SWEEPS_FOLDER / f"{name_in_folder(opened.manifest.source)}-{time.strftime('%Y%m%d-%H%M%S')}"
    quiet_libraries()
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
                seeds=tuple(range(seeds)),
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
        return
    print_table(terminal_table(result))
    print_lines(*sweep_notes(result), str(page))
