"""One record of settings: commands, signatures and docstrings are made from it and cannot be behind it."""

import dataclasses
import inspect
from typing import Annotated

import pytest

from tdbs.analysis.compare.compare import compare
from tdbs.cli.train import command
from tdbs.errors import ConfigError
from tdbs.option import Option
from tdbs.settings import TrainSettings, canonical, changed_fields, documented_fields, options_of, takes
from tdbs.train.trainer import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """A record for these tests."""

    places: Annotated[list[str] | None, Option("Where.")] = dataclasses.field(default=None, kw_only=False)
    count: Annotated[int, Option("How many.", default="some")] = 3
    inner: int = 0


@takes(Given)
def told(subject: str, given: Given) -> tuple[str, Given]:
    """Return what was given.

    Args:
        subject: Any text.

    Returns:
        Both.
    """
    return subject, given


def test_a_function_takes_the_fields_of_its_record():
    assert told("a", ["b"], count=4) == ("a", Given(places=["b"], count=4))
    assert told(subject="a") == ("a", Given())
    assert list(inspect.signature(told).parameters) == ["subject", "places", "count"]
    assert inspect.signature(told).parameters["count"].annotation is int
    with pytest.raises(TypeError, match="unexpected keyword argument 'coumt'"):
        told("a", coumt=4)


def test_the_docstring_names_each_field():
    assert "        count: How many. [default: some]\n\n    Returns:" in told.__doc__


@pytest.mark.parametrize("function", [train, compare])
def test_every_setting_is_a_parameter_and_in_the_docstring(function):
    for field in dataclasses.fields(TrainSettings):
        parameter = inspect.signature(function).parameters[field.name]
        assert parameter.default == field.default
        assert f"        {field.name}: " in function.__doc__


def test_every_setting_is_an_option_of_train():
    """But energy, which the command line asks for by --energy and --country."""
    options = inspect.signature(command).parameters
    missing = [name for name in documented_fields(TrainSettings) if name not in options]
    assert missing == []
    assert options["energy"].annotation.__args__[0] is bool


def test_a_longer_name_is_the_same_field_and_both_are_refused():
    assert canonical({"learning_rate": 1e-3, "epochs": 2}, TrainSettings) == {"lr": 1e-3, "epochs": 2}
    with pytest.raises(ConfigError, match=r"^lr is given twice, once as learning_rate\. Give it once\.$"):
        canonical({"lr": 1e-3, "learning_rate": 1e-3}, TrainSettings)
    with pytest.raises(ConfigError, match=r"^--learning-rate must be above 0 and at most 1, got 2\."):
        train("nowhere", learning_rate=2)
    assert "Also as learning_rate." in train.__doc__


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"lr_scheduler": "step"}, "Unknown value 'step' for --lr-scheduler."),
        ({"weight_decay": -0.1}, "--weight-decay must be from 0 to 1, got -0.1."),
        ({"weight_decay": float("nan")}, "--weight-decay must be from 0 to 1, got nan."),
    ],
)
def test_schedulers_and_decays_are_checked(setting, error):
    with pytest.raises(ConfigError) as caught:
        TrainSettings(**setting)
    assert caught.value.message == error


def test_settings_are_checked_once_and_handed_on_whole():
    with pytest.raises(ConfigError, match=r"^--epochs must be 1 or more, got 0\. Pass another --epochs\.$"):
        TrainSettings(epochs=0)
    settings = TrainSettings(epochs=2, lora=4)
    assert changed_fields(settings, TrainSettings) == {"epochs": 2, "lora": 4}
    assert TrainSettings(**options_of(settings)) == settings
