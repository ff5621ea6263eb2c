"""Attention by sequence in rows of several samples, by the kernel that was asked for.

Packed rows keep their form: a mask lets tokens of one sample see each other. Unpadded rows are regrouped: on CUDA
torch's variable-length kernel takes them as they are, elsewhere attention alone is padded, within a few length groups
(docs/decisions.md, "Unpadded").
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tdbs.train.rows.sequences import LengthGroup, Sequences

# Shapes: R rows of W tokens (R x W = F), B samples, P places of padded sequences, H heads, D their size, G samples of
# a length group, L its longest sample.

_PREFIX = "tdbs_"  # before the kernel's name
_IN_ROWS = ContextVar("tdbs_rows_of_several", default=False)  # a mask function is not given the model's other inputs


def register_attention(kernel: str) -> str:
    """Make transformers know a kernel that sees sequences, and return its name."""
    name = _PREFIX + kernel
    AttentionInterface.register(name, partial(_attention, kernel))
    AttentionMaskInterface.register(name, partial(_mask, kernel))
    return name


@contextmanager
def rows_of_several() -> Iterator[None]:
    """Call a model with rows of several samples: masks are ours then, one for all layers (`_mask_of`)."""
    token = _IN_ROWS.set(True)
    try:
        yield
    finally:
        _IN_ROWS.reset(token)


def _mask(kernel: str, **arguments: Any) -> Any:
    """Return the kernel's own mask for rows of one sample each, with padding or without: a window cuts either."""
    return None if _IN_ROWS.get() else ALL_MASK_ATTENTION_FUNCTIONS[kernel](**arguments)


def _attention(
    kernel: str,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    sequences: Sequences | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Call the kernel: on padded rows as it is, on rows of several samples sequence by sequence."""
    call = partial(_kernel(kernel, module), module)
    if sequences is None:
        return call(query, key, value, attention_mask, **options)
    window = options.pop("sliding_window", None)  # it is in our masks; kernels that cut by row would cut wrongly
    if sequences.token_of_P is None:
        make = partial(_block_mask, sequences, query.shape[2], window)
        return call(query, key, value, _mask_of(sequences, (window, query.dtype), make, kernel), **options)
    if _has_variable_length(query, options):
        return _variable_length(query, key, value, sequences, window, options), None
    qkv_PHD = [_to_places(states, sequences) for states in (query, key, value)]
    found = []
    for number, group in enumerate(sequences.groups):
        parts = [
            states_PHD[group.places].view(group.samples, group.length, *states_PHD.shape[1:]).transpose(1, 2)
            for states_PHD in qkv_PHD
        ]
        mask = _mask_of(sequences, (window, query.dtype, number), partial(_group_mask, group, window), kernel)
        found.append(call(*parts, mask, **options)[0].flatten(0, 1))
    out_FHD: torch.Tensor = _FromPlaces.apply(  # type: ignore[no-untyped-call]
        torch.cat(found), sequences.place_of_K, query.shape[2]
    )
    return out_FHD.unsqueeze(0), None


def _kernel(name: str, module: torch.nn.Module) -> Callable[..., tuple[torch.Tensor, torch.Tensor | None]]:
    """Return a kernel of transformers; the eager one is the model's own."""
    if name == "eager":
        found: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
        return found
    return ALL_ATTENTION_FUNCTIONS[name]


def _block_mask(sequences: Sequences, width: int, window: int | None) -> torch.Tensor:
    """Return which tokens of a row see each other: those of one sample (R x 1 x W x W)."""
    sample_RW = sequences.sample_F.view(-1, width)
    sees = sample_RW[:, :, None] == sample_RW[:, None, :]
    if window is not None:
        position_RW = sequences.positions_F.view(-1, width)
        sees &= (position_RW[:, :, None] - position_RW[:, None, :]).abs() < window
    return sees[:, None]


def _group_mask(group: LengthGroup, window: int | None) -> torch.Tensor:
    """Return which tokens of a padded group are seen (G x 1 x 1 x L, or G x 1 x L x L where a window cuts)."""
    rank_L = torch.arange(group.length, device=group.lengths_G.device)
    sees = (rank_L < group.lengths_G[:, None])[:, None, None]
    if window is None or group.length <= window:
        return sees
    # a padded query that sees nothing would be no number: it sees itself
    near = (rank_L[:, None] - rank_L).abs() < window
    return (sees & near) | torch.eye(group.length, dtype=torch.bool, device=rank_L.device)


def _mask_of(sequences: Sequences, key: tuple[Any, ...], make: Callable[[], torch.Tensor], kernel: str) -> torch.Tensor:
    """Return a mask as eager attention adds it, or as scaled_dot_product_attention reads it; one for all layers.

    `key` identifies a mask, and begins with the window and the type of numbers.
    """
    if key not in sequences.masks:
        sees = make()
        if kernel == "eager":
            dtype = key[1]
            added = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
            sees = added.masked_fill_(~sees, torch.finfo(dtype).min)
        sequences.masks[key] = sees
    return sequences.masks[key]


def _flat(states_1HFD: torch.Tensor) -> torch.Tensor:
    return states_1HFD.transpose(1, 2).flatten(0, 1)


def _to_places(states_1HFD: torch.Tensor, sequences: Sequences) -> torch.Tensor:
    """Return the tokens as padded sequences, group by group (P x H x D)."""
    placed: torch.Tensor = _ToPlaces.apply(  # type: ignore[no-untyped-call]  # as torch has it
        _flat(states_1HFD), sequences.token_of_P, sequences.place_of_K
    )
    return placed


class _ToPlaces(torch.autograd.Function):
    """Gather tokens into padded places; their gradients are gathered back, since each token has one place.

    At padding stands a copy of some token. It is hidden from all queries, and its own output is never read, so it has
    no gradient. Autograd's own way back would add up places one by one.
    """

    @staticmethod
    def forward(
        context: Any, states_F: torch.Tensor, token_of_P: torch.Tensor, place_of_K: torch.Tensor
    ) -> torch.Tensor:
        context.save_for_backward(place_of_K)
        context.width = len(states_F)
        return states_F.index_select(0, token_of_P)

    @staticmethod
    def backward(context: Any, gradient_P: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (place_of_K,) = context.saved_tensors
        return _row_of(gradient_P, place_of_K, context.width), None, None


class _FromPlaces(torch.autograd.Function):
    """Gather the tokens' results from their padded places; what is at padding has no gradient."""

    @staticmethod
    def forward(context: Any, states_P: torch.Tensor, place_of_K: torch.Tensor, width: int) -> torch.Tensor:
        context.save_for_backward(place_of_K)
        context.places = len(states_P)
        return _row_of(states_P, place_of_K, width)

    @staticmethod
    def backward(context: Any, gradient_F: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (place_of_K,) = context.saved_tensors
        gradient_P = gradient_F.new_zeros(context.places, *gradient_F.shape[1:])
        return gradient_P.index_copy_(0, place_of_K, gradient_F[: len(place_of_K)]), None, None


def _row_of(values_P: torch.Tensor, place_of_K: torch.Tensor, width: int) -> torch.Tensor:
    """Return the row of the tokens at some places, zeros at its padding (F)."""
    row_F = values_P.new_empty(width, *values_P.shape[1:])
    torch.index_select(values_P, 0, place_of_K, out=row_F[: len(place_of_K)])
    row_F[len(place_of_K) :] = 0
    return row_F


def _has_variable_length(query: torch.Tensor, options: dict[str, Any]) -> bool:
    """Return whether torch's variable-length attention can be used: on CUDA, in half precision, without dropout."""
    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16) or options.get("dropout"):
        return False
    return find_spec("torch.nn.attention.varlen") is not None  # torch 2.10 and later


def _variable_length(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    sequences: Sequences,
    window: int | None,
    options: dict[str, Any],
) -> torch.Tensor:
    """Return attention by torch's variable-length kernel (1 x F x H x D)."""
    varlen: Any = import_module("torch.nn.attention.varlen")
    ends_B = sequences.lengths_B.cumsum(0)
    if sequences.place_of_K is not None and len(sequences.place_of_K) < len(sequences.sample_F):
        # the row's padding is a sequence of its own: every result is there
        ends_B = torch.cat([ends_B, ends_B.new_tensor([len(sequences.sample_F)])])
    bounds = torch.nn.functional.pad(ends_B, (1, 0)).int()
    longest = sequences.groups[-1].length
    reach = {} if window is None else {"window_size": (window - 1, window - 1)}
    qkv_FHD = (_flat(states) for states in (query, key, value))
    found: torch.Tensor = varlen.varlen_attn(
        *qkv_FHD, bounds, bounds, longest, longest, scale=options.get("scaling"), **reach
    )
    return found.unsqueeze(0)
