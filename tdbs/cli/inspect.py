"""`tdbs inspect`: look into a prepared dataset."""

import dataclasses
from functools import partial
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, reported
from tdbs.cli.completion import completes, strategy_names
from tdbs.cli.options import AllowDropOption, Chosen, with_settings
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.errors import at_least
from tdbs.pipeline.lengths import PAPER_PERCENT
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, resolve_strategy

_BUCKETS = "bucket"  # without a strategy, whose edges to choose
_SHOWN_DROP = "reach"  # the default strategy drops nothing


@reported
@with_settings("model")
def command(
    dataset: DatasetArgument = None,
    split: Annotated[str, typer.Option(help="Split to inspect.")] = "train",
    samples: Annotated[int, typer.Option(help="Number of samples to show.")] = 5,
    bucket_width: Annotated[
        str | None,
        typer.Option(
            help="Lengths per bucket, or auto: as training has it. [default: as prepared]", show_default=False
        ),
    ] = None,
    percent: Annotated[float, typer.Option(help="K of L_K.")] = PAPER_PERCENT,
    drop: Annotated[bool, typer.Option("--drop", help="Show samples before and after TokenDrop.")] = False,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Strategy whose updates and TokenDrop to show. [default: the one that would train; reach for --drop]",
            show_default=False,
            autocompletion=completes(strategy_names),
        ),
    ] = None,
    epoch: Annotated[int, typer.Option(help="Epoch to show, from 0.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the shown samples, TokenDrop and updates.")] = 0,
    allow_drop: AllowDropOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
) -> None:
    """Lengths are shown by bucket, with whether labels depend on them; samples with their [droppable] words marked.

    With --drop: the same samples before and after TokenDrop, as an epoch of training sees them.

    \b
    Example:
      tdbs inspect data/sample/sample_tokenizer-128-1a2b3c4d --samples 3
      tdbs inspect --bucket-width auto --samples 0
      tdbs inspect --drop --strategy reach --epoch 1 --seed 3
    """
    from tdbs.analysis.bucket_edges import edges_to_show
    from tdbs.analysis.label_length import label_length
    from tdbs.analysis.statistics import split_statistics
    from tdbs.analysis.text_columns import text_columns
    from tdbs.cli.notes import policy_note
    from tdbs.pipeline.dataset import load, read_split
    from tdbs.reports.left_out import duplicates_json, left_out_lines
    from tdbs.reports.samples import show_drops, show_samples
    from tdbs.reports.terminal import (
        drop_lines,
        edges_lines,
        label_lines,
        length_histogram,
        sample_lines,
        split_table,
        target_lines,
    )
    from tdbs.reports.text_columns import columns_table
    from tdbs.train.feed import TRAIN
    from tdbs.train.planning.model_choice import choose_model

    at_least("--epoch", epoch, 0)
    at_least("--samples", samples, 0)
    opened = load(dataset_folder(dataset))
    manifest = opened.manifest
    read = read_split(opened, split)
    info = manifest.splits[split]
    found = split_statistics(info, percent=percent)
    columns = text_columns(read, manifest.task, most=manifest.longest_input)
    shown = show_samples(opened, read, samples, seed=seed)
    trained = choose_model(settings["model"], manifest)
    of_task = partial(resolve_strategy, task=manifest.task, allow_drop=allow_drop, in_rows=trained.in_rows)
    resolved, dropping = of_task(strategy or DEFAULT_STRATEGY), of_task(strategy or _SHOWN_DROP)
    edges, predicted = edges_to_show(manifest, split, bucket_width, partial(of_task, strategy or _BUCKETS), epoch=epoch)
    labels = label_length(opened, read, resolved, seed=seed, epoch=epoch) if split == TRAIN else None
    of_drops = policy_note(dropping, opened) if drop else None
    say(*filter(None, [None if labels is None else trained.assumption, of_drops]))
    drops = show_drops(opened, read, dropping, samples, seed=seed, epoch=epoch) if drop else []
    if as_json:
        print_json(
            {
                "path": str(opened.path),
                "split": split,
                "statistics": {**found.record(), "percent": percent},
                "columns": [dataclasses.asdict(column) for column in columns],
                "bucket_edges": edges.tolist(),
                "predicted_edges": None if predicted is None else dataclasses.asdict(predicted),
                "length_histogram": list(info.length_histogram),
                "droppable_histogram": list(info.droppable_histogram),
                "label_length": None
                if labels is None
                else {"strategy": resolved.name, **dataclasses.asdict(labels), "is_risky": labels.is_risky},
                "duplicates": duplicates_json(manifest.duplicates),
                "samples": [dataclasses.asdict(sample) for sample in shown],
                "drops": [dataclasses.asdict(found) for found in drops],
            }
        )
        return
    print_lines(f"{opened.path}: {split}, lengths in tokens of {manifest.tokenizer.name}", "")
    show(length_histogram(info.lengths_L1, edges))
    if predicted is not None:
        print_lines("", *edges_lines(edges, predicted, epoch=epoch))
    print_lines("")
    statistics = {name: split_statistics(each) for name, each in manifest.splits.items()}
    show(split_table(statistics))
    if columns:
        print_lines("")
        show(columns_table(columns))
    print_lines(*target_lines(statistics), *left_out_lines(opened.path, manifest.duplicates))
    if percent != PAPER_PERCENT:
        print_lines(
            f"L_{percent:g} = {found.percentile_length}, estimated padding {found.padding_fraction_estimate:.1%}"
        )
    if labels is not None:
        print_lines(*label_lines(labels, resolved))
    for line in drop_lines(drops) if drop else sample_lines(shown):
        show(line)
