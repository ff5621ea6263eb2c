"""`tdbs reproduce`: a table or figure of the paper, beside the paper's own numbers."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from tdbs.analysis.studies.paper import STUDIES, Study
from tdbs.cli.common import JsonOption, OverwriteOption, quiet_libraries, reported, shown_command
from tdbs.cli.completion import completes, task_names
from tdbs.cli.options import LIST, Chosen, ProfileOption, given_profile, listed, listed_seeds, with_settings
from tdbs.cli.progress import spinner
from tdbs.cli.screen import print_json, print_lines, show
from tdbs.errors import ConfigError

REPORTS_FOLDER, RUNS_FOLDER = Path("reports/local"), Path("runs/reproduce")
_SHORT_NAMES = ("sample", "squad", "xsum", "cnn_dailymail")


@reported
@with_settings("epochs", "lr", "precision", "attention")
def command(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help=f"One of {', '.join(get_args(Study))}.", autocompletion=completes(get_args(Study))
        ),
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LIST,
            help="Tasks, such as mrpc,stsb. [default: the paper's]",
            show_default=False,
            autocompletion=completes(task_names, listed=True),
        ),
    ] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seeds", "--seed", metavar=LIST, help="Seeds. [default: 1,2,3]", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Hub name or folder of the model; its tokenizer prepares the tasks. [default: roberta-base]",
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="How models are trained with TokenDrop, for table3, fig4 and resilience: tdbs_paper, reach, or "
            "random_drop (random batches, 0.3 of the words). [default: tdbs_paper]",
            metavar=LIST,
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Time this many steps of each run instead of training: no scores.", show_default=False, min=1
        ),
    ] = None,
    profile: ProfileOption = None,
    mirror: Annotated[
        Path | None,
        typer.Option(
            help="Folder with <short name>/<split>.parquet, instead of the hub.",
            envvar="TDBS_MIRROR",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study. [default: reports/local/<study>]", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    *,
    settings: Chosen,
) -> None:
    """It is written beside the paper's own numbers: a Markdown page, its numbers and its figures.

    Runs are in runs/reproduce/<name of --out> and are not trained again.

    \b
    Example:
      tdbs reproduce table5 --tasks mrpc,stsb --seeds 1,2,3 --model roberta-base
      tdbs reproduce fig8 --profile a100.json
      tdbs reproduce resilience --tasks mrpc,stsb --strategy random_drop
    """
    chosen = next((name for name in get_args(Study) if name == study), None)
    if chosen is None:
        raise ConfigError(f"There is no study {study}.", next_step=f"Choose one of: {', '.join(get_args(Study))}.")
    chosen_seeds = listed_seeds(seeds, default=(1, 2, 3))
    from tdbs.analysis.studies.reproduce import check_study, run_study
    from tdbs.analysis.studies.study import DEFAULT_DROPPING, StudyTerms
    from tdbs.pipeline.prepare import prepare
    from tdbs.reports.study import check_study_folder, study_markdown, write_study
    from tdbs.train.stopping import stopped_at_once

    folder = out or REPORTS_FOLDER / study
    check_study_folder(folder, overwrite=overwrite or out is None)
    known = given_profile(profile)
    terms = StudyTerms(
        seeds=chosen_seeds,
        model=model,
        **settings,
        part_steps=steps,
        dropping=tuple(dict.fromkeys(listed(strategy, "--strategy"))) or DEFAULT_DROPPING,
        mirror=mirror,
    )
    check_study(chosen, known, terms)
    quiet_libraries()
    names = tuple(listed(tasks, "--tasks")) or STUDIES[chosen].tasks
    datasets = {}
    runs = RUNS_FOLDER / folder.name
    with stopped_at_once(f"The study in {runs}", next_step="Run the same command again to continue."):
        for name in names:
            source = name if name in _SHORT_NAMES or "/" in name else f"glue/{name}"
            short = name.removeprefix("glue/").strip("./").replace("/", "-")  # part of the names of folders and figures
            datasets[short] = prepare(source, tokenizer=model, mirror=mirror).dataset
        with spinner(study) as advance:
            result = run_study(chosen, datasets, terms, runs=runs, profile=known, progress=advance)
    called = shown_command()
    page = write_study(folder, result, command=called)
    if as_json:
        print_json({"study": str(folder), "page": str(page), "findings": list(result.findings)})
        return
    show(study_markdown(result, command=called, figures=[]))
    print_lines(str(page))
