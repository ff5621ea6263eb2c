"""Encoder-decoders on two rows: all sources in one, all targets in the other, and no padding in either.

Attention over sources, over targets and from targets to sources goes through transformers' interface, sample by sample
(attention.py). T5 adds a bias by relative position, which is made for each length group instead of the whole row; BART
adds embeddings of positions, which restart with each sample.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from tdbs.model_families import TargetsInRows
from tdbs.train.rows.sequences import ByGroup, SequencePair

# Shapes: B samples, M the longest target, T tokens of the targets' row.

_NO_BIAS = ByGroup(())  # T5 would make one of zeros for all pairs of two rows


def use_pairs(model: Any, family: TargetsInRows) -> None:
    """Make a model's biases know of two rows; batches with a row for each sample work as before."""
    for module in model.modules():
        if type(module).__name__ == family.attention_with_bias and not isinstance(module.forward, partial):
            module.forward = partial(_with_bias, module, module.forward)


@contextmanager
def positions_of_pairs(model: Any, family: TargetsInRows, sequences: SequencePair) -> Iterator[None]:
    """Let the positions of a model restart with each sample."""
    stacks = ((model.get_encoder(), sequences.source), (model.get_decoder(), sequences.target))
    with ExitStack() as handles:
        for stack, own in stacks if family.embeds_positions else ():
            given = {"position_ids": own.positions_F}
            hook = stack.embed_positions.register_forward_pre_hook(partial(_also_given, given), with_kwargs=True)
            handles.callback(hook.remove)
        yield


def flat_targets(values_BM: torch.Tensor, sequences: SequencePair) -> torch.Tensor:
    """Return the targets' tokens in one row (T); at its padding anything."""
    return values_BM[sequences.target.sample_F.clamp(min=0), sequences.target.positions_F]


def _also_given(given: dict[str, Any], _module: Any, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**named, **given}


def _with_bias(module: Any, forward: Any, *args: Any, **named: Any) -> Any:
    """Call an attention module of T5; on two rows it has a bias for each length group, and none across."""
    sequences = named.get("sequences")
    if sequences is None or named.get("position_bias") is not None:
        return forward(*args, **named)
    own = sequences.target if module.is_decoder else sequences.source
    lengths = [group.length for group in own.grouped.groups]
    has_bias = module.has_relative_attention_bias
    named["position_bias"] = ByGroup([module.compute_bias(each, each) for each in lengths]) if has_bias else _NO_BIAS
    return forward(*args, **named)
