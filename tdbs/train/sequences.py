"""Where samples stand in rows of several: tensors that tell attention, positions and heads which token is whose."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tdbs.arrays import IntArray
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.length_groups import longest_of_groups

# Shapes: R rows of W tokens (R x W = F), B samples, K their tokens, P places of padded sequences, C outputs, G samples
# of a length group, L its longest sample.


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthGroup:
    """Samples of like length, padded for attention alone; `places` are of the group's padded tokens among P."""

    places: slice
    samples: int
    length: int
    lengths_G: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequences:
    """Where the samples of a batch stand in its rows, and how attention is to see them."""

    starts_B: torch.Tensor  # places among F
    lengths_B: torch.Tensor
    sample_F: torch.Tensor  # the sample of each token, -1 at padding
    positions_F: torch.Tensor  # of each token in its sample
    groups: Sequence[LengthGroup] = ()  # unpadded
    token_of_P: torch.Tensor | None = None  # unpadded: the token at each padded place; anything at padding
    place_of_K: torch.Tensor | None = None  # unpadded: the padded place of each token; the row's padding has none
    masks: dict[Hashable, torch.Tensor] = field(default_factory=dict)  # made by the first layer, for all of them


def sequences_of(batch: Batch, *, device: torch.device) -> Sequences:
    """Return the layout of a batch whose rows hold several samples."""
    if batch.starts_B is None:
        raise ValueError("the batch has a row for each sample")
    starts_B, lengths_B = batch.starts_B, batch.lengths_B
    samples_F = np.full(batch.input_ids_RW.size, -1, dtype=np.int64)
    positions_F = np.zeros_like(samples_F)
    rank_K = np.arange(int(lengths_B.sum())) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
    places_K = np.repeat(starts_B, lengths_B) + rank_K
    samples_F[places_K] = np.repeat(np.arange(len(lengths_B)), lengths_B)
    positions_F[places_K] = rank_K
    grouped = _length_groups(starts_B, lengths_B, device) if batch.execution == "unpadded" else {}
    return Sequences(
        starts_B=to_device(starts_B, device),
        lengths_B=to_device(lengths_B, device),
        sample_F=to_device(samples_F, device),
        positions_F=to_device(positions_F, device),
        **grouped,
    )


def _length_groups(starts_B: IntArray, lengths_B: IntArray, device: torch.device) -> dict[str, Any]:
    longest = longest_of_groups(lengths_B)
    group_B = np.searchsorted(longest, lengths_B)
    tokens, places = [], np.empty(int(lengths_B.sum()), dtype=np.int64)
    groups = []
    first = 0
    for group, length in enumerate(longest.tolist()):
        members = np.flatnonzero(group_B == group)
        rank_L = np.arange(length)
        token_GL = starts_B[members, None] + rank_L
        real_GL = rank_L < lengths_B[members, None]
        places[token_GL[real_GL]] = first + np.flatnonzero(real_GL)
        tokens.append(np.where(real_GL, token_GL, 0).ravel())
        groups.append(
            LengthGroup(
                places=slice(first, first + token_GL.size),
                samples=len(members),
                length=length,
                lengths_G=to_device(lengths_B[members], device),
            )
        )
        first += token_GL.size
    return {
        "groups": tuple(groups),
        "token_of_P": to_device(np.concatenate(tokens), device),
        "place_of_K": to_device(places, device),
    }


def rows_of_samples(values_RWC: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return what a model says of each token with a row for each sample (B x L x C); anything at padding."""
    if batch.starts_B is None:
        return values_RWC
    rank_L = np.arange(int(batch.lengths_B.max()))
    place_BL = batch.starts_B[:, None] + np.minimum(rank_L, batch.lengths_B[:, None] - 1)
    return values_RWC.flatten(0, 1)[to_device(place_BL, values_RWC.device)]
