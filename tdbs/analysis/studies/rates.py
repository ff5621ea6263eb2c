"""Figure 4: scores and speedups of a call for one sample over the share of words that are dropped."""

import statistics
from collections.abc import Sequence

from tdbs.analysis.studies.means import (
    NO_LOSS,
    NOTHING,
    by_task,
    deviation,
    is_significant,
    loses_less,
    points_lost,
    scores,
    shown,
    speedup,
    verdict,
)
from tdbs.analysis.studies.paper import FREE_RATE, FREE_SPEEDUP, FULL_LOSS, FULL_SPEEDUP, PaperStudy
from tdbs.analysis.studies.study import AtRate, StudyResult, StudyTable, shown_times
from tdbs.analysis.studies.trained import Training

RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def rates_study(of_paper: PaperStudy, found: Sequence[Training], caption: str) -> StudyResult:
    """Return scores, what is lost against whole texts, and speedups over the drop rate, by training."""
    over = {training.title: _over_rates(training) for training in found}
    rates = tuple(f"{rate:g}" for rate in RATES)
    places = range(len(RATES))
    return StudyResult(
        study="fig4",
        title=of_paper.title,
        caption=caption,
        tables=(
            StudyTable(
                title="Score over the drop rate, mean over tasks (deviation over seeds)",
                columns=("", *rates),
                rows=tuple((each.title, *(shown(scores(each, place)) for place in places)) for each in found),
            ),
            StudyTable(
                title="Against whole texts, points",
                columns=("", *rates),
                rows=tuple(
                    (each.title, *(shown(points_lost(each, place), sign=True) for place in places)) for each in found
                ),
            ),
            StudyTable(
                title="Speedup of a call for one sample",
                columns=("", *rates),
                rows=(
                    *((each.title, *(shown_times(speedup(each, place)) for place in places)) for each in found),
                    ("with TokenDrop, paper", "1x", *[NOTHING] * (len(RATES) - 2), f"{FULL_SPEEDUP:g}x"),
                ),
            ),
            by_task("Against whole texts by task, points", found, [f"rate {rate}" for rate in rates]),
        ),
        findings=tuple(fig4_findings(found)),
        over_rates=over,
    )


def fig4_findings(found: Sequence[Training]) -> list[str]:
    """Say which claims of Fig. 4 hold for each training with TokenDrop; the first of `found` is without it."""
    findings = []
    last, free = len(RATES) - 1, RATES.index(FREE_RATE)
    plain = points_lost(found[0], last)
    for each in found[1:]:
        at_full, at_free = points_lost(each, last), points_lost(each, free)
        if not plain or not at_full or not at_free:
            continue
        holds, numbers = loses_less(at_full, plain)
        findings.append(
            verdict(
                holds,
                "models trained without TokenDrop lose more at inference. "
                f"With all words dropped {numbers} {each.title}.",
            )
        )
        findings.append(
            verdict(
                is_significant(at_free, at_least=-NO_LOSS),
                f"the loss at rate {FREE_RATE:g} is negligible (at most {NO_LOSS:g} points). "
                f"{shown(at_free, sign=True)} points {each.title}.",
            )
        )
        findings.extend(_speed_findings(each, at_full))
    return findings


def _over_rates(training: Training) -> tuple[AtRate, ...]:
    points = []
    for place, rate in enumerate(RATES):
        lost = points_lost(training, place)
        if lost:
            points.append(
                AtRate(
                    rate=rate,
                    difference=statistics.mean(lost),
                    difference_std=deviation(lost),
                    speedup=speedup(training, place),
                )
            )
    return tuple(points)


def _speed_findings(training: Training, at_full: Sequence[float]) -> list[str]:
    losses = [statistics.mean(points_lost(training, place)) for place in range(len(RATES))]
    speedups = [speedup(training, place) for place in range(len(RATES))]
    free = [
        (times, rate, loss)
        for times, rate, loss in zip(speedups, RATES, losses, strict=True)
        if times and loss >= -NO_LOSS
    ]
    full = speedups[-1]
    if not free or full is None:
        return []
    fastest, rate, loss = max(free)
    return [
        verdict(
            fastest >= FREE_SPEEDUP,
            f"a call for one sample is {FREE_SPEEDUP:g}x faster without a loss. "
            f"The most here is {fastest:.2f}x at rate {rate:g}, {loss:+.2f} points, {training.title}.",
        ),
        verdict(
            full >= FULL_SPEEDUP and is_significant(at_full, at_least=-FULL_LOSS),
            f"it is {FULL_SPEEDUP:g}x faster with all words dropped, at a loss of less than {FULL_LOSS:g} point. "
            f"{full:.2f}x and {shown(at_full, sign=True)} points {training.title}.",
        ),
    ]
