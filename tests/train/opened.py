"""Models as a run of a dataset begins with them: without a device or accelerate, or as a learner on the CPU."""

from typing import Any

from transformers import PreTrainedModel

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.device import DeviceSettings
from tdbs.train.learner import Learner, make_learner
from tdbs.train.models.inputs import format_of
from tdbs.train.models.load import ModelSettings, open_model
from tdbs.train.resolved import resolve_settings


def opened_to_train(name: Any, dataset: PreparedDataset, *, seed: int = 0, dropout: float = 0.0) -> PreTrainedModel:
    """Return a model with a head for the dataset's task."""
    execution = DeviceSettings(device="cpu", precision="fp32", attention="eager")
    settings = ModelSettings(purpose="train", execution=execution, seed=seed, dropout=dropout)
    return open_model(str(name), format_of(dataset), settings)


def tiny_learner(
    dataset: PreparedDataset, *, model: str = "tiny", seed: int = 0, dropout: float = 0.0, in_rows: bool = False
) -> Learner:
    """Return the tiny model, or another, with its optimizer, in fp32 with eager attention."""
    settings = resolve_settings(TrainSettings(model=model, precision="fp32", attention="eager"), dataset.manifest)
    return make_learner(dataset, settings, seed=seed, dropout=dropout, in_rows=in_rows)
