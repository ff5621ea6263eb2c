"""The resilience test of section 3.1: articles and punctuation removed from the texts that models are scored on."""

import statistics
from collections.abc import Sequence

from tdbs.analysis.paper import LOST_WITH, LOST_WITHOUT, PaperStudy
from tdbs.analysis.study import Cell, LossBar, StudyResult, StudyTable
from tdbs.analysis.study_means import by_task, deviation, held, loses_less, points_lost, scores, seeds_tell, shown
from tdbs.analysis.study_trained import Training

REMOVALS = ("articles", "punctuation", "articles,punctuation")


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
    told = []
    both = len(REMOVALS)
    plain = points_lost(found[0], both)
    for each in found[1:]:
        lost = points_lost(each, both)
        if not plain or not lost:
            continue
        holds, numbers = loses_less(lost, plain, of_paper=LOST_WITH - LOST_WITHOUT)
        told.append(
            held(
                holds,
                f"models trained without TokenDrop lose more without articles and punctuation ({LOST_WITHOUT:+g} "
                f"points in the paper, {LOST_WITH:+g} with it). {numbers} {each.title}.",
            )
        )
        told.append(
            held(
                seeds_tell(lost, at_least=LOST_WITH),
                f"those trained with it lose {-LOST_WITH:g} points at most. "
                f"{shown(lost, sign=True)} points {each.title}.",
            )
        )
    return told
