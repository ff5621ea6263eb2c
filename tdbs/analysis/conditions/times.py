"""A run's model in evaluation, and the time of its calls, for one sample or batch by batch.

Calls alternate between the inputs to compare, so a device that slows down slows all of them; the median drops disturbed
calls. Batches are made before the clock starts: the time covers tensors, the model and its outputs (paper, section
3.2).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tdbs.arrays import IntArray
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.evaluate import batch_outputs, evaluate_split, load_trained, with_threshold_of
from tdbs.train.models.inputs import InputRules
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_one_by_one
from tdbs.train.run_folder import Run, read_run
from tdbs.train.scores.scoring import Metrics, ScoredSplit

# Shapes: N samples, S of them that are timed, G ways to give them to the model, R rounds.

SINGLE_SAMPLES = 64  # of a split, spread evenly from short to long
_SINGLE_ROUNDS, _BATCHED_ROUNDS = 5, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The model of a finished run."""

    run: Run
    model: Any
    accelerator: Accelerator
    pad_id: int
    rules: InputRules

    def metrics(self, held_out: ScoredSplit, plan: EpochPlan | None = None) -> Metrics:
        """Score a split, in the batches of a plan, else from short to long."""
        scored = with_threshold_of(self.run, held_out)
        return evaluate_split(self.accelerator, self.model, scored, pad_id=self.pad_id, rules=self.rules, plan=plan)

    def outputs(self, held_out: ScoredSplit, batch: Batch) -> torch.Tensor:
        """Return what the model says of a batch; `inference` has to be on."""
        return batch_outputs(self.accelerator, self.model, batch, held_out, self.rules)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Keep the model ready: no dropout, no gradients, the run's precision."""
        self.model.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            yield


def open_trained(folder: Path, dataset: PreparedDataset) -> Trained:
    """Load the model of a finished run. Raises a TdbsError if there is none, or it does not fit the dataset."""
    run = read_run(folder)
    loaded = load_trained(run, dataset)
    return Trained(
        run=run,
        model=loaded.prepared,
        accelerator=loaded.accelerator,
        pad_id=dataset.manifest.tokenizer.pad_id,
        rules=loaded.rules,
    )


def single_seconds(trained: Trained, ways: Sequence[ScoredSplit]) -> list[float]:
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


def batched_seconds(trained: Trained, ways: Sequence[tuple[ScoredSplit, EpochPlan]]) -> list[float]:
    """Return for each way, with the batches of a plan, the seconds that the model takes for the whole split."""
    batches = [list(epoch_batches(way.split, plan, None, pad_id=trained.pad_id)) for way, plan in ways]
    seconds_RG = np.empty((_BATCHED_ROUNDS + 1, len(ways)))
    with trained.inference():
        for turn in range(len(seconds_RG)):
            for number, (way, _) in enumerate(ways):
                seconds_RG[turn, number] = _seconds(trained, way, batches[number])
    return [float(seconds) for seconds in np.median(seconds_RG[1:], axis=0)]


def spread_samples(lengths_N: IntArray, count: int) -> IntArray:
    """Return samples spread evenly over a split from short to long; all of them if there are fewer."""
    order_N = np.argsort(lengths_N, kind="stable")
    places_S = np.linspace(0, len(order_N) - 1, min(count, len(order_N))).round().astype(np.int64)
    return order_N[places_S]


def _seconds(trained: Trained, held_out: ScoredSplit, batches: Sequence[Batch]) -> float:
    clock = time.perf_counter()
    for batch in batches:
        trained.outputs(held_out, batch)
    if trained.accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - clock
