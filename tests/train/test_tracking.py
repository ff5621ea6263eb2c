"""Trackers are told of every step and epoch; none is there unless asked for."""

import pytest

from tdbs.errors import ConfigError
from tdbs.train.tracking import check_tracker
from tdbs.train.trainer import train
from tests.train.test_resume import log_of
from tests.train.test_trainer import make_dataset

SMALL = {"model": "tiny", "epochs": 2, "seed": 1, "precision": "fp32"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("tracking"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_every_step_and_epoch(dataset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(dataset, track="tensorboard", out=tmp_path / "run", **SMALL)
    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    steps = log_of(tmp_path / "run")
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([step["loss"] for step in steps])
    assert [event.step for event in events.Scalars("lr")] == [step["step"] for step in steps]
    assert [event.value for event in events.Scalars("accuracy")] == pytest.approx(
        [epoch["score"] for epoch in result.epochs]
    )


def test_without_one_nothing_is_written(dataset, tmp_path):
    train(dataset, out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run/tensorboard").exists()


def test_a_tracker_that_is_not_there_is_refused(dataset, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as caught:
        train(dataset, track="paper", out=tmp_path / "run", **SMALL)
    assert caught.value.message == "Unknown value 'paper' for --report-to."
    assert caught.value.next_step == "Pass --report-to with one of: tensorboard, wandb, trackio."
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        check_tracker("wandb")
    assert caught.value.message == "--report-to wandb needs wandb, which is not installed."
    assert caught.value.next_step == "Run pip install wandb."
