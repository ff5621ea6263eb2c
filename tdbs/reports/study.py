"""Files of a study of the paper's claims: a Markdown page, the same numbers as JSON, and its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tdbs
from tdbs.analysis.compare.record import Row, read_rows
from tdbs.analysis.studies.paper import STUDIES
from tdbs.analysis.studies.study import Cell, StudyResult, StudyTable
from tdbs.errors import ConfigError
from tdbs.files import name_in_folder, write_json, write_text
from tdbs.records import Form, read_field_rows, read_json
from tdbs.removal import refuse_link
from tdbs.reports.figures.curves import loss_curves_svg, spread_svg
from tdbs.reports.figures.inference import lost_svg, over_rates_svg
from tdbs.reports.page import markdown_code, markdown_text
from tdbs.train.run_folder import STEPS_NAME
from tdbs.train.run_records import FORM as RUN_FORM
from tdbs.train.run_records import StepFields

PAGE_NAME, NUMBERS_NAME = "README.md", "study.json"
_FORM = Form(what="a study of tdbs", error=ConfigError, next_step="Pass another --out.")


def check_study_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder with contents, unless it is a study to replace."""
    refuse_link(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        is_study = _is_study(folder / NUMBERS_NAME)
        if not (is_study and overwrite):
            raise ConfigError(
                f"{folder} contains {'a study' if is_study else 'other files'}.",
                next_step="Pass another --out, or --overwrite to replace a study.",
            )


def write_study(folder: Path, result: StudyResult, *, command: str) -> Path:
    """Write a study and return its page; `command` is what made it."""
    figures = study_figures(result)
    for name, svg in figures.items():
        write_text(folder / f"{name}.svg", svg)
    write_json(folder / NUMBERS_NAME, {**asdict(result), "comparisons": _comparisons(result), "command": command})
    page = folder / PAGE_NAME
    write_text(page, study_markdown(result, command=command, figures=list(figures)))
    return page


def study_markdown(result: StudyResult, *, command: str, figures: Sequence[str]) -> str:
    """Return a study as Markdown."""
    parts = [f"# {markdown_text(result.title)}", markdown_text(result.caption)]
    parts += [f"Made by {markdown_code(command)} (tdbs {tdbs.__version__})."]
    parts += [f"![{name}]({name}.svg)" for name in figures]
    if result.findings:
        parts += ["## Against the paper", "\n".join(f"- {markdown_text(finding)}" for finding in result.findings)]
    for table in result.tables:
        parts += [f"## {markdown_text(table.title)}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: StudyTable) -> str:
    """Return a table as Markdown."""
    lines = [_line(table.columns), "|" + "---|" * len(table.columns), *(_line(row) for row in table.rows)]
    return "\n".join(lines)


def study_figures(result: StudyResult) -> dict[str, str]:
    """Return the figures of a study by name: loss curves by task, lengths and speedup, or models at inference."""
    if result.points:
        return {"speedup": spread_svg(result.points)}
    if result.over_rates:
        return {"drop-rate": over_rates_svg(result.over_rates)}
    if result.bars:
        return {"points-lost": lost_svg(result.bars)}
    if not STUDIES[result.study].curves:
        return {}
    titles = {row.name: row.title for row in STUDIES[result.study].rows}
    return {
        f"loss-{task}": loss_curves_svg(task, {titles[name]: losses for name, losses in _losses(folder).items()})
        for task, folder in result.comparisons.items()
        if _losses(folder)
    }


def _is_study(file: Path) -> bool:
    """Return whether a file has the numbers of a study, of any version."""
    try:
        found = read_json(file, _FORM)
    except ConfigError:
        return False
    return isinstance(found, dict) and found.keys() >= {"study", "tables"}


def _losses(folder: Path) -> dict[str, list[list[tuple[float, float]]]]:
    """Return of each strategy and seed the share of the run's samples seen, and the loss, step by step."""
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for row in read_rows(folder):
        if row.run is not None:
            found.setdefault(row.strategy, []).append(_curve(folder, row))
    return found


def _curve(folder: Path, row: Row) -> list[tuple[float, float]]:
    steps = read_field_rows(folder / name_in_folder(str(row.run)) / STEPS_NAME, StepFields, RUN_FORM)
    total = sum(step["batch_size"] for step in steps)
    seen, curve = 0, []
    for step in steps:
        seen += step["batch_size"]
        if step["loss"] is not None:
            curve.append((seen / total, float(step["loss"])))
    return curve


def _comparisons(result: StudyResult) -> Mapping[str, list[dict[str, Any]]]:
    return {task: [asdict(row) for row in read_rows(folder)] for task, folder in result.comparisons.items()}


def _line(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join("" if cell is None else markdown_text(cell) for cell in cells) + " |"
