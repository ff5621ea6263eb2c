"""Figures hold the numbers that they were given, are the same every time, and take the page's colours."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from tdbs.reports.figures.bars import padding_by_strategy_svg
from tdbs.reports.figures.canvas import DARK, LIGHT, short_count, short_number
from tdbs.reports.figures.curves import moving_average, run_svgs
from tdbs.reports.figures.lengths import length_histogram_svg
from tests.reports.conftest import ESTIMATES, make_estimate, make_steps
from tests.reports.svgs import SVG, extent, groups, parse, points_of, texts

COUNTS = np.bincount([4, 4, 6, 8, 8, 8, 16], minlength=17)
EDGES = np.array([0, 5, 10, 15, 16])


def all_figures() -> dict[str, str]:
    return {
        "lengths": length_histogram_svg(COUNTS, EDGES),
        "padding": padding_by_strategy_svg(ESTIMATES),
        **run_svgs(make_steps([0.9, None, 0.5, 0.4, 0.3])),
    }


def test_histogram_has_one_shape_for_each_bucket_that_holds_samples() -> None:
    """[0, 5), [5, 10) and the last, [15, 16], hold samples; [10, 15) is empty."""
    shapes = groups(length_histogram_svg(COUNTS, EDGES), r"bucket-\d+")
    assert [shape.get("id") for shape in shapes] == [f"lengths-720-bucket-{bucket}" for bucket in (0, 1, 3)]


def test_histogram_is_as_high_as_the_greatest_count_of_a_bucket() -> None:
    """Bucket 0 holds at most 2 samples of one length (4), bucket 1 holds 3 (8), bucket 3 one (16)."""
    heights = [extent(shape, 1) for shape in groups(length_histogram_svg(COUNTS, EDGES), r"bucket-\d+")]
    assert np.array(heights) / heights[2] == pytest.approx([2, 3, 1], rel=1e-4)


def test_neighbour_buckets_have_different_shades() -> None:
    """The change of shade is the bucket's edge."""
    first, second, _ = groups(length_histogram_svg(COUNTS, EDGES), r"bucket-\d+")
    assert "var(--kept" in ET.tostring(first, "unicode")
    assert "var(--next" in ET.tostring(second, "unicode")


def test_histogram_names_l_avg_and_l_87_5() -> None:
    """54 tokens in 7 samples are 7.7 each; 6 of 7 samples (86 %) reach 8 tokens only, so L_87.5 is 16."""
    assert {"L_avg 7.7", "L_87.5 16"} <= set(texts(length_histogram_svg(COUNTS, EDGES)))


@pytest.mark.parametrize("lengths", [[3], [512], [0, 512]])
def test_histogram_of_extreme_lengths_can_be_drawn(lengths: list[int]) -> None:
    """One length only, the greatest one, and nothing between two ends."""
    edges = np.append(np.arange(0, 512, 5), 512)
    svg = length_histogram_svg(np.bincount(lengths, minlength=513), edges)
    assert len(groups(svg, r"bucket-\d+")) == len(lengths)


def test_bars_are_as_long_as_kept_and_pad_tokens() -> None:
    """All strategies share one scale: 2,000 kept and 6,000 pad, 2,000 and 2,000, 1,600 and none."""
    svg = padding_by_strategy_svg(ESTIMATES)
    bars = [[extent(bar, 0) for bar in groups(svg, rf"{part}-\d+")] for part in ("kept", "pad")]
    assert np.array(bars) * 8000 / 720 == pytest.approx(np.array([[2000, 2000, 1600], [6000, 2000, 0]]), abs=0.1)


def test_bars_are_labelled_with_padding_and_speedup() -> None:
    labels = texts(padding_by_strategy_svg(ESTIMATES))
    for label in ("random_max", "75.0 % padding · 0.50 ×", "reach", "0.0 % padding · 2.50 ×", "kept tokens"):
        assert label in labels


def test_names_of_strategies_are_text_never_markup_nor_tex() -> None:
    """A strategy can be named by a user of the Python API."""
    name = '<script>alert("$x^2$")</script>'
    svg = padding_by_strategy_svg([make_estimate(name, 10, 0.5, 1.0)])
    assert "<script" not in svg
    assert name in texts(svg)


def test_a_loss_that_is_not_finite_leaves_a_gap_and_a_mark() -> None:
    """Four of five losses are drawn, in two pieces; the mark is at step 1."""
    svg = run_svgs(make_steps([0.9, None, 0.5, 0.4, 0.3]))["loss"]
    (curve,) = groups(svg, "values")
    assert next(curve.iter(f"{SVG}path")).get("d", "").count("M") == 2
    assert len(points_of(curve)) == 4
    assert len(groups(svg, "not-finite-1")) == 1


def test_a_run_without_any_finite_loss_can_be_drawn() -> None:
    """The first step may be the one that fails."""
    assert len(groups(run_svgs(make_steps([float("nan")]))["loss"], "not-finite-0")) == 1


def test_long_runs_are_thinned_but_keep_their_extremes() -> None:
    """Of 30,000 steps, the one spike stays, and the path has about as many points as a screen."""
    losses: list[float | None] = [0.5] * 30_000
    losses[12_345] = 1.0
    (curve,) = groups(run_svgs(make_steps(losses, per_epoch=10_000))["loss"], "values")
    heights = [y for _, y in points_of(curve)]
    assert len(heights) <= 1_500
    assert min(heights) < 0.7 * max(heights)


def test_moving_average_is_the_mean_of_the_last_steps_without_what_is_not_finite() -> None:
    """By hand, window 2: (1), (1, 3), (3, nan), (nan, 7)."""
    assert moving_average(np.array([1.0, 3.0, np.nan, 7.0]), 2).tolist() == [1.0, 2.0, 3.0, 7.0]
    assert np.isnan(moving_average(np.array([np.nan]), 3)).all()


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (9500, "9,500"), (95_000, "95 K"), (2_500_000, "2.5 M"), (0, "0")]
)
def test_counts_fit_an_axis(value: float, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.25, "0.25"), (2.5e-4, "2.5e-4"), (1e-5, "1e-5"), (64, "64")])
def test_numbers_fit_an_axis(value: float, text: str) -> None:
    assert short_number(value) == text


def test_figures_are_the_same_every_time_whatever_the_users_matplotlib_settings() -> None:
    first = all_figures()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert all_figures() == first


def test_all_colours_are_the_pages() -> None:
    """Without its properties there is no colour left: dark mode reaches everything."""
    for svg in all_figures().values():
        assert re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"var\(--[a-z]+, #[0-9a-f]{6}\)", "", svg)) == []
    assert DARK.keys() == LIGHT.keys()


def test_figures_share_a_page_without_sharing_ids() -> None:
    """Also where one figure is there in two widths."""
    figures = [*all_figures().values(), padding_by_strategy_svg(ESTIMATES, width=344)]
    ids = [element.get("id") for svg in figures for element in parse(svg).iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_figures_scale_with_their_place_and_say_what_they_show() -> None:
    for svg in all_figures().values():
        root = parse(svg)
        assert root.get("viewBox", "").startswith("0 0 720 ")
        assert (root.get("width"), root.get("height")) == (None, None)
        assert root.get("role") == "img"
        assert root.get("aria-label")
