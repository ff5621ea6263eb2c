"""The page of a sweep: the best trial first, deviations over seeds, and commands for its run."""

import shutil
from pathlib import Path
from typing import Any

from tdbs.analysis.sweep.result import SweepResult, Trial
from tdbs.reports.sweep import sweep_figures, write_sweep

RUN = Path(__file__).parents[1] / "golden/records/run"
BEST = Trial(number=0, state="complete", params={"lr": 0.001}, score=0.75, scores={"0": 0.5, "1": 1.0}, runs=("a b",))


def make_result(**overrides: Any) -> SweepResult:
    values: dict[str, Any] = {
        **{"dataset": "data/d", "source": "d", "model": "tiny", "metric": "accuracy", "epochs": 1, "seeds": (0, 1)},
        **{"best": BEST, "trials": [BEST], "importance": {}, "runs": 2, "prepare_seconds": 1.0, "run_seconds": 2.0},
        **{"speedup_one_run": None, "speedup_all_runs": None},
    }
    return SweepResult(**{**values, **overrides})


def test_a_page_opens_with_the_best_trial_and_ends_with_commands_for_its_run(tmp_path: Path) -> None:
    """The run's own record gives machine and versions; a path with a space is one word of a shell."""
    shutil.copytree(RUN, tmp_path / "runs/a b")
    text = write_sweep(tmp_path, make_result(), command="tdbs sweep").read_text(encoding="utf-8")
    best, table = (
        text.index("Best: trial 0, lr 0.001: accuracy 75.00 ± 35.36 over seeds; "),
        text.index("| trial | lr |"),
    )
    assert best < text.index("The first run of the best trial: 20") < table < text.index("## What to do next")
    assert "UTC, cpu, fp32, eager attention, torch 2.13.0+cpu, transformers 5.23.0, accelerate 1.15.0." in text
    place = f"'{tmp_path}/runs/a b'"
    assert f"- Look at its run: `tdbs report {place}`\n" in text
    assert f"- Predict texts of your own: `tdbs predict {place} FILE.csv --out predictions.jsonl`\n" in text


def test_a_page_without_the_best_trials_run_names_no_command(tmp_path: Path) -> None:
    text = write_sweep(tmp_path, make_result(), command="tdbs sweep").read_text(encoding="utf-8")
    assert "What to do next" not in text
    assert "The first run" not in text


def test_scores_over_seeds_have_their_deviation() -> None:
    one = Trial(number=0, state="complete", params={"lr": 0.001}, score=0.75, scores={"0": 0.75})
    assert "mean and deviation over seeds" in sweep_figures(make_result())["history"]
    assert "mean and deviation" not in sweep_figures(make_result(trials=[one]))["history"]
