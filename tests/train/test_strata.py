"""Stratified updates: one sample of each stratum, every sample everywhere alike, nearly equal tokens."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdbs import rng
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strata import stratified_order
from tests.reference.strata import left_over_and_strata
from tests.train.ragged import MAX_LENGTH, lengths_of, random_rows, strategy_of, words_of

# Shapes: S samples of an epoch, U updates.

EPOCHS = 3_000


def order_of(lengths: np.ndarray, size: int, *, epoch: int = 0) -> np.ndarray:
    generator = rng.stream(rng.RandomPurpose.STRATA, seed=1, epoch=epoch)
    return stratified_order(lengths, generator.permutation(len(lengths)), size, generator=generator)


def updates_of(lengths: np.ndarray, size: int, *, epoch: int = 0) -> list[list[int]]:
    order = order_of(lengths, size, epoch=epoch)
    return [order[first : first + size].tolist() for first in range(0, len(order), size)]


def plan_of(samples, batches: str, *, seed: int = 0, epoch: int = 0, **parts):
    strategy = strategy_of("random", batches=batches, **parts)
    return plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=seed, epoch=epoch)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=90), st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=300)
def test_updates_are_those_of_the_reference(lengths, size, seed):
    """The last update holds the marked samples, every other one a sample of each stratum; sizes are those of random."""
    array = np.array(lengths)
    ties = np.random.default_rng(seed).permutation(len(lengths))
    order = stratified_order(array, ties, size, generator=np.random.default_rng(seed)).tolist()
    start = int(np.random.default_rng(seed).integers(len(lengths)))
    left, strata = left_over_and_strata(lengths, ties.tolist(), size, start)
    full = len(lengths) - len(left)
    assert sorted(order) == list(range(len(lengths)))
    assert sorted(order[full:]) == sorted(left)
    updates = [order[first : first + len(strata)] for first in range(0, full, len(strata))]
    assert all(len(set(update) & set(stratum)) == 1 for update in updates for stratum in strata)
    assert [len(update) for update in updates] + [len(left)] * bool(left) == [
        min(size, len(lengths) - first) for first in range(0, len(lengths), size)
    ]


@given(st.lists(st.integers(0, 500), min_size=1, max_size=300), st.integers(1, 40))
@settings(max_examples=200)
def test_tokens_of_updates_differ_by_no_more_than_two_samples_do(lengths, size):
    """Strata are neighbours in length, so what an update gains in all of them is at most the range of lengths."""
    updates = updates_of(np.array(lengths), size)
    tokens = [sum(lengths[sample] for sample in update) for update in updates if len(update) == len(updates[0])]
    widest = max(lengths) - min(lengths)
    assert max(tokens) - min(tokens) <= widest
    # The smaller update has its share of the epoch's tokens, up to the same range.
    assert abs(sum(lengths[sample] for sample in updates[-1]) - sum(lengths) * len(updates[-1]) / len(lengths)) <= (
        widest
    )


@pytest.mark.parametrize(
    ("count", "size", "rare"),
    [
        (23, 4, 25.7),  # six updates: one of 10,000 values of chi-square with 5 degrees of freedom is larger
        (24, 4, 25.7),
        (9, 5, 15.1),  # two updates: 1 degree
        (7, 8, 0.0),  # one update
    ],
)
def test_every_sample_is_equally_likely_in_every_update(count, size, rare):
    """Over 3,000 epochs, sample by sample; lengths decide nothing."""
    lengths = np.array([2, 2, 2, 3, 5, 5, 8, 40] * 3)[:count]
    counts_SU = np.zeros((count, -(-count // size)))
    for epoch in range(EPOCHS):
        for number, update in enumerate(updates_of(lengths, size, epoch=epoch)):
            counts_SU[update, number] += 1
    expected_U = EPOCHS * np.array([min(size, count - first) for first in range(0, count, size)]) / count
    assert (((counts_SU - expected_U) ** 2 / expected_U).sum(axis=1) <= rare).all()


def test_which_samples_meet_is_a_matter_of_chance():
    """Samples of two strata meet in one of U epochs, samples of one stratum never."""
    lengths = np.arange(12)
    met = np.zeros((12, 12))
    for epoch in range(EPOCHS):
        for update in updates_of(lengths, 3, epoch=epoch):
            for one, other in itertools.permutations(update, 2):
                met[one, other] += 1
    same_stratum = np.arange(12)[:, None] // 4 == np.arange(12) // 4
    assert (met[same_stratum] == 0).all()
    deviation = np.sqrt(EPOCHS / 4 * 3 / 4)
    assert (np.abs(met[~same_stratum] - EPOCHS / 4) < 5 * deviation).all()


def test_parts_of_an_update_mix_lengths():
    """Micro-batches take an update's samples in order: neither half has the short ones."""
    lengths = np.arange(6400)
    halves = lengths[order_of(lengths, 64)].reshape(100, 2, 32).sum(axis=2)
    assert (np.abs(halves[:, 0] / halves.sum(axis=1) - 0.5) < 0.2).all()


# ------------------------------------------------------------------------------------------------------------ in plans


@pytest.mark.parametrize("count", [1, 7, 8, 83, 600])
def test_a_plan_has_the_sizes_of_random(count):
    samples = random_rows(count, 0)
    assert plan_of(samples, "stratified").batch_sizes_B.tolist() == plan_of(samples, "random").batch_sizes_B.tolist()


@pytest.mark.parametrize("drop", ["rate", "any", "all"])
def test_lengths_are_those_after_tokendrop(drop):
    """Kept tokens of full updates differ by the range of kept lengths at most."""
    samples = random_rows(603, 3)
    plan = plan_of(samples, "stratified", drop=drop)
    assert plan.kept_N.sum() < lengths_of(samples).sum()
    tokens = np.add.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1])[:-1]
    assert np.ptp(tokens) <= np.ptp(plan.kept_N)


def test_every_execution_sees_the_same_updates():
    """Also within caps of a call: calls are cut from an update, and no sample changes it."""
    samples = random_rows(603, 3)
    updates = []
    for parts in (
        {"execution": "padded"},
        {"execution": "padded_max"},
        {"execution": "unpadded"},
        {"execution": "sorted", "call_tokens": 4},
        {"execution": "padded", "max_tokens": 128},
    ):
        plan = plan_of(samples, "stratified", **parts)
        ends = np.cumsum(plan.step_sizes_S)
        updates.append([sorted(update.tolist()) for update in np.split(plan.sample_ids_N, ends[:-1])])
    assert all(found == updates[0] for found in updates)


def test_processes_have_nearly_equal_tokens():
    """Dealt out by length (processes.py), shares differ less from update to update than those of random batches."""
    samples = random_rows(4000, 5)
    busiest = {}
    for batches in ("random", "stratified"):
        plan = plan_of(samples, batches, base_batch_size=32)
        kept = [np.sort(part) for part in np.split(plan.kept_N, plan.batch_offsets_B1[1:-1])]
        busiest[batches] = [max(int(part[process::4].sum()) for process in range(4)) for part in kept]
    assert np.std(busiest["stratified"]) < 0.5 * np.std(busiest["random"])
