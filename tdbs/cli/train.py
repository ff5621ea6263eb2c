"""`tdbs train`: fine-tune a model on a prepared dataset."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tdbs.cli.common import (
    DatasetArgument,
    JsonOption,
    OverwriteOption,
    dataset_folder,
    note_latest,
    quiet_libraries,
    reported,
)
from tdbs.cli.options import (
    Chosen,
    CountryOption,
    EnergyOption,
    SeedOption,
    chosen_country,
    chosen_strategy,
    given_profile,
    with_settings,
    with_strategy_options,
)
from tdbs.cli.progress import TrainingProgress, counting
from tdbs.cli.push import HubPushOption, LicenseOption, PrivateOption, asked_push, push_after
from tdbs.cli.screen import print_json, print_lines, say
from tdbs.errors import ConfigError
from tdbs.settings import TrainSettings
from tdbs.train.stopping import stop_on_signals

if TYPE_CHECKING:
    from tdbs.train.trainer import TrainResult


@reported
@with_settings()
@with_strategy_options
def command(
    dataset: DatasetArgument = None,
    seed: SeedOption = 0,
    energy: EnergyOption = False,
    country: CountryOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run. [default: runs/<source>/<strategy>-seed<seed>-<time>]", show_default=False
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out from its newest checkpoint.")
    ] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoints; the end of an epoch adds one.", min=0.0)
    ] = 1.0,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(help="Steps between checkpoints, in addition to the minutes.", show_default=False, min=1),
    ] = None,
    keep_checkpoints: Annotated[int, typer.Option(help="Number of newest checkpoints to keep.", min=1)] = 2,
    hub_push: HubPushOption = None,
    license_id: LicenseOption = None,
    private: PrivateOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
    chosen: Chosen,
) -> None:
    """The model is trained without padding, and scored on the validation split after each epoch.

    \b
    Example:
      tdbs train data/glue/sst2/roberta-base-128-1a2b3c4d --seed 1
      tdbs train --strategy random --drop rate --drop-rate 0.3
      tdbs train --out runs/first --resume
    """
    from tdbs.cli.notes import caps_note, idle_diet_note, negatives_note, policy_note, sorted_note, windows_note
    from tdbs.pipeline.dataset import load

    if resume and out is None:
        raise ConfigError("--resume needs the folder of the run.", next_step="Pass --out with it.")
    pushed = asked_push(hub_push, license_id=license_id, private=private, of_texts=False)
    counted = chosen_country(energy, country)
    opened = load(dataset_folder(dataset))
    from tdbs.train.checkpoint import CheckpointRule
    from tdbs.train.models.load import model_to_train
    from tdbs.train.run_folder import RUNS_FOLDER
    from tdbs.train.trainer import train

    quiet_libraries()
    strategy = chosen_strategy(chosen, opened, model_to_train(settings["model"], opened.manifest))
    notes = (
        sorted_note(chosen, strategy),
        policy_note(strategy, opened),
        caps_note(strategy, opened),
        windows_note(opened, settings["memory"]),
        negatives_note([strategy], settings["loss"], opened),
        idle_diet_note(TrainSettings(**settings)),
    )
    say(*filter(None, notes))
    rule = CheckpointRule(steps=checkpoint_steps, minutes=checkpoint_minutes, keep=keep_checkpoints)
    with (
        stop_on_signals() as stop,
        counting(remaining=True, at_once=True) as steps_shown,
    ):
        shown = TrainingProgress(advance=steps_shown, epochs=settings["epochs"])
        result = train(
            opened,
            **settings,
            strategy=strategy,
            seed=seed,
            profile=given_profile(chosen["profile"]),
            energy=counted,
            out=out,
            overwrite=overwrite,
            resume=resume,
            checkpoints=rule,
            stop=stop,
            progress=shown.step,
            scored=shown.scored,
            noted=say,
        )
    note_latest(RUNS_FOLDER, Path(result.run))
    if as_json:
        print_json(dataclasses.asdict(result))
    else:
        _report(result)
    push_after(pushed, Path(result.run), overwrite=overwrite)


def _report(result: "TrainResult") -> None:
    from tdbs.reports.terminal import duration, energy_line, metrics_line

    metrics = metrics_line(result.metrics) or "no validation split"
    of_targets = f"{result.target_padding_fraction:.1%} of targets, " if result.target_padding_fraction else ""
    for halved in result.halved_caps:
        say(
            f"Memory ran out at step {halved['step']}: from then on, batches of bucket {halved['bucket']} and longer "
            f"were split into parts of {halved['cap']} samples; the updates are the same."
        )
    print_lines(
        f"{result.strategy}, seed {result.seed}: {metrics}",
        f"{result.steps:,} steps, {result.tokens:,} tokens, {result.padding_fraction:.1%} padding, {of_targets}"
        f"{duration(result.seconds['train'])} of training",
        *(() if result.energy is None else (energy_line(result.energy),)),
        result.run,
    )
