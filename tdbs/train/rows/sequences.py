"""Samples in rows of several: tensors that give attention, positions and heads the sample of each token."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from tdbs.arrays import IntArray
from tdbs.pipeline.schema import IGNORED
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.planning.epoch_plan import row_width
from tdbs.train.rows.layout import RowLayout, row_layout
from tdbs.train.rows.length_groups import GroupedLayout, grouped_layout, longest_of_groups

# Shapes: R rows of W tokens (R x W = F), B samples, K their tokens, P places of padded rows, C outputs, G padded rows
# of one width L, E entries of a hidden state.

_GROUPED = "length groups"  # in what the first layer makes


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthGroup:
    """Padded rows of one width for attention alone, with a sample each, or tiles of several; `places` are among P."""

    places: slice
    rows: int
    length: int
    lengths_G: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """The tokens of some rows as padded rows of a few widths."""

    groups: Sequence[LengthGroup]
    token_of_P: torch.Tensor  # the token at each padded place; anything at padding
    place_of_K: torch.Tensor  # the padded place of each token; the rows' padding has none
    token_of_K: torch.Tensor | None  # packed: where each token stands among F; None: first of all, one after another


@dataclass(frozen=True, slots=True)
class ByGroup:
    """Something for each length group; parts of it are taken as of one."""

    values: Sequence[Any]

    def __getitem__(self, key: Any) -> "ByGroup":
        return ByGroup([value[key] for value in self.values])


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequences:
    """Where the samples of a batch stand in its rows, and how attention is to see them."""

    starts_B: torch.Tensor  # places among F
    lengths_B: torch.Tensor
    sample_F: torch.Tensor  # the sample of each token, -1 at padding
    positions_F: torch.Tensor  # position of each token in its sample
    tiled: Grouped | None  # the tiles of attention; packed rows are their own
    spans: tuple[IntArray, IntArray]  # starts and lengths as arrays of the host
    made: dict[Hashable, Any] = field(default_factory=dict)  # by the first layer, for all of them: masks, length groups

    @property
    def is_packed(self) -> bool:
        """Whether several rows hold the samples, with padding in each."""
        return self.tiled is None

    @property
    def grouped(self) -> Grouped:
        """The samples in length groups, for attention that sees a padded sample in each row."""
        if _GROUPED not in self.made:
            starts_B, lengths_B = self.spans
            layout = grouped_layout(starts_B, lengths_B, longest_of_groups(lengths_B), by_B=lengths_B)
            self.made[_GROUPED] = _grouped_on_device(layout, self.sample_F.device, is_packed=self.is_packed)
        found: Grouped = self.made[_GROUPED]
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SequencePair:
    """Where sources and targets of a batch stand in their two rows (encoder-decoders)."""

    source: Sequences
    target: Sequences
    crossing: Grouped  # the targets' tokens, in the groups of their sources


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
    return _on_device(layout, batch.starts_B, batch.lengths_B, device)


def sequences_at(starts_B: IntArray, lengths_B: IntArray, *, size: int, device: torch.device) -> Sequences:
    """Return the layout of samples in one unpadded row of `size` tokens, on the device."""
    return _on_device(row_layout(starts_B, lengths_B, size=size, is_packed=False), starts_B, lengths_B, device)


def pair_of(batch: Batch, *, device: torch.device) -> SequencePair:
    """Return the layout of sources and targets, each in one row."""
    source = sequences_of(batch, device=device)
    lengths_B = target_lengths(batch)
    starts_B = np.cumsum(lengths_B) - lengths_B
    target = sequences_at(starts_B, lengths_B, size=int(row_width(lengths_B.sum())), device=device)
    crossing = grouped_layout(starts_B, lengths_B, longest_of_groups(batch.lengths_B), by_B=batch.lengths_B)
    return SequencePair(
        source=source,
        target=target,
        crossing=_grouped_on_device(crossing, device, is_packed=False),
    )


def target_lengths(batch: Batch) -> IntArray:
    """Return the tokens of each target, one at least."""
    lengths_B: IntArray = np.maximum((np.asarray(batch.labels) != IGNORED).sum(axis=1), 1)
    return lengths_B


def rows_of_samples(values_RWC: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return what a model says of each token with a row for each sample (B x L x C); anything at padding."""
    if batch.starts_B is None:
        return values_RWC
    rank_L = np.arange(int(batch.lengths_B.max()))
    place_BL = batch.starts_B[:, None] + np.minimum(rank_L, batch.lengths_B[:, None] - 1)
    return values_RWC.flatten(0, 1)[to_device(place_BL, values_RWC.device)]


def means_of_samples(hidden_RWE: torch.Tensor, sequences: Sequences) -> torch.Tensor:
    """Return the mean of each sample's tokens (B x E)."""
    hidden_FE = hidden_RWE.flatten(0, 1)
    real_F = sequences.sample_F >= 0
    sums_BE = hidden_FE.new_zeros(len(sequences.lengths_B), hidden_FE.shape[1])
    sums_BE = sums_BE.index_add(0, sequences.sample_F[real_F], hidden_FE[real_F])
    return sums_BE / sequences.lengths_B[:, None]


def _on_device(layout: RowLayout, starts_B: IntArray, lengths_B: IntArray, device: torch.device) -> Sequences:
    return Sequences(
        starts_B=to_device(starts_B, device),
        lengths_B=to_device(lengths_B, device),
        sample_F=to_device(layout.sample_F, device),
        positions_F=to_device(layout.positions_F, device),
        tiled=None if layout.tiled is None else _grouped_on_device(layout.tiled, device, is_packed=False),
        spans=(starts_B, lengths_B),
    )


def _grouped_on_device(grouped: GroupedLayout, device: torch.device, *, is_packed: bool) -> Grouped:
    return Grouped(
        groups=tuple(
            LengthGroup(
                places=group.places,
                rows=len(group.lengths_G),
                length=group.length,
                lengths_G=to_device(group.lengths_G, device),
            )
            for group in grouped.groups
        ),
        token_of_P=to_device(grouped.token_of_P, device),
        place_of_K=to_device(grouped.place_of_K, device),
        token_of_K=to_device(grouped.token_of_K, device) if is_packed else None,
    )


def _layout_of(starts_B: IntArray, batch: Batch) -> RowLayout:
    return row_layout(starts_B, batch.lengths_B, size=batch.input_ids_RW.size, is_packed=batch.execution == "packed")
