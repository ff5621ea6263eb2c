"""Models at inference, trained with TokenDrop and without: Table 3 and the resilience test, and the way to Fig. 4.

Table 3 scores and times a split in random batches, in buckets, and in buckets with TokenDrop; the resilience test
(section 3.1) removes articles and punctuation from texts. Each claim of the paper holds or not, with the numbers: means
over tasks, deviations over seeds.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from tdbs.analysis.conditions.asked import Condition, Question
from tdbs.analysis.conditions.conditions import check_conditions, choose_batches, choose_conditions
from tdbs.analysis.environment import device_name
from tdbs.analysis.studies.means import (
    NO_LOSS,
    by_task,
    deviation,
    is_significant,
    loses_less,
    mean,
    over_tasks,
    points_lost,
    scores,
    shown,
    speedup,
    verdict,
)
from tdbs.analysis.studies.paper import LOST_WITH, LOST_WITHOUT, TABLE3, PaperStudy, Study
from tdbs.analysis.studies.rates import RATES, rates_study
from tdbs.analysis.studies.study import (
    Cell,
    Datasets,
    LossBar,
    Progress,
    StudyResult,
    StudyTable,
    StudyTerms,
    describe_dropouts,
    describe_terms,
    mean_of,
    shown_percent,
    shown_times,
)
from tdbs.analysis.studies.trained import Training, shared_terms, trainings
from tdbs.train.planning.model_choice import shown_model

REMOVALS = ("articles", "punctuation", "articles,punctuation")


def inference_study(
    study: Study,
    of_paper: PaperStudy,
    datasets: Datasets,
    terms: StudyTerms,
    *,
    runs: Path,
    progress: Progress,
) -> StudyResult:
    """Train what is missing in `runs`, ask every run, and return the study's tables and what holds of its claims.

    Raises ConfigError before the first run if a task judges grammar.
    """
    conditions: list[Condition] = {
        "table3": lambda: choose_batches([row.batches for row in TABLE3]),
        "fig4": lambda: choose_conditions(RATES),
        "resilience": lambda: choose_conditions(removals=REMOVALS),
    }[study]()
    for dataset in datasets.values():
        check_conditions(conditions, dataset.manifest.task, next_step="Leave the task out of --tasks.")
    asked = Question(conditions=conditions, timed=study != "resilience")
    found = trainings(datasets, terms, asked, runs=runs, progress=progress)
    make = {"table3": batches_study, "fig4": rates_study, "resilience": resilience_study}[study]
    return make(of_paper, found, _caption(of_paper, datasets, terms, found))


def batches_study(of_paper: PaperStudy, found: Sequence[Training], caption: str) -> StudyResult:
    """Return scores by training, padding and speedup of the paper's three ways to make batches."""
    rows: list[tuple[Cell, ...]] = []
    for place, row in enumerate(TABLE3):
        rows.append(
            (
                row.title,
                *(shown(scores(each, place)) for each in found),
                row.without,
                row.with_drop,
                shown_percent(mean(over_tasks(found[0], place, lambda kept: kept.padding_fraction))),
                row.padding,
                shown_times(mean_of([speedup(each, place) for each in found])),
                f"{row.speedup:g}x",
            )
        )
    columns = (
        *("", *(each.title for each in found)),
        *("without, paper", "with, paper", "padding here, %", "padding, paper, %", "speedup here", "speedup, paper"),
    )
    return StudyResult(
        study="table3",
        title=of_paper.title,
        caption=caption,
        tables=(
            StudyTable(title="Means over tasks (deviation over seeds)", columns=columns, rows=tuple(rows)),
            by_task("Against RandomSampler by task, points", found, [row.title for row in TABLE3]),
        ),
        findings=tuple(table3_findings(found)),
    )


def table3_findings(found: Sequence[Training]) -> list[str]:
    """Say which claims of Table 3 hold; the first training is without TokenDrop."""
    findings = []
    _, bucket, both = range(len(TABLE3))
    faster = [mean_of([speedup(each, place) for each in found]) for place in (bucket, both)]
    if faster[0] is not None and faster[1] is not None:
        findings.append(
            verdict(
                faster[0] >= TABLE3[bucket].speedup,
                f"BucketSampler is {TABLE3[bucket].speedup:g}x faster than random batches. {faster[0]:.2f}x here.",
            )
        )
        findings.append(
            verdict(
                faster[1] > faster[0],
                f"TokenDrop makes it faster still: {TABLE3[both].speedup:g}x in the paper. {faster[1]:.2f}x here.",
            )
        )
    plain = points_lost(found[0], both)
    first, last = TABLE3[0], TABLE3[both]
    of_paper = (last.with_drop - first.with_drop) - (last.without - first.without)
    for each in found[1:]:
        lost = points_lost(each, both)
        if not lost or not plain:
            continue
        findings.append(
            verdict(
                is_significant(lost, at_least=-NO_LOSS),
                "TokenDrop+BucketSampler at inference costs models trained with TokenDrop nothing (-0.01 points in the "
                f"paper). {shown(lost, sign=True)} points {each.title}.",
            )
        )
        holds, numbers = loses_less(lost, plain, of_paper=of_paper)
        findings.append(
            verdict(
                holds,
                f"it costs models trained without it more (-1.41 points in the paper). {numbers} {each.title}.",
            )
        )
    return findings


def resilience_study(of_paper: PaperStudy, found: Sequence[Training], caption: str) -> StudyResult:
    """Return what is lost without articles, without punctuation and without both, by training."""
    both = len(REMOVALS)  # whole texts come first
    columns = ("", "whole texts", *(f"without {', '.join(kinds.split(','))}" for kinds in REMOVALS), "lost, paper")
    rows: list[tuple[Cell, ...]] = [
        (
            each.title,
            shown(scores(each, 0)),
            *(shown(points_lost(each, place), sign=True) for place in range(1, both + 1)),
            LOST_WITH if each.drops else LOST_WITHOUT,
        )
        for each in found
    ]
    bars = [
        LossBar(
            title=each.title,
            here=statistics.mean(lost),
            here_std=deviation(lost),
            paper=LOST_WITH if each.drops else LOST_WITHOUT,
        )
        for each in found
        if (lost := points_lost(each, both))
    ]
    return StudyResult(
        study="resilience",
        title=of_paper.title,
        caption=caption,
        tables=(
            StudyTable(
                title="Score on whole texts, and points lost, means over tasks (deviation over seeds)",
                columns=columns,
                rows=tuple(rows),
            ),
            by_task("Against whole texts by task, points", found, ["whole texts", *columns[2 : both + 2]]),
        ),
        findings=tuple(resilience_findings(found)),
        bars=tuple(bars),
    )


def resilience_findings(found: Sequence[Training]) -> list[str]:
    """Say which claims of the resilience test hold; the first training is without TokenDrop."""
    findings = []
    both = len(REMOVALS)
    plain = points_lost(found[0], both)
    for each in found[1:]:
        lost = points_lost(each, both)
        if not plain or not lost:
            continue
        holds, numbers = loses_less(lost, plain, of_paper=LOST_WITH - LOST_WITHOUT)
        findings.append(
            verdict(
                holds,
                f"models trained without TokenDrop lose more without articles and punctuation ({LOST_WITHOUT:+g} "
                f"points in the paper, {LOST_WITH:+g} with it). {numbers} {each.title}.",
            )
        )
        findings.append(
            verdict(
                is_significant(lost, at_least=LOST_WITH),
                f"those trained with it lose {-LOST_WITH:g} points at most. "
                f"{shown(lost, sign=True)} points {each.title}.",
            )
        )
    return findings


def _caption(of_paper: PaperStudy, datasets: Datasets, terms: StudyTerms, found: Sequence[Training]) -> str:
    shared = shared_terms(next(iter(datasets.values())).manifest, terms)
    of_terms = {**shared.on_disk(), "model": shown_model(shared.model), "device": device_name()}
    dropouts = {task: [training.dropouts[task] for training in found] for task in datasets}
    return (
        f"{describe_terms(of_terms, terms.seeds, list(datasets))} "
        f"{describe_dropouts([training.title for training in found], dropouts)} "
        "The paper: roberta-base, means over GLUE and SQuAD. " + of_paper.note
    )
