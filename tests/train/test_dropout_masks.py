"""Dropout masks from random bits: distribution, independence, a seed its masks, the same ones in a recomputation."""

import functools

import numpy as np
import pytest
import torch
from torch.nn.functional import dropout
from torch.utils.checkpoint import checkpoint

from tdbs.train.dropout_masks import dropout_masks, masks_in_both_passes

CPU = torch.device("cpu")
RATES = (0.025, 0.1, 0.5, 0.9)


def masks(rate: float, *, shape: tuple[int, ...] = (500, 400), draws: int = 1, seed: int = 3) -> torch.Tensor:
    """Return whether elements were kept, one draw after another (draws x shape)."""
    torch.manual_seed(seed)
    with dropout_masks(CPU, compiled=False):
        return torch.stack([dropout(torch.ones(shape), rate, True) != 0 for _ in range(draws)])


@pytest.mark.parametrize("rate", RATES)
def test_the_rate_and_the_mean_are_those_of_dropout(rate):
    torch.manual_seed(1)
    with dropout_masks(CPU, compiled=False):
        out = dropout(torch.ones(1000, 1000, dtype=torch.float64), rate, True)
    dropped = float((out == 0).double().mean())
    assert dropped == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 1e6) + 1 / 2**16)
    assert out.unique().numel() == 2
    assert float(out.max()) == pytest.approx(1 / (1 - rate), rel=2**-15 / (1 - rate))
    assert float(out.mean()) == pytest.approx(1, abs=5 * np.sqrt(rate / (1 - rate) / 1e6))
    assert float(out.var()) == pytest.approx(rate / (1 - rate), rel=0.02)


@pytest.mark.parametrize("rate", RATES)
def test_elements_and_draws_are_independent(rate):
    kept = masks(rate, draws=2).double()
    kept = (kept - kept.mean()) / kept.std()
    first, second = kept[0].flatten(), kept[1].flatten()
    limit = 5 / np.sqrt(first.numel())
    assert abs(float((first * second).mean())) < limit  # one step and the next
    for lag in (1, 2, 3, 4, 5, 8, 64, 400, 401):  # within 64 bits, a row, and between rows
        assert abs(float((first[:-lag] * first[lag:]).mean())) < limit
    counts = masks(rate, draws=64)[:, :50].sum(0).flatten().double()  # of each element over steps: binomial
    expected = 64 * rate * (1 - rate)
    assert float(counts.var()) == pytest.approx(expected, rel=5 * np.sqrt(2 / counts.numel()) + 0.02)


def test_a_seed_gives_its_masks_and_another_one_others():
    assert torch.equal(masks(0.1, draws=3), masks(0.1, draws=3))
    assert not torch.equal(masks(0.1, seed=3), masks(0.1, seed=4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (7, 5), (2, 3, 5)])
def test_every_shape_and_type_of_number_has_its_gradient(shape, dtype):
    states = torch.randn(shape, dtype=dtype, requires_grad=True)
    with dropout_masks(CPU, compiled=False):
        out = dropout(states, 0.3, True)
    assert out.shape == shape
    assert out.dtype == dtype
    out.sum().backward()
    assert torch.allclose(out, states * states.grad)
    assert states.grad.unique().numel() <= 2


def test_states_that_lie_otherwise_in_memory_have_a_mask_of_their_own():
    states = torch.randn(64, 32, requires_grad=True)
    with dropout_masks(CPU, compiled=False):
        out = dropout(states.T, 0.5, True)
    out.sum().backward()
    assert torch.allclose(out.T, states * states.grad)
    assert float((states.grad == 0).float().mean()) == pytest.approx(0.5, abs=0.06)


def test_what_is_computed_again_has_the_same_masks():
    layer = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 16))
    again = functools.partial(checkpoint, layer, use_reentrant=False, context_fn=masks_in_both_passes)
    states = torch.randn(8, 16)
    gradients = []
    for call in (layer, again):
        torch.manual_seed(5)
        layer.zero_grad()
        with dropout_masks(CPU, compiled=False):
            out = call(states)
        out.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (1.0, True), (0.3, False)])
def test_nothing_and_everything_is_torchs_own(rate, training):
    states = torch.randn(5, 4)
    with dropout_masks(CPU, compiled=False):
        out = dropout(states, rate, training)
    assert torch.equal(out, torch.zeros_like(states) if rate == 1 else states)


def test_compiled_layers_and_other_devices_keep_torchs_masks():
    for device, compiled in ((torch.device("cuda"), False), (CPU, True)):
        torch.manual_seed(2)
        plain = dropout(torch.ones(50), 0.5, True)
        torch.manual_seed(2)
        with dropout_masks(device, compiled=compiled):
            assert torch.equal(dropout(torch.ones(50), 0.5, True), plain)
