"""Attention of models that call it themselves: it runs length group by length group, on rows of several samples.

The modules that mix tokens are called with a few padded batches instead of the row, each with a mask of its own; what
the encoder computes from the length of a row (relative positions and the like) is computed for each group's length.
All other layers see the flat row (docs/decisions.md, "Families").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from tdbs.model_families import OwnAttention
from tdbs.train.rows.attention import from_places, group_mask, to_places
from tdbs.train.rows.sequences import Sequences

# Shapes: R rows of W tokens (R x W = F), P places of padded sequences, E entries of a hidden state, G samples of a
# length group, L its longest sample.

_HOLDER = "tdbs_rows"  # attribute of a model's body


@dataclass(slots=True)
class _CurrentRows:
    """The rows of the model's last call; they stay, because layers that are computed again in the backward pass ask."""

    sequences: Sequences | None = None


@dataclass(frozen=True, slots=True)
class _ByGroup:
    """What an encoder computes from a length, for each length group."""

    values: Sequence[Any]

    def __getitem__(self, key: Any) -> "_ByGroup":
        return _ByGroup([value[key] for value in self.values])


def call_in_groups(model: PreTrainedModel, own: OwnAttention) -> None:
    """Make the attention modules of a model see one sample at a time; batches with a row for each work as before."""
    body = model.base_model
    if hasattr(body, _HOLDER):
        return
    current = _CurrentRows()
    setattr(body, _HOLDER, current)
    for module in body.modules():
        if type(module).__name__ == own.module:
            module.forward = partial(_in_groups, module.forward, current, own)
    encoder = body.encoder
    for name in own.by_length:
        _replace(encoder, name, lambda original: partial(_for_each_length, original, current))
    for name in own.row_masks:
        _replace(encoder, name, lambda original: partial(_as_it_is, original, current))


def tell_rows(model: Any, sequences: Sequences | None) -> None:
    """Tell a model whose attention is its own which rows its next call has; None: a row holds one sample."""
    current = getattr(model.base_model, _HOLDER, None)
    if current is not None:
        current.sequences = sequences


def _replace(encoder: torch.nn.Module, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method of a module, or the forward of a module in it."""
    found = getattr(encoder, name)
    if isinstance(found, torch.nn.Module):
        found.forward = make(found.forward)
    else:
        setattr(encoder, name, make(found))


def _for_each_length(original: Callable[..., Any], current: _CurrentRows, states: Any, *more: Any) -> Any:
    """Call a method that is given a row's states, or their shape, with those of one padded sample of each group."""
    if current.sequences is None:
        return original(states, *more)
    lengths = [group.length for group in current.sequences.groups]
    if isinstance(states, torch.Tensor):
        return _ByGroup([original(states.new_empty(1, length, states.shape[-1]), *more) for length in lengths])
    return _ByGroup([original((1, length), *more) for length in lengths])


def _as_it_is(original: Callable[..., Any], current: _CurrentRows, mask: torch.Tensor) -> torch.Tensor:
    """Return a row's mask without making one of all its pairs: groups have their own."""
    found: torch.Tensor = original(mask) if current.sequences is None else mask
    return found


def _in_groups(
    forward: Callable[..., Any],
    current: _CurrentRows,
    own: OwnAttention,
    states_RWE: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *more: Any,
    **named: Any,
) -> Any:
    sequences = current.sequences
    if sequences is None:
        return forward(states_RWE, attention_mask, *more, **named)
    rows, width = states_RWE.shape[:2]
    states_PE = to_places(states_RWE.flatten(0, 1), sequences)
    found = []
    for number, group in enumerate(sequences.groups):
        states_GLE = states_PE[group.places].view(group.samples, group.length, -1)
        out_GLE = forward(
            states_GLE,
            _mask(own, sequences, number, states_RWE.dtype),
            *(_of_group(value, number) for value in more),
            **{name: _of_group(value, number) for name, value in named.items()},
        )[0]
        found.append(out_GLE.flatten(0, 1))
    return from_places(torch.cat(found), sequences, rows * width).view(rows, width, -1), None


def _of_group(value: Any, number: int) -> Any:
    return value.values[number] if isinstance(value, _ByGroup) else value


def _mask(own: OwnAttention, sequences: Sequences, number: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the mask of a length group in the form that a family reads; one for all layers."""
    key = (own.mask, dtype, number)
    if key not in sequences.masks:
        seen_G11L = group_mask(sequences.groups[number])
        if own.mask == "seen":  # by all queries: what is at padding is never read
            mask = seen_G11L
        else:
            mask = torch.zeros(seen_G11L.shape, dtype=dtype, device=seen_G11L.device)
            mask = mask.masked_fill_(~seen_G11L, torch.finfo(dtype).min)
        sequences.masks[key] = mask
    return sequences.masks[key]
