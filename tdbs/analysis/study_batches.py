"""Table 3: a split scored and timed in random batches, in buckets, and in buckets with TokenDrop."""

from collections.abc import Sequence

from tdbs.analysis.paper import TABLE3, PaperStudy
from tdbs.analysis.study import Cell, StudyResult, StudyTable, mean_of, shown_percent, shown_times
from tdbs.analysis.study_means import (
    NO_LOSS,
    by_task,
    held,
    loses_less,
    mean,
    over_tasks,
    points_lost,
    scores,
    seeds_tell,
    shown,
    speedup,
)
from tdbs.analysis.study_trained import Training


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
    told = []
    _, bucket, both = range(len(TABLE3))
    faster = [mean_of([speedup(each, place) for each in found]) for place in (bucket, both)]
    if faster[0] is not None and faster[1] is not None:
        told.append(
            held(
                faster[0] >= TABLE3[bucket].speedup,
                f"BucketSampler is {TABLE3[bucket].speedup:g}x faster than random batches. {faster[0]:.2f}x here.",
            )
        )
        told.append(
            held(
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
        told.append(
            held(
                seeds_tell(lost, at_least=-NO_LOSS),
                "TokenDrop+BucketSampler at inference costs models trained with TokenDrop nothing (-0.01 points in the "
                f"paper). {shown(lost, sign=True)} points {each.title}.",
            )
        )
        holds, numbers = loses_less(lost, plain, of_paper=of_paper)
        told.append(
            held(
                holds,
                f"it costs models trained without it more (-1.41 points in the paper). {numbers} {each.title}.",
            )
        )
    return told
