"""Plans of transformers' samplers are what its Trainer would make, for the same generator or seed."""

import numpy as np
import pytest
import torch
from transformers.trainer_pt_utils import BatchRebalanceSampler, get_length_grouped_indices

from tdbs import rng
from tdbs.train.planning.plan import plan_epoch
from tests.train.ragged import MAX_LENGTH, lengths_of, random_rows, strategy_of, words_of


def plan_of(name: str, count: int, *, seed: int, epoch: int, base: int = 8):
    samples = random_rows(count, 3)
    strategy = strategy_of(name, base_batch_size=base)
    plan = plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=seed, epoch=epoch)
    return plan, lengths_of(samples).tolist()


def batches_of(plan) -> list[list[int]]:
    return [batch.tolist() for batch in np.split(plan.sample_ids_N, plan.batch_offsets_B1[1:-1])]


@pytest.mark.parametrize(("count", "seed", "epoch"), [(403, 0, 0), (403, 1, 2), (64, 5, 1), (3, 0, 0)])
def test_length_grouped_batches_are_those_of_transformers(count, seed, epoch):
    plan, lengths = plan_of("length_grouped", count, seed=seed, epoch=epoch)
    generator = torch.Generator().manual_seed(rng.torch_seed(rng.RandomPurpose.PEER_SAMPLER, seed=seed, epoch=epoch))
    order = get_length_grouped_indices(lengths, 8, generator=generator)
    assert batches_of(plan) == [order[first : first + 8] for first in range(0, count, 8)]
    assert plan.steps == len(plan.batch_sizes_B)


@pytest.mark.parametrize("count", [400, 405, 414, 8])  # whole steps; the last one of 5 and of 6; a single one
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 2)])
def test_rebalanced_batches_are_those_of_transformers(count, seed, epoch):
    """Index batches and steps, for the same seed."""
    plan, lengths = plan_of("batch_rebalance", count, seed=seed, epoch=epoch)
    sampler = BatchRebalanceSampler(
        lengths=lengths,
        effective_batch_size=8,
        dp_size=1,
        grad_accum=4,
        seed=rng.torch_seed(rng.RandomPurpose.PEER_SAMPLER, seed=seed, epoch=epoch),
        drop_last=False,
    )
    assert batches_of(plan) == list(sampler)
    assert plan.steps == -(-count // 8)
    assert plan.step_batches_S.tolist() == [4] * plan.steps
    assert plan.step_sizes_S.tolist() == [8] * (count // 8) + ([count % 8] if count % 8 else [])


@pytest.mark.parametrize("count", [1, 2, 3, 401, 403])
def test_what_the_sampler_repeats_is_left_out(count):
    """A last step of fewer samples than micro-batches: theirs repeats some, ours has each once."""
    plan, _ = plan_of("batch_rebalance", count, seed=0, epoch=0)
    assert sorted(plan.sample_ids_N.tolist()) == list(range(count))
    assert plan.steps == -(-count // 8)
    assert plan.step_sizes_S[-1] == count % 8
    assert (plan.batch_sizes_B > 0).all()
