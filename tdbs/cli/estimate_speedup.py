"""`tdbs estimate-speedup`: what each strategy costs, before training."""

import dataclasses
from typing import Annotated

import typer

from tdbs.analysis.speedup import BASELINE, estimate_speedup
from tdbs.cli.common import DatasetArgument, JsonOption, MemoryOption, console, dataset_folder, print_json, reported
from tdbs.cli.options import (
    AllowDropOption,
    BaseBatchOption,
    CapsOption,
    EpochsOption,
    SeedOption,
    policy_note,
    windows_note,
)
from tdbs.pipeline.dataset import load
from tdbs.pipeline.memory import DEFAULT_MEMORY
from tdbs.reports.terminal import estimate_table, target_notes
from tdbs.train.defaults import DEFAULT_EPOCHS
from tdbs.train.strategies import STRATEGIES, resolve_strategy

NAME = "estimate-speedup"


@reported
def command(
    dataset: DatasetArgument = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="A strategy; may be given several times. [default: all]", show_default=False),
    ] = None,
    baseline: Annotated[str, typer.Option(help="Strategy that speedups are over.")] = BASELINE,
    epochs: EpochsOption = DEFAULT_EPOCHS,
    seed: SeedOption = 0,
    base_batch_size: BaseBatchOption = None,
    caps: CapsOption = None,
    allow_drop: AllowDropOption = False,
    memory: MemoryOption = DEFAULT_MEMORY,
    as_json: JsonOption = False,
) -> None:
    """Tell what padding costs and how much faster each strategy is, by tokens, from the trainer's own plans.

    \b
    Example:
      tdbs estimate-speedup data/glue/sst2/roberta-base-128-1a2b3c4d --strategy random --strategy reach
    """
    opened = load(dataset_folder(dataset))
    task = opened.manifest.task
    parts = {"base_batch_size": base_batch_size, "caps": caps}
    chosen = [resolve_strategy(name, task, parts, allow_drop=allow_drop) for name in strategy or STRATEGIES]
    base = resolve_strategy(baseline, task, parts, allow_drop=allow_drop)
    estimates = estimate_speedup(opened, chosen, baseline=base, seed=seed, epochs=epochs, memory=memory)
    if as_json:
        print_json({"baseline": base.name, "strategies": [dataclasses.asdict(estimate) for estimate in estimates]})
        return
    for note in filter(None, (*(policy_note(each, opened) for each in chosen), windows_note(opened, memory))):
        console.print(note, markup=False)
    console.print(estimate_table(estimates, base.name))
    for line in target_notes(estimates):
        console.print(line, markup=False)
    console.print("The speedup is by tokens, pad included: what the linear layers see. Seconds need a device profile.")
