"""Energy is measured by codecarbon itself: what a run tells adds up, nothing is sent, no file stays."""

import json
import logging
import socket
import threading
from importlib.resources import files

import pytest

from tdbs.errors import ConfigError, TrainingError
from tdbs.train.checkpoint import newest_checkpoint
from tdbs.train.energy import check_energy, metered
from tdbs.train.trainer import train
from tests.analysis.tiny import tiny_dataset
from tests.train.test_resume import stopped_at

SMALL = {"model": "tiny", "epochs": 2, "seed": 1, "precision": "fp32"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("energy"))


def intensity_of(country: str) -> float:
    """Return kg of CO2e per kWh from codecarbon's own table."""
    table = files("codecarbon").joinpath("data/private_infra/global_energy_mix.json")
    return json.loads(table.read_text(encoding="utf-8"))[country]["carbon_intensity"] / 1000


def test_a_run_tells_its_energy_and_whose_electricity_counts(dataset, tmp_path):
    result = train(dataset, energy="fra", out=tmp_path / "run", **SMALL)
    used = json.loads((tmp_path / "run/result.json").read_text())["energy"]
    assert used == result.energy
    assert used.keys() == {"kwh", "co2e_kg", "country", "power"}
    assert used["country"] == "FRA"
    assert used["co2e_kg"] == pytest.approx(used["kwh"] * intensity_of("FRA"))
    watts = used["kwh"] * 3.6e6 / (result.seconds["train"] + result.seconds["evaluate"])
    assert 1 < watts < 10_000  # a machine's, whatever it is
    assert "memory estimated" in used["power"]
    assert "processor " in used["power"]


@pytest.mark.slow
def test_the_world_is_the_average_of_codecarbon(dataset, tmp_path):
    """475 g of CO2e per kWh (IEA, 2019)."""
    used = train(dataset, energy="world", out=tmp_path / "run", **SMALL).energy
    assert used["co2e_kg"] == pytest.approx(used["kwh"] * 0.475)


def test_without_being_asked_nothing_is_measured(dataset, tmp_path):
    assert train(dataset, out=tmp_path / "run", **SMALL).energy is None
    assert "[energy]" not in (tmp_path / "run/config.toml").read_text()


def test_no_file_no_thread_and_no_connection_is_left(dataset, tmp_path, monkeypatch, capfd):
    """Whatever a user's own configuration of codecarbon says, nothing is sent, and nobody talks."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    (home / ".codecarbon.config").write_text(
        "[codecarbon]\noutput_methods=csv\nsave_to_file=true\nsave_to_api=true\nco2_signal_api_token=x\n"
        "emissions_endpoint=http://127.0.0.1:9/\nallow_multiple_runs=false\ncloud_provider=gcp\ncloud_region=us-east1\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    logging.getLogger("codecarbon").setLevel(logging.INFO)

    def refused(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    used = train(dataset, energy="FRA", out=tmp_path / "run", **SMALL).energy
    assert used["co2e_kg"] == pytest.approx(used["kwh"] * intensity_of("FRA"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "run", "temporary"]
    assert [path.name for path in home.iterdir()] == [".codecarbon.config"]
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.toml",
        "model",
        "result.json",
        "samples",
        "steps.jsonl",
    ]
    assert "codecarbon" not in capfd.readouterr().err
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(5)  # one that was just cancelled is about to end
    assert not any(timer.is_alive() for timer in timers)


def test_a_resumed_run_adds_what_went_before(dataset, tmp_path):
    """A checkpoint holds what was used; 2 kWh and 1 kg that are written there are in the result."""
    run = tmp_path / "run"
    stopped_at(dataset, run, 1, energy="FRA", **SMALL)
    place = newest_checkpoint(run) / "state.json"
    state = json.loads(place.read_text())
    assert 0 < state["energy"]["kwh"] < 1e-2
    state["energy"] |= {"kwh": 2.0, "co2e_kg": 1.0, "power": "processor measured by RAPL"}
    place.write_text(json.dumps(state))
    used = train(dataset, energy="FRA", out=run, resume=True, **SMALL).energy
    now = {"kwh": used["kwh"] - 2.0, "co2e_kg": used["co2e_kg"] - 1.0}
    assert 0 < now["kwh"] < 1e-2
    assert now["co2e_kg"] == pytest.approx(now["kwh"] * intensity_of("FRA"), rel=1e-3)
    assert used["power"].startswith("processor measured by RAPL; then memory estimated")  # another machine
    assert train(dataset, energy="FRA", out=run, resume=True, **SMALL).energy == used  # a finished run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "resumed", "change"),
    [
        ("FRA", None, "was FRA, is now None"),
        (None, "FRA", "was None, is now FRA"),
        ("FRA", "DEU", "was FRA, is now DEU"),
    ],
)
def test_a_run_is_resumed_with_the_same_measuring(dataset, tmp_path, begun, resumed, change):
    """Else its energy would be that of a part of it."""
    run = tmp_path / "run"
    stopped_at(dataset, run, 1, energy=begun, **SMALL)
    with pytest.raises(TrainingError) as caught:
        train(dataset, energy=resumed, out=run, resume=True, **SMALL)
    assert caught.value.message == f"The run in {run} was started with other settings: energy/country {change}."
    assert caught.value.next_step == "Repeat the command that started it with --resume, or pass another --out."


def test_a_meter_counts_on(dataset):
    """Each reading holds the ones before; so does what was used before all of them."""
    before = {"kwh": 1.0, "co2e_kg": 2.0, "country": "FRA", "power": ""}
    with metered("FRA", None) as meter, metered("FRA", before) as later:
        first = meter()
        threading.Event().wait(0.2)
        second, other = meter(), later()
    assert 0 < first["kwh"] < second["kwh"]
    assert other["kwh"] > 1.0
    assert other["co2e_kg"] > 2.0


@pytest.mark.parametrize("country", ["XYZ", "france", ""])
def test_a_country_without_data_is_refused_before_anything_is_written(dataset, tmp_path, country):
    with pytest.raises(ConfigError) as caught:
        train(dataset, energy=country, out=tmp_path / "run", **SMALL)
    assert caught.value.message == f"codecarbon has no electricity data of the country {country or repr(country)}."
    assert caught.value.next_step == "Pass its three letters of ISO 3166, such as FRA, or world."
    assert not (tmp_path / "run").exists()


def test_a_missing_codecarbon_is_refused_before_anything_is_written(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        train(dataset, energy="world", out=tmp_path / "run", **SMALL)
    assert caught.value.message == "--energy needs codecarbon, which is not installed."
    assert caught.value.next_step == 'Run pip install "tdbs[energy]".'
    assert not (tmp_path / "run").exists()
    assert check_energy(None) is None


def test_a_codecarbon_that_cannot_measure_is_told_before_anything_is_written(dataset, tmp_path, monkeypatch):
    """It logs its own exceptions and goes on: without a look a run would end with nothing."""
    monkeypatch.setenv("CODECARBON_PUE", "much")
    with pytest.raises(TrainingError) as caught:
        train(dataset, energy="world", out=tmp_path / "run", **SMALL)
    assert caught.value.message == "codecarbon could not measure this machine."
    assert (
        caught.value.next_step == "Fix codecarbon's settings (CODECARBON_*, .codecarbon.config), or leave out --energy."
    )
    assert not (tmp_path / "run").exists()
