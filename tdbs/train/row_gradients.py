"""Gradients of word embeddings by the rows that a step touches: no table of zeros is made and freed in each step.

A batch of 800 tokens touches 2 % of a vocabulary of 30,000, yet autograd makes the gradient of the whole table: 47 MB
of fresh zeros, a tenth of a short step on two CPU cores (docs/decisions.md, "Gradients of embeddings"). Here one table
of gradients stays with the module: a step's rows are added into it before the update and cleared after it. Norm and
optimizer see the dense gradient that they would see anyway.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Shapes: V rows of the table, K tokens of the step's batches, E entries of a row.

_LEAST_ROWS = 4_096  # of a table; of a smaller one a step touches much
_GRADIENT = "row_gradient"


def keep_row_gradients(model: torch.nn.Module) -> None:
    """Let the large embedding tables of a model on the CPU say which rows have a gradient."""
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings >= _LEAST_ROWS:
            table_VE = module.weight
            if table_VE.requires_grad and table_VE.device.type == "cpu":
                module.sparse = True
                module.register_buffer(_GRADIENT, torch.zeros_like(table_VE), persistent=False)  # never saved


@contextmanager
def dense_gradients(model: torch.nn.Module) -> Iterator[None]:
    """Give tables their dense gradients for norm and update; entered after all backward passes of a step.

    A table that is also the output layer (T5) has a dense gradient already, and is left alone.
    """
    touched: list[tuple[torch.Tensor, torch.Tensor]] = []
    for module in model.modules():
        if not isinstance(module, torch.nn.Embedding):
            continue
        gradient_VE = getattr(module, _GRADIENT, None)
        if not isinstance(gradient_VE, torch.Tensor):
            continue
        found = module.weight.grad
        if found is not None and found.is_sparse:
            rows_K = found._indices()[0]
            module.weight.grad = gradient_VE.index_add_(0, rows_K, found._values())
            touched.append((gradient_VE, rows_K))
    try:
        yield
    finally:
        for gradient_VE, rows_K in touched:
            gradient_VE.index_fill_(0, rows_K, 0.0)
