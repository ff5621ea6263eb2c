"""Files of a sweep: a Markdown page with its trials, and figures of its progress and of the importances."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

import tdbs
from tdbs.analysis.studies.study import StudyTable
from tdbs.analysis.sweep.result import SweepResult, Trial
from tdbs.analysis.sweep.search import RESULT_NAME as SWEEP_NAME
from tdbs.analysis.sweep.search import RUNS_FOLDER
from tdbs.analysis.sweep.trials import STORAGE_NAME
from tdbs.errors import ConfigError
from tdbs.files import write_text
from tdbs.reports.figures.canvas import LIGHT
from tdbs.reports.figures.files import STYLE, figure_svg
from tdbs.reports.number_format import epochs_in_words
from tdbs.reports.origin import date_of, run_origin
from tdbs.reports.page import markdown_code, markdown_text
from tdbs.reports.study import markdown_table
from tdbs.reports.terminal import duration, plain_table
from tdbs.shown import shown
from tdbs.train.run_folder import RESULT_NAME, Run, read_run

PAGE_NAME = "README.md"
_NOTHING = ""


def refuse_sweep(folder: Path) -> None:
    """Raise ConfigError if a folder is a sweep: its page is there already."""
    if any((folder / name).is_file() for name in (SWEEP_NAME, STORAGE_NAME)):
        raise ConfigError(
            f"{folder} is a sweep; a finished one has its page, {PAGE_NAME}, beside its trials.",
            next_step=f"Pass one of its runs, below {folder / RUNS_FOLDER}.",
        )


def write_sweep(folder: Path, result: SweepResult, *, command: str) -> Path:
    """Write the page of a sweep with its figures beside it; `command` is what made it."""
    runs = _best_runs(folder, result)
    figures = sweep_figures(result)
    for name, svg in figures.items():
        write_text(folder / f"{name}.svg", svg)
    parts = [
        f"# Sweep of {markdown_text(result.source)}: {', '.join(searched(result))}",
        f"{markdown_text(result.model)}, {epochs_in_words(result.epochs)}, seeds {', '.join(map(str, result.seeds))}; "
        f"{result.metric} x 100. "
        f"Made by {markdown_code(command)} (tdbs {tdbs.__version__}).",
        "\n".join(f"- {markdown_text(note)}" for note in sweep_notes(result, runs="runs")),
        *_origin_parts(runs),
        markdown_table(trials_table(result)),
        *(f"![{name}]({name}.svg)" for name in figures),
        *_next_parts(runs),
    ]
    page = folder / PAGE_NAME
    write_text(page, "\n\n".join(part for part in parts if part) + "\n")
    return page


def _best_runs(folder: Path, result: SweepResult) -> list[Run]:
    """Return the finished runs of the best trial that are in the folder; another worker may have them."""
    best = () if result.best is None else result.best.runs
    places = (folder / RUNS_FOLDER / name for name in best)
    return [read_run(place) for place in places if (place / RESULT_NAME).is_file()]


def _origin_parts(runs: Sequence[Run]) -> list[str]:
    """Return when and with what the best trial was trained."""
    if not runs:
        return []
    made = ", ".join([date_of(runs[0].path / RESULT_NAME), *run_origin(runs[0])])
    return [f"The first run of the best trial: {markdown_text(made)}."]


def _next_parts(runs: Sequence[Run]) -> list[str]:
    """Return what to do after a sweep: look at the best run, and use its model."""
    if not runs:
        return []
    place = str(runs[0].path)
    report = shlex.join(["tdbs", "report", place])
    predict = shlex.join(["tdbs", "predict", place, "FILE.csv", "--out", "predictions.jsonl"])
    steps = [f"- Look at its run: {markdown_code(report)}", f"- Predict texts of your own: {markdown_code(predict)}"]
    return ["## What to do next", "\n".join(steps)]


def searched(result: SweepResult) -> list[str]:
    """Return the names of the searched hyperparameters."""
    return list(dict.fromkeys(name for trial in result.trials for name in trial.params))


def trials_table(result: SweepResult) -> StudyTable:
    """Return a row for each trial, the best first; those that did not end come last."""
    names = searched(result)
    ordered = sorted(result.trials, key=lambda trial: (trial.state != "complete", -(trial.score or 0.0), trial.number))
    rows = tuple(
        (
            str(trial.number),
            *(_value(trial.params.get(name)) for name in names),
            _score(trial),
            *(_of_seed(trial, seed) for seed in result.seeds),
            duration(sum(trial.run_seconds.values())) if trial.run_seconds else _NOTHING,
        )
        for trial in ordered
    )
    seeds = tuple(f"seed {seed}" for seed in result.seeds)
    return StudyTable(title="Trials", columns=("trial", *names, "mean", *seeds, "time"), rows=rows)


def terminal_table(result: SweepResult) -> Table:
    """Return the same table for a terminal."""
    trials = trials_table(result)
    table = plain_table(*trials.columns)
    for row in trials.rows:
        table.add_row(*map(shown, row))
    return table


def sweep_notes(result: SweepResult, *, runs: str) -> list[str]:
    """Return the notes below the table; `runs` is the folder of the runs, as the reader sees it."""
    notes = []
    if result.best is not None:
        params = ", ".join(f"{name} {_value(value)}" for name, value in result.best.params.items())
        deviation = _deviation(result.best)
        score = _score(result.best) + (f" ± {deviation:.2f} over seeds" if deviation else "")
        notes.append(f"Best: trial {result.best.number}, {params}: {result.metric} {score}; its models are in {runs}.")
    notes += [f"Trial {each.number} was pruned: {each.reason}" for each in result.trials if each.reason is not None]
    if result.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in result.importance.items())
        notes.append(f"What explains the spread of the scores: {shares}.")
    if result.speedup_one_run is not None and result.speedup_all_runs is not None:
        notes.append(
            f"Over padded random batches, in tokens: {result.speedup_one_run:.2f} x if each run prepares its "
            f"data, {result.speedup_all_runs:.2f} x prepared once ({duration(result.prepare_seconds)}) for "
            f"{result.runs} runs."
        )
    return notes


def sweep_figures(result: SweepResult) -> dict[str, str]:
    """Return the figures of a sweep: the scores of its trials in turn, and the importance of each hyperparameter."""
    complete = [trial for trial in result.trials if trial.score is not None and trial.state == "complete"]
    figures = {}
    if complete:
        figures["history"] = _history(complete, result.metric)
    if result.importance:
        figures["importance"] = _importance(result.importance)
    return figures


def _history(trials: Sequence[Trial], metric: str) -> str:
    scores = [100 * (trial.score or 0.0) for trial in trials]
    best = [max(scores[: upto + 1]) for upto in range(len(scores))]
    spreads = [_deviation(trial) for trial in trials]
    numbers = [trial.number for trial in trials]
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.add_subplot()
        label = "mean and deviation over seeds" if any(spreads) else "mean over seeds"
        axes.errorbar(numbers, scores, yerr=spreads, color=LIGHT["kept"], fmt="o", markersize=5, capsize=3, label=label)
        axes.step(numbers, best, where="post", color=LIGHT["mark"], linewidth=1.5, label="best so far")
        axes.set(xlabel="trial", ylabel=f"{shown(metric)} x 100")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        return figure_svg(figure)


def _importance(importance: Mapping[str, float]) -> str:
    names = list(importance)[::-1]
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7, 0.8 + 0.4 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(names, [100 * importance[name] for name in names], color=LIGHT["kept"], height=0.6)
        axes.set(xlabel="share of the scores' spread, %")
        axes.spines[["top", "right"]].set_visible(False)
        return figure_svg(figure)


def _deviation(trial: Trial) -> float:
    scores = [score for score in trial.scores.values() if score is not None]
    return 100 * statistics.stdev(scores) if len(scores) > 1 else 0.0


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score(trial: Trial) -> str:
    return trial.state if trial.score is None or trial.state != "complete" else f"{100 * trial.score:.2f}"


def _of_seed(trial: Trial, seed: int) -> str:
    score = trial.scores.get(str(seed))
    return _NOTHING if score is None else f"{100 * score:.2f}"
