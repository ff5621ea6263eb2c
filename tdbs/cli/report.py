"""`tdbs report`: one HTML page about a run and its dataset."""

from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, OverwriteOption, RunArgument, console, print_json, reported, run_folder
from tdbs.errors import ConfigError

NAME = "report"
REPORTS_FOLDER = Path("reports/local")


@reported
def command(
    run: RunArgument = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file. [default: reports/local/<run>.html]", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page: lengths, padding by strategy, and the run's loss, batch size and rate.

    \b
    Example:
      tdbs report runs/sample/reach-seed0-20260101-120000 --out report.html
    """
    if out is not None and out.exists() and not overwrite:
        raise ConfigError(f"{out} is there already.", next_step="Pass another --out, or --overwrite.")
    from tdbs.analysis.speedup import estimate_speedup
    from tdbs.pipeline.dataset import load
    from tdbs.pipeline.memory import DEFAULT_MEMORY
    from tdbs.reports.page import write_report
    from tdbs.train.run_folder import read_run

    read = read_run(run_folder(run))
    dataset = load(read.config["dataset"]["path"])
    estimates = estimate_speedup(
        dataset,
        seed=read.config["seed"],
        epochs=read.config["epochs"],
        memory=read.config.get("memory", DEFAULT_MEMORY),  # runs of before had none
    )
    place = read.path.resolve()
    page = write_report(
        out or REPORTS_FOLDER / f"{place.parent.name}-{place.name}.html", dataset=dataset, run=read, estimates=estimates
    )
    if as_json:
        print_json({"report": str(page), "run": str(read.path), "dataset": str(dataset.path)})
        return
    console.print(f"{page}", markup=False)
