"""Keep predicting within `--memory`: calls of the model that fit, and blocks of fewer rows (docs/decisions.md).

Without a backward pass a call keeps the states of a layer or two. What it takes is predicted from config.json and the
call's tokens and pairs of tokens. A block whose calls are above the bound is planned again with the largest
`max_tokens` that fits. On a CPU the process, the texts and the outputs of a block count too; on CUDA the bound is of
the device.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tdbs.arrays import FloatArray
from tdbs.errors import ConfigError
from tdbs.inference.checkpoints import Checkpoint
from tdbs.pipeline.engines import memory_bytes
from tdbs.train.planning.epoch_plan import ROW_STEP, EpochPlan
from tdbs.train.planning.memory_bound import gibibytes, rounded_up, widest
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.planning.model_size import ModelSize, model_size
from tdbs.train.planning.peak_memory import PROCESS, call_sizes
from tdbs.train.planning.strategies import Strategy

# Shapes: B batches (calls of the model).

# measured on a CPU, with what its allocator keeps of freed pieces (benchmarks/results/predict_memory_amd_2026-11-30.md)
_TEXTS = 96 << 20  # bytes of a block's texts and tokens, and of its part on disk
_WORDS = 128 << 20  # bytes more if each word of a block has a class
_KEPT = 64 << 20  # bytes that each size of call leaves behind
_LAYERS_AT_ONCE = 2  # whose states a call has, each as large as what training stores
_PAIR, _PAIR_BF16 = 16, 8  # bytes per pair of tokens and head; a mask makes weights fp32
_MASK = 4  # bytes per pair of tokens
_NUMBER = 40  # bytes per number of an embedding, from the model to the Parquet file
_LOGIT = 16  # bytes per number of a token's head
_SCORE = 250  # bytes per class of a text: a value of a dict
_OUTPUTS = 8  # a block's outputs take this part of the bound, or its rows are fewer
_LEAST_ROWS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class CallTerms:
    """What decides the memory of a call beside its tokens."""

    size: ModelSize
    on_cuda: bool
    bf16: bool
    is_fused: bool  # the kernel stores nothing for pairs of tokens
    token_outputs: int  # numbers that the head has for each token; 0: it reads one of them
    has_words: bool  # each word of a text gets a class


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What `--memory` leaves for the calls of the model."""

    terms: CallTerms
    calls: int  # bytes of the largest call


def call_terms(checkpoint: Checkpoint) -> CallTerms | None:
    """Return what decides the memory of a model's calls; None if its sizes are not known."""
    size = model_size(checkpoint.model.config.to_dict())
    if size is None:
        return None
    execution, kind = checkpoint.execution, checkpoint.task.kind
    of_tokens = kind in ("token_classification", "question_answering")
    return CallTerms(
        size=size,
        on_cuda=execution["device"] != "cpu",
        bf16=execution["precision"] == "bf16",
        is_fused=execution["attention"] != "eager",
        token_outputs=checkpoint.task.outputs if of_tokens else 0,
        has_words=kind == "token_classification",
    )


def call_bytes(plan: EpochPlan, terms: CallTerms) -> FloatArray:
    """Return the bytes that each call of a plan takes at most, weights aside (B)."""
    calls, size, number = call_sizes(plan), terms.size, int(terms.bf16)
    of_layer = size.hidden * size.stored.hidden[number] + size.inner * size.stored.inner[number]
    a_token = _LAYERS_AT_ONCE * of_layer + _LOGIT * terms.token_outputs
    a_pair_B = np.where(calls.masked_B | (not terms.bf16) | terms.on_cuda, _PAIR, _PAIR_BF16)
    weights_B = np.zeros(len(a_pair_B)) if terms.is_fused else size.heads * calls.pairs_B.astype(np.float64) * a_pair_B
    # of two layers, as hidden states: queries, keys and values in padded places
    padding_B = 2 * 12 * size.hidden * (calls.places_B - calls.tokens_B)
    found_B: FloatArray = calls.tokens_B * float(a_token) + weights_B + _MASK * calls.pairs_B + padding_B
    return found_B


def rows_of_block(memory: int | str | None, checkpoint: Checkpoint, *, at_most: int) -> int:
    """Return the rows of a block: as many as it may have without a bound, or fewer if their outputs are large."""
    rows, terms = at_most, call_terms(checkpoint)
    if memory is None or terms is None or terms.on_cuda:
        return rows
    most, an_output = memory_bytes(memory) // _OUTPUTS, _output_bytes(checkpoint)
    while rows > _LEAST_ROWS and rows * an_output > most:
        rows //= 2
    return rows


def room_within(
    memory: int | str | None,
    checkpoint: Checkpoint,
    strategy: Strategy,
    *,
    block_rows: int,
    data: int,
    note: Callable[[str], None],
) -> Room | None:
    """Return what a bound leaves for calls beside `data`, the bytes of a split that is in memory.

    None if there is no bound; with a note, if the model's sizes are not known. Raises ConfigError if a call of one text
    of the greatest length does not fit.
    """
    if memory is None:
        return None
    most, terms = memory_bytes(memory), call_terms(checkpoint)
    if terms is None:
        note(_unknown(memory, checkpoint))
        return None
    kept = _kept_bytes(terms) + (0 if terms.on_cuda else data + block_rows * _output_bytes(checkpoint))
    room = Room(terms=terms, calls=most - kept)
    longest = checkpoint.limits.max_length
    if _least_call(longest, strategy, terms) > room.calls:
        raise _refusal(str(memory), longest, strategy, room, kept)
    return room


def fitted_plan(planned: Callable[[Strategy], EpochPlan], strategy: Strategy, room: Room | None) -> EpochPlan:
    """Return the plan of a block, its batches cut into calls that fit if need be."""
    whole = planned(strategy)
    if room is None or strategy.execution == "packed" or _fits(whole, room):
        return whole

    def cut(max_tokens: int) -> EpochPlan:
        return planned(replace(strategy, max_tokens=max_tokens))

    return widest(cut, lambda plan: _fits(plan, room), cut(1), 0, int(whole.tokens_B.max()))


def _unknown(memory: int | str, checkpoint: Checkpoint) -> str:
    """Return the note on a model whose memory is not known."""
    return (
        f"--memory {memory} has no effect: how much predicting takes is not known for "
        f"{shown_model(checkpoint.name)} ({checkpoint.model.config.model_type})."
    )


def _fits(plan: EpochPlan, room: Room) -> bool:
    return bool(call_bytes(plan, room.terms).max() <= room.calls)


def _kept_bytes(terms: CallTerms) -> int:
    """Return what a process has at all times: its libraries, the model, texts of a block, freed pieces."""
    size = terms.size
    of_layers = size.layers * size.a_layer
    # in bf16 a layer has its plain weights and those that are laid out for the CPU, two bytes each
    weights = 4 * size.weights if not (terms.bf16 and terms.on_cuda) else 4 * size.embedded + 2 * of_layers
    return weights + (0 if terms.on_cuda else PROCESS + _TEXTS + _WORDS * terms.has_words + _KEPT)


def _output_bytes(checkpoint: Checkpoint) -> int:
    """Return the bytes of a row's outputs, until its block is written; what a few numbers take is in _TEXTS."""
    if checkpoint.task.kind == "embedding":
        return _NUMBER * int(checkpoint.dimensions or checkpoint.model.config.hidden_size)
    return _SCORE * len(checkpoint.task.classes) if checkpoint.task.kind in ("classification", "multi_label") else 0


def _least_call(length: int, strategy: Strategy, terms: CallTerms) -> float:
    """Return the bytes of the least call with a text of this length: one row, but a batch of packed ones."""
    rows = strategy.base_batch_size if strategy.execution == "packed" else 1
    plan = EpochPlan(
        epoch=0,
        sample_ids_N=np.arange(rows),
        kept_N=np.full(rows, 1 if strategy.execution == "padded_max" else length),
        batch_offsets_B1=np.array([0, rows]),
        padded_lengths_B=np.array([length]),
        execution=strategy.execution,
        row_offsets_R1=np.arange(rows + 1) if strategy.execution == "packed" else None,
    )
    return float(call_bytes(plan, terms)[0])


def _refusal(memory: str, longest: int, strategy: Strategy, room: Room, kept: int) -> ConfigError:
    """Return the refusal of a model whose longest text does not fit, with what would help."""
    needed = int(kept + _least_call(longest, strategy, room.terms)) + 1
    if strategy.execution == "packed":
        return ConfigError(
            f"Predicting takes {gibibytes(needed)}, --memory {memory} is less, and calls of packed rows cannot be cut.",
            next_step="Pass --strategy unpadded, a smaller --batch-size, or a larger --memory.",
        )
    low, high = 0, longest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _least_call(middle, strategy, room.terms) <= room.calls else (low, middle)
    shorter = f"--max-length {low}, or " if low >= ROW_STEP else ""
    return ConfigError(
        f"Predicting takes {gibibytes(needed)} with one text of {longest:,} tokens in each call of the model, and "
        f"--memory {memory} is less.",
        next_step=f"Pass {shorter}--memory {rounded_up(needed)} or more.",
    )
