"""The training loop: a model, its optimizer, and batches with their rates; one record a step.

torch's generator is seeded before each step from (seed, epoch, step), so nothing that a step draws (dropout masks)
depends on the steps before it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from tdbs import rng
from tdbs.arrays import FloatArray
from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.batches import Batch
from tdbs.train.device import (
    DeviceSettings,
    compile_layers,
    keep_row_gradients,
    make_optimizer,
)
from tdbs.train.evaluate import evaluate_split
from tdbs.train.micro_batches import MemoryCaps, within_memory
from tdbs.train.models.inputs import InputRules, format_of
from tdbs.train.models.load import ModelSettings, load_model
from tdbs.train.models.part import WHOLE, TrainablePart
from tdbs.train.processes import own_share, prefetch
from tdbs.train.rows.sequences import laid_out
from tdbs.train.scores.scoring import Metrics, ScoredSplit
from tdbs.train.step import predicted_by, train_step
from tdbs.train.stopping import Stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """A model on its device with its optimizer, and what it needs to know of the dataset."""

    accelerator: Accelerator
    model: PreTrainedModel  # as loaded: this one is saved
    prepared: Any  # as accelerate prepared it: this one is called
    optimizer: torch.optim.Optimizer
    kind: TaskKind
    pad_id: int
    rules: InputRules  # how the model is given samples
    memory_caps: MemoryCaps  # found while training, where the device runs out of memory


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """One step, as `steps.jsonl` has it; `loss` is a mean over what the batch predicts (heads.py)."""

    step: int
    epoch: int
    batch_size: int
    predicted: int  # what the loss is a mean over: samples, labelled words, or tokens of the targets
    padded_length: int  # of the step's widest batch; unpadded: its longest sample
    tokens: int  # that the linear layers see, pad included; of seq2seq those of the sources
    lr: float
    loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """A step's record, and whether its update could be made, which takes a finite loss and finite gradients."""

    record: StepRecord
    finite: bool
    stopping: bool  # some process was asked to stop


def make_learner(
    dataset: PreparedDataset,
    model_name: str,
    *,
    seed: int,
    dropout: float,
    execution: DeviceSettings,
    in_rows: bool = False,
    part: TrainablePart = WHOLE,
) -> Learner:
    """Load a model for the dataset and put it on its device; `in_rows`: its rows may hold several samples."""
    settings = ModelSettings(
        purpose="train", execution=execution, in_rows=in_rows, seed=seed, dropout=dropout, part=part
    )
    loaded = load_model(model_name, format_of(dataset), settings)
    prepared = loaded.prepared
    if loaded.accelerator.num_processes == 1:
        keep_row_gradients(prepared)
    if execution.compiled:
        compile_layers(loaded.model)
    return Learner(
        accelerator=loaded.accelerator,
        model=loaded.model,
        prepared=prepared,
        optimizer=make_optimizer(prepared),
        kind=dataset.manifest.task.kind,
        pad_id=dataset.manifest.tokenizer.pad_id,
        rules=loaded.rules,
        memory_caps=MemoryCaps(edges_E=np.array(dataset.manifest.bucket_edges), kind=dataset.manifest.task.kind),
    )


def share_weights(learner: Learner, other: Learner) -> Learner:
    """Return the other learner on the weights and the optimizer of the first: one memory for two dropouts."""
    for module, twin in zip(learner.model.modules(), other.model.modules(), strict=True):
        for name, parameter in module.named_parameters(recurse=False):
            setattr(twin, name, parameter)
    return replace(other, optimizer=learner.optimizer)


def run_steps(
    learner: Learner,
    steps: Iterable[Sequence[Batch]],
    rates_S: FloatArray,
    *,
    first_step: int,
    epoch: int,
    seed: int,
    skipped: int = 0,
    stop: Stop | None = None,
) -> Iterator[StepOutcome]:
    """Train on the steps of an epoch, yielding after each; an update that is not finite is not made.

    `first_step` is the run's number of the epoch's first step; `skipped` steps of the epoch are done already. Of
    several processes each takes its share of a step, and all yield the same outcome.
    """
    process, processes = learner.accelerator.process_index, learner.accelerator.num_processes
    learner.prepared.train()
    shared = ((step, own_share(step, learner.kind, process=process, processes=processes)) for step in steps)
    ready = prefetch((step, list(map(laid_out, share))) for step, share in shared)
    for index, (batches, share) in enumerate(ready, skipped):
        clock = time.perf_counter()
        _seed_torch(
            rng.torch_seed(rng.RandomPurpose.TRAIN_STEP, seed=seed, epoch=epoch, step=index, process=process),
            learner.accelerator.device,
        )
        rate = float(rates_S[first_step + index])
        predicted = sum(predicted_by(learner.kind, batch) for batch in batches)
        update = partial(
            train_step,
            learner.accelerator,
            learner.prepared,
            learner.optimizer,
            kind=learner.kind,
            predicted=predicted,
            rate=rate,
            rules=learner.rules,
            stopping=stop is not None and stop.number is not None,
        )
        end = within_memory(update, share, learner.memory_caps, step=first_step + index, clear=partial(_clear, learner))
        record = StepRecord(
            step=first_step + index,
            epoch=epoch,
            batch_size=sum(len(batch.sample_ids_B) for batch in batches),
            predicted=predicted,
            padded_length=max(padded_length(batch) for batch in batches),
            tokens=sum(batch.input_ids_RW.size for batch in batches),
            lr=rate,
            loss=end.loss,
            seconds=time.perf_counter() - clock,
        )
        yield StepOutcome(record=record, finite=end.finite, stopping=end.stopping)


def _seed_torch(seed: int, device: torch.device) -> None:
    """Seed the generators that a step draws from; on a CPU manual_seed takes 0.6 ms for other devices."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _clear(learner: Learner) -> None:
    """Take back what a step left that ran out of memory."""
    learner.optimizer.zero_grad()
    if learner.accelerator.device.type == "cuda":
        torch.cuda.empty_cache()


def padded_length(batch: Batch) -> int:
    """Return the width of a batch's rows, or of an unpadded batch its longest sample."""
    return int(batch.lengths_B.max()) if batch.execution == "unpadded" else batch.input_ids_RW.shape[1]


def score_splits(learner: Learner, splits: Iterable[ScoredSplit], scored_split: str) -> Metrics:
    """Return the metrics on all splits; those of other splits than the scored one carry its name before them."""
    return {
        metric if held_out.split.name == scored_split else f"{held_out.split.name}/{metric}": value
        for held_out in splits
        for metric, value in evaluate_split(
            learner.accelerator,
            learner.prepared,
            held_out,
            pad_id=learner.pad_id,
            rules=learner.rules,
        ).items()
    }
