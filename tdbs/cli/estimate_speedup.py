"""`tdbs estimate-speedup`: what each strategy costs, before training."""

import dataclasses
from typing import Annotated

import typer

from tdbs.analysis.speedup import BASELINE, estimate_speedup
from tdbs.cli.common import DatasetArgument, JsonOption, MemoryOption, dataset_folder, reported
from tdbs.cli.options import (
    AllowDropOption,
    AttentionOption,
    BaseBatchOption,
    CapsOption,
    DropoutOption,
    EpochsOption,
    ModelOption,
    ProfileOption,
    SeedOption,
    given_profile,
    policy_note,
    profile_note,
    strategies_to_compare,
    windows_note,
)
from tdbs.cli.screen import print_json, print_table, say
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import load
from tdbs.reports.terminal_times import estimate_notes, estimate_table, target_notes
from tdbs.settings import DEFAULT_EPOCHS, DEFAULT_MEMORY
from tdbs.train.planning.model_choice import choose_model, shown_model
from tdbs.train.planning.strategies import left_out, resolve_strategy

NAME = "estimate-speedup"


@reported
def command(
    dataset: DatasetArgument = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="Strategy; repeat for several. [default: all]", show_default=False),
    ] = None,
    baseline: Annotated[str, typer.Option(help="Baseline of the speedups.")] = BASELINE,
    model: ModelOption = None,
    epochs: EpochsOption = DEFAULT_EPOCHS,
    seed: SeedOption = 0,
    base_batch_size: BaseBatchOption = None,
    caps: CapsOption = None,
    profile: ProfileOption = None,
    attention: AttentionOption = "auto",
    dropout: DropoutOption = None,
    runs: Annotated[int, typer.Option(help="Training runs that share one prepared dataset.")] = 1,
    allow_drop: AllowDropOption = False,
    memory: MemoryOption = DEFAULT_MEMORY,
    as_json: JsonOption = False,
) -> None:
    """Predict how long a run takes and how much faster each strategy is, from the trainer's own plans.

    With a device profile the result is in seconds, with an error range; without one it is in tokens.

    \b
    Example:
      tdbs estimate-speedup data/glue/sst2/roberta-base-128-1a2b3c4d --strategy random --strategy reach
      tdbs estimate-speedup --profile a100.json --runs 15
    """
    opened = load(dataset_folder(dataset))
    task = opened.manifest.task
    parts = {"base_batch_size": base_batch_size, "caps": caps}
    known = given_profile(profile)
    of_seconds = {"--attention": attention != "auto", "--dropout": dropout is not None, "--runs": runs > 1}
    without_effect = [name for name, is_given in of_seconds.items() if is_given and known is None]
    if without_effect:
        raise ConfigError(
            f"{without_effect[0]} only affects seconds, which need a profile.",
            next_step="Pass --profile FILE; tdbs profile writes one.",
        )
    trained = choose_model(model, opened.manifest)
    names, missing = strategies_to_compare(strategy, opened, trained)
    base, *chosen = (
        resolve_strategy(name, task, parts, allow_drop=allow_drop, profile=known, in_rows=trained.in_rows)
        for name in (baseline, *names)
    )
    policies = (policy_note(each, opened) for each in chosen)
    notes = (trained.assumption, missing, profile_note(known, trained), *policies, windows_note(opened, memory))
    for note in filter(None, notes):
        say(note)
    estimates = estimate_speedup(
        opened,
        chosen,
        baseline=base,
        model=model,
        seed=seed,
        epochs=epochs,
        memory=memory,
        profile=known,
        attention=None if attention == "auto" else attention,
        dropout=dropout,
        runs=runs,
    )
    prepare = opened.manifest.seconds.get("total", 0.0)
    kernel = str(known.settings.get("attention")) if known and attention == "auto" else attention
    if as_json:
        rows = [dataclasses.asdict(estimate) for estimate in estimates]
        of_model = {"model": shown_model(trained.name), "model_type": trained.model_type}
        without = {"left_out": list(left_out(in_rows=trained.in_rows))}
        common = {"baseline": base.name, **of_model, **without, "prepare_seconds": prepare, "runs": runs}
        print_json({**common, "strategies": rows})
        return
    print_table(estimate_table(estimates, base.name, runs=runs))
    say(*target_notes(estimates), *estimate_notes(estimates, known, kernel, prepare=prepare, runs=runs))
