"""Compile a model's layers by torch.compile: one code for all layers and all shapes, so nothing is compiled twice.

Layers are compiled, not the whole model: they repeat, so one of them is compiled for all (transformers' and
accelerate's advice too), and what stands around them, embeddings by rows and heads, stays as it is. The last layer is
left out: its end differs from step to step (first_tokens.py). Sizes stay symbols, since a plan has many. Dropout masks
are drawn by inductor then, so a compiled run is another draw of the same run, and resumes as itself alone.
"""

import shutil

import torch
from transformers import PreTrainedModel

from tdbs.errors import ConfigError

_COMPILERS = ("g++", "clang++", "c++")


def check_compiler(device: str) -> None:
    """Refuse to compile for a CPU where there is no C++ compiler, before anything is written."""
    if device == "cpu" and not any(map(shutil.which, _COMPILERS)):
        raise ConfigError(
            "--compile needs a C++ compiler, and there is none.", next_step="Install g++, or leave --compile out."
        )


def compile_layers(model: PreTrainedModel) -> None:
    """Compile every layer of each stack of layers but its last, in place: weights are named and saved as ever."""
    for stack in model.modules():
        if isinstance(stack, torch.nn.ModuleList) and len({type(layer) for layer in stack}) == 1:
            for layer in stack[:-1]:
                layer.compile(dynamic=True)
