"""Settings of an objective: what is out of range, or does not fit the columns, names a value that does."""

from dataclasses import replace

import pytest

from tdbs.data.sample import SAMPLE_TASK
from tdbs.data.tasks import Columns
from tdbs.errors import ConfigError
from tdbs.objective_settings import ObjectiveSettings
from tdbs.train.objectives.objective import check_objective

PAIRS = Columns(text="q", pair="p", labels=())
TRIPLES = replace(PAIRS, negatives=("n",))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"temperature": 1e-30}, "--temperature must be 0.0001 or more, got 1e-30. Pass a temperature such as 0.05."),
        ({"temperature": 0.0}, "--temperature must be above 0, got 0.0. Pass another --temperature."),
        ({"margin": float("nan")}, "--margin must be above 0, got nan. Pass another --margin."),
        (
            {"dimensions": "0"},
            "--dimensions takes numbers from 1 on, separated by commas, got '0'. "
            "Pass numbers such as --dimensions 256,128,64.",
        ),
        (
            {"dimensions": ""},
            "--dimensions takes numbers from 1 on, separated by commas, got ''. "
            "Pass numbers such as --dimensions 256,128,64.",
        ),
    ],
)
def test_a_value_out_of_range_is_refused(given, text):
    with pytest.raises(ConfigError) as caught:
        ObjectiveSettings(**given)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("columns", "next_step"),
    [
        (PAIRS, "Pass --loss negatives or symmetric."),
        (TRIPLES, "Pass --loss negatives or symmetric or triplet."),
    ],
)
def test_a_loss_that_is_named_instead_fits(columns, next_step):
    task = replace(SAMPLE_TASK, kind="embedding", columns=columns)
    with pytest.raises(ConfigError) as caught:
        check_objective(ObjectiveSettings(loss="cosine"), task)
    assert caught.value.message == "--loss cosine does not fit pairs with no scores."
    assert caught.value.next_step == next_step
    for loss in next_step.removeprefix("Pass --loss ").removesuffix(".").split(" or "):
        check_objective(ObjectiveSettings(loss=loss), task)
