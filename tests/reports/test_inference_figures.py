"""Figures of models at inference: every line and bar is there, the paper's beside ours, the same every time."""

from tdbs.analysis.studies.study import AtRate, LossBar
from tdbs.reports.figures.canvas import NARROW, WIDE
from tdbs.reports.figures.inference import drop_rates_svg, lost_svg, over_rates_svg
from tests.reports.svgs import groups, points_of, texts

RATES = (0.0, 0.5, 1.0)


def at_rates(loss: float, speedup: float | None) -> list[AtRate]:
    return [
        AtRate(rate=rate, difference=-loss * rate, difference_std=None if rate else 0.1, speedup=speedup)
        for rate in RATES
    ]


def test_trainings_are_drawn_with_the_papers_numbers_beside_them():
    over = {"without <TokenDrop>": at_rates(5, 1.5), "with it": at_rates(1, 1.6)}
    first, second = over_rates_svg(over), over_rates_svg(over)
    assert first == second
    named = texts(first)
    assert {name: named.count(name) for name in over} == dict.fromkeys(over, 2)  # losses and speedups
    assert {"paper", "no loss, paper", "points against whole texts", "share of the words dropped"} <= set(named)


def test_what_was_not_timed_has_no_speedup():
    named = texts(over_rates_svg({"untimed": at_rates(1, None)}))
    assert named.count("untimed") == 1


def test_losses_are_bars_beside_the_papers():
    bars = [
        LossBar(title="without", here=-2.0, here_std=0.5, paper=-5.2),
        LossBar(title="ours alone", here=0.4, here_std=None, paper=None),
    ]
    first, second = lost_svg(bars), lost_svg(bars)
    assert first == second
    assert {"without", "ours alone", "here", "paper"} <= set(texts(first))


def test_a_runs_score_and_speedup_are_drawn_over_the_drop_rate():
    """Side by side on a screen, one above the other on a phone; higher values stand higher."""
    panels = [("score", [0.9, 0.8, 0.7]), ("speedup", [1.0, 1.2, 1.5])]
    for width in (WIDE, NARROW):
        svg = drop_rates_svg(RATES, panels, width=width)
        assert svg == drop_rates_svg(RATES, panels, width=width)
        assert {"score", "speedup", "share of the words dropped"} <= set(texts(svg))
        score, speedup = (points_of(groups(svg, f"values-{number}")[0]) for number in (0, 1))
        assert [y for _, y in score] == sorted(y for _, y in score)
        assert [y for _, y in speedup] == sorted((y for _, y in speedup), reverse=True)
        beside, above = speedup[0][0] > score[-1][0], min(y for _, y in speedup) > max(y for _, y in score)
        assert (beside, above) == ((True, False) if width == WIDE else (False, True))
    assert "speedup" not in texts(drop_rates_svg(RATES, panels[:1], width=WIDE))
