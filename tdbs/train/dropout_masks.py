"""Dropout of a model on a CPU, by 16 random bits for each element instead of torch's own draw.

torch draws one number for each element: 6 ns with Intel's generator, 12 to 13 ns elsewhere, a tenth of a short update
and more. Bits of a fast generator take 1.5 ns, and decide alike (docs/decisions.md, "Dropout from bits").

The generator of each mask is seeded by a number from torch's own. So a mask depends on what torch was seeded with and
on the masks before it, as ever, and activations that are computed again have the same ones (models/recompute.py).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from tdbs import rng

_VALUES = 1 << 16  # of 16 bits
_PER_NUMBER = 4  # 16 bits each


def dropout_masks(device: torch.device, *, compiled: bool) -> AbstractContextManager[Any]:
    """Make dropout's masks from random bits in a forward pass; elsewhere and in compiled layers, torch makes them."""
    return nullcontext() if compiled or device.type != "cpu" else _FromBits()


def masks_in_both_passes() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Return what surrounds a layer now, and when it is computed again: the backward pass is outside of ours."""
    modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]  # as torch has it
    ours = any(isinstance(mode, _FromBits) for mode in modes)
    return nullcontext(), _FromBits() if ours else nullcontext()


class _FromBits(TorchFunctionMode):
    """Takes the place of torch.nn.functional.dropout; modules of dropout and functions of attention call that."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        call = _dropout if func is torch.nn.functional.dropout else func
        return call(*args, **(kwargs or {}))


def _dropout(states: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Return states with some of their elements at zero, and the others larger to the same mean."""
    dropped = round(p * _VALUES)
    if not training or inplace or not 0 < dropped < _VALUES:
        return torch.nn.functional.dropout(states, p, training, inplace)
    return states * _mask_like(states, dropped)


@torch.no_grad()
def _mask_like(states: torch.Tensor, dropped: int) -> torch.Tensor:
    """Return what each element is multiplied with: 0 for `dropped` of 65,536 values, on the average."""
    key = int(torch.empty((), dtype=torch.int64).random_())
    bits = rng.bits_of(key, -(-states.numel() // _PER_NUMBER)).view(np.int16)[: states.numel()]
    mask = torch.empty_like(states)
    torch.ge(torch.from_numpy(bits).view(states.shape), dropped - _VALUES // 2, out=mask)
    return mask.mul_(_VALUES / (_VALUES - dropped))
