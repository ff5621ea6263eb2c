"""Several samples in one row: the linear layers see rows of tokens, attention sees sequences (packed and unpadded).

No code of a model is copied. Its attention is called through transformers' interface (sequence_attention.py), its
positions restart with each sample, and its head is given the samples' first tokens (first_tokens.py). What comes out is
what `padded` gives (tests/train/test_sequence_models.py).
"""

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from tdbs.errors import ModelError
from tdbs.model_families import FROM_PAD_ID, takes_rows_of_several
from tdbs.train.sequence_attention import register_attention
from tdbs.train.sequences import Sequences

# Shapes: R rows of W tokens (R x W = F).


def knows_sequences(config: PretrainedConfig) -> bool:
    """Return whether rows of several samples can be run by a model of this configuration."""
    return takes_rows_of_several(config.to_dict())


def use_sequences(model: PreTrainedModel, kernel: str) -> None:
    """Make a model's attention know of sequences; batches with a row for each sample go on as before.

    Raises ModelError for a model whose positions or head cannot be told apart by sample this way.
    """
    kind = model.config.model_type
    if not knows_sequences(model.config):
        raise ModelError(
            f"Execution in rows of several samples knows {', '.join(FROM_PAD_ID)}; this model is a {kind}.",
            next_step="Pass --execution padded.",
        )
    model.set_attn_implementation(register_attention(kernel))


def position_ids(model: Any, sequences: Sequences, input_ids_RW: torch.Tensor) -> torch.Tensor:
    """Return the position of each token as the model counts them (R x W).

    Those that count from the pad id + 1 pass over pad tokens, which a text may hold by name.
    """
    if not FROM_PAD_ID[model.config.model_type]:
        return sequences.positions_F.view_as(input_ids_RW)
    pad_id = model.config.pad_token_id
    counted_F = (input_ids_RW != pad_id).flatten().long()
    upto_F = counted_F.cumsum(0)
    before_B = upto_F[sequences.starts_B] - counted_F[sequences.starts_B]
    return ((upto_F - before_B[sequences.sample_F]) * counted_F + pad_id).view_as(input_ids_RW)
