"""Studies of models at inference: tables of tiny runs, what is trained once, and which claims of the paper hold."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.analysis.studies.inference import resilience_findings, table3_findings
from tdbs.analysis.studies.rates import RATES, fig4_findings
from tdbs.analysis.studies.reproduce import run_study
from tdbs.analysis.studies.study import StudyTerms
from tdbs.analysis.studies.trained import Training
from tdbs.errors import ConfigError
from tdbs.reports.study import write_study
from tests.analysis.tiny import tiny_dataset

TERMS = {"model": "tiny", "epochs": 1, "lr": 1e-3, "precision": "fp32", "seeds": (1, 2)}
STUDIES = ("fig4", "table3", "resilience")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    return {name: tiny_dataset(place / name, max_length=16, train_rows=64) for name in ("sst2", "mrpc")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def studied(datasets, runs):
    """Three studies of two tasks with two seeds."""
    return {study: run_study(study, datasets, StudyTerms(**TERMS), runs=runs / study) for study in STUDIES}


def rows_of(run: Path, study: str) -> list[dict]:
    """Return what was kept of a run for a study."""
    is_of = {"fig4": "drop 0.2", "table3": "bucket", "resilience": "without articles"}[study]
    kept = [json.loads(path.read_text())["rows"] for path in (run / "evaluations").iterdir()]
    return next(rows for rows in kept if rows[1]["condition"] == is_of)


def mean_over_tasks(runs: Path, study: str, strategy: str, seed: int, place: int, name: str) -> float:
    folders = [next((runs / "trained" / task).glob(f"{strategy}-seed{seed}-*")) for task in ("sst2", "mrpc")]
    return sum(rows_of(folder, study)[place][name] for folder in folders) / 2


@pytest.mark.slow
def test_runs_are_trained_once_for_all_studies(studied, runs):
    """Two trainings, two seeds, two tasks: eight runs with their models, whatever studies ask them."""
    found = [path.name.rsplit("-", 1)[0] for path in (runs / "trained/sst2").iterdir()]
    assert sorted(found) == ["tdbs_paper-seed1", "tdbs_paper-seed2", "unpadded-seed1", "unpadded-seed2"]
    for run in (runs / "trained").glob("*/*"):
        assert (run / "model/model.safetensors").exists()
        assert len(list((run / "evaluations").iterdir())) == 3


@pytest.mark.slow
def test_a_study_goes_on_where_it_was_cut_off(studied, datasets, runs):
    """What is there is not made again; an evaluation that is missing is, and says the same but for times."""
    kept = next((runs / "trained/mrpc").glob("tdbs_paper-seed2-*"))
    lost = next(p for p in (kept / "evaluations").iterdir() if "without articles" in p.read_text())
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file() and path != lost}
    again = run_study("resilience", datasets, StudyTerms(**TERMS), runs=runs / "resilience")
    assert again == studied["resilience"]
    assert lost.exists()
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_tables_are_means_over_tasks_with_deviations_over_seeds(studied, runs):
    rates, lost, *_ = studied["fig4"].tables
    assert rates.columns == ("", "0", "0.2", "0.4", "0.6", "0.8", "1")
    assert [row[0] for row in rates.rows] == ["without TokenDrop (unpadded)", "with TokenDrop (tdbs_paper)"]
    seeds = [100 * mean_over_tasks(runs, "fig4", "tdbs_paper", seed, 5, "difference") for seed in (1, 2)]
    mean, spread = lost.rows[1][6].split(" ± ")
    assert float(mean) == pytest.approx(sum(seeds) / 2, abs=0.006)
    assert float(spread) == pytest.approx(abs(seeds[0] - seeds[1]) / 2**0.5, abs=0.006)
    means = studied["resilience"].tables[0]
    assert means.columns == (
        "", "whole texts", "without articles", "without punctuation", "without articles, punctuation", "lost, paper"
    )  # fmt: skip
    assert [row[-1] for row in means.rows] == [-5.2, -0.3]
    seeds = [100 * mean_over_tasks(runs, "resilience", "unpadded", seed, 3, "difference") for seed in (1, 2)]
    assert float(means.rows[0][4].split()[0]) == pytest.approx(sum(seeds) / 2, abs=0.006)
    batches = studied["table3"].tables[0]
    assert [row[0] for row in batches.rows] == ["RandomSampler", "BucketSampler", "TokenDrop+BucketSampler"]
    assert [row[3:5] for row in batches.rows] == [(81.62, 82.02), (81.64, 81.98), (80.21, 82.01)]
    assert batches.rows[0][-2:] == ("1.00x", "1x")


@pytest.mark.slow
def test_tables_by_task_leave_the_first_condition_out(studied):
    by_task = studied["resilience"].tables[1]
    assert by_task.columns == ("", "sst2", "mrpc")
    assert len(by_task.rows) == 2 * 3
    assert len(studied["fig4"].tables[-1].rows) == 2 * (len(RATES) - 1)


@pytest.mark.slow
def test_pages_have_their_figures_and_say_what_holds(studied, tmp_path):
    for study, figure in (("fig4", "drop-rate"), ("resilience", "points-lost"), ("table3", None)):
        page = write_study(tmp_path / study, studied[study], command="tdbs reproduce").read_text(encoding="utf-8")
        assert (f"![{figure}]({figure}.svg)" in page) is (figure is not None)
        assert (tmp_path / study / f"{figure}.svg").exists() is (figure is not None)
        findings = page.split("## Against the paper")[1].split("##")[0].strip().splitlines()
        assert findings
        assert all(line.startswith(("- Holds: ", "- Does not hold: ")) for line in findings)
        assert json.loads((tmp_path / study / "study.json").read_text())["study"] == study
        assert "2 seeds, 1 epochs, rate 0.001, sst2, mrpc. Dropout goes with the batches: " in page


@pytest.mark.slow
def test_another_training_stands_beside_the_others(datasets, runs, studied):
    """`random_drop`: the batches of those without TokenDrop, 0.3 of the words dropped in training."""
    terms = StudyTerms(**{**TERMS, "seeds": (1,)}, dropping=("tdbs_paper", "random_drop"))
    result = run_study("resilience", {"sst2": datasets["sst2"]}, terms, runs=runs / "two")
    assert [row[0] for row in result.tables[0].rows] == [
        "without TokenDrop (unpadded)", "with TokenDrop (tdbs_paper)", "with TokenDrop (random_drop)"
    ]  # fmt: skip
    assert len(result.findings) == 4
    config = next((runs / "trained/sst2").glob("random_drop-seed1-*/config.toml")).read_text()
    assert 'drop = "rate"' in config
    assert 'batches = "random"' in config


@pytest.mark.parametrize(
    ("study", "terms", "message"),
    [
        ("fig4", {"part_steps": 3}, "fig4 needs trained models."),
        ("fig4", {"dropping": ("random",)}, "Unknown value 'random' for --strategy."),
        (
            "table1",
            {"dropping": ("reach",)},
            "--strategy only applies to table3, fig4, resilience; table1 has its own.",
        ),
    ],
)
def test_terms_that_do_not_fit_are_refused_before_the_first_run(datasets, tmp_path, study, terms, message):
    with pytest.raises(ConfigError) as caught:
        run_study(study, datasets, StudyTerms(**{**TERMS, **terms}), runs=tmp_path / "study")
    assert caught.value.message == message
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_judges_grammar_is_refused_before_the_first_run(datasets, tmp_path):
    """Fig. 4 and the resilience test leave CoLA out; Table 3 runs it without TokenDrop."""
    dataset = datasets["mrpc"]
    task = replace(dataset.manifest.task, drop_forbidden="judges grammar")
    cola = replace(dataset, manifest=replace(dataset.manifest, task=task))
    for study in ("fig4", "resilience"):
        with pytest.raises(ConfigError) as caught:
            run_study(study, {"sst2": datasets["sst2"], "cola": cola}, StudyTerms(**TERMS), runs=tmp_path / "study")
        assert caught.value.message == f"Task '{task.name}' judges grammar."
        assert caught.value.next_step == "Leave the task out of --tasks."
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ claims


def training(name: str, found: Sequence[tuple[float, float | None]], *, spread: Sequence[float] = (0,)) -> Training:
    """Return a training's points lost and speedup under each condition, with a seed for each of `spread`."""

    def rows(moved: float) -> list[ConditionRow]:
        return [
            ConditionRow(
                run=name,
                strategy=name,
                condition=str(place),
                drop_rate=None,
                draws=1,
                score=0.8 + (lost + moved) / 100,
                score_std=None,
                difference=(lost + moved) / 100,
                kept=1.0,
                padding_fraction=0.1,
                seconds=1.0,
                speedup=speedup,
            )
            for place, (lost, speedup) in enumerate(found)
        ]

    of_seeds = {seed: rows(moved) for seed, moved in enumerate(spread, 1)}
    return Training(name=name, title=name, drops=name != "plain", dropouts={}, rows={"rte": of_seeds})


def over_rates(loss: float, speedup: float | None) -> list[tuple[float, float | None]]:
    """Return points on straight lines from nothing to what all words cost."""
    return [(-loss * rate, None if speedup is None else 1 + (speedup - 1) * rate) for rate in RATES]


def verdicts(findings: Sequence[str]) -> list[str]:
    return [finding.split(":")[0] for finding in findings]


def test_what_fig4_claims_is_said_to_hold_or_not():
    found = fig4_findings([training("plain", over_rates(5, 1.2)), training("dropping", over_rates(0.5, 2.4))])
    assert found == [
        "Holds: models trained without TokenDrop lose more at inference. With all words dropped -5.00 points without, "
        "-0.50 dropping.",
        "Holds: the loss at rate 0.4 is negligible (at most 0.3 points). -0.20 points dropping.",
        "Holds: a call for one sample is 1.5x faster without a loss. The most here is 1.84x at rate 0.6, -0.30 points, "
        "dropping.",
        "Holds: it is 2.2x faster with all words dropped, at a loss of less than 1 point. 2.40x and -0.50 points "
        "dropping.",
    ]
    worse = fig4_findings([training("plain", over_rates(1, 1.2)), training("dropping", over_rates(2, 1.3))])
    assert verdicts(worse) == ["Does not hold"] * 4
    untimed = fig4_findings([training("plain", over_rates(1, None)), training("dropping", over_rates(0, None))])
    assert len(untimed) == 2


def test_what_seeds_do_not_tell_is_said():
    """A 95 % interval over the seeds that reaches to both sides of a claim is no verdict."""
    plain = training("plain", over_rates(1.2, 1.0), spread=(-0.1, 0.0, 0.1))
    noisy = training("dropping", over_rates(1.0, 2.4), spread=(0.5, -0.6, 0.1))
    found = fig4_findings([plain, noisy])
    assert verdicts(found) == ["Not decided by these seeds"] * 2 + ["Does not hold", "Not decided by these seeds"]
    # -1.0 against -1.2: seed by seed +0.8, -0.4, +0.2; t of 0.975 with two degrees of freedom is 4.303
    assert found[0].endswith("-1.20 points without, -1.00 (difference +0.20, 95 % -1.29 to +1.69) dropping.")
    clear = training("dropping", over_rates(0.1, 2.4), spread=(-0.05, 0.0, 0.05))
    assert verdicts(fig4_findings([plain, clear])) == ["Holds"] * 4
    assert verdicts(fig4_findings([plain, training("dropping", over_rates(3, 2.4), spread=(-0.1, 0.0, 0.1))])) == [
        *["Does not hold"] * 4
    ]


def batches(lost: float, speedups: tuple[float, float]) -> list[tuple[float, float | None]]:
    """Return what random batches, buckets, and buckets with TokenDrop come to."""
    return [(0.0, 1.0), (0.0, speedups[0]), (lost, speedups[1])]


def test_what_table3_claims_is_said_to_hold_or_not():
    plain, dropping = training("plain", batches(-1.0, (4.0, 4.2))), training("dropping", batches(-0.1, (6.0, 7.0)))
    assert table3_findings([plain, dropping]) == [
        "Holds: BucketSampler is 4.5x faster than random batches. 5.00x here.",
        "Holds: TokenDrop makes it faster still: 4.9x in the paper. 5.60x here.",
        "Holds: TokenDrop+BucketSampler at inference costs models trained with TokenDrop nothing (-0.01 points in the "
        "paper). -0.10 points dropping.",
        "Holds: it costs models trained without it more (-1.41 points in the paper). -1.00 points without, -0.10 "
        "dropping.",
    ]
    contrary = [training("plain", batches(0.1, (2.0, 1.9))), training("dropping", batches(-0.5, (2.0, 1.9)))]
    assert verdicts(table3_findings(contrary)) == ["Does not hold"] * 4


def test_what_the_resilience_test_claims_is_said_to_hold_or_not():
    def removed(lost: float) -> list[tuple[float, float | None]]:
        return [(0.0, None), (0.0, None), (0.0, None), (lost, None)]

    assert resilience_findings([training("plain", removed(-2.0)), training("dropping", removed(-0.25))]) == [
        "Holds: models trained without TokenDrop lose more without articles and punctuation (-5.2 points in the paper, "
        "-0.3 with it). -2.00 points without, -0.25 dropping.",
        "Holds: those trained with it lose 0.3 points at most. -0.25 points dropping.",
    ]
    seeds = (-0.1, 0.0, 0.1)
    plain, dropping = training("plain", removed(-2.0), spread=seeds), training("dropping", removed(-1.0), spread=seeds)
    assert resilience_findings([plain, dropping])[0].endswith(
        "-2.00 points without, -1.00 (difference +1.00, 95 % +1.00 to +1.00; the paper's +4.90 is outside of it) "
        "dropping."
    )
    found = resilience_findings([training("plain", removed(0.0)), training("dropping", removed(-1.0))])
    assert verdicts(found) == ["Does not hold"] * 2
