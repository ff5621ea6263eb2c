"""`tdbs compare`: strategies and seeds on one prepared dataset, on equal terms."""

from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, quiet_libraries, reported
from tdbs.cli.options import (
    Chosen,
    CountryOption,
    EnergyOption,
    ProfileOption,
    SeedsOption,
    StrategiesOption,
    chosen_country,
    given_profile,
    listed,
    listed_seeds,
    strategies_to_compare,
    with_parts,
    with_settings,
)
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.settings import TrainSettings
from tdbs.train.planning.strategies import BASELINE, resolve_strategy, resolved_name
from tdbs.train.stopping import stopped_at_once


@reported
@with_settings()
@with_parts("base_batch_size", "caps")
def command(
    dataset: DatasetArgument = None,
    strategy: StrategiesOption = None,
    seeds: SeedsOption = None,
    baseline: Annotated[str, typer.Option(help="Baseline of the speedups.")] = BASELINE,
    steps: Annotated[
        int | None,
        typer.Option(help="Time this many steps of each strategy instead of whole runs.", show_default=False, min=1),
    ] = None,
    profile: ProfileOption = None,
    energy: EnergyOption = False,
    country: CountryOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the comparison. [default: runs/compare/<source>-<time>]", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the comparison in --out.")] = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
    parts: Chosen,
) -> None:
    """Each strategy is trained with each seed; with --steps a part of it is timed. A profile adds the prediction.

    \b
    Example:
      tdbs compare --strategy random,reach --seeds 1,2,3
      tdbs compare --steps 30 --profile a100.json
    """
    from tdbs.cli.notes import idle_diet_note, negatives_note, policy_note, profile_note, untimed_note, windows_note
    from tdbs.pipeline.dataset import load
    from tdbs.reports.terminal_times import compare_notes, compare_table
    from tdbs.train.planning.memory_bound import unbounded_note

    counted = chosen_country(energy, country)
    opened = load(dataset_folder(dataset))
    task = opened.manifest.task
    known = given_profile(profile)
    from tdbs.analysis.compare.arguments import check_resumed, default_folder
    from tdbs.analysis.compare.compare import compare
    from tdbs.train.models.load import model_to_train

    check_resumed(out, resume=resume)
    quiet_libraries()
    trained = model_to_train(settings["model"], opened.manifest)
    named, missing = strategies_to_compare(listed(strategy, "--strategy"), opened, trained)
    names = dict.fromkeys(resolved_name(name, task, in_rows=trained.in_rows) for name in [baseline, *named])
    chosen = [resolve_strategy(name, task, parts, profile=known, in_rows=trained.in_rows) for name in names]
    asked = TrainSettings(**settings)
    of_profile = profile_note(known, trained), untimed_note(known, asked)
    of_memory = unbounded_note(asked.memory, trained), windows_note(opened, asked.memory)
    of_strategies = (policy_note(each, opened) for each in chosen)
    of_samples = negatives_note(chosen, asked.loss, opened), idle_diet_note(asked)
    say(*filter(None, (missing, *of_profile, *of_strategies, *of_memory, *of_samples)))
    folder = out or default_folder(opened.manifest.source)
    if out is None:  # a comparison takes long: a user who stops it needs its folder
        say(f"comparison {folder}", style="dim")
    how_to_resume = f"Run the same command with --resume --out {folder} to continue."
    with stopped_at_once(f"The comparison in {folder}", next_step=how_to_resume), spinner("compare") as advance:
        result = compare(
            opened,
            chosen,
            out=folder,
            seeds=listed_seeds(seeds),
            baseline=chosen[0].name,
            **settings,
            profile=known,
            part_steps=steps,
            energy=counted,
            resume=resume,
            progress=advance,
        )
    if as_json:
        print_json(result)
        return
    show(compare_table(result))
    print_lines(*compare_notes(result), str(folder))
