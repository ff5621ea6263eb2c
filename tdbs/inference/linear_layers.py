"""Linear layers in bf16 of a model that only predicts: weights rounded once, and laid out once as oneDNN reads them.

Autocast would round all of them in each call, and oneDNN would lay them out again. The result is the same
(docs/decisions.md, "Weights in bf16").
"""

from collections.abc import Callable
from functools import partial

import torch


def store_in_bf16(model: torch.nn.Module, device: str) -> None:
    """Round the weights of linear layers, and lay them out if the device is a CPU whose library takes them so.

    The head, which is computed in fp32, is left alone. A layer keeps its plain weight too, which model code may read.
    """
    packs = device == "cpu" and _has_packed_products()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and "forward" not in vars(module):  # see keep_head_in_fp32
            module.to(torch.bfloat16)
            if packs:
                packed = torch.ops.mkldnn._reorder_linear_weight(module.weight.detach())
                product = torch.ops.mkldnn._linear_pointwise.default
                module.forward = partial(_product, product, packed, module.bias)  # type: ignore[method-assign]  # as keep_head_in_fp32 has it


def _has_packed_products() -> bool:
    """Return whether torch has the operators that its compiler uses for such weights, and this CPU the products."""
    names = ("_is_mkldnn_bf16_supported", "_linear_pointwise", "_reorder_linear_weight")
    return all(hasattr(torch.ops.mkldnn, name) for name in names) and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _product(
    operator: Callable[..., torch.Tensor], packed: torch.Tensor, bias: torch.Tensor | None, inputs: torch.Tensor
) -> torch.Tensor:
    return operator(inputs.to(torch.bfloat16), packed, bias, "none", [], "")
