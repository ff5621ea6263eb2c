"""Figures of comparisons, caps and overheads: shapes are as long as the numbers, words are beside them."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.reports.figures.bars import (
    Overheads,
    StrategyError,
    StrategyTime,
    errors_svg,
    overheads_svg,
    prepare_stages,
    time_by_strategy_svg,
)
from tdbs.reports.figures.canvas import LIGHT
from tdbs.reports.figures.curves import losses_svg, spread
from tdbs.reports.figures.files import standalone
from tdbs.reports.figures.lengths import cap_lines, length_histogram_svg
from tdbs.train.planning.strategies import STRATEGIES, Strategy
from tests.reports.conftest import make_steps
from tests.reports.svgs import SVG, extent, groups, parse, points_of, texts

TIMES = [
    StrategyTime(strategy="random", measured=40.0, predicted=44.0, low=40.0, high=48.0, speedup=1.0),
    StrategyTime(strategy="reach", measured=12.0, predicted=None, low=None, high=None, speedup=3.3333),
]
ERRORS = [
    StrategyError(strategy="random", runs=(0.05, -0.05), mean=0.0),
    StrategyError(strategy="reach", runs=(-0.2,), mean=-0.2),
]
OVERHEADS = Overheads(prepare=2.0, stages={"tokenize": 1.5, "write": 0.5}, run={"train": 6.0}, strategy="reach")
COUNTS = np.bincount([4, 4, 6, 8, 8, 8, 16], minlength=17)
EDGES = np.array([0, 5, 10, 15, 16])
PAPER = Strategy(name="paper", batches="bucket", drop="none", caps="paper", base_batch_size=600)


def centres(group: ET.Element) -> list[float]:
    """Return where the markers of a group are, in pixels from the left."""
    return [float(use.get("x", "")) for use in group.iter(f"{SVG}use")]


def test_bars_are_as_long_as_the_measured_seconds():
    """The scale ends where the longest range does: 48 s are the whole width."""
    bars = [extent(bar, 0) for bar in groups(time_by_strategy_svg(TIMES), r"seconds-\d+")]
    assert np.array(bars) * 48 / 720 == pytest.approx([40, 12], abs=0.1)


def test_the_prediction_is_a_dot_beside_the_bar_where_there_is_one():
    (dot,) = groups(time_by_strategy_svg(TIMES), r"predicted-\d+")
    assert centres(dot)[0] * 48 / 720 == pytest.approx(44, abs=0.1)


def test_times_are_said_in_words():
    found = texts(time_by_strategy_svg(TIMES))
    assert {"random", "40.0 s · 1.00 ×", "reach", "12.0 s · 3.33 ×", "measured"} <= set(found)


def test_what_was_not_measured_has_a_bar_of_what_was_predicted():
    row = StrategyTime(strategy="reach", measured=None, predicted=10.0, low=9.0, high=20.0, speedup=None)
    svg = time_by_strategy_svg([row])
    assert extent(groups(svg, r"seconds-0")[0], 0) == pytest.approx(360, abs=0.5)
    assert groups(svg, r"predicted-\d+") == []
    assert {"predicted", "10.0 s · –"} <= set(texts(svg))


def test_errors_are_dots_to_both_sides_of_what_was_measured():
    """The axis ends at 1.15 times the largest error, 23 %; its middle is between the margins of 112 and 68."""
    svg = errors_svg(ERRORS)
    found = [centres(group) for group in groups(svg, r"errors-\d+")]
    middle, pixels = 112 + 540 / 2, 540 / 2 / 0.23
    assert found[0] == pytest.approx([middle + 0.05 * pixels, middle - 0.05 * pixels], abs=0.5)
    assert found[1] == pytest.approx([middle - 0.2 * pixels], abs=0.5)
    assert "−20.0 %" in texts(svg)


def test_caps_of_a_strategy_are_hwcap_and_batchcap_of_each_epoch():
    """By hand: HWCap 2525 below 5 tokens, 1250 below 10, 800 below 15, 575; EpochCap 600, then 1200."""
    lines = cap_lines(PAPER, max_length=16, epochs=2)
    assert lines.hardware_L1[[0, 4, 5, 10, 16]].tolist() == [2525, 2525, 1250, 800, 575]
    assert [caps_L1[[0, 5, 10, 16]].tolist() for caps_L1 in lines.by_epoch] == [
        [600, 600, 600, 575],
        [1200, 1200, 800, 575],
    ]


def test_batches_of_an_update_share_its_caps():
    """Four micro-batches: a quarter each."""
    one, four = (cap_lines(replace(PAPER, micro_batches=n), max_length=16, epochs=2) for n in (1, 4))
    assert (one.micro_batches, four.micro_batches) == (1, 4)
    for whole_L1, part_L1 in zip(one.by_epoch, four.by_epoch, strict=True):
        assert (part_L1 == whole_L1 // 4).all()


def test_strategies_whose_batches_have_one_size_have_no_caps():
    assert cap_lines(STRATEGIES["random"], max_length=16, epochs=2) is None


def test_without_batchcap_every_epoch_takes_what_the_device_takes():
    lines = cap_lines(STRATEGIES["tf_bucket"], max_length=16, epochs=3)
    assert all((caps_L1 == lines.hardware_L1).all() for caps_L1 in lines.by_epoch)


def test_caps_are_steps_below_the_histogram_as_high_as_their_logarithm():
    svg = length_histogram_svg(COUNTS, EDGES, caps=cap_lines(PAPER, max_length=16, epochs=2))
    lines = dict(zip(("hwcap", "later", "first"), groups(svg, r"(?:hwcap|batchcap-\d)"), strict=True))
    heights = {name: sorted({round(y, 2) for _, y in points_of(line)}) for name, line in lines.items()}
    assert [len(heights[name]) for name in ("hwcap", "first", "later")] == [4, 2, 3]
    octave = (heights["hwcap"][-1] - heights["hwcap"][0]) / np.log2(2525 / 575)
    assert heights["first"][-1] - heights["first"][0] == pytest.approx(octave * np.log2(600 / 575), abs=0.1)
    assert {"epoch 0: 600", "epoch 1: 1,200", "HWCap, at most 2,525"} <= set(texts(svg))


def test_epochs_with_the_same_caps_share_a_line():
    svg = length_histogram_svg(COUNTS, EDGES, caps=cap_lines(STRATEGIES["reach"], max_length=16, epochs=3))
    assert len(groups(svg, r"batchcap-\d")) == 1
    assert "every epoch: 64" in texts(svg)


def test_losses_lie_over_each_other_with_their_names():
    """Two strategies with 8 and 4 steps: both lines reach from the first step to the end of the run."""
    runs = {"random": make_steps([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]), "<b>": make_steps([0.9, 0.5, 0.3, None])}
    svg = losses_svg(runs)
    lines = groups(svg, r"strategy-\d+")
    ends = [max(x for x, _ in points_of(line)) for line in lines]
    assert len(lines) == 2
    assert ends[0] == pytest.approx(720 - 122, abs=0.5)
    assert {"random", "<b>"} <= set(texts(svg))


def test_losses_of_many_strategies_have_different_looks():
    """Six colours, then the same ones dashed."""
    svg = losses_svg({f"s{number}": make_steps([0.5, 0.4]) for number in range(12)})
    looks = []
    for line in groups(svg, r"strategy-\d+"):
        style = next(line.iter(f"{SVG}path")).get("style", "")
        looks.append((re.search(r"stroke: (var\(--\w+)", style)[1], "dasharray" in style))
    assert len(set(looks)) == 12


def test_a_strategy_without_any_finite_loss_can_be_drawn():
    assert "reach" in texts(losses_svg({"reach": make_steps([None])}))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_labels_keep_their_order_their_distance_and_the_ceiling(heights):
    given_K = np.array(heights)
    moved_K = spread(given_K, gap=5, highest=100)
    order_K = np.argsort(given_K, kind="stable")
    assert (np.diff(moved_K[order_K]) >= 5 - 1e-9).all()
    assert moved_K.max() <= 100


def test_labels_that_have_room_stay():
    assert spread(np.array([50.0, 10.0]), gap=5, highest=100).tolist() == [50, 10]


def test_the_bar_of_overheads_is_a_run_with_preparing_before_it():
    """2 s of preparing and 6 s of training; below, 1.5 s and 0.5 s of preparing, enlarged to the whole width."""
    svg = overheads_svg(OVERHEADS)
    assert [extent(bar, 0) for bar in groups(svg, r"whole-\d")] == pytest.approx([180, 540], abs=0.2)
    assert [extent(bar, 0) for bar in groups(svg, r"stages-\d")] == pytest.approx([540, 180], abs=0.2)
    assert {"prepare 2.0 s, once", "train 6.0 s, each run", "tokenize 1.5 s"} <= set(texts(svg))


STAGES = [
    # stages one after the other leave some of the wall-clock to the rest
    ({"read": 1.0, "tokenize": 2.0, "total": 4.0}, {"read": 1.0, "tokenize": 2.0, "other": 1.0}),
    # stages that overlap share the wall-clock by their work
    ({"read": 1.0, "tokenize": 7.0, "total": 4.0}, {"read": 0.5, "tokenize": 3.5}),
    ({"total": 4.0}, {}),
]


@pytest.mark.parametrize(("seconds", "stages"), STAGES)
def test_stages_of_preparing_are_parts_of_its_wall_clock(seconds, stages):
    assert prepare_stages(seconds) == stages


def all_figures() -> dict[str, str]:
    return {
        "time": time_by_strategy_svg(TIMES),
        "prediction": errors_svg(ERRORS),
        "lengths": length_histogram_svg(COUNTS, EDGES, caps=cap_lines(PAPER, max_length=16, epochs=2)),
        "losses": losses_svg({"random": make_steps([0.9, 0.5]), "reach": make_steps([0.9, 0.4])}),
        "overheads": overheads_svg(OVERHEADS),
    }


def test_figures_are_the_same_every_time():
    assert all_figures() == all_figures()


def test_all_colours_are_the_pages():
    """Without its properties there is no colour left: dark mode reaches everything."""
    for svg in all_figures().values():
        assert re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"var\(--[a-z]+, #[0-9a-f]{6}\)", "", svg)) == []


def test_a_figure_as_a_file_needs_no_page():
    """It has a size, a ground, colours that are no CSS properties, and fonts that machines have."""
    for svg in all_figures().values():
        alone = standalone(svg)
        root = parse(alone)
        assert alone.startswith("<?xml")
        assert "var(" not in alone
        assert "DejaVu" not in alone
        assert float(root.get("width", "0")) == 720 + 2 * 16
        assert f"fill: {LIGHT['paper']}" in next(root.iter(f"{SVG}rect")).get("style", "")
        assert texts(alone) == texts(svg)
