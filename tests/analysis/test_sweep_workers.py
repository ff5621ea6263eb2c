"""Sweeps side by side and again: nobody's models are removed while in use, and draws are the same every time."""

import csv
from dataclasses import replace

import optuna
import pytest

from tdbs.analysis.sweep import search as module
from tdbs.analysis.sweep.result import ASKED, SweepTerms
from tdbs.analysis.sweep.search import run_name, sweep
from tdbs.analysis.sweep.space import Range
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import DatasetError
from tdbs.pipeline.prepare import prepare
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.built_in import sample_tables
from tests.train.test_trainer import make_dataset

TERMS = SweepTerms(seeds=(0,), model="tiny", epochs=1, precision="fp32", trials=3, prune=False)
GRID = {"lr": (1e-3, 3e-3)}
RANGE = {"lr": Range(low=1e-4, high=1e-2, log=True)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("sweep"), train_rows=40, validation_rows=20)


def rates(result):
    return [trial.params["lr"] for trial in result.trials if trial.state == "complete"]


@pytest.fixture(scope="module")
def drawn(dataset, tmp_path_factory):
    """Return the rates that an undisturbed sweep draws."""
    return rates(sweep(dataset, RANGE, TERMS, out=tmp_path_factory.mktemp("drawn") / "s"))


def test_without_labels_to_score_on_a_sweep_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = sample_tables()["train"].slice(0, 30)
    with (tmp_path / "train.csv").open("w", newline="", encoding="utf-8") as file:
        columns = (table["text"].to_pylist(), table["label"].to_pylist())
        csv.writer(file).writerows([["text", "label"], *zip(*columns, strict=True)])
    alone = prepare(str(tmp_path / "train.csv"), tokenizer=str(TOKENIZER_FOLDER), out=tmp_path / "d").dataset
    with pytest.raises(DatasetError) as caught:
        sweep(alone, GRID, TERMS, out=tmp_path / "s")
    assert str(caught.value) == (
        f"{tmp_path / 'd'} has no validation split with labels, and a sweep ranks its trials by their scores. "
        "Prepare it with --validation FILE, or --validation 0.1 to hold out a tenth of the rows."
    )
    assert not (tmp_path / "s").exists()


def test_a_score_that_is_not_defined_is_no_score_of_zero(dataset, tmp_path, monkeypatch):
    """A correlation may not be defined; zero would be better than a negative one."""

    def undefined_at_the_first_rate(*arguments, lr, **options):
        result = train(*arguments, lr=lr, **{**options, "scored": lambda *_: None})
        return replace(result, score=None if lr == GRID["lr"][0] else -0.5)

    monkeypatch.setattr(module, "train", undefined_at_the_first_rate)
    told = []
    found = sweep(dataset, GRID, TERMS, out=tmp_path / "s", progress=told.append)
    assert [trial.state for trial in found.trials] == ["pruned", "complete"]
    assert (found.best.number, found.best.score) == (1, -0.5)
    assert "trial 0: its score is undefined" in told


def test_models_of_a_trial_that_another_worker_runs_stay(dataset, tmp_path):
    """Two workers on one storage and one folder; the other one's trial has a model already, and is not at its end."""
    out, storage = tmp_path / "s", f"sqlite:///{tmp_path / 'trials.db'}"
    theirs = out / "runs" / run_name({"lr": 3e-3}, 0) / "model"
    others = []

    def progress(_message):
        if not others:
            study = optuna.load_study(study_name="tdbs", storage=storage)
            others.append((study, study.ask()))
            assert others[0][1].suggest_categorical("lr", list(GRID["lr"])) == 3e-3
            theirs.mkdir(parents=True)
            (theirs.parent / "config.toml").write_text('plan_digest = "0"\n')  # as a run has it

    first = sweep(dataset, GRID, TERMS, out=out, storage=storage, progress=progress)
    assert [trial.state for trial in first.trials] == ["complete", "running"]
    assert theirs.is_dir()
    assert (out / "runs" / run_name({"lr": 1e-3}, 0) / "model").is_dir()
    [(study, trial)] = others
    study.tell(trial, first.best.score - 0.1)
    sweep(dataset, GRID, TERMS, out=out, storage=storage, resume=True)
    assert not theirs.exists()  # it has ended, and is not the best
    assert (out / "runs" / run_name({"lr": 1e-3}, 0) / "model").is_dir()


def test_models_of_a_trial_that_waits_to_go_on_stay(dataset, tmp_path):
    """It was stopped between two seeds: the first one's model is there."""
    out, storage = tmp_path / "s", f"sqlite:///{tmp_path / 'trials.db'}"
    theirs = out / "runs" / run_name({"lr": 5e-3}, 0) / "model"

    def progress(_message):
        study = optuna.load_study(study_name="tdbs", storage=storage)
        theirs.mkdir(parents=True, exist_ok=True)
        (theirs.parent / "config.toml").write_text('plan_digest = "0"\n')
        if len(study.trials) == 1:
            study.enqueue_trial({"lr": 5e-3}, user_attrs={ASKED: {"lr": 5e-3}})

    sweep(dataset, RANGE, replace(TERMS, trials=1), out=out, storage=storage, progress=progress)
    assert theirs.is_dir()


def test_ranges_are_drawn_the_same_every_time_and_otherwise_with_another_seed(drawn, dataset, tmp_path):
    assert rates(sweep(dataset, RANGE, TERMS, out=tmp_path / "again")) == drawn
    assert len(set(drawn)) == 3
    other = sweep(dataset, RANGE, replace(TERMS, seeds=(7,), trials=1), out=tmp_path / "other")
    assert rates(other)[0] != drawn[0]


def test_a_stopped_search_draws_what_it_would_have_drawn(drawn, dataset, tmp_path):
    stop, told = Stop(), []

    def progress(message):
        told.append(message)
        if len(told) == 2:
            stop.number = 2

    with pytest.raises(StoppedError) as caught:
        sweep(dataset, RANGE, TERMS, out=tmp_path / "s", stop=stop, progress=progress)
    assert caught.value.message == f"The sweep in {tmp_path / 's'} was stopped by SIGINT."
    assert caught.value.next_step == f"Run the same command with --resume --out {tmp_path / 's'} to continue."
    assert caught.value.exit_code == 130
    assert rates(sweep(dataset, RANGE, TERMS, out=tmp_path / "s", resume=True)) == drawn


def test_workers_that_begin_together_draw_different_trials(dataset, tmp_path):
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    terms = replace(TERMS, trials=1)
    inner = []

    def progress(_message):
        if not inner:
            inner.append(sweep(dataset, RANGE, terms, out=tmp_path / "b", storage=storage))

    outer = sweep(dataset, RANGE, terms, out=tmp_path / "a", storage=storage, progress=progress)
    assert [trial.state for trial in inner[0].trials] == ["running", "complete"]
    assert len(set(rates(outer))) == 2


def test_a_second_signal_ends_a_trial_that_is_tried_again(dataset, tmp_path):
    """Optuna would count a KeyboardInterrupt as a failed trial, and draw another one."""

    def progress(_message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(dataset, RANGE, TERMS, out=tmp_path / "s", progress=progress)
    study = optuna.load_study(study_name="tdbs", storage=f"sqlite:///{tmp_path / 's/trials.db'}")
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]
    assert study.trials[1].user_attrs[ASKED] == study.trials[0].params != {}
