"""A comparison is read as it was written, and refused with a cause and a next step where it is none."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tdbs.errors import DatasetError
from tdbs.reports import number_format as words
from tdbs.reports.comparison import error_of, is_comparison, read_comparison
from tdbs.reports.page import render_markdown, render_page
from tdbs.reports.report import Report
from tdbs.reports.report_values import facts_of
from tdbs.reports.tables import measured_table, rows_table
from tdbs.reports.terminal_times import compare_notes, compare_table
from tests.reports.conftest import (
    make_comparison,
    make_dataset,
    make_row,
    make_steps,
    make_summary,
    write_comparison,
)
from tests.reports.pages import Page

AGAIN = "Pass a folder that tdbs compare wrote, or run tdbs compare again."


def write(folder: Path, text: str) -> Path:
    write_comparison(folder)
    (folder / "compare.json").write_text(text)
    return folder


def test_a_comparison_is_read_as_it_was_written(compared):
    """Keys that this version does not know are left alone."""
    found = compared(lr=0.001, rows=[make_row("random", 0, new_key=1), make_row("reach", 0)])
    assert [asdict(row) for row in found.rows] == [make_row("random", 0), make_row("reach", 0)]
    assert [asdict(summary) for summary in found.summaries] == make_comparison()["summary"]
    assert (found.epochs, found.baseline, found.median_error) == (2, "random", 0.125)
    assert [(estimate.strategy, estimate.seconds_low) for estimate in found.estimates] == [
        ("random", 36.0),
        ("reach", 24.0),
    ]


def test_the_best_strategy_is_the_fastest_and_errors_are_of_the_prediction(compared):
    """25 s predicted, 20 s measured: a quarter too much."""
    found = compared()
    assert found.best.strategy == "reach"
    assert error_of(found.best) == 0.25
    assert error_of(found.summary_of("random")) == 0.0


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"score_mean": 0.8626, "score_std": 0.1}, "reach"),  # random's deviation, 0.0125, is chance
        ({"score_mean": 0.8624, "score_std": 0.1}, "random"),
        ({"score_mean": None, "score_std": None}, "random"),  # not defined: all predictions alike
    ],
)
def test_a_strategy_that_loses_score_is_not_the_best(compared, scores, best):
    slow = make_summary("random", seconds=40.0, speedup=1.0)
    found = compared(summary=[slow, make_summary("reach", **scores)])
    assert found.best.strategy == best
    assert [summary.strategy for summary in found.too_low] == (["reach"] if best == "random" else [])


def test_without_a_deviation_half_a_point_is_chance(compared):
    one = {"seeds": 1, "score_std": None}
    slow = make_summary("random", seconds=40.0, speedup=1.0, **one)
    found = {
        score: compared(summary=[slow, make_summary("reach", score_mean=score, **one)]).best.strategy
        for score in (0.8701, 0.8699)
    }
    assert found == {0.8701: "reach", 0.8699: "random"}
    timed = [replace_scores(summary) for summary in (slow, make_summary("reach"))]
    assert compared(summary=timed).best.strategy == "reach"  # parts have no scores


def replace_scores(summary):
    return {**summary, "score_mean": None, "score_std": None}


CONFIG = {
    "plan_digest": "aa",
    "dataset": {"path": "d"},
    "task": {"kind": "classification", "classes": ["bad", "good"]},
    "execution": {"precision": "fp32", "attention": "eager"},
    "model": "tiny",
    "epochs": 1,
    "strategy": {"name": "reach"},
}


def test_runs_are_those_of_the_first_seed_and_may_be_missing(compared, tmp_path):
    assert compared().runs == {}
    for seed in (0, 1):
        run = tmp_path / f"reach-seed{seed}"
        run.mkdir()
        (run / "config.toml").write_text(tomli_w.dumps({**CONFIG, "seed": seed}))
        (run / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in make_steps([0.5, 0.25])))
    found = compared()
    assert list(found.runs) == ["reach"]
    assert found.runs["reach"].config["seed"] == 0
    assert [step["loss"] for step in found.runs["reach"].steps] == [0.5, 0.25]


def test_a_folder_is_of_a_comparison_where_its_result_is(tmp_path):
    assert not is_comparison(tmp_path)
    assert is_comparison(write(tmp_path, "{}"))


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DatasetError) as caught:
        read_comparison(write(tmp_path, "{"))
    assert caught.value.message.startswith(f"{tmp_path}/compare.json cannot be read: Expecting property name")
    assert caught.value.next_step == AGAIN


def test_a_comparison_that_is_not_finished_is_refused(tmp_path):
    """It has terms and no result yet."""
    (write_comparison(tmp_path) / "compare.json").unlink()
    assert is_comparison(tmp_path)
    with pytest.raises(DatasetError) as caught:
        read_comparison(tmp_path)
    assert str(caught.value) == f"The comparison in {tmp_path} is not finished. Run tdbs compare with --resume."


INSIDE = "expected a path that stays in this folder"


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"rows": [make_row("random", 0, seconds="fast")]}, "rows[0].seconds: expected float, got str"),
        ({"epochs": True}, "epochs: expected int, got bool"),
        ({"rows": [make_row("random", 0, run="../elsewhere")]}, f"rows[0].run: {INSIDE}, got '../elsewhere'"),
        ({"rows": [make_row("random", 0, run="/etc")]}, f"rows[0].run: {INSIDE}, got '/etc'"),
        ({"baseline": "other"}, "summary: lacks the baseline, 'other'"),
        ({"summary": [make_summary("random", seconds=None)]}, "summary[0].seconds: expected float, got null"),
        ({"rows": None}, "rows: expected array, got null"),
        ({"rows": []}, "rows: expected one or more"),
    ],
)
def test_what_is_no_comparison_is_refused(tmp_path, overrides, reason):
    with pytest.raises(DatasetError) as caught:
        read_comparison(write(tmp_path, json.dumps(make_comparison(**overrides))))
    assert caught.value.message == f"{tmp_path}/compare.json is not a comparison of tdbs: {reason}."
    assert caught.value.next_step == AGAIN


def measured() -> dict[str, Any]:
    """Return a comparison whose baseline takes 4 Wh and 2.2 g of CO2e a run, and the other 2 mWh and 0.95 mg."""
    used = {"power": "processor estimated, <b>"}
    much, little = {"energy_kwh": 0.004, "co2e_kg": 0.0022}, {"energy_kwh": 2e-6, "co2e_kg": 9.5e-7}
    return {
        "energy": "world",
        "rows": [make_row("random", 0, **used, **much), make_row("reach", 0, **used, **little)],
        "summary": [
            make_summary("random", seconds=40.0, speedup=1.0, seeds=1, score_std=None, **much),
            make_summary("reach", seeds=1, score_std=None, **little),
        ],
    }


NOTE = (
    "Energy of the whole machine while training and evaluating (processor estimated, <b>), CO2e of the world's average "
    "electricity."
)


def test_tables_have_the_energy_of_each_strategy(compared):
    found = compared(**measured())
    table = measured_table(found)
    assert table.head[-2:] == ("energy", "CO2e")
    assert [row[-2:] for row in table.rows] == [
        ("4.00\N{NO-BREAK SPACE}Wh", "2.20\N{NO-BREAK SPACE}g"),
        ("2.00\N{NO-BREAK SPACE}mWh", "0.95\N{NO-BREAK SPACE}mg"),
    ]
    assert [row[-2:] for row in rows_table(found).rows] == [row[-2:] for row in table.rows]


def test_page_and_markdown_say_whose_energy_it_is(compared):
    """What a file says of the power is text, not markup."""
    report = Report(dataset=make_dataset(), estimates=(), comparison=compared(**measured()))
    facts = facts_of(report)
    assert NOTE in Page(render_page(facts)).text
    assert "<b>" not in render_page(facts)
    markdown = render_markdown(facts)
    assert "| 4.00 Wh | 2.20 g |" in markdown
    assert "CO2e of the world" in markdown
    assert "<b>" not in markdown


def test_without_energy_nothing_is_said_of_it(compared):
    found = compared()
    assert "energy" not in measured_table(found).head
    assert "energy" not in rows_table(found).head
    page = Page(render_page(facts_of(Report(dataset=make_dataset(), estimates=(), comparison=found)))).text
    assert "CO2e" not in page


def test_the_terminal_shows_energy_with_its_note():
    result = {**make_comparison(), **measured()}
    table = compare_table(result)
    shown = {str(column.header): list(column.cells) for column in table.columns}
    assert shown["energy"] == ["4.00 Wh", "2.00 mWh"]
    assert shown["CO2e"] == ["2.20 g", "0.95 mg"]
    assert NOTE in compare_notes(result)
    assert not any("CO2e" in note for note in compare_notes(make_comparison()))


@pytest.mark.parametrize(
    ("kwh", "shown"),
    [
        (None, "–"),
        (0.0, "0.00 mWh"),
        (4.2e-7, "0.42 mWh"),
        (0.0009996, "1.00 Wh"),
        (0.0412, "41.2 Wh"),
        (0.34, "340 Wh"),
        (1.25, "1.25 kWh"),
        (12500.0, "12,500 kWh"),
    ],
)
def test_energy_has_the_unit_that_suits_it(kwh, shown):
    assert words.energy(kwh).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_a_run_tells_its_energy_on_the_page(run_of):
    run = run_of()
    used = {"kwh": 0.0412, "co2e_kg": 0.0023, "country": "FRA", "power": "processor estimated, memory estimated"}
    measured_run = run_of(result={**run.result, "energy": used})
    facts = dict(facts_of(Report(dataset=make_dataset(), estimates=(), run=measured_run))["run"]["facts"])
    assert facts["energy of the machine"] == "41.2\N{NO-BREAK SPACE}Wh"
    assert facts["CO2e"] == "2.30\N{NO-BREAK SPACE}g"
    assert (facts["electricity of"], facts["power"]) == ("FRA", used["power"])
    assert "CO2e" not in dict(facts_of(Report(dataset=make_dataset(), estimates=(), run=run))["run"]["facts"])
