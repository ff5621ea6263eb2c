"""`tdbs estimate-speedup`: what each strategy costs, before training."""

import dataclasses
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, reported
from tdbs.cli.options import (
    OF_MEMORY,
    OF_SAMPLES,
    AllowDropOption,
    Chosen,
    ProfileOption,
    SeedOption,
    StrategiesOption,
    given_profile,
    listed,
    strategies_to_compare,
    with_parts,
    with_settings,
)
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.errors import ConfigError
from tdbs.settings import TrainSettings
from tdbs.train.planning.caps import has_cuda
from tdbs.train.planning.runnable import left_out
from tdbs.train.planning.strategies import BASELINE, DEFAULT_STRATEGY, resolve_strategy


@reported
@with_settings("model", "epochs", "memory", *OF_MEMORY, *OF_SAMPLES, "loss")
@with_parts("base_batch_size", "caps")
def command(
    dataset: DatasetArgument = None,
    strategy: StrategiesOption = None,
    baseline: Annotated[str, typer.Option(help="Baseline of the speedups.")] = BASELINE,
    seed: SeedOption = 0,
    profile: ProfileOption = None,
    runs: Annotated[int, typer.Option(help="Training runs that share one prepared dataset.")] = 1,
    allow_drop: AllowDropOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
    parts: Chosen,
) -> None:
    """The trainer's own plans are counted. With a device profile the result is in seconds, with an error range;
    without one it is in tokens.

    \b
    Example:
      tdbs estimate-speedup data/glue/sst2/roberta-base-128-1a2b3c4d
      tdbs estimate-speedup --strategy random,reach
      tdbs estimate-speedup --profile a100.json --runs 15
    """
    from tdbs.analysis.speedup import estimate_speedup
    from tdbs.analysis.text_columns import padding_by_column
    from tdbs.analysis.worth import saving_of, saving_sentence
    from tdbs.cli.notes import diet_note, negatives_note, policy_note, profile_note, untimed_note, windows_note
    from tdbs.pipeline.dataset import load
    from tdbs.reports.terminal_times import estimate_notes, estimate_table, memory_notes, target_notes
    from tdbs.reports.text_columns import by_column_line
    from tdbs.train.feed import TRAIN
    from tdbs.train.planning.memory_bound import unbounded_note
    from tdbs.train.planning.model_choice import choose_model, shown_model

    opened = load(dataset_folder(dataset))
    task = opened.manifest.task
    asked = TrainSettings(**settings)
    known = given_profile(profile)
    if runs > 1 and known is None:
        raise ConfigError(
            "--runs only affects seconds, which need a profile.",
            next_step="Pass --profile FILE; tdbs profile writes one.",
        )
    trained = choose_model(asked.model, opened.manifest)
    names, missing = strategies_to_compare(listed(strategy, "--strategy"), opened, trained)
    base, plain, default, *chosen = (
        resolve_strategy(name, task, parts, allow_drop=allow_drop, profile=known, in_rows=trained.in_rows)
        for name in (baseline, BASELINE, DEFAULT_STRATEGY, *names)
    )
    policies = (policy_note(each, opened) for each in chosen)
    of_profile = profile_note(known, trained), untimed_note(known, asked)
    of_memory = unbounded_note(asked.memory, trained), windows_note(opened, asked.memory)
    of_samples = negatives_note(chosen, asked.loss, opened) if strategy else None
    notes = (trained.assumption, missing, *of_profile, *policies, *of_memory, of_samples, diet_note(asked))
    for note in filter(None, notes):
        say(note)
    planned = (*chosen, *(each for each in (plain, default) if each not in chosen))
    found = estimate_speedup(
        opened,
        planned,
        baseline=base,
        model=asked.model,
        seed=seed,
        epochs=asked.epochs,
        memory=asked.memory,
        profile=known,
        attention=None if asked.attention == "auto" else asked.attention,
        dropout=asked.dropout,
        precision=asked.precision,
        checkpoint_activations=asked.checkpoint_activations,
        lora=asked.lora,
        freeze_layers=asked.freeze_layers,
        keep_samples=asked.keep_samples,
        data_diet=asked.data_diet,
        loss=asked.loss,
        runs=runs,
    )
    estimates, by_name = found[: len(chosen)], {estimate.strategy: estimate for estimate in found}
    saving = saving_of(
        by_name[default.name],
        by_name[plain.name],
        width=None if trained.size is None else trained.size.hidden,
        is_mapped=task.kind != "seq2seq" and not has_cuda(),
    )
    by_column = padding_by_column(opened, TRAIN, batch_size=plain.base_batch_size)
    prepare = opened.manifest.seconds.get("total", 0.0)
    kernel = str(known.settings.get("attention")) if known and asked.attention == "auto" else asked.attention
    if as_json:
        rows = [dataclasses.asdict(estimate) for estimate in estimates]
        of_model = {"model": shown_model(trained.name), "model_type": trained.model_type}
        without = {"left_out": list(left_out(task, in_rows=trained.in_rows))}
        common = {"baseline": base.name, **of_model, **without, "prepare_seconds": prepare, "runs": runs}
        of_default = {"saving": {**dataclasses.asdict(saving), "sentence": saving_sentence(saving)}}
        print_json({**common, "strategies": rows, **of_default, "padding_by_column": by_column})
        return
    show(estimate_table(estimates, base.name, runs=runs))
    print_lines(saving_sentence(saving))
    if by_column is not None:
        print_lines(by_column_line(by_column))
    print_lines(*memory_notes(estimates, asked.memory), *target_notes(estimates))
    print_lines(*estimate_notes(estimates, known, kernel, prepare=prepare, runs=runs))
