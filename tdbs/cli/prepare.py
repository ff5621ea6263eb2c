"""`tdbs prepare`: make a prepared dataset."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TimeElapsedColumn

from tdbs.analysis.statistics import split_statistics
from tdbs.cli.common import JsonOption, OverwriteOption, note_latest, reported
from tdbs.cli.screen import print_json, progress_bars, say, show
from tdbs.pipeline.make_shards import Stage
from tdbs.pipeline.prepare import DATA_FOLDER, DEFAULT_TOKENIZER, PrepareResult, prepare
from tdbs.reports.terminal import duration, split_table, target_lines
from tdbs.settings import DEFAULT_MEMORY

NAME = "prepare"


@reported
def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="sample, glue/<task>, squad, xsum, cnn_dailymail, or a CSV, TSV, JSONL or Parquet file, or a folder "
            "of splits.",
        ),
    ] = "sample",
    mirror: Annotated[
        str | None,
        typer.Option(
            envvar="TDBS_MIRROR", metavar="PATH", help="Folder with <short name>/<split>.parquet, instead of the hub."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help=f"Hub name or folder. [default: {DEFAULT_TOKENIZER}; summaries t5-small; the sample has its own]",
            show_default=False,
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of a sample, special tokens included. [default: 128; answers 384, texts 512]",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Column of the text, the words or the question. [default: text, else sentence]", show_default=False
        ),
    ] = None,
    pair: Annotated[str | None, typer.Option(help="Column of the second text, or of the context.")] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Column of the label or of answers; several separated by commas. [default: label]", show_default=False
        ),
    ] = None,
    label_type: Annotated[str, typer.Option(help="auto, class or regression.")] = "auto",
    target: Annotated[str | None, typer.Option(help="Column of the text to write (sequence to sequence).")] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Text before every source (sequence to sequence): 'summarize: '.")
    ] = None,
    max_target_length: Annotated[
        int | None, typer.Option(help="Most tokens of a target. [default: 128]", show_default=False)
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens shared by two windows of a context. [default: a third of the maximum]", show_default=False
        ),
    ] = None,
    stopwords: Annotated[
        str, typer.Option(help="Words that may be dropped: paper, nltk:<language>, a file, or none.")
    ] = "paper",
    keep: Annotated[
        str | None, typer.Option(help="Words never to drop, separated by commas; or the groups pronouns and negation.")
    ] = None,
    forbid_drop: Annotated[
        str | None, typer.Option(help="Forbid TokenDrop on this dataset, and give the reason.")
    ] = None,
    validation: Annotated[str | None, typer.Option(help="Validation file, or share of rows to hold out (0.1).")] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Folder of the dataset. [default: data/<source>/<tokenizer>-<max length>-<key>]",
            show_default=False,
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    memory: Annotated[str, typer.Option(help="Memory limit of prepare: 2GiB, 768MiB.")] = DEFAULT_MEMORY,
    engine: Annotated[str, typer.Option(help="Where the work runs: local, or ray (many machines).")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster. [default: started on this machine]", show_default=False)
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(
            help="Folder for unfinished work that all machines can reach. [default: beside the dataset]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare a dataset once: tokenize, mark droppable words, measure lengths, write bucket shards.

    The same contents prepared again are found and left as they are.

    \b
    Example:
      tdbs prepare glue/sst2 --mirror ~/data --tokenizer roberta-base
      tdbs prepare reviews.csv --text review --label stars --validation 0.1
      tdbs prepare news.jsonl --text article --target summary --tokenizer t5-small
    """
    with progress_bars("{task.description:>9}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bars:
        tasks: dict[Stage, TaskID] = {}

        def advance(stage: Stage, done: int, total: int | None) -> None:
            if stage not in tasks:
                bars.start()
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        result = prepare(
            source,
            mirror=mirror,
            tokenizer=tokenizer,
            max_length=max_length,
            stride=stride,
            max_target_length=max_target_length,
            text=text,
            pair=pair,
            label=label,
            label_type=label_type,
            target=target,
            prefix=prefix,
            validation=validation,
            stopwords=stopwords,
            keep=[word.strip() for word in (keep or "").split(",") if word.strip()],
            forbid_drop=forbid_drop,
            out=out,
            overwrite=overwrite,
            memory=memory,
            engine=engine,
            ray_address=ray_address,
            work=work,
            progress=advance,
            waiting=_say_waiting,
        )
    note_latest(DATA_FOLDER, result.dataset.path)
    _print(result, as_json)


def _say_waiting(place: Path) -> None:
    say(f"Another prepare is working on {place}; waiting for it.")


def _print(result: PrepareResult, as_json: bool) -> None:
    manifest = result.dataset.manifest
    statistics = {name: split_statistics(info) for name, info in manifest.splits.items()}
    say(*(f"Warning: {warning}" for warning in result.warnings))
    if as_json:
        print_json(
            {
                "path": str(result.dataset.path),
                "cached": result.cached,
                "splits": {
                    name: {
                        "rows": found.rows,
                        "tokens": found.tokens,
                        "L_avg": found.average_length,
                        "L_87.5": found.percentile_length,
                        "padding_fraction_est": found.padding_fraction_estimate,
                        "droppable_fraction": found.droppable_fraction,
                        "source_rows": found.source_rows,
                        "target_tokens": found.target_tokens,
                    }
                    for name, found in statistics.items()
                },
                "seconds": dict(manifest.seconds),
            }
        )
        return
    if result.cached:
        say("Nothing to do: a dataset with the same contents already exists.")
    elif result.changed:
        say(f"Prepared again: {', '.join(result.changed)} changed.")
    show(split_table(statistics))
    say(*target_lines(statistics))
    spent = "" if result.cached else f"in {duration(manifest.seconds['total'])}: "
    say(f"{spent}{result.dataset.path}")
