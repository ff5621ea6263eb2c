"""From gradients to weights: those of large tables of embeddings by row, the norm, and the update.

A batch of 800 tokens touches 2 % of a vocabulary of 30,000. So tables on a CPU give their gradients by the rows of a
step, and the norm reads these alone. Gradients are made shorter in the optimizer, which reads them anyway.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

# Shapes: V rows of the table, K tokens of the step's batches, E entries of a row.

MAX_GRADIENT_NORM = 1.0  # as in transformers' Trainer
_LEAST_ROWS = 4_096  # of a table of embeddings; a step touches much of a smaller one
_GRADIENT, _ROWS = "row_gradient", "gradient_rows"  # of a module: the kept table, and its rows that are not zero


def keep_row_gradients(model: torch.nn.Module) -> None:
    """Let the large embedding tables of a model on the CPU say which rows have a gradient.

    Autograd makes the gradient of the whole table: 47 MB of fresh zeros for 30,000 words of MiniLM, a tenth of a short
    step on two CPU cores (docs/decisions.md, "Gradients of embeddings"). Here one table of gradients stays with the
    module: the rows of a step are added to it before the update and cleared after it. Norm and optimizer see the dense
    gradient that they would see anyway.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings >= _LEAST_ROWS:
            table_VE = module.weight
            if table_VE.requires_grad and table_VE.device.type == "cpu":
                module.sparse = True
                module.register_buffer(_GRADIENT, torch.zeros_like(table_VE), persistent=False)  # never saved
                setattr(module, _ROWS, [])


def add_rows(model: torch.nn.Module) -> None:
    """Add the rows of backward passes to the kept tables; autograd would put those of all passes one behind another."""
    for module in _kept(model):
        found = module.weight.grad
        if found is not None and found.is_sparse:
            rows_K = found._indices()[0]
            getattr(module, _GRADIENT).index_add_(0, rows_K, found._values())
            getattr(module, _ROWS).append(torch.unique(rows_K))
            module.weight.grad = None


@contextmanager
def dense_gradients(model: torch.nn.Module) -> Iterator[Mapping[torch.Tensor, torch.Tensor]]:
    """Give tables their dense gradients for norm and update; entered after all backward passes of a step.

    Yields the rows that are not zero, by gradient. A table that is also the output layer (T5) has a dense gradient
    already, and stays as it is.
    """
    add_rows(model)
    rows: dict[torch.Tensor, torch.Tensor] = {}  # of a table's dense gradient that the step has used
    for module in _kept(model):
        if of_passes := getattr(module, _ROWS):
            module.weight.grad = gradient_VE = getattr(module, _GRADIENT)
            rows[gradient_VE] = torch.unique(torch.cat(of_passes))
            of_passes.clear()
    try:
        yield rows
    finally:
        for gradient_VE, rows_U in rows.items():
            gradient_VE.index_fill_(0, rows_U, 0.0)


def _kept(model: torch.nn.Module) -> Iterator[torch.nn.Embedding]:
    """Yield the tables that say which rows have a gradient."""
    return (module for module in model.modules() if hasattr(module, _ROWS))  # type: ignore[misc]  # tables alone have it


def gradient_norm(model: torch.nn.Module, rows: Mapping[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the norm of all gradients of a model; of those that have rows, the others are zero."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(
        [found.index_select(0, rows[found]) if found in rows else found for found in gradients]
    )


def clipped_update(optimizer: torch.optim.Optimizer, norm: torch.Tensor) -> bool:
    """Move the weights by gradients of a norm of MAX_GRADIENT_NORM at most; return whether their norm is finite.

    If it is not, the weights stay as they were. `optimizer` is a fused one.
    """
    if not math.isfinite(norm):
        return False
    # fused optimizers divide by a float32; the last term is that of torch.nn.utils.clip_grad_norm_
    optimizer.grad_scale = (norm / MAX_GRADIENT_NORM + 1e-6).clamp(min=1.0).float()  # type: ignore[attr-defined]
    optimizer.step()
    return True
