"""Models as a run of a dataset begins with them, without a device or accelerate."""

from typing import Any

from transformers import PreTrainedModel

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.device import DeviceSettings
from tdbs.train.models.inputs import format_of
from tdbs.train.models.load import ModelSettings, open_model


def opened_to_train(name: Any, dataset: PreparedDataset, *, seed: int = 0, dropout: float = 0.0) -> PreTrainedModel:
    """Return a model with a head for the dataset's task."""
    execution = DeviceSettings(device="cpu", precision="fp32", attention="eager")
    settings = ModelSettings(purpose="train", execution=execution, seed=seed, dropout=dropout)
    return open_model(str(name), format_of(dataset), settings)
