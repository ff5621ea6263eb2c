"""One self-contained HTML page: what padding costs on a dataset, what each strategy saves, how its runs went.

The page loads nothing from outside and runs no script. Texts may come from users, so jinja2 escapes all of them, except
our own figures, whose texts matplotlib escapes. The Markdown has the same tables; text from outside is printed
unchanged on one line, never as markup. The page goes where the user wants it, and each figure and all numbers on demand
into a folder beside it.
"""

import html
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from tdbs.analysis.statistics import split_statistics
from tdbs.errors import ConfigError
from tdbs.files import write_json, write_text
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.records import Form, read_json
from tdbs.removal import refuse_link, refuse_taken, remove_file
from tdbs.reports import number_format
from tdbs.reports.comparison import Comparison
from tdbs.reports.figures.canvas import DARK, LIGHT
from tdbs.reports.figures.files import standalone
from tdbs.reports.figures.lengths import CapLines
from tdbs.reports.report import Report
from tdbs.reports.report_values import FIGURES, Facts, facts_of
from tdbs.shown import seen, shown

DEFAULT_NAME = "report.html"
NUMBERS_JSON, NUMBERS_MARKDOWN = "numbers.json", "numbers.md"
_OWN_TITLE = re.compile("<title>[^<]* – tdbs (?:audit|report)</title>".encode())
_HEAD = 1 << 16  # bytes of a page that contain its title
_NUMBERS_FORM = Form(what="numbers of a report", error=ConfigError, next_step="Pass another --out.")
_OWN_NUMBERS = {"dataset", "strategies", "run", "figures"}
_WORDS = (
    number_format.count,
    number_format.duration,
    number_format.figure,
    number_format.percent,
    number_format.signed_percent,
    number_format.times,
)


def render_page(facts: Facts) -> str:
    """Return the page as HTML. Same facts, same page."""
    return templates(autoescape=True).get_template("page.html.j2").render(facts, light=LIGHT, dark=DARK)


def render_markdown(facts: Facts) -> str:
    """Return the page's numbers and tables as Markdown, its figures as links to files beside it."""
    text = templates(autoescape=False).get_template("numbers.md.j2").render(facts)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def page_path(out: Path) -> Path:
    """Return the page's path: `out` itself, or report.html in it if `out` is a folder."""
    return out / DEFAULT_NAME if out.is_dir() else out


def files_folder(page: Path) -> Path:
    """Return the folder beside a page for its figures and numbers: report_files for report.html."""
    return page.with_name(f"{page.stem}_files")


def is_own_page(page: Path) -> bool:
    """Return whether tdbs wrote a page, a report or an audit: its title says so."""
    with page.open("rb") as file:
        return _OWN_TITLE.search(file.read(_HEAD)) is not None


def check_place(out: Path, *, files: bool, overwrite: bool) -> None:
    """Refuse a place that holds something, unless `overwrite`, and in any case what tdbs did not write."""
    refuse_link(out)
    refuse_taken(page_path(out), is_own_page, overwrite=overwrite)
    folder = files_folder(page_path(out))
    if files:
        refuse_link(folder)
    if not files or not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not _is_own_numbers(folder / NUMBERS_JSON)):
        raise ConfigError(f"{folder} contains other files.", next_step="Pass another --out.")
    if any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder} already exists.", next_step="Pass another --out, or --overwrite.")


def write_report(out: Path, report: Report, *, files: bool = False) -> list[Path]:
    """Write the page and return its path, and with `files` those of the figures and numbers beside it.

    Without a run the page is about the dataset alone; a run that did not finish is shown as far as it came.
    """
    page = page_path(out)
    facts = facts_of(report)
    try:
        write_text(page, render_page(facts))
        return [page, *(_write_files(files_folder(page), report, facts) if files else [])]
    except OSError as error:
        raise ConfigError(f"{page} cannot be written: {error}.", next_step="Pass another --out.") from error


def numbers_of(report: Report) -> dict[str, Any]:
    """Return the contents of the page as plain values for JSON; missing parts are null."""
    run, caps, drops = report.run, report.caps, report.drops
    return {
        "dataset": _dataset_numbers(report.dataset),
        "strategies": [asdict(estimate) for estimate in report.estimates],
        "run": run and {"path": str(run.path), "config": run.config, "result": run.result, "steps": len(run.steps)},
        "comparison": report.comparison and _comparison_numbers(report.comparison),
        "caps": caps and _caps_numbers(caps),
        "drops": drops and {name: value for name, value in asdict(drops).items() if name != "drops"},
        "drop_rates": [asdict(row) for row in report.over_rates],
        "overheads": report.overheads and asdict(report.overheads),
    }


def markdown_text(text: object) -> str:
    """Return text that Markdown prints unchanged: on one line, without markup."""
    line = shown(" ".join(str(text).split()))
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", html.escape(line, quote=False))


def markdown_code(text: str) -> str:
    """Return text as a span of code, between more backticks than it has in a row."""
    line = shown(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def options_of_command(command: str) -> list[str]:
    """Return a command in parts: its words before the first option, then each option with its value."""
    return re.split(r" (?=--)", command)


def _shown_value(value: Any) -> Any:
    """Return what the page puts in for a value; figures and parts of the page are markup, and stay."""
    return value if hasattr(value, "__html__") else shown(value, lines=True)


def templates(*, autoescape: bool) -> jinja2.Environment:
    """Return the templates of all pages; what they are given is shown on one line, and escaped if asked for."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tdbs.reports"),
        autoescape=autoescape,  # noqa: S701  # Markdown is escaped by its own filter
        undefined=jinja2.StrictUndefined,
        finalize=_shown_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {word.__name__: word for word in _WORDS}, markdown=markdown_text, code=markdown_code, seen=seen
    )
    environment.filters["options"] = options_of_command
    return environment


def _is_own_numbers(file: Path) -> bool:
    """Return whether a file has the numbers of a report."""
    try:
        found = read_json(file, _NUMBERS_FORM)
    except ConfigError:
        return False
    return isinstance(found, dict) and found.keys() >= _OWN_NUMBERS


def _write_files(folder: Path, report: Report, facts: Facts) -> list[Path]:
    """Write each figure as a standalone file, and all numbers twice: for programs and for people."""
    for name in FIGURES:  # those of an earlier report on something else
        remove_file(folder / f"{name}.svg")
    figures = {f"{name}.svg": standalone(pair[0]) for name, pair in facts["figures"].items() if pair}
    for name, svg in figures.items():
        write_text(folder / name, svg)
    write_text(folder / NUMBERS_MARKDOWN, render_markdown(facts))
    write_json(folder / NUMBERS_JSON, numbers_of(report) | {"figures": list(figures)})
    return [folder / name for name in (*figures, NUMBERS_MARKDOWN, NUMBERS_JSON)]


def _dataset_numbers(dataset: PreparedDataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "path": str(dataset.path),
        "key": manifest.key,
        "source": manifest.source,
        "tokenizer": manifest.tokenizer.name,
        "max_length": manifest.max_length,
        "bucket_edges": list(manifest.bucket_edges),
        "splits": {
            name: {**split_statistics(info).record(), "length_histogram": list(info.length_histogram)}
            for name, info in manifest.splits.items()
            if info.rows
        },
    }


def _caps_numbers(caps: CapLines) -> dict[str, Any]:
    by_epoch = [caps_L1.tolist() for caps_L1 in caps.by_epoch]
    return {"strategy": caps.strategy, "hardware": caps.hardware_L1.tolist(), "by_epoch": by_epoch}


def _comparison_numbers(comparison: Comparison) -> dict[str, Any]:
    terms = ("model", "epochs", "part_steps", "baseline", "attention", "precision", "device", "energy")
    return {
        "path": str(comparison.path),
        **{name: getattr(comparison, name) for name in terms},
        "rows": [asdict(row) for row in comparison.rows],
        "summary": [asdict(summary) for summary in comparison.summaries],
        "median_error": comparison.median_error,
        "worst_error": comparison.worst_error,
        "overhead": list(comparison.overhead),
    }
