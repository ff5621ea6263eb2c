"""Samples in rows of several: tensors that give attention, positions and heads the sample of each token."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tdbs.arrays import IntArray
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.rows.layout import GroupLayout, RowLayout, row_layout

# Shapes: R rows of W tokens (R x W = F), B samples, K their tokens, P places of padded sequences, C outputs, G samples
# of a length group, L its longest sample.


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthGroup:
    """Samples of similar length, padded for attention alone; `places` are of the group's padded tokens among P."""

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
    positions_F: torch.Tensor  # position of each token in its sample
    groups: Sequence[LengthGroup]
    token_of_P: torch.Tensor  # the token at each padded place of the groups; anything at padding
    place_of_K: torch.Tensor  # the padded place of each token; the rows' padding has none
    token_of_K: torch.Tensor | None = None  # packed: where each token stands among F; unpadded: first of all
    # made by the first layer, for all of them
    masks: dict[Hashable, torch.Tensor] = field(default_factory=dict)

    @property
    def is_packed(self) -> bool:
        """Whether several rows hold the samples, with padding in each."""
        return self.token_of_K is not None


def laid_out(batch: Batch) -> Batch:
    """Return a batch with the layout of its rows, if they hold several samples: to be called ahead of the step."""
    if batch.starts_B is None or batch.layout is not None:
        return batch
    return replace(batch, layout=_layout_of(batch.starts_B, batch))


def sequences_of(batch: Batch, *, device: torch.device) -> Sequences:
    """Return the layout of a batch whose rows hold several samples, on the device."""
    if batch.starts_B is None:
        raise ValueError("the batch has a row for each sample")
    layout = batch.layout or _layout_of(batch.starts_B, batch)
    is_packed = batch.execution == "packed"
    return Sequences(
        starts_B=to_device(batch.starts_B, device),
        lengths_B=to_device(batch.lengths_B, device),
        sample_F=to_device(layout.sample_F, device),
        positions_F=to_device(layout.positions_F, device),
        groups=tuple(_group_on_device(group, device) for group in layout.groups),
        token_of_P=to_device(layout.token_of_P, device),
        place_of_K=to_device(layout.place_of_K, device),
        token_of_K=to_device(layout.token_of_K, device) if is_packed else None,
    )


def rows_of_samples(values_RWC: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return what a model says of each token with a row for each sample (B x L x C); anything at padding."""
    if batch.starts_B is None:
        return values_RWC
    rank_L = np.arange(int(batch.lengths_B.max()))
    place_BL = batch.starts_B[:, None] + np.minimum(rank_L, batch.lengths_B[:, None] - 1)
    return values_RWC.flatten(0, 1)[to_device(place_BL, values_RWC.device)]


def _group_on_device(group: GroupLayout, device: torch.device) -> LengthGroup:
    return LengthGroup(
        places=group.places,
        samples=len(group.lengths_G),
        length=group.length,
        lengths_G=to_device(group.lengths_G, device),
    )


def _layout_of(starts_B: IntArray, batch: Batch) -> RowLayout:
    return row_layout(starts_B, batch.lengths_B, size=batch.input_ids_RW.size)
