"""Several samples in one row: the linear layers see rows of tokens, attention sees sequences (packed and unpadded).

No code of a model is copied. Its attention is called through transformers' interface (sequence_attention.py), its
positions restart with each sample, and its head is given the samples' first tokens. What comes out is what `padded`
gives (tests/train/test_sequence_models.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from tdbs.errors import ModelError
from tdbs.train.sequence_attention import register_attention
from tdbs.train.sequences import Sequences

# Shapes: R rows of W tokens (R x W = F), B samples, E entries of a hidden state.

# Model types: the module whose output the head is given, and whether positions count from the pad id + 1.
_LAST_MODULES = {
    "bert": ("encoder", False),
    "electra": ("encoder", False),
    "roberta": ("encoder", True),
    "xlm-roberta": ("encoder", True),
    "camembert": ("encoder", True),
    "modernbert": ("final_norm", False),
}


def knows_sequences(model: PreTrainedModel) -> bool:
    """Tell whether rows of several samples can be run by a model."""
    return model.config.model_type in _LAST_MODULES


def use_sequences(model: PreTrainedModel, kernel: str) -> None:
    """Make a model's attention know of sequences; batches with a row for each sample go on as before.

    Raises ModelError for a model whose positions or head cannot be told apart by sample this way.
    """
    kind = model.config.model_type
    if kind not in _LAST_MODULES:
        raise ModelError(
            f"Execution in rows of several samples knows {', '.join(_LAST_MODULES)}; this model is a {kind}.",
            next_step="Pass --execution padded.",
        )
    model.set_attn_implementation(register_attention(kernel))


def position_ids(model: Any, sequences: Sequences) -> torch.Tensor:
    """Return the position of each token (F) as the model counts them."""
    from_pad_id = _LAST_MODULES[model.config.model_type][1]
    return sequences.positions_F + (model.config.pad_token_id + 1 if from_pad_id else 0)


@contextmanager
def first_tokens_to_head(model: Any, sequences: Sequences) -> Iterator[None]:
    """Give the head a row for each sample, of its first token (or the mean of its tokens, where the model pools so)."""
    body = model.base_model
    means = getattr(model.config, "classifier_pooling", "cls") == "mean"

    def gather(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden_RWE = output if isinstance(output, torch.Tensor) else output.last_hidden_state
        hidden_FE = hidden_RWE.flatten(0, 1)
        if means:
            real_F = sequences.sample_F >= 0
            sums_BE = hidden_FE.new_zeros(len(sequences.lengths_B), hidden_FE.shape[1])
            pooled_BE = sums_BE.index_add(0, sequences.sample_F[real_F], hidden_FE[real_F])
            pooled_BE = pooled_BE / sequences.lengths_B[:, None]
        else:
            pooled_BE = hidden_FE.index_select(0, sequences.starts_B)
        if isinstance(output, torch.Tensor):
            return pooled_BE[:, None]
        output.last_hidden_state = pooled_BE[:, None]
        return output

    handle = getattr(body, _LAST_MODULES[model.config.model_type][0]).register_forward_hook(gather)
    try:
        yield
    finally:
        handle.remove()
