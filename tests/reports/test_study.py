"""A study on disk: Markdown that keeps its columns, figures that are the same every time, folders left alone."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.studies.study import AtRate, LossBar, StudyResult, StudyTable
from tdbs.errors import ConfigError
from tdbs.reports.figures.bars import StrategyError, StrategyTime, errors_svg, time_by_strategy_svg
from tdbs.reports.figures.curves import loss_curves_svg, losses_svg, smoothed, spread_svg
from tdbs.reports.figures.inference import lost_svg, over_rates_svg
from tdbs.reports.study import check_study_folder, markdown_table, study_figures, study_markdown
from tests.examples import examples

SVG = "{http://www.w3.org/2000/svg}"
CURVE = [((i + 1) / 40, 1.0 - i / 50) for i in range(40)]


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314  # our own output


def test_pipes_in_cells_do_not_make_columns():
    table = StudyTable(title="t", columns=("a|b", "c"), rows=(("x|y", 1.5), ("z", None)))
    assert markdown_table(table).splitlines() == ["| a\\|b | c |", "|---|---|", "| x\\|y | 1.5 |", "| z |  |"]


def test_a_page_says_what_was_found_and_how_it_was_made():
    result = StudyResult(
        study="fig8",
        title="T",
        caption="C.",
        tables=(StudyTable(title="Tasks", columns=("task",), rows=(("rte",),)),),
        findings=("One.", "Two."),
    )
    page = study_markdown(result, command="tdbs reproduce fig8", figures=["speedup"])
    lines = [line for line in page.splitlines() if line]
    assert lines[0] == "# T"
    assert lines[2].startswith("Made by `tdbs reproduce fig8` (tdbs ")
    assert lines[1:2] + lines[3:] == [
        "C.", "![speedup](speedup.svg)", "## Against the paper", "- One.", "- Two.", "## Tasks", "| task |", "|---|",
        "| rte |",
    ]  # fmt: skip


HOSTILE = "$\\frac{a$ _b_ `|<b>\x1b[2J\u202e"
SHOWN = "$\\frac{a$ _b_ `|<b>\\x1b[2J\\u202e"


def test_names_in_a_page_are_text_and_never_markup():
    """Names of tasks and models are the user's: `caption` and `findings` quote them."""
    table = StudyTable(title=HOSTILE, columns=("task",), rows=((HOSTILE,),))
    result = StudyResult(study="fig8", title=HOSTILE, caption=HOSTILE, tables=(table,), findings=(HOSTILE,))
    lines = [line for line in study_markdown(result, command=f"tdbs {HOSTILE}", figures=[]).splitlines() if line]
    text = "$\\\\frac{a$ _b_ \\`\\|&lt;b&gt;\\\\x1b\\[2J\\\\u202e"
    assert lines[:2] == [f"# {text}", text]
    assert lines[2].startswith(f"Made by ``tdbs {SHOWN}`` (tdbs ")
    assert lines[3:] == ["## Against the paper", f"- {text}", f"## {text}", "| task |", "|---|", f"| {text} |"]


def test_names_in_figures_are_text_and_never_mathematics():
    """A $ in a name is a $; a control character would make the file no XML, and a warning that carries it."""
    rates = [AtRate(rate=rate, difference=0.0, difference_std=None, speedup=1.0) for rate in (0.0, 1.0)]
    bar = LossBar(title=HOSTILE, here=1.0, here_std=None, paper=None)
    drawn = (
        loss_curves_svg(HOSTILE, {HOSTILE: [CURVE]}),
        spread_svg(((HOSTILE, 0.5, 2.0),)),
        over_rates_svg({HOSTILE: rates}),
        lost_svg([bar]),
        losses_svg({HOSTILE: [{"loss": 1.0, "batch_size": 2, "epoch": 0}] * 3}),
        errors_svg([StrategyError(strategy=HOSTILE, runs=(0.1,), mean=0.1)]),
        time_by_strategy_svg(
            [StrategyTime(strategy=HOSTILE, measured=1.0, predicted=None, low=None, high=None, speedup=1.0)]
        ),
    )
    for svg in drawn:
        assert SHOWN in texts(svg)


def test_figures_are_the_same_every_time_and_name_what_they_draw():
    curves = {"RBM": [CURVE, CURVE[5:]], "None": [CURVE]}
    first, second = (loss_curves_svg("sst2", curves) for _ in range(2))
    assert first == second
    assert {"RBM", "None", "sst2", "training loss"} <= set(texts(first))
    points = (("rte", 0.5, 2.0), ("sst2", 1.5, 3.5))
    first, second = (spread_svg(points) for _ in range(2))
    assert first == second
    assert {"rte", "sst2", "padding_fraction_est"} <= set(texts(first))
    assert "<dc:date>" not in first


def test_points_make_the_figure_of_lengths_and_speedup():
    points = (("rte", 0.5, 2.0),)
    result = StudyResult(study="fig8", title="T", caption="", tables=(), findings=(), points=points)
    assert study_figures(result) == {"speedup": spread_svg(points)}


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.integers(0, 5))
@examples(50)
def test_a_smoothed_curve_is_means_over_a_twentieth_of_the_run(losses, seed):
    """At each share of the run the steps of the last twentieth of it; the last step done where it holds none."""
    sizes = np.random.default_rng(seed).integers(1, 9, len(losses))
    shares = np.cumsum(sizes) / sizes.sum()
    found = smoothed(np.column_stack([shares, losses]))
    assert len(found) == 100
    for end, mean in zip(np.linspace(0, 1, 100), found, strict=True):
        done = [loss for share, loss in zip(shares, losses, strict=True) if share <= end] or losses[:1]
        within = [loss for share, loss in zip(shares, losses, strict=True) if end - 0.05 < share <= end] or done[-1:]
        assert mean == pytest.approx(np.mean(within), abs=1e-9)


@pytest.mark.parametrize(
    ("files", "overwrite", "kind"),
    [
        ({"study.json": '{"study": "fig8", "tables": []}', "README.md": "x"}, False, "a study"),
        ({"README.md": "x"}, False, "other files"),
        ({"README.md": "x"}, True, "other files"),
        ({"README.md": "x", "study.json": '{"mine": 1}'}, True, "other files"),
    ],
)
def test_a_folder_that_is_taken_is_refused(tmp_path: Path, files, overwrite, kind):
    """A README of the user's own is never replaced."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        check_study_folder(tmp_path, overwrite=overwrite)
    assert str(caught.value) == f"{tmp_path} contains {kind}. Pass another --out, or --overwrite to replace a study."


def test_a_study_is_replaced_where_that_was_asked_for(tmp_path: Path):
    check_study_folder(tmp_path / "new", overwrite=False)
    check_study_folder(tmp_path, overwrite=False)  # an empty folder
    (tmp_path / "study.json").write_text('{"study": "fig8", "tables": []}')
    check_study_folder(tmp_path, overwrite=True)


def test_a_file_is_no_folder_of_a_study(tmp_path: Path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError) as caught:
        check_study_folder(tmp_path / "f", overwrite=True)
    assert caught.value.message == f"{tmp_path / 'f'} contains other files."
