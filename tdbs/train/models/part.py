"""Train a part of a model: low-rank adapters beside its linear layers (LoRA, by peft), or its upper layers alone.

Batches and their shapes stay what they are, so either goes with every strategy.
"""

import itertools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError, ModelError
from tdbs.fields import PlainText
from tdbs.records import Form, read_record
from tdbs.train.models.heads import HEADS
from tdbs.train.planning.model_choice import TINY


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainablePart:
    """What of a model is trained: all of it, unless one of the two is given."""

    lora: int | None = None  # rank of the adapters; the head is trained whole
    freeze_layers: int | None = None  # lowest layers that stay as they are, the embeddings with them

    def __post_init__(self) -> None:
        if self.lora is not None and self.lora < 1:
            raise ConfigError(f"--lora must be 1 or more, got {self.lora}.", next_step="Pass --lora 8, say.")
        if self.freeze_layers is not None and self.freeze_layers < 0:
            raise ConfigError(
                f"--freeze-layers must be 0 or more, got {self.freeze_layers}.",
                next_step="Pass --freeze-layers 6, say.",
            )
        if self.lora is not None and self.freeze_layers is not None:
            raise ConfigError("--lora leaves all layers as they are.", next_step="Leave --freeze-layers out.")
        if self.lora is not None and find_spec("peft") is None:
            raise ConfigError("--lora needs peft, which is not installed.", next_step='Run pip install "tdbs[lora]".')


WHOLE = TrainablePart()
ADAPTED_CONFIG = "adapted"  # folder in a model's: the configuration that adapters were trained with


@dataclass(frozen=True, kw_only=True, slots=True)
class _Adapters:
    """What is read of peft's adapter_config.json."""

    base_model_name_or_path: PlainText


_FORM = Form(what="a configuration of adapters", error=ModelError, next_step="Train again.", foreign=True)


def check_part(part: TrainablePart, model_name: str) -> None:
    """Refuse adapters for a model that was never trained."""
    if part.lora is not None and model_name == TINY:
        raise ConfigError("tiny has random weights: there is nothing to adapt.", next_step="Pass a pretrained --model.")


def train_part(model: PreTrainedModel, part: TrainablePart, kind: TaskKind, *, dropout: float) -> None:
    """Let only a part of a model have gradients; with adapters it saves these alone.

    Raises ConfigError where a model has fewer layers than are to be frozen.
    """
    if part.lora is not None:
        _add_adapters(model, part.lora, kind, dropout=dropout)
    if part.freeze_layers is not None:
        _freeze(model, part.freeze_layers)


def config_folder(folder: Path) -> Path:
    """Return where a model's configuration lies: of adapters beside them, since transformers takes a folder with a
    config.json and without whole weights for a damaged one.
    """
    own = folder / ADAPTED_CONFIG
    return own if own.is_dir() else folder


def adapted_model(folder: Path) -> str | None:
    """Return the model that a folder's adapters are for, None where it holds a whole model."""
    place = folder / "adapter_config.json"
    return read_record(place, _Adapters, _FORM).base_model_name_or_path if place.exists() else None


def _add_adapters(model: PreTrainedModel, rank: int, kind: TaskKind, *, dropout: float) -> None:
    from peft import LoraConfig

    body = model.base_model
    linear = [module for module in body.modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    if not linear:
        raise ConfigError(
            f"--lora adapts linear layers, and this {model.config.model_type} has none.", next_step="Leave --lora out."
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
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear),  # GPT-2 holds its weights transposed
        )
    )


def _freeze(model: PreTrainedModel, count: int) -> None:
    body = model.base_model
    lists = (module for module in body.modules() if isinstance(module, torch.nn.ModuleList))
    layers = next(lists, torch.nn.ModuleList())
    if count > len(layers):
        raise ConfigError(
            f"--freeze-layers {count}: the model has {len(layers)} layers.",
            next_step=f"Pass {len(layers)} or less.",
        )
    first = next(layers.parameters(), None)
    below = itertools.takewhile(lambda parameter: parameter is not first, body.parameters())  # embeddings come first
    for parameter in itertools.chain(below, layers[:count].parameters()):
        parameter.requires_grad_(False)
