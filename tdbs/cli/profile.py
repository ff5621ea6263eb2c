"""`tdbs profile`: measure this device for a model."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, OverwriteOption, dataset_folder, quiet_libraries, reported
from tdbs.cli.completion import completes
from tdbs.cli.options import Chosen, one_of, with_settings
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, show
from tdbs.settings import Attention
from tdbs.train.stopping import stopped_at_once


@reported
@with_settings("model", "precision")
def command(
    dataset: DatasetArgument = None,
    attention: Annotated[
        str,
        typer.Option(
            metavar=one_of(get_args(Attention)),
            help="Attention kernel; auto times all kernels of the model.",
            autocompletion=completes(get_args(Attention)),
        ),
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory limit of the process on a CPU when searching for the largest batches (takes minutes). On "
            "CUDA the device's memory is the limit.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file. [default: profiles/<model>-<device>-<precision>.json]", show_default=False),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
) -> None:
    """Steps are timed over batch sizes, lengths and attention kernels, and the largest batches are searched.

    Random tokens in the shape of the dataset's task; takes minutes. estimate-speedup, plan, train and compare read
    the file with --profile. It also reports the framework's share of a step.

    \b
    Example:
      tdbs profile data/glue/sst2/roberta-base-128-1a2b3c4d --out a100.json
    """
    from tdbs.pipeline.dataset import load
    from tdbs.reports.terminal_times import profile_tables

    opened = load(dataset_folder(dataset))
    from tdbs.analysis.profile.measure import check_place, default_place, measure_profile, write_profile

    path = out or default_place(opened, **settings)
    check_place(path, overwrite=overwrite)
    quiet_libraries()
    with stopped_at_once(f"The profile for {path}"), spinner("profile") as advance:
        profile = measure_profile(opened, **settings, attention=attention, memory=memory, progress=advance)
    write_profile(path, profile, overwrite=overwrite)
    if as_json:
        print_json({"profile": str(path), **profile})
        return
    for part in profile_tables(profile):
        show(part)
    print_lines(str(path))
