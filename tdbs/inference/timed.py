"""Predict blocks and count the seconds of their stages; in real time, also those of each row."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tdbs.inference.batches import Predicted, joined, predict_block
from tdbs.inference.blocks import Block
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.memory import Room
from tdbs.pipeline.words.matches import WordPattern
from tdbs.train.planning.strategies import Strategy


@dataclass(kw_only=True, slots=True)
class Spent:
    """Seconds of a call by stage, and those of each row in real time."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("texts", "model", "write"), 0.0))
    rows: list[float] = field(default_factory=list)


def timed_blocks(blocks: Iterator[Block], spent: Spent) -> Iterator[Block]:
    """Yield blocks, and count the seconds of reading them."""
    while True:
        clock = time.perf_counter()
        block = next(blocks, None)
        spent.seconds["texts"] += time.perf_counter() - clock
        if block is None:
            return
        yield block


def timed_block(
    block: Block,
    checkpoint: Checkpoint,
    strategy: Strategy,
    pattern: WordPattern | None,
    spent: Spent,
    *,
    seed: int,
    room: Room | None = None,
) -> Predicted:
    """Return the predictions of a block."""
    clock = time.perf_counter()
    encoded = block.encode(checkpoint, pattern)
    encoded_at = time.perf_counter()
    predicted = predict_block(checkpoint, encoded, strategy, seed=seed, room=room)
    spent.seconds["texts"] += encoded_at - clock
    spent.seconds["model"] += time.perf_counter() - encoded_at
    return predicted


def timed_rows(
    block: Block,
    checkpoint: Checkpoint,
    strategy: Strategy,
    pattern: WordPattern | None,
    spent: Spent,
    *,
    seed: int,
    room: Room | None = None,
) -> Predicted:
    """Return the predictions of a block's rows, each one alone."""
    found = []
    for row in block.one_by_one():
        clock = time.perf_counter()
        found.append(timed_block(row, checkpoint, strategy, pattern, spent, seed=seed, room=room))
        spent.rows.append(time.perf_counter() - clock)
    return joined(found)
