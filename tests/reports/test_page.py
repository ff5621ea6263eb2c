"""The page is whole without anything from outside, says the numbers, and escapes what users wrote."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ConfigError
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.reports.comparison import Comparison
from tdbs.reports.number_format import duration
from tdbs.reports.page import write_report
from tdbs.reports.report import Report
from tdbs.reports.samples import DropExamples, ShownDrop, ShownSample
from tdbs.reports.terminal import duration as plain_duration
from tdbs.train.run_folder import Run
from tests.reports.conftest import (
    ESTIMATES,
    make_comparison,
    make_dataset,
    make_estimate,
    make_row,
    make_split,
    make_steps,
    make_summary,
    page_of,
)
from tests.reports.pages import Page

HOSTILE = "<script>alert('x')</script>&\""

RunFactory = Callable[..., Run]
ComparisonFactory = Callable[..., Comparison]


def make_drops(*drops: ShownDrop) -> DropExamples:
    return DropExamples(
        strategy="reach", seed=1, epoch=0, samples=8, changed=2, tokens=40, dropped=4, drops=tuple(drops)
    )


def test_page_of_a_run_asks_for_nothing_and_runs_nothing(run_of: RunFactory) -> None:
    """No address but the empty icon, no script, no import in the style sheet."""
    html = page_of(dataset=make_dataset(), run=run_of(), estimates=ESTIMATES)
    page = Page(html)
    assert page.addresses == ["data:,"]
    assert page.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "base"})
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []


def test_parser_of_these_tests_can_fail() -> None:
    """A meta-test: tags that do not match are found."""
    with pytest.raises(AssertionError):
        Page("<p><b></p>")


def test_page_says_what_padding_costs_by_tokens() -> None:
    text = Page(page_of(dataset=make_dataset(), run=None, estimates=ESTIMATES)).text
    assert (
        "Random batches of this dataset hold 50.0 % padding: of 100 tokens that a model reads, 50 say nothing." in text
    )
    assert "A run with reach reads 1,600 tokens where random reads 4,000: 2.50 × fewer, by tokens." in text
    assert "speedup in tokens over random" in text


def test_page_has_every_strategy_with_its_range() -> None:
    text = Page(page_of(dataset=make_dataset(), run=None, estimates=ESTIMATES)).text
    assert "random_max 30 8,000 75.0 % 0.50 × 0.50–0.75" in text
    assert "reach 30 1,600 0.0 % 2.50 × 2.50–2.75" in text


def test_page_without_a_run_is_about_the_dataset() -> None:
    text = Page(page_of(dataset=make_dataset(), run=None, estimates=ESTIMATES)).text
    assert "Tokenizer words · at most 16 tokens · 7 train rows · 2 validation rows" in text
    assert "13.0 % of the training tokens belong to droppable words: 7 words of 7 tokens in all." in text
    assert "The run" not in text


def test_page_without_estimates_tells_the_expected_padding() -> None:
    """Batches of 64 from 7 samples nearly always hold the one of 16 tokens: 1 - 7.71 / 16 = 51.8 %."""
    page = Page(page_of(dataset=make_dataset(), run=None, estimates=[]))
    assert "hold 51.8 % padding (expected, 64 samples a batch)" in page.text
    assert "Strategies" not in page.text


def test_page_names_no_winner_where_nothing_is_saved() -> None:
    text = Page(page_of(dataset=make_dataset(), run=None, estimates=ESTIMATES[:2])).text
    assert "None of the strategies below reads fewer tokens than the baseline." in text


def test_page_of_a_finished_run_has_its_score_and_its_cost(run_of: RunFactory) -> None:
    text = Page(page_of(dataset=make_dataset(), run=run_of(), estimates=ESTIMATES)).text
    for part in (
        "strategy reach model tiny seed 7 epochs 2",
        "score (accuracy) 0.8750 f1 0.8125",
        "training 31.4 s evaluation 0.8 s in all 1 h 2 min",
        "0 0.5000 0.7500 1 0.2500 0.8750",
        "strategy.rbm True",
    ):
        assert part in text
    assert "did not finish" not in text


def test_page_of_a_run_without_labelled_validation_has_a_dash_for_its_score(run_of: RunFactory) -> None:
    run = run_of()
    run = replace(run, result={**(run.result or {}), "score": None, "metrics": {}})
    assert "score (accuracy) –" in Page(page_of(dataset=make_dataset(), run=run, estimates=ESTIMATES)).text


@pytest.mark.parametrize("failed", [None, float("nan"), float("inf")])
def test_page_says_where_an_unfinished_run_stopped(run_of: RunFactory, failed: float | None) -> None:
    """The mean of the epoch leaves out the loss that is none: (0.5 + 0.25) / 2."""
    run = run_of(result=None, steps=make_steps([1.0, 1.0, 0.5, 0.25, failed], per_epoch=2))
    text = Page(page_of(dataset=make_dataset(), run=run, estimates=ESTIMATES)).text
    assert "This run did not finish. It stopped at step 4 of epoch 2: the loss was not a finite number." in text
    assert "steps logged 5" in text
    assert "1 0.3750 – 2 – –" in text


def test_page_of_an_interrupted_run_names_its_last_step(run_of: RunFactory) -> None:
    run = run_of(result=None, steps=make_steps([1.0, 0.5]))
    assert "Its last logged step is 1, in epoch 0." in Page(page_of(dataset=make_dataset(), run=run, estimates=[])).text


def test_page_of_a_run_that_never_made_a_step(run_of: RunFactory) -> None:
    text = Page(page_of(dataset=make_dataset(), run=run_of(result=None, steps=()), estimates=[])).text
    assert "This run did not finish. No step was logged." in text


def test_page_warns_when_the_run_is_of_another_dataset(run_of: RunFactory) -> None:
    dataset = make_dataset(key="another")
    assert "their keys differ" in Page(page_of(dataset=dataset, run=run_of(), estimates=[])).text


def test_page_says_where_dropping_is_forbidden() -> None:
    dataset = make_dataset(task=HUB_TASKS["glue/cola"].task)
    text = Page(page_of(dataset=dataset, run=None, estimates=ESTIMATES)).text
    assert "TokenDrop leaves them alone: task glue/cola judges grammar" in text


@pytest.mark.parametrize("splits", [{}, {"train": make_split([])}, {"validation": make_split([4])}])
def test_page_of_a_dataset_without_training_samples(splits: dict[str, object]) -> None:
    assert "no training samples" in Page(page_of(dataset=make_dataset(splits=splits), run=None, estimates=[])).text


def test_texts_of_users_are_escaped(run_of: RunFactory) -> None:
    """Source, tokenizer, classes, splits, paths, model, strategy and metric names can all come from outside."""
    dataset = make_dataset(source=HOSTILE, splits={"train": make_split([4]), HOSTILE: make_split([4])})
    manifest = dataset.manifest
    tokenizer: TokenizerInfo = replace(manifest.tokenizer, name=HOSTILE, source=HOSTILE)
    task = replace(manifest.task, classes=(HOSTILE, "b"), name=HOSTILE, metrics=(HOSTILE,), drop_forbidden=HOSTILE)
    dataset = replace(dataset, path=Path(HOSTILE), manifest=replace(manifest, tokenizer=tokenizer, task=task))
    run = run_of(path=Path(HOSTILE), config={"model": HOSTILE, HOSTILE: HOSTILE, "strategy": {"name": HOSTILE}})
    run = replace(run, result={**(run.result or {}), "metrics": {HOSTILE: 1.0, "other" + HOSTILE: 0.5}})
    html = page_of(dataset=dataset, run=run, estimates=[*ESTIMATES, make_estimate(HOSTILE, 10, 0.1, 9.0)])
    assert "<script" not in html
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 14


def test_page_of_a_comparison_opens_with_what_was_measured(compared: ComparisonFactory) -> None:
    page = Page(page_of(dataset=make_dataset(), comparison=compared(), estimates=ESTIMATES))
    for part in (
        "padding in random batches 50.0 %",
        "faster than random, measured 2.00 ×",
        "A run of 2 epochs takes 20.0 s with reach where random takes 40.0 s.",
        "Measured on two cores with tiny, bf16, one attention kernel (eager) for all strategies.",
        "reach 20.0 s 2.00 × 0.8750 ± 0.0125 Means",
        "Means over 2 seeds, ± is the standard deviation. The score is accuracy.",
        "Half of the predictions are within 12.5 % of what was measured; the worst is off by 25.0 %.",
        "reach 20.0 s 25.0 s +25.0 %",
        "reach 0 19.0 s 0.5 s 1.5 s 30 1,000 25.0 % 0.8750 1.5 GiB",
        "The rest is paid in each run, here of reach.",
    ):
        assert part in page.text
    assert "was not measured for this page" not in page.text
    assert "keys differ" not in page.text


def test_page_of_timed_parts_says_so_and_has_no_scores(compared: ComparisonFactory) -> None:
    missing = dict.fromkeys(("score", "evaluate_seconds", "plan_seconds", "peak_memory_bytes", "run"))
    unknown = dict.fromkeys(("score_mean", "score_std", "peak_memory_bytes"))
    comparison = compared(
        part_steps=40,
        rows=[make_row("random", 0, **missing), make_row("reach", 0, **missing)],
        summary=[make_summary("random", **unknown), make_summary("reach", seeds=1, seconds=10.0, **unknown)],
    )
    text = Page(page_of(dataset=make_dataset(), comparison=comparison, estimates=ESTIMATES)).text
    assert "40 steps of each strategy were timed" in text
    assert "faster than random, projected" in text
    assert "strategy time speedup random 20.0 s 2.00 × reach 10.0 s" in text
    assert "Learning" not in text


def test_page_of_a_comparison_opens_with_no_strategy_that_loses_score(compared: ComparisonFactory) -> None:
    slow = make_summary("random", seconds=40.0, speedup=1.0)
    fast = make_summary("tf_bucket", seconds=10.0, speedup=4.0, score_mean=0.25)

    def text_of(*summaries: object) -> str:
        comparison = compared(summary=list(summaries))
        return Page(page_of(dataset=make_dataset(), comparison=comparison, estimates=ESTIMATES)).text

    text = text_of(slow, make_summary("reach"), fast)
    assert "faster than random, measured 2.00 ×" in text
    assert "tf_bucket is faster still, at a lower score: 0.2500 in place of 0.8750." in text
    assert "None of the strategies below was faster than random at its score." in text_of(slow, fast)


def test_page_of_a_comparison_says_what_share_of_a_step_its_profile_found_to_be_overhead(
    compared: ComparisonFactory,
) -> None:
    """Below the predictions; a comparison of before tdbs measured it has none."""
    entry = {"batch_size": 64, "length": 16, "share": 0.384}
    found = {**make_comparison()["prediction"], "profile": {"kind": "cuda"}, "overhead": [entry]}
    text = Page(page_of(dataset=make_dataset(), comparison=compared(prediction=found), estimates=ESTIMATES)).text
    assert "the part of a step in which the device waits: 38.4 % at 64 x 16 tokens." in text.replace("\xa0", " ")
    assert "tdbs train --compile" in text
    without = Page(page_of(dataset=make_dataset(), comparison=compared(), estimates=ESTIMATES)).text
    assert "Overhead of the framework" not in without


def test_page_of_a_comparison_without_a_profile_predicts_nothing(compared: ComparisonFactory) -> None:
    unknown = {"predicted_seconds": None, "predicted_speedup": None}
    comparison = compared(
        rows=[make_row("random", 0, **unknown)],
        summary=[make_summary("random", **unknown)],
        median_error=None,
        worst_error=None,
    )
    text = Page(page_of(dataset=make_dataset(), comparison=comparison, estimates=ESTIMATES)).text
    assert "Predicted against measured" not in text
    assert "None of the strategies below was faster than random." in text


def test_page_of_a_comparison_of_another_dataset_says_so(compared: ComparisonFactory) -> None:
    text = Page(page_of(dataset=make_dataset(key="another"), comparison=compared(), estimates=[])).text
    assert "compared on another prepared dataset" in text


def test_page_of_a_comparison_has_the_losses_of_its_runs(compared: ComparisonFactory, run_of: RunFactory) -> None:
    comparison = replace(compared(), runs={"random": run_of(), "reach": run_of()})
    page = Page(page_of(dataset=make_dataset(), comparison=comparison, estimates=ESTIMATES))
    assert "Learning" in page.text
    assert "Batch size and rate with reach" in page.text


def test_dropped_words_are_struck_through_and_shown_without_them() -> None:
    before = ShownSample(sample_id=1, length=6, label="yes", pieces=(("a", True), (" film", False), (" of it", True)))
    after = ShownSample(sample_id=1, length=4, label="yes", pieces=((" film", False),))
    html = page_of(dataset=make_dataset(), estimates=[], drops=make_drops(ShownDrop(before=before, after=after)))
    assert "<del>a</del> film <del>of it</del>" in html
    text = Page(html).text
    assert "In the first epoch of reach, 25.0 % of the samples lose words, 10.0 % of all tokens." in text
    assert "6 → 4 tokens · yes a film of it film" in text


def test_texts_of_samples_and_of_comparisons_are_escaped(compared: ComparisonFactory) -> None:
    pieces = ((HOSTILE, True), (HOSTILE, False))
    shown = ShownSample(sample_id=1, length=2, label=HOSTILE, pieces=pieces)
    comparison = compared(
        baseline=HOSTILE,
        device=HOSTILE,
        model=HOSTILE,
        attention=HOSTILE,
        precision=HOSTILE,
        rows=[make_row(HOSTILE, 0)],
        summary=[make_summary(HOSTILE)],
    )
    drops = make_drops(ShownDrop(before=shown, after=shown))
    html = page_of(dataset=make_dataset(), comparison=comparison, estimates=[], drops=drops)
    assert "<script" not in html
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 14


def test_same_arguments_make_the_same_page(run_of: RunFactory) -> None:
    """Nothing of the clock or of the machine is in it."""
    first, second = (page_of(dataset=make_dataset(), run=run_of(), estimates=ESTIMATES) for _ in range(2))
    assert first == second


def test_page_lands_at_out_or_in_the_folder_out(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for out, expected in (("new/page.html", "new/page.html"), ("folder", "folder/report.html")):
        path = write_report(tmp_path / out, Report(dataset=make_dataset(), estimates=[]))[0]
        assert path == tmp_path / expected
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_place_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        write_report(tmp_path / "file" / "page.html", Report(dataset=make_dataset(), estimates=[]))
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'page.html'} cannot be written: [Errno 17] File exists: '{tmp_path / 'file'}'. "
        "Pass another --out."
    )


DURATIONS = [
    (0.04, "40 ms"),
    (0.0996, "0.1 s"),
    (59.9, "59.9 s"),
    (59.97, "1 min 0 s"),  # never 60.0 s
    (725, "12 min 5 s"),
    (3599.6, "1 h 0 min"),
    (10_920, "3 h 2 min"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations_are_said_as_a_reader_says_them(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text
    assert plain_duration(seconds) == text
