"""Models on rows of several samples: positions by sample, and first tokens alone for the head.

No model code is copied. Attention is called through transformers' interface (attention.py), positions restart with each
sample, and the head receives the samples' first tokens. The output equals that of `padded`
(tests/train/test_sequence_models.py).

The head of a sentence-level task reads the first token of each sample, so the last layer drops the others: after its
attention nothing mixes tokens any more. In BERT and its kin, the output projection and the feed-forward that follow run
on first tokens alone: the same logits and gradients, in 11 % less time at 64 x 64 with six layers (docs/decisions.md,
"First tokens").
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from tdbs.errors import ModelError
from tdbs.model_families import SHARING_ROWS, family_of, takes_rows_of_several
from tdbs.train.rows.attention import register_attention
from tdbs.train.rows.sequences import Sequences

# Shapes: R rows of W tokens (R x W = F), B samples, E entries of a hidden state.


def knows_sequences(config: PretrainedConfig) -> bool:
    """Return whether rows of several samples can be run by a model of this configuration."""
    return takes_rows_of_several(config.to_dict())


def use_sequences(model: PreTrainedModel, kernel: str) -> None:
    """Make a model's attention know of sequences; batches with a row for each sample work as before.

    Raises ModelError for a model whose positions or head cannot be separated by sample this way.
    """
    kind = model.config.model_type
    if not knows_sequences(model.config):
        raise ModelError(
            f"Rows of several samples support {', '.join(SHARING_ROWS)}; this model is a {kind}.",
            next_step="Pass --execution padded.",
        )
    model.set_attn_implementation(register_attention(kernel))


def position_ids(model: Any, sequences: Sequences, input_ids_RW: torch.Tensor) -> torch.Tensor:
    """Return the position of each token as the model counts them (R x W).

    Those that count from the pad id + 1 pass over pad tokens, which a text may hold by name.
    """
    if not family_of(model.config.model_type).counts_from_pad_id:
        return sequences.positions_F.view_as(input_ids_RW)
    pad_id = model.config.pad_token_id
    counted_F = (input_ids_RW != pad_id).flatten().long()
    upto_F = counted_F.cumsum(0)
    before_B = upto_F[sequences.starts_B] - counted_F[sequences.starts_B]
    return ((upto_F - before_B[sequences.sample_F]) * counted_F + pad_id).view_as(input_ids_RW)


@contextmanager
def first_tokens_to_head(model: Any, sequences: Sequences | None) -> Iterator[None]:
    """Give the head a row for each sample, of its first token (or the mean of its tokens, if the model pools so).

    `sequences` is None for padded batches, whose rows are samples.
    """
    body, family = model.base_model, family_of(model.config.model_type)
    if family.ends_on_first_tokens:
        ended = body.encoder.layer[-1].attention.output

        def leave_behind(_module: Any, states: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return tuple(_first(each_RWE, sequences) for each_RWE in states)

        handle = ended.register_forward_pre_hook(leave_behind)
    elif sequences is None:
        yield
        return
    elif family.pools_final_norm:
        pool = _mean if model.config.classifier_pooling == "mean" else _first
        handle = body.final_norm.register_forward_hook(lambda _module, _states, out_RWE: pool(out_RWE, sequences))
    else:
        raise ValueError(f"the table of families does not say what the head of a {model.config.model_type} reads")
    try:
        yield
    finally:
        handle.remove()


def _first(hidden_RWE: torch.Tensor, sequences: Sequences | None) -> torch.Tensor:
    """Return the first token of each sample (B x 1 x E)."""
    if sequences is None:
        return hidden_RWE[:, :1]
    return hidden_RWE.flatten(0, 1).index_select(0, sequences.starts_B)[:, None]


def _mean(hidden_RWE: torch.Tensor, sequences: Sequences) -> torch.Tensor:
    """Return the mean of each sample's tokens (B x 1 x E)."""
    hidden_FE = hidden_RWE.flatten(0, 1)
    real_F = sequences.sample_F >= 0
    sums_BE = hidden_FE.new_zeros(len(sequences.lengths_B), hidden_FE.shape[1])
    sums_BE = sums_BE.index_add(0, sequences.sample_F[real_F], hidden_FE[real_F])
    return (sums_BE / sequences.lengths_B[:, None])[:, None]
