"""Attention on CUDA that takes unpadded rows as they are: flash-attn's variable-length kernel, or torch's own.

torch's has no dropout; flash-attn, an extra, has it, and soft caps too.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from tdbs.train.rows.sequences import Sequences

# Shapes: F tokens of the row, B samples, H heads, D their size.

_TORCH = "torch.nn.attention.varlen"  # torch 2.10 and later
_FLASH = "flash_attn"


def takes_rows(query: torch.Tensor, options: dict[str, Any]) -> bool:
    """Return whether a variable-length kernel can be used: on CUDA, in half precision."""
    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    return _kernel(options) is not None


def variable_length(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    sequences: Sequences,
    bounds: tuple[int, int],
    options: dict[str, Any],
) -> torch.Tensor:
    """Return attention over an unpadded row (1 x F x H x D); `bounds`: tokens seen to the left and right, -1 all."""
    _, lengths_B = sequences.spans
    padding = len(sequences.sample_F) - int(lengths_B.sum())
    ends_B = sequences.lengths_B.cumsum(0)
    if padding:
        # the row's padding is a sequence of its own: every result is there
        ends_B = torch.cat([ends_B, ends_B.new_tensor([len(sequences.sample_F)])])
    bounds_B1 = torch.nn.functional.pad(ends_B, (1, 0)).int()
    longest = max(int(lengths_B.max()), padding)
    qkv_FHD = [states.transpose(1, 2).flatten(0, 1) for states in (query, key, value)]
    places = (bounds_B1, bounds_B1, longest, longest)
    module: Any = import_module(str(_kernel(options)))
    if module.__name__ == _FLASH:
        found: torch.Tensor = module.flash_attn_varlen_func(
            *qkv_FHD,
            *places,
            dropout_p=options.get("dropout") or 0.0,
            softmax_scale=options.get("scaling"),
            window_size=bounds,
            softcap=options.get("softcap") or 0.0,
        )
    else:
        grouped = {} if query.shape[1] == key.shape[1] else {"enable_gqa": True}
        found = module.varlen_attn(*qkv_FHD, *places, scale=options.get("scaling"), window_size=bounds, **grouped)
    return found.unsqueeze(0)


def _kernel(options: dict[str, Any]) -> str | None:
    """Return the module of the kernel that can do what a layer asks for; None: neither can."""
    if _is_installed(_FLASH):
        return _FLASH
    asks_more = options.get("dropout") or options.get("softcap")
    return None if asks_more or not _is_installed(_TORCH) else _TORCH


@cache
def _is_installed(module: str) -> bool:
    """Return whether a module can be imported; each layer asks, and looking for one that is missing takes time."""
    return find_spec(module) is not None
