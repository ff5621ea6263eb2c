"""Attention by sequence in rows of several samples, by the kernel that was asked for.

Packed rows keep their form: a mask lets tokens of one sample see each other. Unpadded rows are regrouped: on CUDA a
variable-length kernel takes them as they are. Elsewhere attention alone is padded: samples share tiles (tiles.py), or
have a row each in a few length groups (length_groups.py). A layer says itself whether it looks back only, and how far
it sees.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tdbs.train.rows.sequences import Grouped, LengthGroup, SequencePair, Sequences
from tdbs.train.rows.variable_length import takes_rows, variable_length

# Shapes: R rows of W tokens (R x W = F), B samples, K their tokens, P places of padded rows, H heads, D their size, G
# padded rows of one width L.

_PREFIX = "tdbs_"  # before the kernel's name
_IN_ROWS = ContextVar("tdbs_rows_of_several", default=False)  # a mask function is not given the model's other inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Which tokens of its sample a token sees in a layer."""

    window: int | None = None  # it sees tokens nearer than this; None: all
    looks_back: bool = False  # a decoder's: none behind itself

    def sees(self, distance: torch.Tensor) -> torch.Tensor:
        """Return whether keys are seen that stand this far before their queries."""
        nearest = 0 if self.looks_back else -sys.maxsize if self.window is None else 1 - self.window
        farthest = sys.maxsize if self.window is None else self.window
        return (distance >= nearest) & (distance < farthest)

    def is_everywhere(self, length: int) -> bool:
        """Return whether all tokens of a sample of this length see all others."""
        return not self.looks_back and (self.window is None or length <= self.window)

    @property
    def bounds(self) -> tuple[int, int]:
        """How many tokens are seen to the left and to the right; -1: all."""
        left = -1 if self.window is None else self.window - 1
        return left, 0 if self.looks_back else left


EVERYWHERE = Reach()


def register_attention(kernel: str) -> str:
    """Make transformers know a kernel that sees sequences, and return its name."""
    kernel = kernel.removeprefix(_PREFIX)  # a model may know of sequences already
    name = _PREFIX + kernel
    AttentionInterface.register(name, partial(_attention, kernel))
    AttentionMaskInterface.register(name, partial(_mask, kernel))
    return name


@contextmanager
def rows_of_several() -> Iterator[None]:
    """Call a model with rows of several samples: masks are ours then, one for all layers (`mask_of`)."""
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
    attention_mask: torch.Tensor | Sequences | None,
    *,
    sequences: Sequences | SequencePair | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Call the kernel: on padded rows as it is, on rows of several samples sequence by sequence."""
    call = partial(_kernel(kernel, module), module)
    if isinstance(attention_mask, Sequences):
        sequences = attention_mask
    if sequences is None:
        return call(query, key, value, attention_mask, **options)
    # the reach is in our masks; kernels that cut by row would cut wrongly
    reach = _reach(module, options.pop("sliding_window", None))
    bias = options.pop("position_bias", None)  # of each group, if there is one at all
    own, crossing = _whose(module, sequences)
    is_added = kernel == "eager"
    if own.tiled is None:  # packed
        make = partial(_block_mask, own, query.shape[2], reach)
        return call(query, key, value, mask_of(own, (reach, query.dtype), make, is_added=is_added), **options)
    in_tiles = crossing is None and bias is None  # else each sample has a padded row
    if in_tiles and takes_rows(query, options):
        return variable_length(query, key, value, own, reach.bounds, options), None
    keys = own.tiled if in_tiles else own.grouped
    queries = crossing or keys

    def mask_of_group(number: int) -> torch.Tensor:
        seen = keys.groups[number]
        make = partial(_tile_mask, own, keys, seen, reach) if in_tiles else partial(group_mask, seen, reach)
        return mask_of(own, (reach, query.dtype, in_tiles, queries is keys, number), make, is_added=is_added)

    bias_of_group = bias.values if bias is not None else ()
    return _in_padded_rows(call, (query, key, value), (queries, keys), mask_of_group, bias_of_group, options), None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # new shapes in each update: each kind would be compiled
def _in_padded_rows(
    call: Callable[..., tuple[torch.Tensor, torch.Tensor | None]],
    qkv_1HFD: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    sides: tuple[Grouped, Grouped],
    mask_of_group: Callable[[int], torch.Tensor],
    bias_of_group: Sequence[torch.Tensor],
    options: dict[str, Any],
) -> torch.Tensor:
    """Return what the kernel makes of padded rows, width by width, in the places of the row (1 x F x H x D)."""
    query, key, value = qkv_1HFD
    queries, keys = sides
    parts_PHD = to_places(_flat(query), queries), to_places(_flat(key), keys), to_places(_flat(value), keys)
    found = []
    for number, (asking, seen) in enumerate(zip(queries.groups, keys.groups, strict=True)):
        qkv_GHLD = (
            _of_group(states_PHD, group) for states_PHD, group in zip(parts_PHD, (asking, seen, seen), strict=True)
        )
        if bias_of_group:
            options["position_bias"] = bias_of_group[number]
        found.append(call(*qkv_GHLD, mask_of_group(number), **options)[0].flatten(0, 1))
    return from_places(torch.cat(found), queries, query.shape[2]).unsqueeze(0)


def _reach(module: torch.nn.Module, window: int | None) -> Reach:
    """Return which tokens a layer's tokens see. A configuration may open a decoder's layers to all (`is_causal`)."""
    if not getattr(module, "is_causal", False):
        return Reach(window=window)
    if getattr(getattr(module, "config", None), "is_causal", None) is not False:
        return Reach(window=window, looks_back=True)
    return Reach(window=None if window is None else window + 1)  # transformers counts the window's end then


def _whose(module: torch.nn.Module, sequences: Sequences | SequencePair) -> tuple[Sequences, Grouped | None]:
    """Return the rows whose keys a layer reads, and its queries if they are tokens of other rows."""
    if isinstance(sequences, Sequences):
        return sequences, None
    if module.is_decoder and not module.is_causal:
        return sequences.source, sequences.crossing
    return sequences.target if module.is_decoder else sequences.source, None


def _of_group(states_PHD: torch.Tensor, group: LengthGroup) -> torch.Tensor:
    """Return padded rows of one width (G x H x L x D)."""
    return states_PHD[group.places].view(group.rows, group.length, *states_PHD.shape[1:]).transpose(1, 2)


def _kernel(name: str, module: torch.nn.Module) -> Callable[..., tuple[torch.Tensor, torch.Tensor | None]]:
    """Return a kernel of transformers; the eager one is the model's own."""
    if name == "eager":
        found: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
        return found
    return ALL_ATTENTION_FUNCTIONS[name]


def _block_mask(sequences: Sequences, width: int, reach: Reach) -> torch.Tensor:
    """Return which tokens of a row see each other: those of one sample (R x 1 x W x W)."""
    sample_RW = sequences.sample_F.view(-1, width)
    position_RW = sequences.positions_F.view(-1, width)
    sees = sample_RW[:, :, None] == sample_RW[:, None, :]
    return (sees & reach.sees(position_RW[:, :, None] - position_RW[:, None, :]))[:, None]


def _tile_mask(sequences: Sequences, tiled: Grouped, group: LengthGroup, reach: Reach) -> torch.Tensor:
    """Return which tokens of a width's tiles see each other: those of one sample (G x 1 x L x L)."""
    sample_P, position_P = (_at_places(values_F, tiled) for values_F in (sequences.sample_F, sequences.positions_F))
    sample_GL = sample_P[group.places].view(group.rows, group.length)
    position_GL = position_P[group.places].view(group.rows, group.length)
    sees = sample_GL[:, :, None] == sample_GL[:, None, :]  # a padded query sees padding, or it would be no number
    return (sees & reach.sees(position_GL[:, :, None] - position_GL[:, None, :]))[:, None]


def _at_places(values_F: torch.Tensor, tiled: Grouped) -> torch.Tensor:
    """Return a number of each token at its place in the tiles, -1 at padding (P)."""
    values_P = values_F.new_full((len(tiled.token_of_P),), -1)
    return values_P.index_copy_(0, tiled.place_of_K, values_F[: len(tiled.place_of_K)])


def group_mask(group: LengthGroup, reach: Reach = EVERYWHERE) -> torch.Tensor:
    """Return which tokens of a padded group are seen (G x 1 x 1 x L; G x 1 x L x L if that depends on the query)."""
    rank_L = torch.arange(group.length, device=group.lengths_G.device)
    sees = (rank_L < group.lengths_G[:, None])[:, None, None]
    if reach.is_everywhere(group.length):
        return sees
    # a padded query that sees nothing would be no number: it sees itself
    return (sees & reach.sees(rank_L[:, None] - rank_L)) | torch.eye(
        group.length, dtype=torch.bool, device=rank_L.device
    )


def mask_of(
    sequences: Sequences, key: tuple[Any, ...], make: Callable[[], torch.Tensor], *, is_added: bool
) -> torch.Tensor:
    """Return a mask as eager attention adds it, or as scaled_dot_product_attention reads it; one for all layers.

    `key` identifies a mask, and begins with the reach and the type of numbers.
    """
    if key not in sequences.made:
        sees = make()
        if is_added:
            dtype = key[1]
            added = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
            sees = added.masked_fill_(~sees, torch.finfo(dtype).min)
        sequences.made[key] = sees
    return sequences.made[key]


def _flat(states_1HFD: torch.Tensor) -> torch.Tensor:
    return states_1HFD.transpose(1, 2).flatten(0, 1)


def to_places(states_F: torch.Tensor, grouped: Grouped) -> torch.Tensor:
    """Return the tokens of all rows as padded sequences, group by group (P x whatever a token has)."""
    placed: torch.Tensor = _ToPlaces.apply(  # type: ignore[no-untyped-call]  # as torch has it
        states_F, grouped
    )
    return placed


def from_places(states_P: torch.Tensor, grouped: Grouped, width: int) -> torch.Tensor:
    """Return the tokens of padded sequences in the `width` places of all rows; zeros where rows have padding."""
    row: torch.Tensor = _FromPlaces.apply(  # type: ignore[no-untyped-call]  # as torch has it
        states_P, grouped, width
    )
    return row


class _ToPlaces(torch.autograd.Function):
    """Gather tokens into padded places; their gradients are gathered back, since each token has one place.

    At padding stands a copy of some token. It is hidden from all queries, and its own output is never read, so it has
    no gradient. Autograd's own way back would add up places one by one.
    """

    @staticmethod
    def forward(context: Any, states_F: torch.Tensor, grouped: Grouped) -> torch.Tensor:
        context.grouped, context.width = grouped, len(states_F)
        return states_F.index_select(0, grouped.token_of_P)

    @staticmethod
    def backward(context: Any, gradient_P: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _row_of(gradient_P, context.grouped, context.width), None


class _FromPlaces(torch.autograd.Function):
    """Gather the tokens' results from their padded places; what is at padding has no gradient."""

    @staticmethod
    def forward(context: Any, states_P: torch.Tensor, grouped: Grouped, width: int) -> torch.Tensor:
        context.grouped, context.places = grouped, len(states_P)
        return _row_of(states_P, grouped, width)

    @staticmethod
    def backward(context: Any, gradient_F: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        place_of_K, token_of_K = context.grouped.place_of_K, context.grouped.token_of_K
        gradient_K = gradient_F[: len(place_of_K)] if token_of_K is None else gradient_F.index_select(0, token_of_K)
        gradient_P = gradient_F.new_zeros(context.places, *gradient_F.shape[1:])
        return gradient_P.index_copy_(0, place_of_K, gradient_K), None, None


def _row_of(values_P: torch.Tensor, grouped: Grouped, width: int) -> torch.Tensor:
    """Return the tokens at some places in the flattened rows, zeros at their padding (F)."""
    place_of_K, token_of_K = grouped.place_of_K, grouped.token_of_K
    if token_of_K is not None:
        row_F = values_P.new_zeros(width, *values_P.shape[1:])
        return row_F.index_copy_(0, token_of_K, values_P.index_select(0, place_of_K))
    row_F = values_P.new_empty(width, *values_P.shape[1:])
    torch.index_select(values_P, 0, place_of_K, out=row_F[: len(place_of_K)])
    row_F[len(place_of_K) :] = 0
    return row_F
