"""Tables of scores: one comparison a task, a row for each of the paper's, and what contradicts it said plainly."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tdbs.analysis.compare.compare import compare
from tdbs.analysis.studies.paper import PaperRow, PaperStudy, Study
from tdbs.analysis.studies.study import (
    Datasets,
    Progress,
    StudyResult,
    StudyTable,
    StudyTerms,
    describe_dropouts,
    describe_terms,
    mean_of,
    shown_percent,
    shown_score,
    shown_times,
)
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.settings import options_of
from tdbs.train.feed import TRAIN
from tdbs.train.models.load import model_to_train
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import STRATEGIES, Strategy, parts_without_drop, resolve_strategy

POOL_FOLDER = "pool"  # beside the studies: finished runs that several of them share
_NOTHING = ""
Summaries = Mapping[str, Mapping[str, Mapping[str, Any]]]


def compared_study(
    study: Study,
    of_paper: PaperStudy,
    datasets: Datasets,
    terms: StudyTerms,
    *,
    runs: Path,
    profile: Profile | None,
    progress: Progress,
) -> StudyResult:
    """Compare a study's rows on each task and return its tables; comparisons go to folders in `runs`, by task.

    Rows that the model cannot run are skipped, and the caption names them. Raises ConfigError before the first run
    if a task takes one of the rows not.
    """
    in_rows = all(model_to_train(terms.model, dataset.manifest).in_rows for dataset in datasets.values())
    missing = [row for row in of_paper.rows if STRATEGIES[row.strategy].in_rows and not in_rows]
    of_paper = replace(of_paper, rows=tuple(row for row in of_paper.rows if row not in missing))
    strategies = {
        task: [_strategy(row, dataset, in_rows=in_rows) for row in of_paper.rows] for task, dataset in datasets.items()
    }
    results: dict[str, dict[str, Any]] = {}
    for task, dataset in datasets.items():
        results[task] = compare(
            dataset,
            strategies[task],
            out=runs / task,
            seeds=terms.seeds,
            baseline=of_paper.rows[0].name,
            **options_of(terms),
            profile=profile,
            part_steps=terms.part_steps,
            resume=True,
            pool=runs.parent / POOL_FOLDER,
            progress=_naming(task, progress),
        )
    summaries = {
        task: {summary["strategy"]: summary for summary in result["summary"]} for task, result in results.items()
    }
    first = next(iter(results.values()))
    timed = f" {terms.part_steps} steps of each run were timed: times are projected, there are no scores."
    dropouts = {
        task: [
            resolve_dropout(terms.dropout, strategy, split_info(dataset, TRAIN).rows) for strategy in strategies[task]
        ]
        for task, dataset in datasets.items()
    }
    caption = (
        f"{describe_terms(first, terms.seeds, list(datasets))}{timed if terms.part_steps else ''} "
        f"{describe_dropouts([row.title for row in of_paper.rows], dropouts)} "
        "The paper: roberta-base (T5-small in Table 2), RTX 2080 Ti, 3 epochs, best of three rates, GLUE and SQuAD. "
        f"{of_paper.note}"
        + "".join(f" {row.title} is skipped: this model supports one sample per row." for row in missing)
    )
    return StudyResult(
        study=study,
        title=of_paper.title,
        caption=caption.strip(),
        tables=(
            _mean_table(of_paper, summaries),
            *(() if terms.part_steps else (_scores_table(of_paper, summaries),)),
            _speedups_table(of_paper, summaries),
        ),
        findings=tuple(findings(of_paper, summaries)),
        comparisons={task: runs / task for task in datasets},
    )


def findings(of_paper: PaperStudy, summaries: Summaries) -> list[str]:
    """Describe each difference between rows in the paper and here, and mark results that contradict the paper.

    The paper's mean is over the same tasks if it reports them one by one, else over all of its own.
    """
    found = []
    for attribute, key, scale, unit in (("score", "score_mean", 100, " points"), ("speedup", "speedup", 1, "x")):
        known = [row for row in of_paper.rows if any(_of_the_paper(row, attribute, summaries))]
        pairs = pairwise(known) if of_paper.stepwise else ((known[0], row) for row in known[1:])
        for before, after in pairs:
            values = [mean_of([of_task[row.name][key] for of_task in summaries.values()]) for row in (before, after)]
            (same_before, all_before), (same_after, all_after) = (
                _of_the_paper(row, attribute, summaries) for row in (before, after)
            )
            if values[0] is None or values[1] is None:
                continue
            ours = round(scale * (values[1] - values[0]), 2) + 0.0  # 0 below the shown digits; -0.0 is 0.0
            if same_before is not None and same_after is not None:
                theirs, where = same_after - same_before, "in the paper"
                verdict = _beside_the_paper(ours, theirs, is_speedup=attribute == "speedup")
            elif all_before is not None and all_after is not None:
                theirs, where = all_after - all_before, "in the paper (over all its tasks)"
                verdict = _beside_the_paper(ours, theirs, is_speedup=False)
            else:
                continue
            found.append(
                f"{after.title} against {before.title}: {attribute} {theirs:+.2f}{unit} {where}, "
                f"{ours:+.2f}{unit} here{verdict}."
            )
    return found


def _naming(task: str, progress: Progress) -> Progress:
    """Return a progress that names the task before each message."""
    return lambda message: progress(f"{task}: {message}")


def _strategy(row: PaperRow, dataset: PreparedDataset, *, in_rows: bool) -> Strategy:
    """Return the strategy of a row under the row's name, which is that of its runs."""
    task = dataset.manifest.task
    parts = parts_without_drop(row.parts, task)  # of CoLA the paper leaves TokenDrop out too
    if row.strategy in ("tdbs_paper", "reach"):
        parts.setdefault("caps", "paper")
    return replace(resolve_strategy(row.strategy, task, parts, in_rows=in_rows), name=row.name)


def _mean_table(of_paper: PaperStudy, summaries: Summaries) -> StudyTable:
    """Return scores and speedups as means over tasks, beside the paper's over its own tasks."""
    rows = []
    for row in of_paper.rows:
        own = [found[row.name] for found in summaries.values()]
        rows.append(
            (
                row.title,
                shown_percent(mean_of([summary["score_mean"] for summary in own])),
                row.score,
                shown_times(mean_of([summary["speedup"] for summary in own])),
                _NOTHING if row.speedup is None else f"{row.speedup:g}x",
                shown_percent(mean_of([summary["padding_fraction"] for summary in own])),
            )
        )
    columns = ("", "score here", "score, paper", "speedup here", "speedup, paper", "padding here, %")
    return StudyTable(title="Means over tasks", columns=columns, rows=tuple(rows))


def _scores_table(of_paper: PaperStudy, summaries: Summaries) -> StudyTable:
    tasks = tuple(summaries)
    here = tuple((row.title, *(shown_score(summaries[task][row.name]) for task in tasks)) for row in of_paper.rows)
    theirs = tuple(
        (f"{row.title}, paper", *(row.scores.get(task) for task in tasks)) for row in of_paper.rows if row.scores
    )
    return StudyTable(
        title="Scores by task (mean, standard deviation over seeds)", columns=("", *tasks), rows=here + theirs
    )


def _speedups_table(of_paper: PaperStudy, summaries: Summaries) -> StudyTable:
    tasks = tuple(summaries)
    here = tuple(
        (row.title, *(shown_times(summaries[task][row.name]["speedup"]) for task in tasks)) for row in of_paper.rows
    )
    theirs = tuple(
        (f"{row.title}, paper", *(shown_times(row.speedups.get(task)) for task in tasks))
        for row in of_paper.rows
        if row.speedups
    )
    return StudyTable(title="Speedups by task", columns=("", *tasks), rows=here + theirs)


def _of_the_paper(row: PaperRow, attribute: str, tasks: Iterable[str]) -> tuple[float | None, float | None]:
    """Return the paper's mean over some tasks, and over all of its own; None if it does not report it."""
    whole = row.score if attribute == "score" else row.speedup
    by_task = row.scores if attribute == "score" else row.speedups
    if attribute == "speedup" and whole == 1:  # of the baseline
        by_task = dict.fromkeys(tasks, 1.0)
    return mean_of([by_task.get(task) for task in tasks]), whole


def _beside_the_paper(ours: float, theirs: float, *, is_speedup: bool) -> str:
    """Return a note if a difference has another sign than the paper's, or a gain in speed is less than half of it."""
    if ours * theirs < 0:
        return ": the contrary of the paper"
    return ": less than half of the paper's" if is_speedup and 0 <= ours < theirs / 2 else ""
