"""What a model is given at an update, as tensors by transformers' names; and the loss of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError
from tdbs.integrations.steps import RunSteps, run_steps_of
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer
from tdbs.train.batches import Batch
from tdbs.train.model_inputs import InputRules, model_inputs
from tdbs.train.models import rules_for
from tdbs.train.sequence_models import knows_sequences, use_sequences
from tdbs.train.step import batch_loss, forward
from tdbs.train.strategies import Strategy

ROWS_OF_SEVERAL = "tdbs_batch"  # beside the inputs of a row of several samples: what tells which token is whose


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
    return rules_for(model, name, dataset.manifest, read_tokenizer(dataset), in_rows=in_rows, device=device)


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


def only_one(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the one update of a list: the `collate_fn` beside StepInputs, whose items are batches already."""
    [found] = inputs
    return found


def step_inputs(batch: Batch, rules: InputRules) -> dict[str, Any]:
    """Return a batch by the names that transformers has for what a model is given.

    A row of several samples has its batch beside it, from which step_loss tells which token is whose.
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
    """Return the loss of an update's inputs: the model's own, or ours where rows hold several samples."""
    batch: Batch | None = inputs.get(ROWS_OF_SEVERAL)
    if batch is None:
        loss: torch.Tensor = model(**{name: tensor.to(device) for name, tensor in inputs.items()}).loss
        return loss
    return batch_loss(kind, forward(model, batch, kind, rules, device=device), batch)
