"""`tdbs plan`: the dry run, every batch, step and rate of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tdbs.cli.common import DatasetArgument, JsonOption, OverwriteOption, dataset_folder, reported
from tdbs.cli.options import (
    OF_MEMORY,
    OF_SAMPLES,
    Chosen,
    SeedOption,
    chosen_strategy,
    given_profile,
    with_settings,
    with_strategy_options,
)
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.settings import TrainSettings


@reported
@with_settings("model", "epochs", "lr", "warmup", "lr_scheduler", "memory", *OF_MEMORY, *OF_SAMPLES, "loss")
@with_strategy_options
def command(
    dataset: DatasetArgument = None,
    seed: SeedOption = 0,
    out: Annotated[Path | None, typer.Option(help="Parquet file with one row per batch.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
    chosen: Chosen,
) -> None:
    """Nothing is trained: the plan is exactly what `tdbs train` would do.

    \b
    Example:
      tdbs plan --strategy reach --caps paper --out plan.parquet
    """
    from tdbs.analysis.speedup import plan_within
    from tdbs.cli.notes import caps_note, diet_note, negatives_note, policy_note, sorted_note, windows_note
    from tdbs.pipeline.dataset import load
    from tdbs.removal import refuse_taken
    from tdbs.reports.terminal import plan_rows, plan_summary
    from tdbs.train.objectives.negatives import check_negatives
    from tdbs.train.objectives.objective import check_objective
    from tdbs.train.planning.memory_bound import bound_note
    from tdbs.train.planning.model_choice import choose_model, shown_model
    from tdbs.train.planning.model_fit import check_fit
    from tdbs.train.planning.plan import plan_digest
    from tdbs.train.planning.profile_file import profiled_attention
    from tdbs.train.planning.rates import idle_note, learning_rates

    if out is not None:
        from tdbs.train.planning.plan_table import is_plan

        refuse_taken(out, is_plan, overwrite=overwrite)
    asked = TrainSettings(**settings)
    asked = replace(asked, attention=profiled_attention(given_profile(chosen["profile"]), asked.attention))
    opened = load(dataset_folder(dataset))
    trained = choose_model(asked.model, opened.manifest)
    strategy = chosen_strategy(chosen, opened, trained)
    check_fit(trained, opened.manifest)
    check_objective(asked, opened.manifest.task)
    check_negatives(asked, opened.manifest)
    notes = (
        trained.assumption,
        sorted_note(chosen, strategy),
        policy_note(strategy, opened),
        caps_note(strategy, opened),
        windows_note(opened, asked.memory),
        negatives_note([strategy], asked.loss, opened),
        diet_note(asked),
    )
    for note in filter(None, notes):
        say(note)
    fitted = plan_within(opened, strategy, asked, trained, seed=seed)
    if fitted.error is not None:
        raise fitted.error
    plans = fitted.plans
    base_lr = trained.rate if asked.lr is None else asked.lr
    rates_S = learning_rates(plans, strategy, base_lr=base_lr, warmup=asked.warmup, scheduler=asked.lr_scheduler)
    say(*filter(None, [bound_note(fitted, asked.memory, trained), idle_note(rates_S)]))
    rows = plan_rows(plans, fitted.peaks)
    digest = plan_digest(plans)
    if out is not None:
        from tdbs.train.planning.plan_table import plan_table, write_plan

        write_plan(out, plan_table(plans, rates_S, np.array(opened.manifest.bucket_edges)))
    if as_json:
        of_model = {"model": shown_model(trained.name), "model_type": trained.model_type}
        found = {"epochs": rows, "peak_memory_bytes": fitted.peak, "plan_digest": digest}
        print_json({"strategy": strategy.name, "seed": seed, **of_model, **found})
        return
    show(plan_summary(rows))
    print_lines(f"strategy {strategy.name}, plan digest {digest[:16]}")
    if out is not None:
        print_lines(f"one row per batch: {out}")
