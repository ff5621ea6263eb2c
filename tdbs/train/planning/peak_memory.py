"""Peak memory of training, predicted from a model's sizes and the calls of a plan (docs/decisions.md, "Peak memory").

A run keeps weights and AdamW's two moments. Its largest call stores the rest between forward and backward: hidden and
inner states of each layer for tokens, weights of attention for pairs of tokens. Gradients appear as these go, so the
larger of both counts; an update of several calls holds both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import TaskKind
from tdbs.model_families import family_of
from tdbs.settings import TrainSettings
from tdbs.train.planning.caps import has_cuda
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.model_choice import ModelChoice
from tdbs.train.planning.model_size import ModelSize
from tdbs.train.rows.tiles import tiles_work

# Shapes: B batches (calls of the model).

PROCESS = 512 << 20  # bytes of Python with torch, transformers and tdbs, on a CPU (measured)
# what a CPU's allocator keeps of pieces that were freed: it grows with a layer's states up to here (measured)
_LAYERS_KEPT, _MOST_KEPT = 3, 192 << 20
_FP32, _BF16 = 0, 1
_OF_TOKENS: tuple[TaskKind, ...] = ("token_classification", "question_answering", "embedding")  # mean of all
_LEAST_ROWS = 4_096  # of a table whose gradient stays (train/gradients.py)
_LORA_SIDES = 12  # hidden states beside the matrices of a layer: four of attention, two of the feed-forward


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryTerms:
    """What decides a run's memory besides model and plan, each default resolved."""

    choice: ModelChoice
    kind: TaskKind
    on_cuda: bool
    bf16: bool
    is_fused: bool  # the kernel stores nothing for pairs of tokens
    dropout: bool
    checkpoints: bool  # layers compute their activations again
    lora: int | None
    frozen_layers: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallSizes:
    """What the calls of a plan compute."""

    tokens_B: IntArray
    places_B: IntArray  # tokens that attention sees, its padding included
    pairs_B: IntArray
    masked_B: IntArray  # whether the mask of transformers is added, in fp32


def memory_terms(choice: ModelChoice, kind: TaskKind, settings: TrainSettings, *, dropout: float) -> MemoryTerms:
    """Return the terms of a run by its settings; what is `auto` is resolved for this machine, without torch."""
    on_cuda = has_cuda()
    kernel = ("sdpa" if on_cuda else "eager") if settings.attention == "auto" else settings.attention
    return MemoryTerms(
        choice=choice,
        kind=kind,
        on_cuda=on_cuda,
        bf16=settings.precision == "bf16" or (settings.precision == "auto" and (on_cuda or _cpu_has_bf16())),
        is_fused=kernel != "eager" and (on_cuda or dropout == 0),  # on a CPU sdpa with dropout is computed in parts
        dropout=dropout > 0,
        checkpoints=settings.checkpoint_activations,
        lora=settings.lora,
        frozen_layers=settings.freeze_layers,
    )


def highest(peaks: Sequence[int | None]) -> int | None:
    """Return the peak of a run by those of its epochs; None if they are not known."""
    known = [peak for peak in peaks if peak is not None]
    return max(known) if known else None


def epoch_peak(plan: EpochPlan, terms: MemoryTerms) -> int | None:
    """Return the most bytes that an epoch takes at once; None if the model's sizes are not known.

    On CUDA it is what torch allocates; on a CPU it is what the process has, its libraries included.
    """
    size = terms.choice.size
    if size is None:
        return None
    trained = _trained_weights(size, terms)
    kept = 4 * size.weights + 8 * trained + (0 if terms.on_cuda else PROCESS)
    gradients = 4 * trained
    has_table = not terms.on_cuda and size.vocabulary >= _LEAST_ROWS and trained == size.weights
    table = 4 * size.embedded if has_table else 0  # it stays, so that a step need not make it again
    activations_B = _activations(call_sizes(plan), size, terms)
    is_part_B = np.repeat(plan.step_batches_S > 1, plan.step_batches_S)  # one of several calls of its update
    beside_B = np.where(is_part_B, gradients + activations_B, np.maximum(gradients, table + activations_B))
    return kept + int(beside_B.max())


def largest_call(plans: Sequence[EpochPlan]) -> tuple[int, int]:
    """Return the most tokens of a call of some plans, and the most pairs that attention compares in one."""
    calls = [call_sizes(plan) for plan in plans]
    return max(int(each.tokens_B.max()) for each in calls), max(int(each.pairs_B.max()) for each in calls)


def _activations(calls: CallSizes, size: ModelSize, terms: MemoryTerms) -> FloatArray:
    """Return the bytes that each call stores for its backward pass, and those that it works on meanwhile (B)."""
    precision, bytes_each = (_BF16, 2) if terms.bf16 else (_FP32, 4)
    stored = size.stored
    states = size.hidden * (stored.hidden[precision] + terms.dropout * stored.hidden_dropout[precision])
    inner = size.inner * (stored.inner[precision] + terms.dropout * stored.inner_dropout[precision])
    padding_B = 3 * bytes_each * size.hidden * (calls.places_B - calls.tokens_B)
    pairs_B, worked_B = _of_pairs(calls, size, terms)
    casts = 2.0 * size.a_layer if terms.bf16 else 0.0
    layer_B = calls.tokens_B * (states + inner) + padding_B + pairs_B + casts
    rows = family_of(terms.choice.model_type or "").rows
    ends_early = rows is not None and rows.ends_before is not None and terms.kind not in _OF_TOKENS
    # behind the attention of the last layer there are first tokens alone
    last_B = calls.tokens_B * states / 2 + padding_B + pairs_B + casts if ends_early else layer_B
    embedded_B = calls.tokens_B * size.hidden * (8 if terms.dropout else 4)
    layers = size.layers - (terms.frozen_layers or 0)
    held_B: FloatArray
    if terms.checkpoints:
        inputs_B = calls.tokens_B * (4.0 * size.hidden * max(layers - 1, 0))
        held_B = np.maximum(last_B, layer_B if layers > 1 else 0)
        held_B += inputs_B
    else:
        held_B = max(layers - 1, 0) * layer_B + last_B
    worked_B = np.maximum(worked_B, calls.tokens_B * (2.0 * bytes_each * size.inner + 8 * size.hidden))
    kept_B = 0 if terms.on_cuda else np.minimum(_LAYERS_KEPT * layer_B, _MOST_KEPT)
    found_B: FloatArray = held_B + embedded_B + worked_B + kept_B
    return found_B


def _of_pairs(calls: CallSizes, size: ModelSize, terms: MemoryTerms) -> tuple[FloatArray, FloatArray]:
    """Return the bytes that attention stores for pairs of tokens in a layer, and those that its backward works on."""
    nothing_B: FloatArray = np.zeros(len(calls.pairs_B))
    if terms.is_fused:
        return nothing_B, nothing_B
    pairs_B = size.heads * calls.pairs_B.astype(np.float64)
    if not terms.bf16:
        with_masks = (9 if terms.on_cuda else 12) if terms.dropout else 4
        return pairs_B * with_masks, pairs_B * 8
    in_fp32 = 7 if terms.on_cuda else size.stored.masked_pair
    wide_B = calls.masked_B | terms.on_cuda  # a mask in fp32 makes the weights so; on CUDA softmax is in fp32
    stored_B = np.where(wide_B, in_fp32 if terms.dropout else 6, 6 if terms.dropout else 2)
    return pairs_B * stored_B, pairs_B * np.where(wide_B, 8, 4)


def call_sizes(plan: EpochPlan) -> CallSizes:
    """Return what the calls of a plan compute: tokens with padding, and what attention sees and compares of them."""
    tokens_B, widths_B = plan.tokens_B, plan.padded_lengths_B
    if plan.execution == "unpadded":
        places_B, pairs_B = tiles_work(*plan.attended())
        masked_B = np.zeros_like(tokens_B, dtype=bool)
    else:
        places_B, pairs_B = tokens_B, tokens_B * widths_B
        is_padded_B = np.add.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1]) < tokens_B
        masked_B = is_padded_B & (plan.execution != "packed")
    return CallSizes(tokens_B=tokens_B, places_B=places_B, pairs_B=pairs_B, masked_B=masked_B)


def _trained_weights(size: ModelSize, terms: MemoryTerms) -> int:
    if terms.lora is not None:
        return size.layers * terms.lora * (_LORA_SIDES * size.hidden + 2 * size.inner)
    if terms.frozen_layers is not None:
        return max(size.layers - terms.frozen_layers, 0) * size.a_layer
    return size.weights


@cache
def _cpu_has_bf16() -> bool:
    """Return whether the CPU computes in bf16, as the system says (train/device.py asks torch)."""
    try:
        found = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in found or "amx_tile" in found
