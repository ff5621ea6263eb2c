"""The updates of a run as a sequence that other loops can read from any position, across epochs.

Each update gives the model's inputs, as tensors under transformers' names, and its loss.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.settings import DEFAULT_MEMORY, DEFAULT_WARMUP
from tdbs.train.batches import Batch
from tdbs.train.feed import Feed, make_feed, open_training_data
from tdbs.train.models.inputs import InputRules, format_of, model_inputs
from tdbs.train.models.load import rules_of
from tdbs.train.planning.plan import plan_digest
from tdbs.train.planning.rates import learning_rates
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy, given_strategy
from tdbs.train.rows.models import knows_sequences, use_sequences
from tdbs.train.step import batch_loss, forward

ROWS_OF_SEVERAL = "tdbs_batch"  # beside the inputs of a row of several samples: what says which token is whose


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


class StepInputs(Dataset[dict[str, Any]]):
    """What the model is given at each update of a run; updates that follow each other are made in one go."""

    def __init__(self, steps: RunSteps, rules: InputRules) -> None:
        self._steps, self._rules = steps, rules
        self._next, self._batches = 0, steps.batches_from(0)

    def __len__(self) -> int:
        """Return the samples of an epoch: transformers' Trainer reports samples a second."""
        return len(self._steps.feed.plans[0].sample_ids_N)

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Return the inputs of an update."""
        if step != self._next:
            self._batches = self._steps.batches_from(step)
        self._next = step + 1
        return step_inputs(next(self._batches), self._rules)


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
            f"An update of {strategy.name} has several batches; this loop supports one.",
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


def run_steps_for(
    model: Any,
    prepared: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy,
    seed: int,
    epochs: int,
    warmup: float,
) -> tuple[RunSteps, InputRules]:
    """Return the updates of a run for a model, and how it is given samples; its attention is made to know of rows."""
    steps = run_steps_of(
        prepared,
        strategy=strategy,
        seed=seed,
        epochs=epochs,
        warmup=warmup,
        in_rows=knows_sequences(model.config),
    )
    if steps.strategy.in_rows:
        use_sequences(model, model.config._attn_implementation)
    return steps, rules_of_model(model, steps.dataset, in_rows=steps.strategy.in_rows)


def rules_of_model(model: Any, dataset: PreparedDataset, *, in_rows: bool = False) -> InputRules:
    """Return how a model of the user's is given a dataset's samples."""
    device = next(model.parameters()).device
    name = model.config._name_or_path or dataset.manifest.tokenizer.source
    return rules_of(model, name, format_of(dataset), trained=True, in_rows=in_rows, device=device)


def only_one(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the one update of a list: the `collate_fn` beside StepInputs, whose items are batches already."""
    [found] = inputs
    return found


def step_inputs(batch: Batch, rules: InputRules) -> dict[str, Any]:
    """Return a batch by the names that transformers has for what a model is given.

    A row of several samples has its batch beside it, from which step_loss says which token is whose.
    """
    if batch.labels is None:
        raise ConfigError("The train split has no labels.", next_step="Prepare it with --label.")
    if batch.starts_B is not None:
        return {"input_ids": torch.from_numpy(batch.input_ids_RW), ROWS_OF_SEVERAL: batch}
    inputs = model_inputs(batch, rules, device=torch.device("cpu"))
    mask_BL = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))  # a model of the user's may need one
    labels = torch.from_numpy(batch.labels)
    return {**inputs, "attention_mask": mask_BL, "labels": labels.float() if labels.is_floating_point() else labels}


def step_loss(
    model: Any, inputs: dict[str, Any], kind: TaskKind, rules: InputRules, *, device: torch.device
) -> torch.Tensor:
    """Return the loss of an update's inputs: the model's own, or ours if rows contain several samples."""
    batch: Batch | None = inputs.get(ROWS_OF_SEVERAL)
    if batch is None:
        loss: torch.Tensor = model(**{name: tensor.to(device) for name, tensor in inputs.items()}).loss
        return loss
    return batch_loss(kind, forward(model, batch, kind, rules, device=device), batch)
