"""Models on rows of several samples: attention by sample, and positions that restart with each.

No model code is copied. Attention is called through transformers' interface (attention.py), or by length group where a
model has its own (own_attention.py). The output equals that of `padded` (tests/train/test_sequence_models.py). Which
families can do it, and how, is in tdbs/model_families.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from tdbs.errors import ModelError
from tdbs.model_families import TargetsInRows, family_of, takes_rows_of_several
from tdbs.train.rows.attention import register_attention, rows_of_several
from tdbs.train.rows.own_attention import call_in_groups, rows_for_own_attention
from tdbs.train.rows.sequences import SequencePair, Sequences
from tdbs.train.rows.writers import positions_of_pairs, use_pairs

# Shapes: R rows of W tokens (R x W = F), B samples.


def knows_sequences(config: PretrainedConfig, *, writes: bool = False) -> bool:
    """Return whether rows of several samples can be run by a model of this configuration (`writes`: seq2seq)."""
    return takes_rows_of_several(config.to_dict(), writes=writes)


def use_sequences(model: PreTrainedModel, kernel: str) -> None:
    """Make a model's attention know of sequences; batches with a row for each sample work as before.

    Raises ModelError for a model whose positions, attention or head cannot be separated by sample.
    """
    family = family_of(model.config.model_type)
    writes = family.targets is not None
    if not knows_sequences(model.config, writes=writes):
        raise ModelError(
            f"Rows of several samples are not supported by this {model.config.model_type}.",
            next_step="Pass --execution sorted, or padded; tdbs models lists what each model supports.",
        )
    if family.rows is not None and family.rows.own_attention is not None:
        call_in_groups(model, family.rows.own_attention)
        return
    model.set_attn_implementation(register_attention(kernel))
    if family.targets is not None:
        use_pairs(model, family.targets)
    if family.rows is not None and family.rows.mask_alone is not None:
        for layer in model.modules():
            if type(layer).__name__ == family.rows.mask_alone and not isinstance(layer.forward, partial):
                layer.forward = partial(_with_rows_as_mask, layer.forward)


@contextmanager
def on_rows(model: Any, sequences: Sequences | SequencePair) -> Iterator[None]:
    """Call a model with rows of several samples."""
    if isinstance(sequences, Sequences):
        with rows_of_several(), rows_for_own_attention(model, sequences):
            yield
    else:
        family = family_of(model.config.model_type).targets or TargetsInRows()
        with rows_of_several(), positions_of_pairs(model, family, sequences):
            yield


def inputs_of_rows(model: Any, sequences: Sequences, input_ids_RW: torch.Tensor) -> dict[str, Any]:
    """Return the inputs that only rows of several samples have."""
    rows = family_of(model.config.model_type).rows
    if rows is None:
        raise ValueError(f"the table of families does not say how a {model.config.model_type} shares rows")
    positions = {"position_ids": _position_ids(model, sequences, input_ids_RW)} if rows.takes_positions else {}
    if rows.own_attention is None:
        return {**positions, "sequences": sequences}
    if rows.own_attention.masks_states:
        return {**positions, "attention_mask": (sequences.sample_F >= 0).view_as(input_ids_RW)}
    return positions


def _with_rows_as_mask(forward: Callable[..., Any], *args: Any, sequences: Any = None, **named: Any) -> Any:
    """Call a layer; its attention finds the rows, if it is given any, in the place of the mask."""
    if sequences is not None:
        named["attention_mask"] = sequences
    return forward(*args, **named)


def _position_ids(model: Any, sequences: Sequences, input_ids_RW: torch.Tensor) -> torch.Tensor:
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
