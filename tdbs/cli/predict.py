"""`tdbs predict`: predict the rows of a file, of a prepared split, or the lines of stdin."""

import dataclasses
from pathlib import Path
from typing import Annotated, get_args

import typer

from tdbs.cli.common import JsonOption, OverwriteOption, quiet_libraries, reported, say_url
from tdbs.cli.completion import complete_run, completes, strategy_names
from tdbs.cli.options import (
    AllowDropOption,
    Chosen,
    ProfileOption,
    given_profile,
    one_of,
    with_parts,
    with_reading,
    with_settings,
)
from tdbs.cli.progress import counting
from tdbs.cli.screen import print_json, print_lines, say
from tdbs.errors import ConfigError
from tdbs.settings import Attention
from tdbs.train.planning.strategies import Drop
from tdbs.train.stopping import BEGINS_ANEW, stopped_at_once

_SHOWN_ROWS = 5


@reported
@with_settings("precision")
@with_parts("caps")
@with_reading
def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a run, or folder or hub name of a fine-tuned model.",
            autocompletion=complete_run,
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="CSV, TSV, JSONL or Parquet file, prepared dataset, or - to read lines from stdin."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="JSONL or Parquet file. [default: JSONL on stdout]", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Column of the text, the words or the question. [default: the run's]", show_default=False),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="Column of the second text, or of the context. [default: the run's]", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Columns of a query and of texts to rank for it, or lists of them (embeddings, rerankers).",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split of a prepared dataset. [default: its validation split]", show_default=False),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How batches are made, as in tdbs train: bucket, unpadded, random, reach, … [default: bucket; "
            "embeddings and rerankers: unpadded]",
            show_default=False,
            autocompletion=completes(strategy_names),
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Batch size; 1 predicts each row as it arrives. [default: 64]", show_default=False, min=1),
    ] = None,
    profile: ProfileOption = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar=one_of(get_args(Drop)),
            help="TokenDrop: which words go. [default: none]",
            show_default=False,
            autocompletion=completes(get_args(Drop)),
        ),
    ] = None,
    drop_rate: Annotated[
        float | None, typer.Option(help="Share of a row's droppable words to drop; 1 drops all.", show_default=False)
    ] = None,
    allow_drop: AllowDropOption = False,
    stopwords: Annotated[
        str | None,
        typer.Option(
            help="Words that may be dropped: paper, nltk:<language>, a file. [default: the run's; paper]",
            show_default=False,
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(help="Most tokens of a sample. [default: the run's; the model's limit]", show_default=False),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="Text before every input (models that generate). [default: the run's]", show_default=False),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(help="First entries of each embedding to keep (Matryoshka). [default: all]", show_default=False),
    ] = None,
    float16: Annotated[
        bool, typer.Option("--float16", help="Write embeddings with 16 bits a number (Parquet).")
    ] = False,
    attention: Annotated[
        str,
        typer.Option(
            metavar=one_of(get_args(Attention)),
            help="Attention kernel; auto is the run's, and sdpa for one text.",
            autocompletion=completes(get_args(Attention)),
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the dropped words.")] = 0,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Skip rows that cannot be read, and name them.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Most memory of predicting, such as 2GiB: calls of the model and blocks of rows are made to fit. "
            "[default: no bound]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the unfinished output of --out.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
    parts: Chosen,
    reading: Chosen,
) -> None:
    """Rows keep their order. They are batched by length without padding, or predicted as they arrive.

    Nothing is dropped unless --drop or --drop-rate says so.

    \b
    Example:
      tdbs predict runs/first reviews.csv --text review --out predictions.jsonl
      tdbs predict my/bert reviews.parquet --out found.parquet --resume
      echo "a fine film" | tdbs predict runs/first - --batch-size 1
      tdbs predict runs/pairs pages.jsonl --memory 2GiB --out pages.parquet
      tdbs predict runs/ranked found.jsonl --columns query,candidates
    """
    from tdbs.reports.terminal import duration

    if as_json and out is None:
        raise ConfigError("--json and the predictions cannot share stdout.", next_step="Pass --out with it.")
    quiet_libraries()
    from tdbs.inference.inputs import STDIN
    from tdbs.inference.predict import predict
    from tdbs.train.run_folder import holds_run, read_run

    if holds_run(Path(model)):
        say_url(read_run(Path(model)).config["dataset"]["path"])
    what = f"The prediction of {'stdin' if source == STDIN else source}"
    with (
        stopped_at_once(what, next_step=lambda: _goes_on(source, out, overwrite=overwrite)),
        counting(remaining=True) as counted,
    ):

        def advance(done: int, total: int | None) -> None:
            if out is not None:  # predictions on stdout are progress enough
                counted("rows", done, total)

        result = predict(
            model,
            source,
            out=out,
            text=text,
            pair=pair,
            columns=columns,
            split=split,
            strategy=strategy,
            batch_size=batch_size,
            drop=drop,
            drop_rate=drop_rate,
            allow_drop=allow_drop,
            stopwords=stopwords,
            **parts,
            profile=given_profile(profile),
            max_length=max_length,
            prefix=prefix,
            dimensions=dimensions,
            float16=float16,
            **settings,
            **reading,
            attention=attention,
            seed=seed,
            skip_bad_rows=skip_bad_rows,
            resume=resume,
            overwrite=overwrite,
            memory=memory,
            progress=advance,
            note=say,
        )
    if result.skipped:
        rows = ", ".join(f"{row:,}" for row in result.skipped[:_SHOWN_ROWS])
        more = ", …" if len(result.skipped) > _SHOWN_ROWS else ""
        what = "bad row" if len(result.skipped) == 1 else "bad rows"
        say(f"Skipped {len(result.skipped):,} {what}: {rows}{more}")
    if as_json:
        print_json(dataclasses.asdict(result))
        return
    times = [f"{name} {value:.1f} ms" for name, value in result.milliseconds.items() if value is not None]
    say(
        f"{result.rows:,} rows, {result.tokens:,} tokens, {result.padding_fraction:.1%} padding, "
        f"{duration(result.seconds['total'])}, {result.rows_per_second:,.0f} rows/s"
        f"{''.join(f', {time}' for time in times)}"
    )
    if out is not None:
        print_lines(str(out))


def _goes_on(source: str, out: Path | None, *, overwrite: bool) -> str:
    """Return how to continue a prediction that was stopped: from its finished parts, if there are any."""
    from tdbs.inference.inputs import STDIN
    from tdbs.inference.output import has_parts

    if out is None or not has_parts(out):
        return BEGINS_ANEW
    if source == STDIN:
        return "Run the same command with --overwrite: it starts again."
    return f"Run the same command with --resume {'instead of --overwrite ' if overwrite else ''}to continue."
