"""A prepared dataset as a DataModule of Lightning: the updates of a run, from where it stands.

    trainer = lightning.Trainer(max_epochs=1)
    trainer.fit(module, datamodule=PreparedDataModule(steps))

The whole run is one epoch of Lightning, since epochs of a strategy may differ in steps; val_check_interval says when to
evaluate. The position is in Lightning's checkpoints.
"""

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from tdbs.integrations.loops import PreparedSteps, only_one


class PreparedDataModule(lightning.LightningDataModule):  # type: ignore[misc]  # it has no types here
    """The updates of a run for training; validation data are the user's own, as a loader that `fit` is given."""

    def __init__(self, steps: PreparedSteps) -> None:
        super().__init__()
        self._steps = steps

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the updates that are left."""
        sampler = _WholeRun(self._steps)
        return DataLoader(self._steps.inputs, batch_sampler=sampler, collate_fn=only_one)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move the tensors of an update; batches beside them are moved by the steps' loss."""
        if not isinstance(batch, dict):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the run."""
        return self._steps.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a position. Raises ConfigError if it belongs to another run."""
        self._steps.load_state_dict(state_dict)


class _WholeRun:
    """The updates that are left, with the length of the whole run: on resume Lightning counts from its own position."""

    def __init__(self, steps: PreparedSteps) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._steps.sampler)
