"""The batches of a run: from a split in memory, or window by window if the split does not fit."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tdbs.pipeline.dataset import PreparedDataset, Split, read_part, read_split, split_info
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.pipeline.split_index import SplitIndex, index_of, read_index
from tdbs.settings import DEFAULT_MEMORY
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.planning.droppable_words import DroppableWords
from tdbs.train.planning.epoch_plan import EpochPlan, Window
from tdbs.train.planning.memory_windows import (
    count_windows,
    plan_of_window,
    plan_split,
    window_samples,
    words_to_drop,
)
from tdbs.train.planning.strategies import Strategy
from tdbs.train.planning.subsets import EVERY_SAMPLE, Subset
from tdbs.train.planning.tokendrop import dropped_tokens

TRAIN = "train"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """The train split: its index, from which it is planned, and the split itself if it fits the memory."""

    dataset: PreparedDataset
    index: SplitIndex
    windows: int
    split: Split | None  # None: read window by window


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """The plans of all epochs of a run, and the function that makes an epoch's batches."""

    plans: list[EpochPlan]
    batches_from: Callable[[EpochPlan, int], Iterator[Batch]]  # of an epoch, from a batch on

    @property
    def step_count(self) -> int:
        """Updates of the run, those of a data diet's coming epochs as planned."""
        return sum(plan.steps for plan in self.plans)

    def batches(self, plan: EpochPlan) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        return self.batches_from(plan, 0)

    def steps(self, plan: EpochPlan, *, first: int = 0) -> Iterator[tuple[Batch, ...]]:
        """Yield the batches of each update of an epoch, from update `first`; earlier ones are not made."""
        batches = self.batches_from(plan, int(plan.step_batches_S[:first].sum()))
        for count in plan.step_batches_S[first:].tolist():
            yield tuple(itertools.islice(batches, count))


def open_training_data(dataset: PreparedDataset, *, memory: int | str = DEFAULT_MEMORY) -> TrainingData:
    """Read the train split into memory if it takes no more than `memory` there, else its index."""
    info = split_info(dataset, TRAIN)
    windows = count_windows(info, dataset.manifest, memory=memory_bytes(memory))
    if windows > 1:
        return TrainingData(dataset=dataset, index=read_index(dataset, TRAIN), windows=windows, split=None)
    split = read_split(dataset, TRAIN)
    index = index_of(split, dataset.manifest.tokenizer.special_ids)
    return TrainingData(dataset=dataset, index=index, windows=1, split=split)


def plan_data(
    data: TrainingData, strategy: Strategy, *, seed: int, epochs: int, subset: Subset = EVERY_SAMPLE
) -> list[EpochPlan]:
    """Return the plans of all epochs of a run."""
    manifest = data.dataset.manifest
    return plan_split(data.index, manifest, strategy, seed=seed, epochs=epochs, windows=data.windows, subset=subset)


def make_feed(data: TrainingData, strategy: Strategy, *, seed: int, epochs: int, subset: Subset = EVERY_SAMPLE) -> Feed:
    """Return the plans of a run and its batches."""
    return feed_of(data, strategy, plan_data(data, strategy, seed=seed, epochs=epochs, subset=subset), seed=seed)


def feed_of(data: TrainingData, strategy: Strategy, plans: list[EpochPlan], *, seed: int) -> Feed:
    """Return the batches of a run that is planned."""
    index, manifest, split = data.index, data.dataset.manifest, data.split
    if split is None:
        return Feed(
            plans=plans,
            batches_from=lambda plan, first: _batches_of_windows(data, strategy, plan, first, seed=seed),
        )
    words = words_to_drop(index, strategy)
    return Feed(
        plans=plans,
        batches_from=lambda plan, first: _batches_of(
            split, words, strategy, plan, manifest.tokenizer, first=first, seed=seed
        ),
    )


def _batches_of(
    split: Split,
    words: DroppableWords | None,
    strategy: Strategy,
    plan: EpochPlan,
    tokenizer: TokenizerInfo,
    *,
    first: int,
    seed: int,
) -> Iterator[Batch]:
    """Return the batches of an epoch, or of one of its windows, from batch `first`."""
    dropped_T = None if words is None else dropped_tokens(split, words, strategy, plan, tokenizer, seed=seed)
    return epoch_batches(split, plan, dropped_T, pad_id=tokenizer.pad_id, first=first)


def _batches_of_windows(
    data: TrainingData, strategy: Strategy, plan: EpochPlan, first: int, *, seed: int
) -> Iterator[Batch]:
    """Yield the batches of an epoch from batch `first`; one window's shards are in memory at a time."""
    for window in plan.windows:
        if window.last_batch > first:
            # a separate generator: a window's memory is free when the next one is read
            yield from _batches_of_window(
                data, strategy, plan, window, first=max(first - window.first_batch, 0), seed=seed
            )


def _batches_of_window(
    data: TrainingData, strategy: Strategy, plan: EpochPlan, window: Window, *, first: int, seed: int
) -> Iterator[Batch]:
    manifest = data.dataset.manifest
    shards = manifest.splits[TRAIN].shards
    split = read_part(data.dataset, TRAIN, [shards[number] for number in window.shards])
    samples_M = window_samples(data.index, window.shards)
    own = plan_of_window(plan, window, samples_M)
    words = words_to_drop(data.index, strategy, samples_M)
    for batch in _batches_of(split, words, strategy, own, manifest.tokenizer, first=first, seed=seed):
        yield replace(batch, sample_ids_B=samples_M[batch.sample_ids_B])
