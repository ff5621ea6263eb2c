"""Times of a trained model, one sample a call or batch by batch, in turns over what is compared.

A device that slows down slows all of it alike; a median leaves out calls that were disturbed. Batches are made before
the clock runs: what is timed is tensors, the model and its outputs (paper, section 3.2).
"""

import time
from collections.abc import Sequence

import numpy as np
import torch

from tdbs.analysis.trained import Trained
from tdbs.arrays import IntArray
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.plan import EpochPlan, plan_one_by_one
from tdbs.train.scoring import HeldOut

SINGLE_SAMPLES = 64  # of a split, spread evenly from short to long
_SINGLE_ROUNDS, _BATCHED_ROUNDS = 5, 3

# Shapes: N samples, S of them that are timed, G ways to give them to the model, R rounds.


def single_seconds(trained: Trained, ways: Sequence[HeldOut]) -> list[float]:
    """Return for each way to give a split to the model the seconds of a call for one sample, on average.

    All ways hold the same samples, and the same ones of them are timed. The median of a call over the rounds counts.
    """
    chosen_S = spread_samples(ways[0].split.lengths_N, SINGLE_SAMPLES)
    batches = []
    for way in ways:
        plan = plan_one_by_one(chosen_S, way.split.lengths_N[chosen_S])
        batches.append(list(epoch_batches(way.split, plan, None, pad_id=trained.pad_id)))
    seconds_RSG = np.empty((_SINGLE_ROUNDS + 1, len(chosen_S), len(ways)))
    with trained.inference():
        for turn in range(len(seconds_RSG)):
            for place in range(len(chosen_S)):
                for number, way in enumerate(ways):
                    seconds_RSG[turn, place, number] = _seconds(trained, way, batches[number][place : place + 1])
    # the first round warms up
    return [float(seconds) for seconds in np.median(seconds_RSG[1:], axis=0).mean(axis=0)]


def batched_seconds(trained: Trained, ways: Sequence[tuple[HeldOut, EpochPlan]]) -> list[float]:
    """Return for each way, with the batches of a plan, the seconds that the model takes for the whole split."""
    batches = [list(epoch_batches(way.split, plan, None, pad_id=trained.pad_id)) for way, plan in ways]
    seconds_RG = np.empty((_BATCHED_ROUNDS + 1, len(ways)))
    with trained.inference():
        for turn in range(len(seconds_RG)):
            for number, (way, _) in enumerate(ways):
                seconds_RG[turn, number] = _seconds(trained, way, batches[number])
    return [float(seconds) for seconds in np.median(seconds_RG[1:], axis=0)]


def spread_samples(lengths_N: IntArray, count: int) -> IntArray:
    """Return samples spread evenly over a split from short to long; all of them where there are no more."""
    order_N = np.argsort(lengths_N, kind="stable")
    places_S = np.linspace(0, len(order_N) - 1, min(count, len(order_N))).round().astype(np.int64)
    return order_N[places_S]


def _seconds(trained: Trained, held_out: HeldOut, batches: Sequence[Batch]) -> float:
    clock = time.perf_counter()
    for batch in batches:
        trained.outputs(held_out, batch)
    if trained.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - clock
