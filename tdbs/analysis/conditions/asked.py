"""The question put to runs, and the answer of a run under one condition: plain values, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from tdbs.errors import at_least
from tdbs.pipeline.edits import TextEdit

DEFAULT_DRAWS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One way to give a split to a model."""

    name: str
    drop_rate: float | None = None  # rate of Algorithm 1, 0: the whole texts
    edit: TextEdit | None = None  # edit of the raw texts
    is_removal: bool = False  # the edit is one of articles or punctuation
    batches: str | None = None  # the strategy that makes them; None: from short to long


WHOLE = Condition(name="whole", drop_rate=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """The question put to runs; the first condition is the reference for the others."""

    conditions: Sequence[Condition]
    draws: int = DEFAULT_DRAWS  # if words are dropped at random
    seed: int = 0
    timed: bool = False

    def __post_init__(self) -> None:
        at_least("--draws", self.draws, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionRow:
    """A run under a condition; the fields are JSON keys of `tdbs evaluate`, below `rows[]`."""

    run: str = ""  # missing if it is kept in the run's own folder
    strategy: str  # its training strategy
    condition: str
    drop_rate: float | None  # None for edited texts and for batches of a strategy
    draws: int
    score: float | None  # mean over draws
    score_std: float | None  # deviation over draws
    difference: float | None  # difference to the score under the first condition
    kept: float  # tokens / tokens under the first condition
    padding_fraction: float | None  # share of padding in a strategy's batches
    seconds: float | None  # time per sample in a call of its own, or of the split in a strategy's batches
    speedup: float | None  # ratio to the first condition
