"""A model on its device with its optimizer: what the training loop updates."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.allocator import keep_freed_memory
from tdbs.train.device import compile_layers, make_optimizer
from tdbs.train.gradients import keep_row_gradients
from tdbs.train.micro_batches import MemoryCaps
from tdbs.train.models.inputs import InputRules, format_of
from tdbs.train.models.load import ModelSettings, load_model
from tdbs.train.models.recompute import recompute_activations
from tdbs.train.objectives.objective import Objective, check_sizes, objective_of
from tdbs.train.resolved import ResolvedSettings


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
    compiled: bool  # whether its layers are
    gives_back: bool  # memory that a call of the model has freed goes back to the system
    memory_caps: MemoryCaps  # found in training, if the device runs out of memory
    objective: Objective | None = None  # of embeddings and rerankers; other kinds of tasks have one loss


def make_learner(
    dataset: PreparedDataset,
    settings: ResolvedSettings,
    *,
    seed: int,
    dropout: float,
    in_rows: bool = False,
    bounded: bool = False,
) -> Learner:
    """Load a model for the dataset and put it on its device.

    `in_rows`: its rows may hold several samples; `bounded`: the process is to stay within a bound of memory.
    """
    if settings.execution.device == "cpu" and not bounded:
        keep_freed_memory()
    model_settings = ModelSettings(
        purpose="train",
        execution=settings.execution,
        in_rows=in_rows,
        seed=seed,
        dropout=dropout,
        part=settings.part,
        pooling=settings.pooling,
        normalize=settings.given.normalize,
    )
    loaded = load_model(settings.model.name, format_of(dataset), model_settings)
    objective = objective_of(settings.given, dataset)
    if objective is not None:
        check_sizes(objective, width=loaded.model.config.hidden_size)
    if loaded.accelerator.num_processes == 1:
        keep_row_gradients(loaded.prepared)
    if settings.execution.checkpoint_activations:
        recompute_activations(loaded.model, settings.model.name)
    if settings.execution.compiled:
        compile_layers(loaded.model)
    return Learner(
        accelerator=loaded.accelerator,
        model=loaded.model,
        prepared=loaded.prepared,
        optimizer=make_optimizer(loaded.prepared, weight_decay=settings.given.weight_decay),
        kind=dataset.manifest.task.kind,
        pad_id=dataset.manifest.tokenizer.pad_id,
        rules=loaded.rules,
        compiled=settings.execution.compiled,
        gives_back=bounded and settings.execution.device == "cpu",
        memory_caps=MemoryCaps(edges_E=np.array(dataset.manifest.bucket_edges), kind=dataset.manifest.task.kind),
        objective=objective,
    )


def share_weights(learner: Learner, other: Learner) -> Learner:
    """Return the other learner on the weights and the optimizer of the first: one memory for two dropouts."""
    for module, twin in zip(learner.model.modules(), other.model.modules(), strict=True):
        for name, parameter in module.named_parameters(recurse=False):
            setattr(twin, name, parameter)
    return replace(other, optimizer=learner.optimizer)
