"""Where and how a model runs: device, precision, attention kernel, optimizer, compiled layers.

Each default is a measured one (docs/decisions.md).
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import get_parameter_names

from tdbs.errors import ConfigError, choose
from tdbs.settings import Attention, Precision

# names, as patterns, of weights that do not decay: those of the Trainer, Trainer.get_decay_parameter_names
_NOT_DECAYING = ["bias", "layernorm", "rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
_COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSettings:
    """The resolved choices of a run."""

    device: str
    precision: Literal["fp32", "bf16"]
    attention: str
    compiled: bool = False
    checkpoint_activations: bool = False


def default_device() -> str:
    """Return `cuda` if there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_execution(
    *, precision: str, attention: str, compiled: bool = False, checkpoint_activations: bool = False
) -> DeviceSettings:
    """Resolve `auto`: bf16 if the device computes in it, eager attention on a CPU, sdpa on CUDA.

    On two CPU cores bf16 is about twice as fast as fp32. There, eager attention is twice as fast as sdpa for short
    sequences: the flash kernel of sdpa has a slow backward pass (docs/decisions.md).
    """
    choose("--precision", precision, get_args(Precision))
    choose("--attention", attention, get_args(Attention))
    device = default_device()
    if compiled:
        check_compiler(device)
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "fp32"
    if attention == "auto":
        attention = "eager" if device == "cpu" else "sdpa"
    return DeviceSettings(
        device=device,
        precision="bf16" if precision == "bf16" else "fp32",
        attention=attention,
        compiled=compiled,
        checkpoint_activations=checkpoint_activations,
    )


def to_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return values as a tensor on the device; to CUDA through pinned memory, so that the host need not wait."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def make_accelerator(precision: str, device: str) -> Accelerator:
    """Return accelerate's handle on device and precision.

    accelerate keeps one state per process and refuses another precision later, which a second run may have.
    """
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu")


def keep_head_in_fp32(model: PreTrainedModel) -> None:
    """Compute the last layer in fp32 whatever the precision of the rest.

    In bf16 a head has 8 bits for its outputs: 300 predicted numbers become a handful of distinct ones, and their
    correlation means nothing. The layer is a thousandth of the work.
    """
    outputs = model.config.num_labels
    heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == outputs]
    for head in heads[-1:]:
        plain = head.forward

        def in_fp32(inputs: torch.Tensor, plain: Callable[[torch.Tensor], torch.Tensor] = plain) -> torch.Tensor:
            with torch.autocast(inputs.device.type, enabled=False):
                return plain(inputs.to(torch.promote_types(inputs.dtype, torch.float32)))

        head.forward = in_fp32  # type: ignore[method-assign, assignment]  # the module's class stays, so weights are saved as usual


def make_optimizer(model: torch.nn.Module, *, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """Return AdamW, fused: for 22 M parameters on two cores 10 ms a step instead of 165 (docs/decisions.md).

    Its rate is set before every step. Weights decay as with transformers' Trainer: biases and those of norms do not.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if weight_decay == 0:
        return torch.optim.AdamW(trained.values(), lr=0.0, weight_decay=0.0, fused=True)
    decaying = set(get_parameter_names(model, [torch.nn.LayerNorm], _NOT_DECAYING))
    groups = [
        {
            "params": [parameter for name, parameter in trained.items() if name in decaying],
            "weight_decay": weight_decay,
        },
        {"params": [parameter for name, parameter in trained.items() if name not in decaying], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)


def check_compiler(device: str) -> None:
    """Refuse to compile for a CPU without a C++ compiler, before anything is written."""
    if device == "cpu" and not any(map(shutil.which, _COMPILERS)):
        raise ConfigError(
            "--compile needs a C++ compiler, and none was found.", next_step="Install g++, or leave --compile out."
        )


def compile_layers(model: PreTrainedModel) -> None:
    """Compile every layer of each stack of layers but its last, in place: weights are named and saved as ever.

    Layers repeat, so one of them is compiled for all, and the rest of the model stays as it is. The last layer is left
    out, since its end differs from step to step (rows/heads.py). Sizes stay symbols, since a plan has many. Inductor
    draws the dropout masks, so a compiled run is another draw of the same run.
    """
    for stack in model.modules():
        if isinstance(stack, torch.nn.ModuleList) and len({type(layer) for layer in stack}) == 1:
            for layer in stack[:-1]:
                layer.compile(dynamic=True)


def _has_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
