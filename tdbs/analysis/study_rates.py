"""Figure 4: scores and speedups of a call for one sample over the share of words that are dropped."""

import statistics
from collections.abc import Mapping, Sequence

from tdbs.analysis.paper import FREE_RATE, FREE_SPEEDUP, FULL_LOSS, FULL_SPEEDUP, PaperStudy
from tdbs.analysis.study import AtRate, StudyResult, StudyTable, shown_times
from tdbs.analysis.study_means import NO_LOSS, NOTHING, by_task, deviation, held, points_lost, scores, shown, speedup
from tdbs.analysis.study_trained import Training

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
        findings=tuple(fig4_findings(over, [each.title for each in found if each.drops])),
        over_rates=over,
    )


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


def fig4_findings(over: Mapping[str, Sequence[AtRate]], dropping: Sequence[str]) -> list[str]:
    """Say which claims of Fig. 4 hold for each training with TokenDrop; the first of `over` is without it."""
    told = []
    plain = next(iter(over.values()))
    for title in dropping:
        points = over[title]
        if not points or not plain:
            continue
        least, most = plain[-1].difference, points[-1].difference
        told.append(
            held(
                least < most,
                f"models trained without TokenDrop lose more at inference. With all words dropped {least:+.2f} points "
                f"without, {most:+.2f} {title}.",
            )
        )
        at_free = next((point for point in points if point.rate == FREE_RATE), None)
        if at_free is not None:
            told.append(
                held(
                    at_free.difference >= -NO_LOSS,
                    f"the loss at rate {FREE_RATE:g} is negligible (at most {NO_LOSS:g} points). "
                    f"{at_free.difference:+.2f} points {title}.",
                )
            )
        free = [(p.speedup, p.rate, p.difference) for p in points if p.speedup and p.difference >= -NO_LOSS]
        if free and points[-1].speedup is not None:
            fastest, rate, lost = max(free)
            told.append(
                held(
                    fastest >= FREE_SPEEDUP,
                    f"a call for one sample is {FREE_SPEEDUP:g}x faster without a loss. The most here is "
                    f"{fastest:.2f}x at rate {rate:g}, {lost:+.2f} points, {title}.",
                )
            )
            full = points[-1].speedup
            told.append(
                held(
                    full >= FULL_SPEEDUP and most > -FULL_LOSS,
                    f"it is {FULL_SPEEDUP:g}x faster with all words dropped, at a loss of less than {FULL_LOSS:g} "
                    f"point. {full:.2f}x and {most:+.2f} points {title}.",
                )
            )
    return told
