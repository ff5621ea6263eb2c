"""`tdbs prepare`: make a prepared dataset."""

from pathlib import Path
from typing import Annotated

import typer

from tdbs.analysis.statistics import split_statistics
from tdbs.cli.common import JsonOption, OverwriteOption, note_latest, quiet_libraries, reported
from tdbs.cli.completion import complete_source
from tdbs.cli.options import LIST, Chosen, listed, with_preparation
from tdbs.cli.progress import counting
from tdbs.cli.push import HubPushOption, LicenseOption, PrivateOption, asked_push, push_after, quiet_hub
from tdbs.cli.screen import print_json, print_lines, say, show
from tdbs.data.hub_repos import PREFIX
from tdbs.data.understood import fact_lines
from tdbs.errors import ConfigError
from tdbs.pipeline.prepare import DATA_FOLDER, PrepareArguments, prepare
from tdbs.pipeline.prepared import PrepareResult
from tdbs.pipeline.words.stopwords import LEARNED
from tdbs.reports.faults import fault_lines, faults_json
from tdbs.reports.left_out import duplicates_json, left_out_lines
from tdbs.reports.terminal import duration, split_table, target_lines
from tdbs.settings import option_of

_LISTED = ("label", "keep_out")  # lists of names, which `prepare` takes as one text


@reported
@with_preparation
def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help=option_of(PrepareArguments, "source").text, autocompletion=complete_source
        ),
    ] = "sample",
    mirror: Annotated[
        str | None,
        typer.Option(envvar="TDBS_MIRROR", metavar="PATH", help=option_of(PrepareArguments, "mirror").text),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LIST, help="Words never to drop; also the groups pronouns and negation.", show_default=False
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    hub_push: HubPushOption = None,
    license_id: LicenseOption = None,
    private: PrivateOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
) -> None:
    """Texts are tokenized, droppable words marked, lengths measured, and bucket shards written.

    The same contents prepared again are found and left as they are.

    \b
    Example:
      tdbs prepare glue/sst2 --mirror ~/data --tokenizer roberta-base
      tdbs prepare reviews.csv --text review --label stars --validation 0.1
      tdbs prepare news.jsonl --text article --target summary
      tdbs prepare glue/sst2 --stopwords learned:runs/sst2/first
      tdbs prepare glue/sst2 --drop-duplicates near --keep-out validation,test
      tdbs prepare hub:you/reviews
    """
    pushed = asked_push(hub_push, license_id=license_id, private=private, of_texts=True)
    if source.startswith(PREFIX):
        quiet_hub()
    stopwords = settings["stopwords"]
    if stopwords.startswith(LEARNED):
        stopwords = _learned(stopwords.removeprefix(LEARNED), overwrite=overwrite)
    with counting() as advance:
        result = prepare(
            source,
            **{
                **settings,
                **{name: ",".join(listed(settings[name], _flag(name))) or None for name in _LISTED},
                "columns": _columns(settings["columns"]),
                "stopwords": stopwords,
            },
            mirror=mirror,
            keep=listed(keep, "--keep"),
            overwrite=overwrite,
            progress=advance,
            waiting=_say_waiting,
        )
    note_latest(DATA_FOLDER, result.dataset.path)
    _print(result, as_json)
    push_after(pushed, result.dataset.path, overwrite=overwrite)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _columns(given: list[str] | None) -> str | None:
    """Return what --columns has, as it is written: names may have commas, and blanks behind them."""
    return ",".join(given or ()) if listed(given, "--columns") else None


def _learned(run: str, *, overwrite: bool) -> str:
    """Learn the words that a run's model does without, and return the file of the list.

    A list of other words stays unless it is overwritten: the user may have edited it.
    """
    if not run:
        raise ConfigError(
            f"--stopwords {LEARNED} does not name a run.",
            next_step=f"Pass --stopwords {LEARNED}RUN with the folder of a finished run.",
        )
    quiet_libraries()
    from tdbs.analysis.learned_words import learn_words

    with counting() as advance:
        found = learn_words(run, overwrite=overwrite, progress=lambda done, total: advance("learn words", done, total))
    say(
        f"Learned {len(found.words):,} of {found.ranked:,} words from {found.samples:,} samples: they are "
        f"{found.share:.1%} of the tokens, the paper's list {found.paper_share:.1%}. The list is {found.path}."
    )
    return str(found.path)


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
                "source": dict(result.source),
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
                        "skipped": found.skipped,
                        **faults_json(manifest, name),
                        **({} if found.sequences is None else {"sequences": found.sequences}),
                    }
                    for name, found in statistics.items()
                },
                "duplicates": duplicates_json(manifest.duplicates),
                "seconds": dict(manifest.seconds),
            }
        )
        return
    if result.cached:
        say("Nothing to do: a dataset with the same contents already exists.")
    elif result.changed:
        say(f"Prepared again: {', '.join(result.changed)} changed.")
    say(*fact_lines(dict(result.source)))
    show(split_table(statistics))
    print_lines(*target_lines(statistics), *fault_lines(manifest))
    if manifest.skipped is not None:
        count = sum(found.skipped for found in statistics.values())
        rows = "row" if count == 1 else "rows"
        say(f"Skipped {count:,} {rows}, listed in {result.dataset.path / manifest.skipped.path}.")
    say(*left_out_lines(result.dataset.path, manifest.duplicates))
    spent = "" if result.cached else f"in {duration(manifest.seconds['total'])}: "
    print_lines(f"{spent}{result.dataset.path}")
