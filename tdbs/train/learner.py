"""A model on its device with its optimizer: what the training loop updates."""

import gc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from tdbs.data.tasks import TaskKind
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer
from tdbs.train.device import (
    DeviceSettings,
    compile_layers,
    keep_head_in_fp32,
    keep_row_gradients,
    make_accelerator,
    make_optimizer,
)
from tdbs.train.micro_batches import MemoryCaps
from tdbs.train.models.inputs import InputRules
from tdbs.train.models.load import load_model, rules_for
from tdbs.train.models.part import WHOLE, TrainablePart, train_part
from tdbs.train.rows.models import use_sequences


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
    memory_caps: MemoryCaps  # found while training, if the device runs out of memory


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
    gc.collect()  # models refer to themselves in cycles: a sweep would keep those of its last runs
    model = load_model(model_name, dataset, seed=seed, dropout=dropout, attention=execution.attention)
    train_part(model, part, dataset.manifest.task.kind, dropout=dropout)
    if in_rows:
        use_sequences(model, execution.attention)
    accelerator = make_accelerator(execution.precision, execution.device)
    keep_head_in_fp32(model)
    model.to(accelerator.device)
    rules = rules_for(
        model, model_name, dataset.manifest, read_tokenizer(dataset), in_rows=in_rows, device=accelerator.device
    )
    # processes.py sums the gradients of several processes, so accelerate must not wrap the model for that
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    if accelerator.num_processes == 1:
        keep_row_gradients(prepared)
    if execution.compiled:
        compile_layers(model)
    return Learner(
        accelerator=accelerator,
        model=model,
        prepared=prepared,
        optimizer=make_optimizer(prepared),
        kind=dataset.manifest.task.kind,
        pad_id=dataset.manifest.tokenizer.pad_id,
        rules=rules,
        memory_caps=MemoryCaps(edges_E=np.array(dataset.manifest.bucket_edges), kind=dataset.manifest.task.kind),
    )


def share_weights(learner: Learner, other: Learner) -> Learner:
    """Return the other learner on the weights and the optimizer of the first: one memory for two dropouts."""
    for module, twin in zip(learner.model.modules(), other.model.modules(), strict=True):
        for name, parameter in module.named_parameters(recurse=False):
            setattr(twin, name, parameter)
    return replace(other, optimizer=learner.optimizer)
