"""transformers' Trainer without padding: as its user made it, or on a prepared dataset.

    from tdbs.integrations.transformers import prepare_trainer

    prepare_trainer(trainer).train()  # any Trainer, with its own data and batches: prepared_trainer.py

On a prepared dataset it has the dataset's batches, rates and exact number of steps:

    from tdbs.integrations.transformers import PreparedTrainer, prepared_split

    held_out = prepared_split("data/glue/mrpc/…", "validation")
    trainer = PreparedTrainer(prepared="data/glue/mrpc/…", model=model, args=args, eval_dataset=held_out)

Everything else is the Trainer's own: callbacks, evaluation, saving, resuming, logging. Its epochs have one length, a
run's steps over its epochs, since it counts so; where a strategy's epochs differ in steps, an epoch's last steps are
in the next one of the Trainer. Steps, batches and rates are those of `tdbs plan`.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments

from tdbs.errors import ConfigError
from tdbs.integrations.arguments import check_arguments, warmup_of
from tdbs.integrations.prepared_trainer import prepare_trainer
from tdbs.integrations.steps import BATCHES, StepInputs, only_one, rules_of_model, run_steps_for, step_loss
from tdbs.pipeline.dataset import PreparedDataset, Split, opened, read_split
from tdbs.pipeline.tokens.rules import Layout
from tdbs.train.models.inputs import segment_ids
from tdbs.train.models.recompute import store_last_layer
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy
from tdbs.train.step import unwrapped

__all__ = ["PreparedTrainer", "prepare_trainer", "prepared_split"]


class PreparedTrainer(Trainer):  # type: ignore[misc]  # transformers has no types here
    """A Trainer whose training batches are those of a strategy on a prepared dataset."""

    def __init__(
        self,
        *arguments: Any,
        prepared: PreparedDataset | str | Path,
        strategy: str | Strategy = DEFAULT_STRATEGY,
        warmup: float | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        given: TrainingArguments = self.args
        check_arguments(self)
        epochs = int(given.num_train_epochs)
        self.steps, self._rules = run_steps_for(
            self.model,
            prepared,
            strategy=strategy,
            seed=given.seed,
            epochs=epochs,
            warmup=warmup_of(given, warmup),
            batch_size=given.per_device_train_batch_size,
        )
        self.args: TrainingArguments = copy.copy(given)  # the user's may serve another Trainer
        self.args.max_steps = len(self.steps)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of the run, an epoch of the Trainer at a time."""
        epoch_steps = -(-len(self.steps) // int(self.args.num_train_epochs))
        source = StepInputs(self.steps, self._rules)
        sampler = _EpochSteps(self, epoch_steps)
        return DataLoader(source, batch_sampler=sampler, collate_fn=only_one)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:  # noqa: ARG002  (the Trainer's own signature)
        """Return a schedule that has the plan's rate at each step (warm-up, decay, LRM)."""
        factors = [*self.steps.factors_S.tolist(), 0.0]  # it is asked for the step after the last one too
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer if optimizer is not None else self.optimizer,
            lambda step: factors[min(step, len(factors) - 1)],
        )
        return self.lr_scheduler

    def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        """Return the Trainer's own loss, or that of an update that is not one padded batch."""
        if BATCHES not in inputs:
            return super().compute_loss(model, inputs, *arguments, **named)
        store_last_layer(unwrapped(model))  # with gradient checkpointing: a hook cuts its end
        return step_loss(model, inputs, self.steps.kind, self._rules, device=self.args.device)


def prepared_split(prepared: PreparedDataset | str | Path, name: str, *, model: Any = None) -> Dataset[dict[str, Any]]:
    """Return a split for `eval_dataset`: tokens and label of each sample, in sample_id order.

    With a `model` that takes them, segment ids too. Raises ConfigError for tasks whose label is
    not one value or row of values a sample.
    """
    dataset = opened(prepared)
    kind = dataset.manifest.task.kind
    if kind not in ("classification", "regression"):
        raise ConfigError(
            f"prepared_split only supports classification and regression; this is {kind}.",
            next_step="Evaluate with tdbs evaluate, or pass your own dataset to the Trainer.",
        )
    layout = None if model is None else rules_of_model(model, dataset).layout
    return _Rows(read_split(dataset, name), layout)


class _EpochSteps:
    """The numbers of the steps of the Trainer's epoch, as a batch sampler; where it stands says which epoch it is."""

    def __init__(self, trainer: Trainer, epoch_steps: int) -> None:
        self._trainer, self._epoch_steps = trainer, epoch_steps

    def __len__(self) -> int:
        return self._epoch_steps

    def __iter__(self) -> Iterator[list[int]]:
        first = self._trainer.state.global_step // self._epoch_steps * self._epoch_steps
        last = min(first + self._epoch_steps, self._trainer.args.max_steps)
        return ([step] for step in range(first, last))


class _Rows(Dataset[dict[str, Any]]):
    """The samples of a split, one by one, as tokenizers' output has them."""

    def __init__(self, split: Split, layout: Layout | None) -> None:
        self._split, self._layout = split, layout  # None: the model is given no segment ids

    def __len__(self) -> int:
        return len(self._split.lengths_N)

    def __getitem__(self, sample: int) -> dict[str, Any]:
        split = self._split
        first, last = split.token_offsets_N1[sample], split.token_offsets_N1[sample + 1]
        row: dict[str, Any] = {"input_ids": split.input_ids_T[first:last].tolist()}
        if self._layout is not None:
            start = None if split.segment_starts_N is None else int(split.segment_starts_N[sample])
            row["token_type_ids"] = segment_ids(self._layout, np.arange(last - first), last - first, start).tolist()
        if split.targets is not None:
            row["labels"] = split.targets.values[sample].tolist()
        return row
