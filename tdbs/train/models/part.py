"""Train a part of a model: low-rank adapters beside its linear layers (LoRA, by peft), or its upper layers alone.

Batches and their shapes stay as they are, so both work with every strategy.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError, ModelError, at_least, require
from tdbs.fields import PlainText
from tdbs.records import Form, read_record
from tdbs.settings import TrainSettings
from tdbs.train.models.heads import HEADS
from tdbs.train.planning.model_choice import TINY, refuse_frozen

ADAPTED_CONFIG = "adapted"  # folder in the model's folder: the configuration that adapters were trained with
_FORM = Form(what="a configuration of adapters", error=ModelError, next_step="Train again.", foreign=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainablePart:
    """The part of a model that is trained: all of it, unless one of the two is given."""

    lora: int | None = None  # rank of the adapters; the head is trained whole
    freeze_layers: int | None = None  # number of lowest layers to freeze, with the embeddings

    def __post_init__(self) -> None:
        if self.lora is not None:
            at_least("--lora", self.lora, 1)
        if self.freeze_layers is not None:
            at_least("--freeze-layers", self.freeze_layers, 0)
        if self.lora is not None and self.freeze_layers is not None:
            raise ConfigError("--lora freezes all layers.", next_step="Leave --freeze-layers out.")
        if self.lora is not None:
            require("peft", "--lora", "tdbs[lora]")


WHOLE = TrainablePart()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Adapters:
    """What is read of peft's adapter_config.json."""

    base_model_name_or_path: PlainText


def part_of(settings: TrainSettings) -> TrainablePart:
    """Return the part of a model that settings train."""
    return TrainablePart(lora=settings.lora, freeze_layers=settings.freeze_layers)


def check_part(part: TrainablePart, model_name: str) -> None:
    """Refuse adapters for a model that was never trained."""
    if part.lora is not None and model_name == TINY:
        raise ConfigError("tiny has random weights: there is nothing to adapt.", next_step="Pass a pretrained --model.")


def train_part(model: PreTrainedModel, part: TrainablePart, kind: TaskKind, *, dropout: float) -> None:
    """Let only a part of a model have gradients; a model with adapters saves only these.

    Raises ConfigError if the model has fewer layers than `part` freezes.
    """
    if part.lora is not None:
        _add_adapters(model, part.lora, kind, dropout=dropout)
    if part.freeze_layers is not None:
        _freeze(model, part.freeze_layers)


def config_folder(folder: Path) -> Path:
    """Return the folder of a model's configuration.

    For adapters it is a folder beside them: transformers reports a folder as damaged if it has a config.json without
    whole weights.
    """
    own = folder / ADAPTED_CONFIG
    return own if own.is_dir() else folder


def adapted_model(folder: Path) -> str | None:
    """Return the model that a folder's adapters are for, None if the folder contains a whole model."""
    place = folder / "adapter_config.json"
    return read_record(place, _Adapters, _FORM).base_model_name_or_path if place.exists() else None


def _add_adapters(model: PreTrainedModel, rank: int, kind: TaskKind, *, dropout: float) -> None:
    from peft import LoraConfig

    body = model.base_model
    linear = [module for module in body.modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    if not linear:
        raise ConfigError(
            f"--lora adapts linear layers, but this {model.config.model_type} has none.", next_step="Leave --lora out."
        )
    names = {id(module): name for name, module in model.named_modules()}
    heads = [
        name
        for name, child in model.named_children()
        if child is not body and next(child.parameters(), None) is not None
    ]
    model.add_adapter(
        LoraConfig(
            task_type=HEADS[kind].adapter_task,
            r=rank,
            lora_alpha=2 * rank,
            lora_dropout=dropout,
            target_modules=[names[id(module)] for module in linear],
            modules_to_save=heads if body is not model else None,
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear),  # GPT-2 stores its weights transposed
        )
    )


def _freeze(model: PreTrainedModel, count: int) -> None:
    body = model.base_model
    lists = (module for module in body.modules() if isinstance(module, torch.nn.ModuleList))
    layers = next(lists, torch.nn.ModuleList())
    refuse_frozen(count, layers=len(layers))
    first = next(layers.parameters(), None)
    below = itertools.takewhile(lambda parameter: parameter is not first, body.parameters())  # embeddings come first
    for parameter in itertools.chain(
        below, layers[:count].parameters(), *map(torch.nn.Module.parameters, _shared(body, layers))
    ):
        parameter.requires_grad_(False)


def _shared(body: torch.nn.Module, layers: torch.nn.ModuleList) -> list[Any]:
    """Return the embeddings that stand behind the layers: of relative positions, which all layers share."""
    stack = next((each for each in body.modules() if layers in each.children()), layers)
    inside = set(layers.modules())
    found: list[Any] = [each for each in stack.modules() if isinstance(each, torch.nn.Embedding) and each not in inside]
    if hasattr(stack, "norm_rel_ebd") and hasattr(stack, "LayerNorm"):  # DeBERTa's, of the same embeddings
        found.append(stack.LayerNorm)
    return found
