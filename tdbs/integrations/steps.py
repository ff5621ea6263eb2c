"""The updates of a run as a sequence that other loops can walk from any place: update s, whatever epoch it is in."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.pipeline.memory import DEFAULT_MEMORY
from tdbs.train.batches import Batch
from tdbs.train.defaults import DEFAULT_WARMUP
from tdbs.train.feed import Feed, make_feed, open_training_data
from tdbs.train.lrm import learning_rates
from tdbs.train.plan import plan_digest
from tdbs.train.strategies import DEFAULT_STRATEGY, Strategy, given_strategy


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSteps:
    """All updates of a run, each of one batch, and the rate of each over the base rate."""

    dataset: PreparedDataset
    strategy: Strategy
    feed: Feed
    factors_S: FloatArray
    ends_E: IntArray  # updates done at the end of each epoch
    digest: str

    @property
    def kind(self) -> TaskKind:
        """Kind of the task."""
        return self.dataset.manifest.task.kind

    def __len__(self) -> int:
        """Return the updates of the run."""
        return len(self.factors_S)

    def batches_from(self, step: int) -> Iterator[Batch]:
        """Yield the batch of each update from some update on; those before it are not made."""
        for epoch in range(int(np.searchsorted(self.ends_E, step, side="right")), len(self.ends_E)):
            plan = self.feed.plans[epoch]
            first = max(step - (int(self.ends_E[epoch]) - plan.steps), 0)
            for (batch,) in self.feed.steps(plan, first=first):
                yield batch


def run_steps_of(
    prepared: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy = DEFAULT_STRATEGY,
    seed: int,
    epochs: int,
    warmup: float = DEFAULT_WARMUP,
    memory: int | str = DEFAULT_MEMORY,
    in_rows: bool = True,
) -> RunSteps:
    """Return the updates of a run; `in_rows`: the model's rows may hold several samples.

    Raises ConfigError for a strategy whose updates have several batches, or that the model cannot run.
    """
    dataset = prepared if isinstance(prepared, PreparedDataset) else load(prepared)
    strategy = given_strategy(strategy, dataset.manifest.task, in_rows=in_rows)
    feed = make_feed(open_training_data(dataset, memory=memory), strategy, seed=seed, epochs=epochs)
    if any(plan.step_offsets_S1 is not None for plan in feed.plans):
        raise ConfigError(
            f"An update of {strategy.name} has several batches; here it is one.",
            next_step="Choose another strategy, or train with tdbs train.",
        )
    return RunSteps(
        dataset=dataset,
        strategy=strategy,
        feed=feed,
        factors_S=learning_rates(feed.plans, strategy, base_lr=1.0, warmup=warmup),
        ends_E=np.fromiter(itertools.accumulate(plan.steps for plan in feed.plans), dtype=np.int64),
        digest=plan_digest(feed.plans),
    )
