"""Studies: tables of tiny comparisons, what is said where they contradict the paper, what is reckoned from plans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tdbs.analysis.speedup import estimate_speedup
from tdbs.analysis.statistics import split_statistics
from tdbs.analysis.studies.compared import findings
from tdbs.analysis.studies.paper import GLUE, STUDIES
from tdbs.analysis.studies.reproduce import run_study
from tdbs.analysis.studies.study import StudyTerms, describe_dropouts, mean_of, shown_percent, shown_score, shown_times
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import split_info
from tdbs.reports.study import markdown_table, study_markdown, write_study
from tdbs.train.planning.strategies import resolve_strategy
from tests.analysis.test_compare import PROFILE
from tests.analysis.tiny import tiny_dataset

TERMS = {"model": "tiny", "epochs": 1, "lr": 1e-3, "precision": "fp32"}
COMPARED = [name for name, study in STUDIES.items() if study.rows]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two tasks of which the paper knows one."""
    place = tmp_path_factory.mktemp("study")
    return {
        "rte": tiny_dataset(place / "a", max_length=24),
        "mine": tiny_dataset(place / "b", max_length=16, train_rows=100),
    }


@pytest.fixture(scope="module")
def trained(datasets, tmp_path_factory):
    """Figure 6 on one task: two strategies, two seeds. The folder of its runs and the study."""
    runs = tmp_path_factory.mktemp("runs") / "fig6"
    terms = StudyTerms(seeds=(1, 2), **TERMS)
    return runs, run_study("fig6", {"rte": datasets["rte"]}, terms, runs=runs)


@pytest.fixture(scope="module")
def timed(datasets, tmp_path_factory):
    """Table 4 on two tasks, two steps of each run."""
    runs = tmp_path_factory.mktemp("runs") / "table4"
    return runs, run_study("table4", datasets, StudyTerms(seeds=(1,), part_steps=2, **TERMS), runs=runs)


# ---------------------------------------------------------------------------------------------------------- the paper


@pytest.mark.parametrize("name", COMPARED)
def test_every_row_of_every_study_can_be_run_on_every_task_of_it(name):
    """By default a study runs all tasks of the paper: none of its rows may be refused after hours on the others."""
    study = STUDIES[name]
    assert len({row.name for row in study.rows}) == len(study.rows)
    for task in study.tasks:
        hub = HUB_TASKS[f"glue/{task}" if task in GLUE else task].task
        for row in study.rows:
            parts = {} if hub.drop_forbidden else dict(row.parts)
            resolve_strategy(row.strategy, hub, parts)


# -------------------------------------------------------------------------------------------------------------- tables


def test_tables_of_scores_are_those_of_the_comparison(trained):
    runs, study = trained
    result = json.loads((runs / "rte/compare.json").read_text())
    means, scores, speedups = study.tables
    summary = {row["strategy"]: row for row in result["summary"]}
    assert [row[0] for row in means.rows] == ["dropout 0.1, no TokenDrop", "TokenDrop+BucketSampler"]
    for row, name in zip(means.rows, ("random", "tdbs_paper"), strict=True):
        assert row[1] == f"{100 * summary[name]['score_mean']:.1f}"
        assert row[3] == f"{summary[name]['speedup']:.2f}x"
        assert row[5] == f"{100 * summary[name]['padding_fraction']:.1f}"
    assert scores.columns == speedups.columns == ("", "rte")
    assert scores.rows[0][1] == (
        f"{100 * summary['random']['score_mean']:.1f} ± {100 * summary['random']['score_std']:.1f}"
    )
    assert speedups.rows[0][1] == "1.00x"
    assert study.comparisons == {"rte": runs / "rte"}
    assert (
        "2 seeds, 1 epochs, rate 0.001, rte. Dropout goes with the batches: dropout 0.1, no TokenDrop 0.1; "
        "TokenDrop+BucketSampler 0. The paper: "
    ) in study.caption


def test_a_study_is_not_trained_again(trained, datasets):
    """Asked for once more, it says the same and no file of its runs changes."""
    runs, study = trained
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    again = run_study("fig6", {"rte": datasets["rte"]}, StudyTerms(seeds=(1, 2), **TERMS), runs=runs)
    assert again == study
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def test_a_study_of_parts_has_speedups_and_no_scores(timed):
    """Means over two tasks, one of which the paper has; its own numbers stand beside them."""
    _, study = timed
    means, speedups = study.tables
    assert [row[0] for row in means.rows] == ["RandomSampler", "None", "RBM", "RBM + BatchCap", "RBM + BatchCap + LRM"]
    assert [row[1] for row in means.rows] == [""] * 5
    assert [row[2] for row in means.rows] == [81.62, 76.9, 78.42, 81.29, 81.64]
    assert [row[4] for row in means.rows] == ["1x", "5.3x", "5.8x", "5.2x", "5.2x"]
    assert speedups.columns == ("", "rte", "mine")
    for row, of_tasks in zip(means.rows, speedups.rows, strict=False):
        assert float(row[3][:-1]) == pytest.approx(np.mean([float(cell[:-1]) for cell in of_tasks[1:]]), abs=0.011)
    assert len(study.findings) == 4  # each row beside the one before: speedups alone
    assert (
        "rte, mine. 2 steps of each run were timed: times are projected, there are no scores. Dropout" in study.caption
    )


def test_what_a_task_does_not_take_is_refused_before_the_first_run(datasets, tmp_path):
    """Of SQuAD any token could be one of an answer."""
    squad = datasets["mine"]
    squad = replace(squad, manifest=replace(squad.manifest, task=HUB_TASKS["squad"].task))
    with pytest.raises(ConfigError):
        run_study("table8", {"rte": datasets["rte"], "squad": squad}, StudyTerms(seeds=(1,), **TERMS), runs=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_dropouts_are_told_by_row_and_where_tasks_differ_by_task():
    of_tasks = {"rte": [0.1, 0.0], "sst2": [0.1, 0.025]}
    assert describe_dropouts(["A", "B"], of_tasks) == "Dropout goes with the batches: A 0.1; B 0 on rte, 0.025 on sst2."
    assert describe_dropouts(["A", "B"], {"rte": [0.0, 0.0]}) == "Dropout: 0 in all rows."


def test_a_task_that_forbids_dropping_runs_without_it(datasets, tmp_path):
    """As the paper does with CoLA: the row stays, under its name."""
    task = HUB_TASKS["glue/cola"].task
    dataset = datasets["mine"]
    manifest = type(dataset.manifest)(
        **{**{n: getattr(dataset.manifest, n) for n in dataset.manifest.__slots__}, "task": task}
    )
    cola = type(dataset)(path=dataset.path, manifest=manifest)
    run_study("table8", {"cola": cola}, StudyTerms(seeds=(1,), part_steps=1, **TERMS), runs=tmp_path)
    settings = json.loads((tmp_path / "cola/settings.json").read_text())
    assert [(s["name"], s["drop"]) for s in settings["strategies"]] == [
        ("random", "none"), ("bucket", "none"), ("any", "none"), ("stopwords", "none"), ("all", "none")
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ findings


def summaries_of(**values: tuple[float | None, float]) -> dict:
    """Return what two tasks measured: the same score and speedup in both."""
    rows = {name: {"score_mean": score, "speedup": speedup} for name, (score, speedup) in values.items()}
    return {"rte": rows, "sst2": rows}


def test_what_contradicts_the_paper_is_said_plainly():
    """Table 1 on RTE and SST-2, where the paper gains (1.09 + 0.18) / 2 points and (1.05 + 9.61) / 2 x."""
    values = summaries_of(random=(0.80, 1.0), tdbs_paper=(0.79, 3.0), reach=(0.9, 9.0))
    assert findings(STUDIES["table1"], values) == [
        "TokenDrop+BucketSampler against RandomSampler: score +0.64 points in the paper, -1.00 points here: "
        "the contrary of the paper.",
        "TokenDrop+BucketSampler against RandomSampler: speedup +5.33x in the paper, +2.00x here: "
        "less than half of the paper's.",
    ]


def test_a_paper_s_mean_over_other_tasks_is_said_to_be_one_and_gets_no_verdict_on_speed():
    """Table 5 tells no numbers of packing by task."""
    rows = dict.fromkeys(("length_grouped", "tf_bucket", "bucket", "tdbs_paper", "reach"), (0.8, 1.5))
    found = findings(STUDIES["table5"], summaries_of(random=(0.8, 1.0), packed=(0.82, 1.2), **rows))
    assert (
        "Packing against RandomSampler: score -0.93 points in the paper (over all its tasks), +2.00 points here: "
        "the contrary of the paper."
    ) in found
    assert "Packing against RandomSampler: speedup +3.20x in the paper (over all its tasks), +0.20x here." in found


def test_a_table_by_task_alone_has_findings():
    """Table 2: two tasks, no means."""
    rows = {name: {"score_mean": score, "speedup": speedup} for name, score, speedup in (
        ("random", 0.3, 1.0), ("tdbs_paper", 0.31, 5.0), ("reach", 0.3, 5.0)
    )}  # fmt: skip
    assert findings(STUDIES["table2"], {"xsum": rows, "cnn_dailymail": rows}) == [
        "TokenDrop+BucketSampler against RandomSampler: score +0.28 points in the paper, +1.00 points here.",
        "TokenDrop+BucketSampler against RandomSampler: speedup +7.20x in the paper, +4.00x here.",
    ]


def test_rows_that_the_paper_lacks_are_not_held_against_it():
    """`reach` is ours."""
    values = summaries_of(random=(0.80, 1.0), tdbs_paper=(0.81, 3.0), reach=(0.1, 0.1))
    assert not any("reach" in finding for finding in findings(STUDIES["table1"], values))


def test_steps_of_an_ablation_are_each_against_the_one_before():
    """Table 4: BatchCap and what follows; here RBM costs speed, where the paper gains."""
    values = summaries_of(
        random=(0.8, 1.0),
        bucket_none=(0.70, 4.0),
        bucket_rbm=(0.75, 3.5),
        bucket_rbm_batchcap=(0.80, 3.0),
        bucket=(0.81, 3.2),
    )
    found = findings(STUDIES["table4"], values)
    assert len(found) == 8
    everywhere = "in the paper (over all its tasks)"
    assert found[1] == f"RBM against None: score +1.52 points {everywhere}, +5.00 points here."
    assert found[5] == f"RBM against None: speedup +0.50x {everywhere}, -0.50x here: the contrary of the paper."
    # the paper has no difference here: nothing can be the contrary of it
    assert found[7] == f"RBM + BatchCap + LRM against RBM + BatchCap: speedup +0.00x {everywhere}, +0.20x here."


def test_a_difference_that_is_not_shown_is_not_the_contrary():
    """Less than half of the last digit is nothing."""
    values = summaries_of(random=(0.80001, 1.004), tdbs_paper=(0.8, 1.0), reach=(0.8, 1.0))
    assert findings(STUDIES["table1"], values) == [
        "TokenDrop+BucketSampler against RandomSampler: score +0.64 points in the paper, +0.00 points here.",
        "TokenDrop+BucketSampler against RandomSampler: speedup +5.33x in the paper, +0.00x here: "
        "less than half of the paper's.",
    ]


def test_without_scores_only_speedups_are_compared():
    values = summaries_of(random=(None, 1.0), tdbs_paper=(None, 3.0), reach=(None, 4.0))
    assert [finding.split(": ")[1].split()[0] for finding in findings(STUDIES["table1"], values)] == ["speedup"]


def test_a_mean_of_which_a_part_is_missing_is_missing():
    assert mean_of([1.0, 3.0]) == 2.0
    assert mean_of([1.0, None]) is None


def test_numbers_are_shown_in_percent_and_times():
    assert shown_score({"score_mean": 0.6981, "score_std": None}) == "69.8"
    assert shown_score({"score_mean": 0.6981, "score_std": 0.0123}) == "69.8 ± 1.2"
    assert (shown_score({"score_mean": None}), shown_percent(None), shown_times(None)) == ("", "", "")
    assert (shown_percent(0.0), shown_times(3.627)) == ("0.0", "3.63x")


# ----------------------------------------------------------------------------------------------------- from plans alone


def test_figure_8_needs_no_profile(datasets, tmp_path):
    """Lengths from the manifests, speedups by tokens of the trainer's plans."""
    study = run_study("fig8", datasets, StudyTerms(seeds=(3,), epochs=2), runs=tmp_path)
    for (task, spread, speedup), row in zip(study.points, study.tables[0].rows, strict=True):
        dataset = datasets[task]
        reach = resolve_strategy("reach", dataset.manifest.task, {"caps": "paper"})
        (expected,) = estimate_speedup(dataset, [reach], seed=3, epochs=2)
        assert speedup == expected.speedup
        assert spread == split_statistics(split_info(dataset, "train")).padding_fraction_estimate
        assert row[:2] == (task, dataset.manifest.splits["train"].rows)
        assert row[6] == f"{speedup:.2f}x"
    assert [row[8] for row in study.tables[0].rows] == ["2.05x", ""]  # the paper's, of the task that it has
    assert "by tokens alone" in study.caption
    assert list(tmp_path.iterdir()) == []


def test_correlations_that_are_not_defined_are_said_so(datasets, tmp_path):
    """One task has no ranks."""
    study = run_study("fig8", {"rte": datasets["rte"]}, StudyTerms(seeds=(0,), epochs=1), runs=tmp_path)
    assert study.findings[0] == (
        "Rank correlation over 1 tasks of padding_fraction_est with the predicted speedup over random: undefined, "
        "over random_max: undefined; with the paper's own speedups: undefined."
    )


@pytest.mark.parametrize("study", ["fig7", "e1"])
def test_studies_of_seconds_ask_for_a_profile(datasets, tmp_path, study):
    with pytest.raises(ConfigError) as caught:
        run_study(study, datasets, StudyTerms(seeds=(1,)), runs=tmp_path)
    assert str(caught.value) == (f"{study} is computed in seconds. Pass --profile FILE; tdbs profile writes one.")


def test_overheads_are_what_prepare_took(datasets, tmp_path):
    study = run_study("fig7", datasets, StudyTerms(seeds=(1,), epochs=1), runs=tmp_path, profile=PROFILE)
    for row in study.tables[0].rows:
        seconds = datasets[row[0]].manifest.seconds
        assert row[1] == split_info(datasets[row[0]], "train").rows
        assert row[2:7] == tuple(
            f"{seconds[stage]:.2f}" for stage in ("read", "tokenize", "annotate", "write", "total")
        )
        paper = resolve_strategy("tdbs_paper", datasets[row[0]].manifest.task, {"caps": "paper"})
        (run,) = estimate_speedup(datasets[row[0]], [paper], seed=1, epochs=1, profile=PROFILE)
        share = 100 / (seconds["total"] + run.seconds)
        assert float(row[9]) == pytest.approx(seconds["total"] * share, rel=0.1)
        assert 0 < float(row[7]) < 1  # seconds of an epoch's batches, of a hundred samples
        assert 0 < float(row[10]) < 100  # their share of a run, which is short, too
    assert study.caption.endswith("training is predicted: made up on made up, 1 epochs.")


def test_ten_runs_pay_for_preparing_once(datasets, tmp_path):
    """The more runs share a dataset, the nearer the speedup is to that of training alone.

    Steps take a hundred times as long here: planning, whose time is real, is nothing beside them.
    """
    slow = replace(PROFILE, points=[{**point, "seconds": 100 * point["seconds"]} for point in PROFILE.points])
    study = run_study("e1", datasets, StudyTerms(seeds=(1,), epochs=1), runs=tmp_path, profile=slow)
    for task, rows, *cells in study.tables[0].rows:
        assert rows == split_info(datasets[task], "train").rows
        each, once = (float(cell[:-1]) for cell in cells[:2])
        paper = resolve_strategy("tdbs_paper", datasets[task].manifest.task, {"caps": "paper"})
        (alone,) = estimate_speedup(datasets[task], [paper], seed=1, epochs=1, profile=slow)
        assert each <= once <= alone.speedup + 0.1
        prepare = datasets[task].manifest.seconds["total"]
        expected = 10 * alone.seconds * alone.speedup / (prepare + 10 * alone.seconds)
        assert once == pytest.approx(expected, rel=0.1)


# ------------------------------------------------------------------------------------------------------------- the page


def test_a_study_is_a_page_its_numbers_and_its_figures(trained, tmp_path):
    _, study = trained
    page = write_study(tmp_path / "s", study, command="tdbs reproduce fig6")
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"README.md", "study.json", "loss-rte.svg"}
    assert page.read_text() == study_markdown(study, command="tdbs reproduce fig6", figures=["loss-rte"])
    assert "![loss-rte](loss-rte.svg)" in page.read_text()
    for table in study.tables:
        assert f"## {table.title}\n\n{markdown_table(table)}" in page.read_text()
    stored = json.loads((tmp_path / "s/study.json").read_text())
    rows = json.loads((trained[0] / "rte/compare.json").read_text())["rows"]
    assert [row["seconds"] for row in stored["comparisons"]["rte"]] == [row["seconds"] for row in rows]
    assert stored["command"] == "tdbs reproduce fig6"
    figure = (tmp_path / "s/loss-rte.svg").read_text()
    for row in STUDIES["fig6"].rows:
        assert f">{row.title}<" in figure
    write_study(tmp_path / "again", study, command="tdbs reproduce fig6")
    assert (tmp_path / "again/loss-rte.svg").read_text() == figure


def test_a_study_without_runs_has_no_loss_to_draw(timed, datasets, tmp_path):
    """Parts train nothing; figure 8 has its own figure."""
    write_study(tmp_path / "s", timed[1], command="c")
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"README.md", "study.json"}
    study = run_study("fig8", datasets, StudyTerms(seeds=(0,), epochs=1), runs=tmp_path)
    write_study(tmp_path / "f", study, command="c")
    assert {path.name for path in (tmp_path / "f").iterdir()} == {"README.md", "study.json", "speedup.svg"}
