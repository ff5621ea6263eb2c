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
from transformers import PretrainedConfig

from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ConfigError, ModelError
from tdbs.integrations.forward_in_rows import runs_in_rows
from tdbs.pipeline.dataset import PreparedDataset, opened
from tdbs.settings import DEFAULT_MEMORY, DEFAULT_WARMUP
from tdbs.train.batches import Batch
from tdbs.train.feed import Feed, make_feed, open_training_data
from tdbs.train.models.inputs import InputRules, format_of, model_inputs
from tdbs.train.models.load import rules_of
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.plan import plan_digest
from tdbs.train.planning.rates import learning_rates
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy, resolve_strategy
from tdbs.train.rows.models import knows_sequences, use_sequences
from tdbs.train.step import batch_loss, forward, predicted_by, unwrapped

BATCHES = "tdbs_batches"  # beside the inputs of an update that is not one padded batch: the batches it is run in


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSteps:
    """All updates of a run, and the rate of each over the base rate."""

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

    def steps_from(self, step: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the batches of each update from some update on; those before it are not made."""
        for epoch in range(int(np.searchsorted(self.ends_E, step, side="right")), len(self.ends_E)):
            plan = self.feed.plans[epoch]
            first = max(step - (int(self.ends_E[epoch]) - plan.steps), 0)
            yield from self.feed.steps(plan, first=first)


class StepInputs(Dataset[dict[str, Any]]):
    """What the model is given at each update of a run; updates that follow each other are made in one go."""

    def __init__(self, steps: RunSteps, rules: InputRules) -> None:
        self._steps, self._rules = steps, rules
        self._next, self._updates = 0, steps.steps_from(0)

    def __len__(self) -> int:
        """Return the samples of an epoch: transformers' Trainer reports samples a second."""
        return len(self._steps.feed.plans[0].sample_ids_N)

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Return the inputs of an update."""
        if step != self._next:
            self._updates = self._steps.steps_from(step)
        self._next = step + 1
        return step_inputs(next(self._updates), self._rules)


def run_steps_of(
    prepared: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy = DEFAULT_STRATEGY,
    seed: int,
    epochs: int,
    warmup: float = DEFAULT_WARMUP,
    memory: int | str = DEFAULT_MEMORY,
    in_rows: bool = True,
    batch_size: int | None = None,
) -> RunSteps:
    """Return the updates of a run; `in_rows`: the model's rows may hold several samples.

    `batch_size`: the base batch size; None: the strategy's. Raises ConfigError for a strategy that the model cannot
    run, or that has another base batch size itself.
    """
    dataset = opened(prepared)
    strategy = _strategy_of(strategy, dataset.manifest.task, in_rows=in_rows, batch_size=batch_size)
    feed = make_feed(open_training_data(dataset, memory=memory), strategy, seed=seed, epochs=epochs)
    return RunSteps(
        dataset=dataset,
        strategy=strategy,
        feed=feed,
        factors_S=learning_rates(feed.plans, strategy, base_lr=1.0, warmup=warmup),
        ends_E=np.fromiter(itertools.accumulate(plan.steps for plan in feed.plans), dtype=np.int64),
        digest=plan_digest(feed.plans),
    )


def _strategy_of(given: str | Strategy, task: Task, *, in_rows: bool, batch_size: int | None) -> Strategy:
    if isinstance(given, str):
        return resolve_strategy(given, task, {"base_batch_size": batch_size}, in_rows=in_rows)
    if batch_size not in (None, given.base_batch_size):
        raise ConfigError(
            f"The strategy's base batch size is {given.base_batch_size}, but the batch size is {batch_size}.",
            next_step=f"Pass per_device_train_batch_size={given.base_batch_size}.",
        )
    return given_strategy(given, task, in_rows=in_rows)


def run_steps_for(
    model: Any,
    prepared: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy,
    seed: int,
    epochs: int,
    warmup: float,
    batch_size: int | None = None,
) -> tuple[RunSteps, InputRules]:
    """Return the updates of a run for a model, and how it is given samples; its attention is made to know of rows."""
    dataset = opened(prepared)
    task = dataset.manifest.task
    if task.is_grouped:
        raise ConfigError(
            f"Samples of {task.kind} are several texts, whose loss no model of transformers has.",
            next_step="Train with tdbs.train, or with sentence-transformers on the source.",
        )
    check_configured(model)
    steps = run_steps_of(
        dataset,
        strategy=strategy,
        seed=seed,
        epochs=epochs,
        warmup=warmup,
        batch_size=batch_size,
        in_rows=knows_sequences(model.config, writes=task.kind == "seq2seq"),
    )
    if steps.strategy.in_rows:
        use_sequences(unwrapped(model), model.config._attn_implementation)
    return steps, rules_of_model(model, steps.dataset, in_rows=steps.strategy.in_rows)


def check_configured(model: Any) -> None:
    """Refuse a model without a configuration of transformers. Raises ModelError."""
    if not isinstance(getattr(model, "config", None), PretrainedConfig):
        raise ModelError(
            f"{type(unwrapped(model)).__name__} has no configuration of transformers (model.config), so it is not "
            "known what it is given.",
            next_step="Pass a model of transformers, or a class of your own that is derived from PreTrainedModel.",
        )


def rules_of_model(model: Any, dataset: PreparedDataset, *, in_rows: bool = False) -> InputRules:
    """Return how a model of the user's is given a dataset's samples. Raises ConfigError if it makes rows itself."""
    check_configured(model)
    if runs_in_rows(unwrapped(model)):
        raise ConfigError(
            "The model was given to run_in_rows or prepare_trainer, and makes rows itself.",
            next_step="Pass it to prepared_split before; PreparedSteps and PreparedTrainer need no such call.",
        )
    device = next(model.parameters()).device
    name = model.config._name_or_path or dataset.manifest.tokenizer.source
    return rules_of(unwrapped(model), name, format_of(dataset), trained=True, in_rows=in_rows, device=device)


def only_one(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the one update of a list: the `collate_fn` beside StepInputs, whose items are batches already."""
    [found] = inputs
    return found


def step_inputs(batches: Sequence[Batch], rules: InputRules) -> dict[str, Any]:
    """Return an update by the names that transformers has for what a model is given.

    An update of several batches, or with rows of several samples, has its batches beside all its tokens, for step_loss.
    """
    if any(batch.labels is None for batch in batches):
        raise ConfigError("The train split has no labels.", next_step="Prepare it with --label.")
    batch, *others = batches
    if others or batch.starts_B is not None:
        tokens = batch.input_ids_RW if not others else np.concatenate([each.input_ids_RW.ravel() for each in batches])
        return {"input_ids": torch.from_numpy(np.atleast_2d(tokens)), BATCHES: tuple(batches)}
    inputs = model_inputs(batch, rules, device=torch.device("cpu"))
    mask_BL = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))  # a model of the user's may need one
    labels = torch.from_numpy(batch.labels)
    return {**inputs, "attention_mask": mask_BL, "labels": labels.float() if labels.is_floating_point() else labels}


def step_loss(
    model: Any, inputs: dict[str, Any], kind: TaskKind, rules: InputRules, *, device: torch.device
) -> torch.Tensor:
    """Return the loss of an update's inputs: the model's own, or ours of its batches, a mean over all they predict."""
    batches: tuple[Batch, ...] | None = inputs.get(BATCHES)
    if batches is None:
        loss: torch.Tensor = model(**{name: tensor.to(device) for name, tensor in inputs.items()}).loss
        return loss
    predicted = sum(predicted_by(kind, batch) for batch in batches)
    losses = [
        batch_loss(kind, forward(model, batch, kind, rules, device=device), batch)
        * (predicted_by(kind, batch) / max(predicted, 1))
        for batch in batches
    ]
    return torch.stack(losses).sum()
