"""The cost model finds what made the times, says how far it is off, and refuses what was not timed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.analysis.cost import batches_work, padded_work
from tdbs.analysis.profile.shapes import grid_shapes, synthetic_batch
from tdbs.errors import ConfigError
from tdbs.train.planning.cost_model import COSTS, COUNTS, fit_costs
from tests.examples import examples
from tests.reports.conftest import make_dataset

MANIFEST = make_dataset(max_length=128).manifest
TRUE = {"steps": 4e-3, "calls": 9e-4, "samples": 2e-5, "tokens": 3e-6, "pairs": 5e-9, "masked": 2e-9, "places": 2e-7,
        "blocks": 1e-8,
        "dropout_tokens": 4e-7, "dropout_pairs": 2e-9}  # fmt: skip


def points_of(costs: dict[str, float] = TRUE, *, attention: str = "eager") -> list[dict]:
    """Return a point for each step that a profile of an encoder times, with the seconds that some costs make."""
    points = []
    for shape in grid_shapes(MANIFEST, "cpu", in_rows=True):
        batch = synthetic_batch(
            MANIFEST, shape.execution, samples=shape.samples, length=shape.length, padding=shape.padding
        )
        work = dict(zip(COUNTS, batches_work([batch] * shape.calls).tolist(), strict=True))
        all_work = work | {
            "dropout_tokens": shape.dropout * work["tokens"],
            "dropout_pairs": shape.dropout * work["pairs"],
        }
        points.append(
            {
                "attention": attention,
                "length": shape.length,
                "dropout": shape.dropout,
                "tokens": int(batch.input_ids_RW.size),
                "seconds": sum(cost * all_work[name] for name, cost in costs.items()),
                "work": work,
            }
        )
    return points


POINTS = points_of()


def test_costs_that_made_the_times_are_found_again():
    """All nine that an encoder has, from the very steps that a profile times; what does not occur costs nothing."""
    model = fit_costs(POINTS, "eager")
    found = dict(zip(COSTS, model.costs_C.tolist(), strict=True))
    assert {name: cost for name, cost in found.items() if cost} == pytest.approx(TRUE, rel=1e-4)
    assert model.error < 1e-6


def test_a_step_that_was_not_timed_is_predicted():
    """Of 100 x 100 tokens, with and without dropout."""
    model = fit_costs(POINTS, "eager")
    counts = padded_work(np.array([100]), 100)
    plain = 4e-3 + 9e-4 + 100 * 2e-5 + 10**4 * 3e-6 + 10**6 * 5e-9
    assert model.step_seconds(counts, dropout=False) == pytest.approx([plain], rel=1e-4)
    assert model.step_seconds(counts, dropout=True) == pytest.approx([plain + 10**4 * 4e-7 + 10**6 * 2e-9], rel=1e-4)


def test_a_prediction_is_linear_in_the_work():
    """So a run is the sum of its steps."""
    model = fit_costs(POINTS, "eager")
    counts = padded_work(np.array([3, 8, 60]), 40)
    seconds = model.step_seconds(counts, dropout=True)
    np.testing.assert_allclose(model.step_seconds(7 * counts, dropout=True), 7 * seconds)
    np.testing.assert_allclose(model.step_seconds(counts.sum(axis=0, keepdims=True), dropout=True), [seconds.sum()])


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.15])
def test_the_error_is_about_the_noise_of_the_times(noise):
    """Root mean square over points left out: somewhat above the noise, since the fit has noise of its own."""
    errors = []
    for seed in range(5):
        factors = 1 + noise * np.random.default_rng(seed).standard_normal(len(POINTS))
        noisy = [point | {"seconds": point["seconds"] * max(f, 0.1)} for point, f in zip(POINTS, factors, strict=True)]
        errors.append(fit_costs(noisy, "eager").error)
    assert 0.7 * noise < np.mean(errors) < 2.5 * noise


@given(st.lists(st.floats(1e-4, 10), min_size=len(POINTS), max_size=len(POINTS)))
@examples(25)
def test_no_cost_is_negative_whatever_the_times(seconds):
    model = fit_costs([point | {"seconds": s} for point, s in zip(POINTS, seconds, strict=True)], "eager")
    assert (model.costs_C >= 0).all()
    assert np.isfinite(model.error)


def test_only_the_kernels_own_points_count():
    others = [point | {"attention": "sdpa", "seconds": 9 * point["seconds"]} for point in POINTS]
    both = fit_costs([*others, *POINTS], "eager")
    np.testing.assert_allclose(both.costs_C, fit_costs(POINTS, "eager").costs_C)


def test_a_kernel_that_was_compared_alone_is_refused():
    """Three steps tell which kernel is the fastest, not what eleven costs are."""
    with pytest.raises(ConfigError) as caught:
        fit_costs([*POINTS, *points_of(attention="sdpa")[:3]], "sdpa")
    assert caught.value.message == (
        "The profile has too few times of --attention sdpa: 3 steps, at least 12 are needed; most are of eager."
    )
    assert caught.value.next_step == "Pass --attention eager, or run tdbs profile --attention sdpa."


def test_a_profile_of_caps_alone_is_refused():
    """That of the paper is one."""
    with pytest.raises(ConfigError) as caught:
        fit_costs([], "None")
    assert str(caught.value) == "The profile has caps but no times. Run tdbs profile --out FILE."


def test_far_is_twice_the_largest_call_or_the_longest_row_that_was_measured():
    model = fit_costs(POINTS, "eager")
    assert (model.most_tokens, model.longest) == (max(point["tokens"] for point in POINTS), 128)
    assert not model.is_beyond(2 * model.most_tokens, 256)
    assert model.is_beyond(2 * model.most_tokens + 1, 256)
    assert model.is_beyond(1, 257)
    assert model.is_beyond(1, 1, target=1)  # none was timed
    assert not replace(model, longest_target=32).is_beyond(1, 1, target=64)
    assert replace(model, longest_target=32).is_beyond(1, 1, target=65)
