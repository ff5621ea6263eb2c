"""A prepared dataset in your own training loop: each update's inputs as tensors, from any update on.

Use it as an iterable with a position (`state_dict`, `load_state_dict`), or through torch's DataLoader with a batch
sampler and a collator. The model's forward, the optimizer and the schedule are yours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from tdbs.arrays import FloatArray
from tdbs.errors import ConfigError
from tdbs.integrations.forward_in_rows import run_in_rows
from tdbs.integrations.steps import StepInputs, only_one, run_steps_for, step_loss
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import DEFAULT_WARMUP
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy

__all__ = ["PreparedSteps", "StepSampler", "only_one", "run_in_rows"]


class StepSampler:
    """A batch sampler over the remaining updates; each is one item, and counts as done once requested."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.done = 0

    def __len__(self) -> int:
        """Return the updates that are left."""
        return self._steps - self.done

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the number of each update as a list of one."""
        for step in range(self.done, self._steps):
            self.done = step + 1
            yield [step]


class PreparedSteps:
    """The updates of a run: walk over it once, from where it stands, and it has been trained.

    `rate_factors` has each update's rate over the base rate (warm-up, decay, LRM). `inputs` and `sampler` are for
    torch's DataLoader, with `only_one` as its collator and no workers: batches are made by array code.
    """

    def __init__(
        self,
        prepared: PreparedDataset | str | Path,
        *,
        model: Any,
        strategy: str | Strategy = DEFAULT_STRATEGY,
        seed: int = 0,
        epochs: int = 1,
        warmup: float = DEFAULT_WARMUP,
    ) -> None:
        self._steps, self._rules = run_steps_for(
            model, prepared, strategy=strategy, seed=seed, epochs=epochs, warmup=warmup
        )
        self.sampler = StepSampler(len(self._steps))
        self.rate_factors: FloatArray = self._steps.factors_S
        self.inputs: Dataset[dict[str, Any]] = StepInputs(self._steps, self._rules)

    def __len__(self) -> int:
        """Return the updates of the run."""
        return len(self._steps)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the inputs of the updates that are left; what is yielded counts as done."""
        return (self.inputs[step] for [step] in self.sampler)

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the mean loss of an update, on the model's device."""
        device = next(model.parameters()).device
        return step_loss(model, inputs, self._steps.kind, self._rules, device=device)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the run, and an identifier of the run."""
        return {"step": self.sampler.done, "plan_digest": self._steps.digest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a place. Raises ConfigError if it belongs to another run."""
        if state["plan_digest"] != self._steps.digest:
            raise ConfigError(
                "The state belongs to a run with other batches.",
                next_step="Use the dataset, strategy, seed and epochs of that run.",
            )
        self.sampler.done = int(state["step"])
