"""What a model gives for the samples of a block, in their order, and the columns that are made of it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tdbs.inference.encode import Encoded
from tdbs.train.batches import Batch

# Shapes: N samples, B samples of a batch, C outputs.

Outputs = Iterable[tuple[Batch, torch.Tensor]]
Column = list[Any] | npt.NDArray[np.float32]  # a value for each row; an array if each one is an embedding
Decoded = dict[str, Column]  # by the names of the output's columns; no rows may have no columns


def logits_of_samples(encoded: Encoded, outputs: Outputs) -> torch.Tensor:
    """Return the logits, or the embeddings, of all samples in order (N x C); there is one at least."""
    found = [(batch.sample_ids_B, logits_BC.cpu()) for batch, logits_BC in outputs]
    order_N = torch.from_numpy(np.concatenate([samples_B for samples_B, _ in found]))
    logits_NC = torch.cat([logits_BC for _, logits_BC in found])
    in_order_NC = torch.empty((len(encoded.split.lengths_N), logits_NC.shape[1]), dtype=logits_NC.dtype)
    in_order_NC[order_N] = logits_NC
    return in_order_NC
