"""What is counted in a step: of a plan, of its real batches, and of steps without a dataset, all by the same rule."""

from itertools import pairwise

import numpy as np
import pytest

from tdbs.analysis.cost import batches_work, padded_work, plan_work
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.planning.batching import TargetLengths
from tdbs.train.planning.cost_model import COUNTS
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.tokendrop import dropped_tokens
from tdbs.train.rows.tiles import tiles_work
from tests.train.ragged import (
    MAX_LENGTH,
    PAD,
    lengths_of,
    random_rows,
    split_of,
    strategy_of,
    targets_of,
    tokenizer_info,
    words_of,
)
from tests.train.test_plan import NAMED

SAMPLES = random_rows(150, 3)
TARGETS = np.random.default_rng(8).integers(1, 12, len(SAMPLES))
IN_ROWS = ("packed", "unpadded", "stratified")


def plan_of(name: str, *, targets: bool = False) -> EpochPlan:
    return plan_epoch(
        lengths_of(SAMPLES),
        words_of(SAMPLES),
        strategy_of(name),
        max_length=MAX_LENGTH,
        seed=2,
        epoch=1,
        targets=TargetLengths(lengths_N=TARGETS, max_length=16) if targets else None,
    )


def counted(plan: EpochPlan) -> list[dict[str, int]]:
    """Count the work of each step batch by batch and sample by sample."""
    bounds = plan.batch_offsets_B1.tolist()
    steps = range(len(bounds)) if plan.step_offsets_S1 is None else plan.step_offsets_S1.tolist()
    found = []
    for first, last in pairwise(steps):
        step = dict.fromkeys(COUNTS, 0) | {"steps": 1}
        for batch in range(first, last):
            kept = plan.kept_N[bounds[batch] : bounds[batch + 1]].tolist()
            width = int(plan.padded_lengths_B[batch])
            rows = len(kept)
            if plan.execution == "packed":
                rows = sum(bounds[batch] <= start < bounds[batch + 1] for start in plan.row_offsets_R1.tolist())
            step["calls"] += 1
            step["samples"] += len(kept)
            if plan.execution == "unpadded":
                places, pairs = tiles_work(np.array(kept), np.array([0, len(kept)]))  # tests/train/test_tiles.py
                step["tokens"] += -(-sum(kept) // 32) * 32  # a row is as wide as the next multiple of 32
                step["places"] += int(places[0])
                step["pairs"] += int(pairs[0])
            else:
                step["tokens"] += rows * width
                step["pairs"] += rows * width * width
                if plan.execution != "packed" and any(length < width for length in kept):
                    step["masked"] += rows * width * width
            if plan.execution == "packed":
                step["blocks"] += rows * width * width
            if plan.target_widths_B is not None:
                targets = len(kept) * max(plan.target_lengths_N[bounds[batch] : bounds[batch + 1]].tolist())
                if plan.execution == "padded_max":
                    targets = len(kept) * 16
                step["targets"] += targets
                step["target_pairs"] += targets * (targets // len(kept) + width)
        found.append(step)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_a_plan_is_counted_as_its_batches_are(name):
    plan = plan_of(name)
    counts_SF = plan_work(plan)
    assert counts_SF.shape == (plan.steps, len(COUNTS))
    assert [dict(zip(COUNTS, row, strict=True)) for row in counts_SF.tolist()] == counted(plan)


@pytest.mark.parametrize("name", [name for name in NAMED if name not in IN_ROWS])
def test_targets_are_counted_beside_their_sources(name):
    plan = plan_of(name, targets=True)
    found = [dict(zip(COUNTS, row, strict=True)) for row in plan_work(plan).tolist()]
    assert found == counted(plan)
    assert sum(step["targets"] for step in found) == plan.target_tokens


def steps_of(plan: EpochPlan, name: str, *, targets: bool = False) -> list[list[Batch]]:
    """Return the real batches of each step, TokenDrop included."""
    split, words, strategy = split_of(SAMPLES), words_of(SAMPLES), strategy_of(name)
    if targets:
        sequences = targets_of(np.arange(TARGETS.sum()), "seq2seq", 1, np.append(0, np.cumsum(TARGETS)))
        split = type(split)(**{**{field: getattr(split, field) for field in split.__slots__}, "targets": sequences})
    dropped_T = dropped_tokens(split, words, strategy, plan, tokenizer_info(), seed=2)
    batches = epoch_batches(split, plan, dropped_T, pad_id=PAD)
    return [[next(batches) for _ in range(count)] for count in plan.step_batches_S.tolist()]


@pytest.mark.parametrize("name", NAMED)
def test_a_profile_counts_what_a_prediction_counts(name):
    """The batches that a plan makes have the counts that the plan says: times of the one fit the other."""
    plan = plan_of(name)
    found = [batches_work(batches) for batches in steps_of(plan, name)]
    np.testing.assert_array_equal(found, plan_work(plan))


@pytest.mark.parametrize("name", ["random", "reach", "random_max"])
def test_a_profile_counts_targets_as_a_prediction_does(name):
    plan = plan_of(name, targets=True)
    steps = steps_of(plan, name, targets=True)
    found = [batches_work(batches, target_length=batches[0].labels.shape[1]) for batches in steps]
    assert all(len(batches) == 1 for batches in steps)
    np.testing.assert_array_equal(found, plan_work(plan))


@pytest.mark.parametrize("target_length", [0, 6])
def test_padded_steps_are_counted_without_a_batch(target_length):
    """Steps of one batch of n samples, as the search for caps asks for their times."""
    sizes = np.array([1, 5, 40])
    found = padded_work(sizes, 12, target_length)
    for size, row in zip(sizes.tolist(), found, strict=True):
        batch = Batch(
            sample_ids_B=np.arange(size),
            input_ids_RW=np.zeros((size, 12), dtype=np.int64),
            lengths_B=np.full(size, 12),
            segment_starts_B=None,
            labels=None,
        )
        np.testing.assert_array_equal(row, batches_work([batch], target_length=target_length))
