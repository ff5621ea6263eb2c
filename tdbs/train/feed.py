"""The batches of a run: of a split that is held in memory, or window by window of one that does not fit.

`train`, `plan` and `estimate-speedup` all ask here, so all see the same plan.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tdbs.pipeline.dataset import PreparedDataset, Split, read_part, read_split, split_info
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.split_index import SplitIndex, read_index
from tdbs.settings import DEFAULT_MEMORY
from tdbs.train.batches import Batch, dropped_tokens, epoch_batches, plan_split, words_of_split
from tdbs.train.planning.memory_windows import count_windows, plan_of_window, plan_windows, window_samples, window_words
from tdbs.train.planning.plan import EpochPlan, Window
from tdbs.train.planning.strategies import Strategy

TRAIN = "train"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """The train split as it is held: whole, or as an index from which windows are planned."""

    dataset: PreparedDataset
    windows: int
    held: Split | SplitIndex


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """The plans of all epochs of a run, and what makes the batches of one."""

    plans: list[EpochPlan]
    batches_from: Callable[[EpochPlan, int], Iterator[Batch]]  # of an epoch, from some batch on

    def batches(self, plan: EpochPlan) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        return self.batches_from(plan, 0)

    def steps(self, plan: EpochPlan, *, first: int = 0) -> Iterator[tuple[Batch, ...]]:
        """Yield the batches of each update of an epoch, from some update on; those before it are not made."""
        batches = self.batches_from(plan, int(plan.step_batches_S[:first].sum()))
        for count in plan.step_batches_S[first:].tolist():
            yield tuple(itertools.islice(batches, count))


def open_training_data(dataset: PreparedDataset, *, memory: int | str = DEFAULT_MEMORY) -> TrainingData:
    """Read the train split into memory if training on it fits the budget, else its index."""
    info = split_info(dataset, TRAIN)
    windows = count_windows(info, dataset.manifest, memory=memory_bytes(memory))
    held = read_split(dataset, TRAIN) if windows == 1 else read_index(dataset, TRAIN)
    return TrainingData(dataset=dataset, windows=windows, held=held)


def make_feed(data: TrainingData, strategy: Strategy, *, seed: int, epochs: int) -> Feed:
    """Return the plans of a run and its batches."""
    manifest, held = data.dataset.manifest, data.held
    if isinstance(held, SplitIndex):
        return Feed(
            plans=[
                plan_windows(held, manifest, strategy, windows=data.windows, seed=seed, epoch=epoch)
                for epoch in range(epochs)
            ],
            batches_from=lambda plan, first: _batches_of_windows(data.dataset, held, strategy, plan, first, seed=seed),
        )
    words = words_of_split(held, strategy, manifest.tokenizer)

    def batches_from(plan: EpochPlan, first: int) -> Iterator[Batch]:
        dropped_T = dropped_tokens(held, words, strategy, plan, manifest.tokenizer, seed=seed)
        return epoch_batches(held, plan, dropped_T, pad_id=manifest.tokenizer.pad_id, first=first)

    return Feed(plans=plan_split(held, words, manifest, strategy, seed=seed, epochs=epochs), batches_from=batches_from)


def _batches_of_windows(
    dataset: PreparedDataset, index: SplitIndex, strategy: Strategy, plan: EpochPlan, first: int, *, seed: int
) -> Iterator[Batch]:
    """Yield the batches of an epoch from some batch on; one window's shards are in memory at a time."""
    for window in plan.windows:
        if window.last_batch > first:
            # a generator of its own: what a window takes is gone when the next one is read
            skipped = max(first - window.first_batch, 0)
            yield from _batches_of_window(dataset, index, strategy, plan, window, skipped, seed=seed)


def _batches_of_window(
    dataset: PreparedDataset,
    index: SplitIndex,
    strategy: Strategy,
    plan: EpochPlan,
    window: Window,
    first: int,
    *,
    seed: int,
) -> Iterator[Batch]:
    tokenizer = dataset.manifest.tokenizer
    shards = dataset.manifest.splits[TRAIN].shards
    split = read_part(dataset, TRAIN, [shards[number] for number in window.shards])
    samples_M = window_samples(index, window.shards)
    own = plan_of_window(plan, window, samples_M)
    words = window_words(index, samples_M, strategy)
    dropped_T = dropped_tokens(split, words, strategy, own, tokenizer, seed=seed)
    for batch in epoch_batches(split, own, dropped_T, pad_id=tokenizer.pad_id, first=first):
        yield replace(batch, sample_ids_B=samples_M[batch.sample_ids_B])
