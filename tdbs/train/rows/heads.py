"""What the head of a text sees of rows that hold several samples: one token of each, the first, the last, or a mean.

The model is called with one token a sample, and its body with the rows; behind the body, or as early in it as can be,
all tokens but those are left out. So the model's own code runs, whatever its head does with a text's token.

In BERT and its kin nothing mixes tokens after the last layer's attention. What follows there, the output projection and
the feed-forward, runs on first tokens alone: the same logits and gradients, in 11 % less time at 64 x 64 with six
layers (docs/decisions.md, "First tokens").
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from tdbs.model_families import SharedRows, family_of
from tdbs.train.rows.sequences import Sequences, means_of_samples

# Shapes: R rows of W tokens (R x W = F), B samples, E entries of a hidden state.

Pick = Callable[[torch.Tensor], torch.Tensor]  # of hidden states (R x W x E): a token of each sample (B x 1 x E)


@contextmanager
def body_on_rows(model: Any, sequences: Sequences, inputs: dict[str, Any]) -> Iterator[dict[str, torch.Tensor]]:
    """Give the body of a model its inputs, and yield those of the model: the tokens that its head reads (B x 1)."""
    rows = _rows_of(model)
    token_B = _token_read(model, rows, sequences, inputs["input_ids"].flatten())
    with ExitStack() as handles:
        given = partial(_give_rows, inputs)
        handles.callback(model.base_model.register_forward_pre_hook(given, with_kwargs=True).remove)
        handles.callback(_end_early(model, rows, _pick_of(model, rows, sequences, token_B)).remove)
        yield {"input_ids": inputs["input_ids"].flatten()[token_B, None]}


@contextmanager
def ends_on_first_tokens(model: Any) -> Iterator[None]:
    """Leave all tokens but the first ones out of the end of the last layer, for padded batches, if a family can."""
    rows = family_of(model.config.model_type).rows
    if rows is None or rows.ends_before is None or rows.mixes(lambda field: getattr(model.config, field, None)):
        yield
        return
    handle = _end_early(model, rows, lambda hidden_BLE: hidden_BLE[:, :1])
    try:
        yield
    finally:
        handle.remove()


def _rows_of(model: Any) -> SharedRows:
    rows = family_of(model.config.model_type).rows
    if rows is None:
        raise ValueError(f"the table of families does not say what the head of a {model.config.model_type} reads")
    return rows


def _give_rows(
    inputs: dict[str, Any], _body: torch.nn.Module, _args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[()], dict[str, Any]]:
    return (), {**named, **inputs}  # the only input by position is input_ids


def _token_read(model: Any, rows: SharedRows, sequences: Sequences, input_ids_F: torch.Tensor) -> torch.Tensor:
    """Return which token of each sample its head reads, among F. For a mean it is the first."""
    if rows.reads != "last":
        return sequences.starts_B
    # decoders look for the last token that is not the pad token, and take the first if there is none
    counts_F = (sequences.sample_F >= 0) & (input_ids_F != model.config.pad_token_id)
    rank_F = torch.where(counts_F, sequences.positions_F, 0)
    rank_B = rank_F.new_zeros(len(sequences.starts_B))
    sample_F = sequences.sample_F.clamp(min=0)
    return sequences.starts_B + rank_B.scatter_reduce(0, sample_F, rank_F, "amax")


def _pick_of(model: Any, rows: SharedRows, sequences: Sequences, token_B: torch.Tensor) -> Pick:
    if rows.reads == "pooling" and model.config.classifier_pooling in ("mean", "late"):
        return lambda hidden_RWE: means_of_samples(hidden_RWE, sequences)[:, None]
    return lambda hidden_RWE: hidden_RWE.flatten(0, 1).index_select(0, token_B)[:, None]


def _end_early(model: Any, rows: SharedRows, pick: Pick) -> torch.utils.hooks.RemovableHandle:
    """Leave all other tokens out before, or behind, a module of the body."""
    body = model.base_model
    if rows.reads == "pooling" and model.config.classifier_pooling == "late":  # the mean of the tokens' logits
        return model.classifier.register_forward_hook(lambda _module, _inputs, output: pick(output))
    if rows.ends_before is not None:
        return _module(body, rows.ends_before).register_forward_pre_hook(
            lambda _module, states: tuple(pick(each_RWE) for each_RWE in states)
        )
    module = body if rows.ends_behind is None else _module(body, rows.ends_behind)
    return module.register_forward_hook(lambda _module, _inputs, output: _picked(output, pick))


def _module(body: torch.nn.Module, path: str) -> torch.nn.Module:
    """Return a module by its path, in which -1 is the last of a list."""
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, torch.nn.ModuleList) else getattr(body, part)
    return body


def _picked(output: Any, pick: Pick) -> Any:
    """Return a module's output with fewer tokens; hidden states are the first of several."""
    if isinstance(output, torch.Tensor):
        return pick(output)
    if isinstance(output, tuple):
        return (pick(output[0]), *output[1:])
    output.last_hidden_state = pick(output.last_hidden_state)
    return output
