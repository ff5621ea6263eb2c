"""A report is read from the folder of a run or of a comparison, with caps and dropped words of its strategies."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.prepare import prepare
from tdbs.reports.report import Report, by_tokens, report_on_comparison, report_on_run
from tdbs.train.trainer import train
from tests.reports.conftest import ESTIMATES, make_dataset, make_row, make_summary, write_comparison


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small dataset, and a comparison that holds a run of it. Tests do not change it."""
    place = tmp_path_factory.mktemp("place")
    rows = [{"text": f"the film is {word} and it is of the best", "label": word} for word in ("dull", "good")] * 40
    (place / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        dataset = prepare("d.jsonl", tokenizer=str(TOKENIZER_FOLDER), out="data").dataset
        train(dataset, strategy="reach", model="tiny", epochs=2, seed=3, out="compared/reach-seed3")
    write_comparison(
        place / "compared",
        dataset=str(place / "data"),
        dataset_key=dataset.manifest.key,
        rows=[make_row("random", 3, seconds=9.0, run=None), make_row("reach", 3)],
        summary=[make_summary("random", seconds=30.0), make_summary("reach")],
    )
    return place


def test_a_report_on_a_run_has_its_caps_its_drops_and_what_it_paid(place):
    report = report_on_run(place / "compared/reach-seed3")
    assert report.run
    assert report.comparison is None
    assert (report.caps.strategy, len(report.caps.by_epoch)) == ("reach", 2)
    assert (report.drops.strategy, report.drops.seed, report.drops.samples) == ("reach", 3, 80)
    seconds = report.run.result["seconds"]
    assert sum(report.overheads.run.values()) == pytest.approx(seconds["total"])
    assert report.overheads.run["train"] == seconds["train"]


def test_a_report_on_a_comparison_is_about_its_fastest_strategy(place):
    report = report_on_comparison(place / "compared")
    assert report.run is None
    assert list(report.comparison.runs) == ["reach"]
    assert (report.caps.strategy, report.drops.strategy) == ("reach", "reach")
    assert report.overheads.run == {"plan": 0.5, "train": 19.5, "evaluate": 1.5}


def test_a_run_of_another_version_has_neither_caps_nor_drops(place, tmp_path):
    """Its strategy has parts that this version does not know."""
    config = (place / "compared/reach-seed3/config.toml").read_text().replace("rbm = ", "other = ")
    (tmp_path / "config.toml").write_text(config)
    report = report_on_run(tmp_path)
    assert (report.caps, report.drops) == (None, None)


def test_speedups_by_tokens_replace_those_by_seconds():
    in_seconds = [replace(estimate, seconds=1.0, speedup=9.0) for estimate in ESTIMATES]
    assert [(row.speedup, row.speedup_low) for row in by_tokens(in_seconds, "random")] == [
        (0.5, 0.5),
        (1.0, 1.0),
        (2.5, 2.5),
    ]
    assert by_tokens(ESTIMATES, "random") == ESTIMATES


def test_a_dataset_without_a_total_has_no_overheads():
    assert Report(dataset=make_dataset(seconds={}), estimates=[]).overheads is None
