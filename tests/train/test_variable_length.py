"""Kernels that take unpadded rows as they are, on CUDA: outputs are those of the length groups (bf16)."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from tdbs.train.rows.attention import EVERYWHERE, Reach
from tdbs.train.rows.sequences import sequences_of
from tdbs.train.rows.variable_length import takes_rows, variable_length
from tests.train.test_sequence_models import LENGTHS, ROW_WITH_PADDING, batch_of

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
HEADS, SIZE = 4, 32


def states(width: int, heads: int) -> torch.Tensor:
    return torch.randn(1, heads, width, SIZE, device="cuda", dtype=torch.bfloat16)


def alone(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, reach: Reach) -> torch.Tensor:
    """Return attention over each sample by itself, one after another (K x H x D)."""
    found, start = [], 0
    for length in LENGTHS:
        own = [each[:, :, start : start + length].float() for each in (query, key, value)]
        rank = torch.arange(length, device="cuda")
        sees = reach.sees(rank[:, None] - rank)
        found.append(torch.nn.functional.scaled_dot_product_attention(*own, attn_mask=sees, enable_gqa=True))
        start += length
    return torch.cat(found, dim=2)[0].transpose(0, 1)


@CUDA
@pytest.mark.parametrize("keys", [HEADS, 1], ids=["heads", "grouped heads"])
@pytest.mark.parametrize(
    "reach", [EVERYWHERE, Reach(looks_back=True), Reach(window=4), Reach(window=4, looks_back=True)], ids=str
)
def test_a_row_is_seen_sample_by_sample(reach, keys):
    torch.manual_seed(0)
    batch = batch_of(ROW_WITH_PADDING, 0)
    sequences = sequences_of(batch, device=torch.device("cuda"))
    width = batch.input_ids_RW.size
    query, key, value = states(width, HEADS), states(width, keys), states(width, keys)
    options = {"scaling": SIZE**-0.5, "dropout": 0.0}
    assert takes_rows(query, options)
    found = variable_length(query, key, value, sequences, reach.bounds, options)
    assert found.shape == (1, width, HEADS, SIZE)
    torch.testing.assert_close(found[0, : sum(LENGTHS)].float(), alone(query, key, value, reach), rtol=2e-2, atol=2e-2)


@CUDA
@pytest.mark.skipif(find_spec("flash_attn") is None, reason="no flash-attn")
def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    batch = batch_of(ROW_WITH_PADDING, 0)
    sequences = sequences_of(batch, device=torch.device("cuda"))
    width = batch.input_ids_RW.size
    query, key, value = states(width, HEADS), states(width, HEADS), states(width, HEADS)
    options = {"scaling": SIZE**-0.5, "dropout": 0.5}
    assert takes_rows(query, options)
    found = [variable_length(query, key, value, sequences, (-1, -1), options).float() for _ in range(2000)]
    mean = torch.stack(found).mean(dim=0)[0, : sum(LENGTHS)]
    assert (found[0] - found[1]).abs().max() > 0.1
    torch.testing.assert_close(mean, alone(query, key, value, EVERYWHERE), rtol=0.1, atol=0.1)


def test_a_cpu_has_none():
    query = torch.zeros(1, HEADS, 8, SIZE, dtype=torch.bfloat16)
    assert not takes_rows(query, {})


@pytest.mark.parametrize(
    ("reach", "bounds"),
    [
        (EVERYWHERE, (-1, -1)),
        (Reach(looks_back=True), (-1, 0)),
        (Reach(window=4), (3, 3)),
        (Reach(window=4, looks_back=True), (3, 0)),
    ],
    ids=str,
)
def test_bounds_say_what_the_mask_says(reach, bounds):
    left, right = (np.inf if bound < 0 else bound for bound in bounds)
    distance = torch.arange(-6, 7)
    assert reach.bounds == bounds
    assert reach.sees(distance).tolist() == [-right <= each <= left for each in distance.tolist()]
