"""Sweeps: a grid is searched whole, once; a stopped one goes on; ranges are TPE's; workers share a storage."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from tdbs.analysis.sweep.result import SweepTerms
from tdbs.analysis.sweep.search import run_name, sweep
from tdbs.analysis.sweep.space import Range, combinations, is_grid, listed_values, read_space
from tdbs.errors import ConfigError
from tdbs.reports.sweep import sweep_figures, sweep_notes, trials_table, write_sweep
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.train.test_trainer import make_dataset

SPACE = {"lr": (1e-3, 3e-3), "dropout": (0.0, 0.1)}
HALF = SPACE | {"dropout": (0.0,)}
TERMS = SweepTerms(seeds=(0, 1), model="tiny", epochs=1, precision="fp32")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def swept(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("swept") / "s"
    return out, sweep(dataset, SPACE, TERMS, out=out)


def half_of(whole):
    """Return the scores of the trials of HALF."""
    return {json.dumps(trial.params): trial.scores for trial in whole.trials if trial.params["dropout"] == 0}


def test_a_grid_is_searched_whole_and_a_trial_is_the_mean_of_its_runs(swept, dataset, tmp_path):
    out, found = swept
    assert [dict(trial.params) for trial in found.trials] == list(combinations(SPACE))
    assert {trial.state for trial in found.trials} == {"complete"}
    for trial in found.trials:
        assert trial.score == pytest.approx(sum(trial.scores.values()) / 2)
        assert set(trial.scores) == {"0", "1"}
    assert found.runs == 8
    assert found.best.score == max(trial.score for trial in found.trials)
    alone = train(dataset, model="tiny", epochs=1, seed=1, lr=3e-3, dropout=0.1, precision="fp32", out=tmp_path / "run")
    [trial] = [trial for trial in found.trials if trial.params == {"lr": 3e-3, "dropout": 0.1}]
    assert trial.scores["1"] == alone.score
    assert json.loads((out / "sweep.json").read_text())["runs"] == 8


def test_the_models_of_the_best_trial_are_kept_and_no_others(swept):
    out, found = swept
    kept = {folder.parent.name for folder in out.glob("runs/*/model")}
    assert kept == {run_name(found.best.params, seed) for seed in (0, 1)} == set(found.best.runs)


def test_amortized_speedup_is_reckoned_from_what_was_measured(swept):
    _, found = swept
    per_run = found.speedup_one_run * (found.prepare_seconds + found.run_seconds) / found.run_seconds
    expected = 8 * per_run * found.run_seconds / (found.prepare_seconds + 8 * found.run_seconds)
    assert found.speedup_all_runs == pytest.approx(expected)
    assert found.speedup_one_run < found.speedup_all_runs < per_run


def test_a_finished_sweep_trains_nothing_and_a_folder_that_is_taken_is_refused(swept, dataset, monkeypatch):
    out, found = swept
    with pytest.raises(ConfigError) as caught:
        sweep(dataset, SPACE, TERMS, out=out)
    assert caught.value.message == f"{out} contains a sweep."
    assert caught.value.next_step == "Pass --resume to continue, or another --out."
    with pytest.raises(ConfigError) as caught:
        sweep(dataset, {"lr": (1e-3,)}, TERMS, out=out, resume=True)
    assert caught.value.message == f"The sweep in {out} was started with other settings: space."
    monkeypatch.setattr("tdbs.analysis.sweep.search.train", lambda *_, **__: pytest.fail("a run"))
    again = sweep(dataset, SPACE, TERMS, out=out, resume=True)
    assert asdict(again) == asdict(found)


def test_a_folder_of_something_else_is_refused(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(ConfigError) as caught:
        sweep(dataset, SPACE, TERMS, out=tmp_path / "mine")
    assert caught.value.message == f"{tmp_path / 'mine'} contains other files."
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_stopped_sweep_goes_on_with_the_run_it_was_in(swept, dataset, tmp_path):
    _, whole = swept
    stop = Stop()
    told = []

    def progress(message):
        told.append(message)
        if len(told) == 4:  # the second run of the second trial
            stop.number = 15

    with pytest.raises(StoppedError):
        sweep(dataset, HALF, TERMS, out=tmp_path / "s", stop=stop, progress=progress)
    again = sweep(dataset, HALF, TERMS, out=tmp_path / "s", resume=True)
    assert again.runs == 4
    scores = {json.dumps(trial.params): trial.scores for trial in again.trials if trial.state == "complete"}
    assert scores == half_of(whole)


@pytest.mark.slow
def test_a_killed_sweep_goes_on(swept, dataset, tmp_path):
    _, whole = swept
    out = tmp_path / "s"
    program = "from tdbs.cli import main; main()"
    options = ["--lr", "0.001,0.003", "--dropout", "0,0.1", "--seeds", "0,1", "--epochs", "1", "--model", "tiny"]
    command = [sys.executable, "-c", program, "sweep", dataset.path, *options, "--precision", "fp32", "--out", out]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not list(out.glob("runs/*/result.json")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    again = sweep(dataset, SPACE, TERMS, out=out, resume=True)
    assert [trial.state for trial in again.trials] == ["complete"] * 4
    scores = {json.dumps(trial.params): trial.scores for trial in again.trials}
    assert scores == {json.dumps(trial.params): trial.scores for trial in whole.trials}


@pytest.mark.slow
def test_ranges_are_searched_as_often_as_asked(dataset, tmp_path):
    space = {"lr": Range(low=1e-4, high=1e-2, log=True), "base_batch_size": (16, 32)}
    terms = SweepTerms(seeds=(0,), model="tiny", epochs=1, precision="fp32", trials=3)
    found = sweep(dataset, space, terms, out=tmp_path / "s")
    assert len(found.trials) == 3
    assert all(1e-4 <= trial.params["lr"] <= 1e-2 for trial in found.trials)
    more = SweepTerms(**{**asdict(terms), "trials": 4})
    assert len(sweep(dataset, space, more, out=tmp_path / "s", resume=True).trials) == 4


def test_two_workers_share_a_storage(swept, dataset, tmp_path):
    """The second one finds all trials ended by the first, in another folder."""
    _, whole = swept
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    first = sweep(dataset, HALF, TERMS, out=tmp_path / "a", storage=storage)
    second = sweep(dataset, HALF, TERMS, out=tmp_path / "b", storage=storage)
    assert {json.dumps(trial.params): trial.scores for trial in first.trials} == half_of(whole)
    assert second.trials == first.trials
    assert not (tmp_path / "b/runs").exists()


def test_a_trial_that_cannot_train_is_pruned_and_the_others_go_on(dataset, tmp_path, monkeypatch):
    from tdbs.analysis.sweep import search as module
    from tdbs.errors import TrainingError

    def fails_at_high_rates(*arguments, lr, **options):
        if lr > 1e-3:
            raise TrainingError("Loss or gradients are not finite.", next_step="Lower --lr.")
        return train(*arguments, lr=lr, **options)

    monkeypatch.setattr(module, "train", fails_at_high_rates)
    found = sweep(dataset, {"lr": (1e-3, 3e-3)}, TERMS, out=tmp_path / "s")
    assert [trial.state for trial in found.trials] == ["complete", "pruned"]


def test_the_page_has_every_trial_the_best_first(swept, tmp_path):
    _, found = swept
    rows = trials_table(found).rows
    assert rows[0][0] == str(found.best.number)
    assert len(rows) == 4
    page = write_sweep(tmp_path, found, command="tdbs sweep")
    text = page.read_text()
    assert "| trial | lr | dropout | mean | seed 0 | seed 1 | time |" in text
    assert f"Best: trial {found.best.number}, lr " in text
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "history.svg"}
    assert any("prepared once" in note and "for 8 runs" in note for note in sweep_notes(found, runs="runs"))
    assert "best so far" in sweep_figures(found)["history"]
    told = replace(found, importance={"lr": 0.75, "dropout": 0.25})
    assert ">dropout<" in sweep_figures(told)["importance"]
    assert "What explains the spread of the scores: lr 75%, dropout 25%." in sweep_notes(told, runs="runs")


# ----------------------------------------------------------------------------------------------------------- the space


def test_a_file_has_values_and_ranges(tmp_path):
    place = tmp_path / "space.toml"
    place.write_text("[lr]\nlow = 1e-5\nhigh = 1e-4\nlog = true\n[strategy]\nvalues = ['unpadded', 'reach']\n")
    space = read_space(place)
    assert space == {"lr": Range(low=1e-5, high=1e-4, log=True), "strategy": ("unpadded", "reach")}
    assert not is_grid(space)
    assert listed_values("lr", "3e-5, 4e-5,3e-5") == (3e-5, 4e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lr]\nvalues = []\n", "lr has no value."),
        ("[lr]\nvalues = ['much']\n", "lr takes numbers, got much."),
        ("[lr]\nlow = 1.0\nhigh = 0.5\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[lr]\nlow = 0.0\nhigh = 0.5\nlog = true\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[lr]\nlow = []\nhigh = 0.5\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[lr]\nlow = 0.1\nhigh = ''\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[lr]\nlow = 0.1\nhigh = true\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[lr]\nlow = 0.1\nhigh = 0.5\nlog = 'no'\n", "[lr] is neither a list of values nor a range of numbers."),
        ("[epochs]\nvalues = [1.5]\n", "epochs takes whole numbers, got 1.5."),
        ("[epochs]\nvalues = [true]\n", "epochs takes whole numbers, got True."),
        ("[strategy]\nvalues = [['reach']]\n", "strategy takes names, got ['reach']."),
        ("[epochs]\nlow = 1\nhigh = 3\n", "[epochs] is neither a list of values nor a range of numbers."),
        ("[seed]\nvalues = [1]\n", "seed cannot be searched."),
        ("[drop_rate]\nlow = 0.1\nhigh = 0.5\n", "drop_rate cannot be searched."),  # no strategy drops at a rate
    ],
)
def test_what_is_no_space_is_refused(tmp_path, text, message):
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_space(tmp_path / "space.toml")
    assert caught.value.message == message


def test_nothing_to_search_and_values_out_of_range_are_refused_before_anything_is_written(dataset, tmp_path):
    with pytest.raises(ConfigError) as caught:
        sweep(dataset, {}, TERMS, out=tmp_path / "s")
    assert caught.value.message == "tdbs sweep has no values to search."
    with pytest.raises(ConfigError) as caught:
        sweep(dataset, {"strategy": ("reach", "fast")}, TERMS, out=tmp_path / "s")
    assert caught.value.message == "There is no strategy fast."
    names = (
        "lr, dropout, warmup, lr_scheduler, weight_decay, epochs, strategy, base_batch_size, bucket_width, "
        "grid_lengths, loss, temperature, margin, pooling"
    )
    for space, message, next_step in (
        ({"drop_rate": (0.1, 0.5)}, "drop_rate cannot be searched.", f"Choose from: {names}."),
        ({"drop_rate": Range(low=0.1, high=0.5)}, "drop_rate cannot be searched.", f"Choose from: {names}."),
        (
            {"lr": (1e-3,), "dropout": Range(low=0.1, high=1.5)},
            "--dropout must be from 0 to less than 1, got 1.5.",
            "Pass another --dropout.",
        ),
        (
            {"lr": Range(low=-1.0, high=0.5)},
            "--learning-rate must be above 0 and at most 1, got -1.0.",
            "Pass another --learning-rate.",
        ),
        ({"epochs": (1, 0)}, "--epochs must be 1 or more, got 0.", "Pass another --epochs."),
    ):
        with pytest.raises(ConfigError) as caught:
            sweep(dataset, space, TERMS, out=tmp_path / "s")
        assert (caught.value.message, caught.value.next_step) == (message, next_step)
    assert not (tmp_path / "s").exists()


def test_a_space_with_a_number_of_thousands_of_digits_is_refused(tmp_path):
    """Python reads such a hexadecimal number, and then refuses to write it in an error."""
    (tmp_path / "space.toml").write_text(f"[epochs]\nvalues = [0x{'f' * 5000}]\n")
    with pytest.raises(ConfigError) as caught:
        read_space(tmp_path / "space.toml")
    assert caught.value.message.endswith("space.toml cannot be read: it has a number of more than 300 digits.")
