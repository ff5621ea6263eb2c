"""Attention of models that call it themselves: it runs length group by length group, on rows of several samples.

The modules that mix tokens are called with a few padded batches instead of the row, each with a mask of its own; what
the encoder computes from the length of a row (relative positions and the like) is computed for each group's length.
All other layers see the flat row (docs/decisions.md, "Families").

The rows travel as the encoder's attention mask, so layers that are computed again in the backward pass have them too.
XLM needs its mask for more; none of its layers is computed again, and they look for the rows where the call keeps them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import Cache, PreTrainedModel

from tdbs.model_families import OwnAttention
from tdbs.train.rows.attention import EVERYWHERE, from_places, group_mask, mask_of, to_places
from tdbs.train.rows.sequences import ByGroup, Sequences

# Shapes: R rows of W tokens (R x W = F), P places of padded sequences, E entries of a hidden state, G samples of a
# length group, L its longest sample.

_HOLDER = "tdbs_rows"  # attribute of a model's body


@dataclass(slots=True)
class _CurrentRows:
    """The rows of the call that runs."""

    sequences: Sequences | None = None


@dataclass(frozen=True, slots=True)
class _RowsAsMask:
    """What stands in the place of an attention mask."""

    sequences: Sequences


def call_in_groups(model: PreTrainedModel, own: OwnAttention) -> None:
    """Make the attention modules of a model see one sample at a time; batches with a row for each work as before."""
    body = model.base_model
    if hasattr(body, _HOLDER):
        return
    current = _CurrentRows()
    setattr(body, _HOLDER, current)
    for module in body.modules():
        if type(module).__name__ == own.module:
            module.forward = partial(_in_groups, current, module.forward, own)
            if own.relative_scores is not None and module.relative_attention:
                _replace(module, own.relative_scores, partial(_of_near_positions, module))
    if own.masks_states:
        return
    encoder = body.encoder
    for name in own.by_length:
        _replace(encoder, name, partial(_for_each_length, current))
    if own.mask_maker is None:
        encoder.forward = partial(_with_rows, current, encoder.forward)
    else:
        _replace(encoder, own.mask_maker, partial(_rows_or_mask, current))


@contextmanager
def rows_for_own_attention(model: Any, sequences: Sequences) -> Iterator[None]:
    """Call a model whose attention is its own with rows of several samples; nothing is done for another model."""
    current = getattr(model.base_model, _HOLDER, None)
    if current is None:
        yield
        return
    current.sequences = sequences
    try:
        yield
    finally:
        current.sequences = None


def _replace(owner: torch.nn.Module, name: str, replacement: Callable[..., Any]) -> None:
    """Replace a method of a module, or the forward of a module in it, by a function of the original and its inputs."""
    found = getattr(owner, name)
    if isinstance(found, torch.nn.Module):
        found.forward = partial(replacement, found.forward)
    else:
        setattr(owner, name, partial(replacement, found))


def _for_each_length(current: _CurrentRows, original: Callable[..., Any], states: Any, *more: Any) -> Any:
    """Call a method that is given a row's states, or their shape, with those of one padded sample of each group."""
    if current.sequences is None:
        return original(states, *more)
    lengths = [group.length for group in current.sequences.grouped.groups]
    if isinstance(states, torch.Tensor):
        return ByGroup([original(states.new_empty(1, length, states.shape[-1]), *more) for length in lengths])
    return ByGroup([original((1, length), *more) for length in lengths])


def _rows_or_mask(current: _CurrentRows, original: Callable[..., Any], mask: torch.Tensor) -> Any:
    """Return the rows instead of a mask of all pairs of their tokens."""
    return original(mask) if current.sequences is None else _RowsAsMask(current.sequences)


def _with_rows(current: _CurrentRows, forward: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call an encoder, with its rows instead of a mask."""
    if current.sequences is not None:
        named["attention_mask"] = _RowsAsMask(current.sequences)
    return forward(*args, **named)


def _in_groups(
    current: _CurrentRows,
    forward: Callable[..., Any],
    own: OwnAttention,
    states_RWE: torch.Tensor,
    attention_mask: torch.Tensor | _RowsAsMask | None = None,
    *more: Any,
    **named: Any,
) -> Any:
    """Call an attention module length group by length group, if it is given rows of several samples."""
    sequences = attention_mask.sequences if isinstance(attention_mask, _RowsAsMask) else None
    if own.masks_states:
        sequences = current.sequences
    if sequences is None:
        return forward(states_RWE, attention_mask, *more, **named)
    is_added = own.mask == "added"
    rows, width = states_RWE.shape[:2]
    states_PE = to_places(states_RWE.flatten(0, 1), sequences.grouped)
    found = []
    for number, group in enumerate(sequences.grouped.groups):
        states_GLE = states_PE[group.places].view(group.rows, group.length, -1)
        out_GLE = forward(
            states_GLE,
            # read by all queries alike: what is at padding is never looked at
            mask_of(sequences, (EVERYWHERE, states_RWE.dtype, number), partial(group_mask, group), is_added=is_added),
            *(_of_group(value, number) for value in more),
            **{name: _of_group(value, number) for name, value in named.items()},
        )[0]
        found.append(out_GLE.flatten(0, 1))
    return from_places(torch.cat(found), sequences.grouped, rows * width).view(rows, width, -1), None


def _of_near_positions(
    module: Any,
    original: Callable[..., torch.Tensor],
    query: torch.Tensor,
    key: torch.Tensor,
    relative_pos: torch.Tensor | None,
    embeddings_PE: torch.Tensor,
    *more: Any,
) -> torch.Tensor:
    """Score the relative positions that a sample's tokens can have (P: those before and behind), instead of all.

    DeBERTa-v2 multiplies each token with all 512 of its positions, and then reads some: of 16 tokens, 31.
    """
    length, positions = query.shape[1], module.pos_ebd_size
    exact = positions if module.position_buckets <= 0 else module.position_buckets // 2  # farther ones share buckets
    if length > exact:
        return original(query, key, relative_pos, embeddings_PE, *more)
    module.pos_ebd_size = length
    try:
        return original(query, key, relative_pos, embeddings_PE[positions - length : positions + length], *more)
    finally:
        module.pos_ebd_size = positions


def _of_group(value: Any, number: int) -> Any:
    """Return an input for one group; no cache, which would add the keys of one group to those of the next."""
    if isinstance(value, Cache):
        return None
    return value.values[number] if isinstance(value, ByGroup) else value
