"""`tdbs report`: one HTML page about a run, or about a comparison of strategies, and its dataset."""

from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, OverwriteOption, reported, run_folder, say_url
from tdbs.cli.completion import complete_run
from tdbs.cli.screen import print_json, print_lines

REPORTS_FOLDER = Path("reports/local")


@reported
def command(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="Folder of a run or of a comparison. [default: the last run]",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file. [default: reports/local/<run>.html]", show_default=False)
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Also write each figure as SVG, all numbers as JSON and Markdown.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """The page is one HTML file: padding, time, lengths, loss, dropped words.

    \b
    Example:
      tdbs report runs/sample/reach-seed0-20260101-120000
      tdbs report runs/compare/sst2 --out sst2.html --files
    """
    from tdbs.reports.comparison import is_comparison, read_comparison
    from tdbs.reports.page import check_place, write_report
    from tdbs.reports.report import report_on_comparison, report_on_run
    from tdbs.reports.sweep import refuse_sweep
    from tdbs.train.run_folder import read_run

    folder = run_folder(path)
    refuse_sweep(folder)
    place = folder.resolve()
    page = out or REPORTS_FOLDER / f"{place.parent.name}-{place.name}.html"
    check_place(page, files=files, overwrite=overwrite or out is None)  # the default place is ours to write again
    if is_comparison(folder):
        say_url(read_comparison(folder).dataset)
        about = report_on_comparison(folder)
    else:
        say_url(read_run(folder).config["dataset"]["path"])
        about = report_on_run(folder)
    written, *beside = write_report(page, about, files=files)
    if as_json:
        print_json(
            {
                "report": str(written),
                "run": str(about.run.path) if about.run else None,
                "comparison": str(about.comparison.path) if about.comparison else None,
                "dataset": str(about.dataset.path),
                "files": [str(file) for file in beside],
            }
        )
        return
    print_lines(*map(str, (written, *beside)))
