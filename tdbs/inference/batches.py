"""Run a block of samples through the model, in batches by the planner, with BatchCap = HWCap (paper, 3.2).

Nothing is dropped by default. The dropped words of a row depend only on the seed, the row's number in the source and
its own words: not on the block, nor, for a rate, on the strategy's batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import torch

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.decode import decode
from tdbs.inference.encode import Encoded, without_repeats, without_tokens
from tdbs.inference.memory import Room, fitted_plan
from tdbs.inference.sample_outputs import Column, Decoded
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.models.inputs import model_inputs
from tdbs.train.planning.droppable_words import DroppableWords
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_epoch, plan_one_by_one
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import Strategy, resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.step import forward

# Shapes: N samples of the block, R its rows, B samples of a batch, M tokens written.

DEFAULT_STRATEGY = "bucket"  # the fastest that drops nothing (docs/decisions.md, "Predicting")
DEFAULT_OF_GROUPED = "unpadded"  # of embeddings and rerankers, if the model supports it: passages are long


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropping:
    """What of TokenDrop a user asks for; nothing is dropped by default."""

    drop: str | None = None
    drop_rate: float | None = None  # alone it means drop = rate
    allow_drop: bool = False  # although the task forbids it


NOTHING_DROPPED = Dropping()


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """The predictions of a block, and what the model was given for them."""

    rows_R: IntArray  # rows of the source, in order
    decoded: Decoded
    samples: int
    tokens: int  # tokens that the linear layers processed, padding included
    kept_tokens: int


def inference_strategy(
    name: str | None,
    task: Task,
    *,
    dropping: Dropping = NOTHING_DROPPED,
    batch_size: int | None = None,
    caps: str | None = None,
    profile: Profile | None = None,
    in_rows: bool = True,
) -> Strategy:
    """Return a strategy with HWCap for its cap, and with TokenDrop only if `dropping` asks for it.

    Raises ConfigError if the task forbids dropping, or if each word gets a class.
    """
    drop, drop_rate = dropping.drop, dropping.drop_rate
    if drop is None:
        drop = "none" if drop_rate is None else "rate"
    if drop != "none" and task.kind == "token_classification":
        raise ConfigError(
            "Every word gets a label here, so none can be dropped.", next_step="Leave --drop and --drop-rate out."
        )
    parts = {
        "drop": drop,
        "drop_rate": drop_rate,
        "batch_cap": False,
        "bucket_width": None if drop in ("batch_min", "reach") else 1,  # else there is no padding to drop words for
        "base_batch_size": batch_size,
        "caps": caps if caps is not None or batch_size is None else str(batch_size),
    }
    is_unpadded = task.is_grouped and in_rows and drop in ("none", "rate")
    default = DEFAULT_OF_GROUPED if is_unpadded else DEFAULT_STRATEGY
    return resolve_strategy(
        name or default, task, parts, allow_drop=dropping.allow_drop, profile=profile, in_rows=in_rows
    )


def predict_block(
    checkpoint: Checkpoint, encoded: Encoded, strategy: Strategy, *, seed: int, room: Room | None = None
) -> Predicted:
    """Return the predictions of a block, in calls of the model that have `room`; None: in those of the strategy."""
    if not len(encoded.split.lengths_N):  # no rows, or rows whose lists of candidates are all empty
        decoded = decode(encoded, (), checkpoint) if len(encoded.rows_R) else {}
        return Predicted(rows_R=encoded.rows_R, decoded=decoded, samples=0, tokens=0, kept_tokens=0)
    if checkpoint.task.kind == "embedding" and encoded.candidate_offsets_R1 is not None and strategy.drop == "none":
        encoded = without_repeats(encoded)  # many queries may have a text among their candidates
    plan, encoded = planned(checkpoint, encoded, strategy, seed=seed, room=room)
    with torch.inference_mode(), checkpoint.accelerator.autocast():
        decoded = decode(encoded, model_outputs(checkpoint, encoded, plan), checkpoint)
    return Predicted(
        rows_R=encoded.rows_R,
        decoded=decoded,
        samples=len(plan.sample_ids_N),
        tokens=plan.tokens,
        kept_tokens=int(plan.kept_N.sum()),
    )


def joined(parts: Sequence[Predicted]) -> Predicted:
    """Return the predictions of some blocks, one after the other, as those of one; of no block no rows."""
    decoded: Decoded = {}
    for name in dict.fromkeys(chain.from_iterable(part.decoded for part in parts)):
        decoded[name] = _joined_columns([part.decoded.get(name, []) for part in parts])
    return Predicted(
        rows_R=np.concatenate([np.empty(0, dtype=np.int64), *(part.rows_R for part in parts)]),
        decoded=decoded,
        samples=sum(part.samples for part in parts),
        tokens=sum(part.tokens for part in parts),
        kept_tokens=sum(part.kept_tokens for part in parts),
    )


def _joined_columns(columns: Sequence[Column]) -> Column:
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    return np.concatenate(arrays) if arrays else list(chain.from_iterable(columns))


def planned(
    checkpoint: Checkpoint, encoded: Encoded, strategy: Strategy, *, seed: int, room: Room | None = None
) -> tuple[EpochPlan, Encoded]:
    """Return the batches of a block, and its samples as TokenDrop leaves them."""
    if strategy.drops_at_rate:  # whatever the batch, so words go first, and batches are made of what is left
        encoded = _at_rate(checkpoint, encoded, strategy, seed=seed)
        strategy = replace(strategy, drop="none")
    split, max_length = encoded.split, checkpoint.limits.max_length
    if len(split.lengths_N) == 1 and strategy.execution != "padded_max" and strategy.drop == "none":
        return plan_one_by_one(np.zeros(1, dtype=np.int64), split.lengths_N), encoded  # real time pays for no planning
    words = _droppable_words(encoded, strategy, checkpoint)
    plan_of = partial(plan_epoch, split.lengths_N, words, max_length=max_length, seed=seed, epoch=0)
    plan = fitted_plan(plan_of, strategy, room)
    dropped_T = dropped_tokens(split, words, strategy, plan, checkpoint.info, seed=seed)
    return plan, encoded if dropped_T is None else without_tokens(encoded, dropped_T)


def model_outputs(checkpoint: Checkpoint, encoded: Encoded, plan: EpochPlan) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield each batch with its logits, or with the token ids that are written for it (B x M)."""
    run = _write if checkpoint.task.kind == "seq2seq" else _logits
    for batch in epoch_batches(encoded.split, plan, None, pad_id=checkpoint.info.pad_id):
        yield batch, run(checkpoint, batch)


def _at_rate(checkpoint: Checkpoint, encoded: Encoded, strategy: Strategy, *, seed: int) -> Encoded:
    """Return samples without the words that go at the strategy's rate."""
    split = encoded.split
    words = _droppable_words(encoded, strategy, checkpoint)
    whole = plan_one_by_one(np.arange(len(split.lengths_N)), split.lengths_N)
    dropped_T = dropped_tokens(split, words, strategy, whole, checkpoint.info, seed=seed)
    return encoded if dropped_T is None else without_tokens(encoded, dropped_T)


def _logits(checkpoint: Checkpoint, batch: Batch) -> torch.Tensor:
    device = checkpoint.accelerator.device
    return forward(checkpoint.model, batch, checkpoint.task.kind, checkpoint.rules, device=device)


def _write(checkpoint: Checkpoint, batch: Batch) -> torch.Tensor:
    inputs = model_inputs(batch, checkpoint.rules, device=checkpoint.accelerator.device)
    written_BM: torch.Tensor = checkpoint.model.generate(
        **inputs, max_new_tokens=checkpoint.limits.max_target_length, num_beams=1, do_sample=False
    )
    return written_BM


def _droppable_words(encoded: Encoded, strategy: Strategy, checkpoint: Checkpoint) -> DroppableWords:
    """Return the words of a block; each row has draws of its own, whichever block it is in.

    A row's draws begin at its number times the maximum length: of one text more words are rare, and only share draws
    with the rows behind it.
    """
    split = encoded.split
    words = words_of_split(split, strategy, checkpoint.info)
    first_N = np.searchsorted(split.source_rows_N, split.source_rows_N)
    before_N = words.offsets_N1[:-1] - words.offsets_N1[:-1][first_N]
    return replace(words, places_N=split.source_rows_N * checkpoint.limits.max_length + before_N)
