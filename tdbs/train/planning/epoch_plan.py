"""The plan of an epoch as arrays: every batch in running order, and the numbers that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, offsets_of
from tdbs.train.planning.strategies import Execution

ROW_STEP = 32  # tokens; see `row_width`

# Shapes: N samples, B batches (calls of the model), B1 = B + 1, R rows of the model, S steps, W8 flags of the droppable
# words in sample order, eight a byte.


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The numbers of the shards that are in memory together, and the batches of their samples."""

    shards: tuple[int, ...]
    first_batch: int
    last_batch: int  # exclusive
    dropped_W8: npt.NDArray[np.uint8] | None = field(default=None, compare=False)  # as in EpochPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochPlan:
    """Every batch of one epoch. Batch b holds the samples [batch_offsets_B1[b]] to [batch_offsets_B1[b + 1]]."""

    epoch: int
    sample_ids_N: IntArray  # in running order
    kept_N: IntArray  # remaining tokens of each sample, in the same order
    batch_offsets_B1: IntArray
    padded_lengths_B: IntArray  # width of the rows that the model sees; unpadded: the longest sample
    execution: Execution = "padded"
    row_offsets_R1: IntArray | None = None  # packed: samples of each row, as batch_offsets_B1 for batches
    step_offsets_S1: IntArray | None = None  # batches of each step; None: each batch is a step
    target_lengths_N: IntArray | None = None  # seq2seq: tokens of each target, in running order
    target_widths_B: IntArray | None = None  # seq2seq: width of the batch's targets
    unsorted_target_tokens: int = 0  # seq2seq: `target_tokens` without sorting of targets; 0: they are not sorted
    dropped_W8: npt.NDArray[np.uint8] | None = None  # drop at a rate: dropped words; each window has its own
    longest_N: IntArray | None = None  # tokens of the longest of each sample's sequences, if these are several
    sequences_B: IntArray | None = None  # padded, several sequences a sample: those of each batch, its rows
    windows: tuple[Window, ...] = ()  # of a split that is larger than memory; empty: the split is one

    @property
    def batch_sizes_B(self) -> IntArray:
        """Samples of each batch."""
        return np.diff(self.batch_offsets_B1)

    @property
    def step_batches_S(self) -> IntArray:
        """Batches of each step."""
        return np.ones_like(self.padded_lengths_B) if self.step_offsets_S1 is None else np.diff(self.step_offsets_S1)

    @property
    def step_sizes_S(self) -> IntArray:
        """Samples of each step."""
        if self.step_offsets_S1 is None:
            return self.batch_sizes_B
        return np.diff(self.batch_offsets_B1[self.step_offsets_S1])

    @property
    def steps(self) -> int:
        """Updates of the epoch."""
        return len(self.padded_lengths_B) if self.step_offsets_S1 is None else len(self.step_offsets_S1) - 1

    @property
    def tokens_B(self) -> IntArray:
        """All tokens that the linear layers see in each batch, padding included; for seq2seq those of the sources."""
        if self.execution == "unpadded":
            return row_width(np.add.reduceat(self.kept_N, self.batch_offsets_B1[:-1]))
        return self.rows_B * self.padded_lengths_B

    @property
    def rows_B(self) -> IntArray:
        """Rows of the model in each batch: its samples or their sequences, its packs, or one if it is unpadded."""
        if self.execution == "unpadded":
            return np.ones_like(self.padded_lengths_B)
        if self.sequences_B is not None:
            return self.sequences_B
        if self.row_offsets_R1 is None:
            return self.batch_sizes_B
        return np.diff(np.searchsorted(self.row_offsets_R1, self.batch_offsets_B1))

    def attended(self) -> tuple[IntArray, IntArray]:
        """Return the tokens of each sequence that attention sees, and where those of each batch begin (B1).

        A sample of several is counted as if its tokens were in as few as its longest one allows: no more is compared.
        """
        if self.longest_N is None:
            return self.kept_N, self.batch_offsets_B1
        longest_N = np.clip(self.longest_N, 1, np.maximum(self.kept_N, 1))
        counts_N = np.maximum(-(-self.kept_N // longest_N), 1)
        ends_N = np.cumsum(counts_N)
        lengths = np.repeat(longest_N, counts_N)
        lengths[ends_N - 1] = self.kept_N - (counts_N - 1) * longest_N
        return lengths, offsets_of(counts_N)[self.batch_offsets_B1]

    @property
    def tokens(self) -> int:
        """All tokens that the linear layers see, padding included; for seq2seq those of the sources."""
        return int(self.tokens_B.sum())

    @property
    def target_tokens_B(self) -> IntArray:
        """All tokens of each batch's targets, padding included; 0 if targets are not sequences."""
        if self.target_widths_B is None or self.target_lengths_N is None:
            return np.zeros_like(self.padded_lengths_B)
        if self.execution == "unpadded":
            return row_width(np.add.reduceat(np.maximum(self.target_lengths_N, 1), self.batch_offsets_B1[:-1]))
        return self.batch_sizes_B * self.target_widths_B

    @property
    def target_tokens(self) -> int:
        """All tokens of the targets, padding included; 0 if targets are not sequences."""
        return int(self.target_tokens_B.sum())

    @property
    def padding_fraction(self) -> float:
        """Pad tokens / all tokens of the batches."""
        return 1.0 - int(self.kept_N.sum()) / self.tokens

    def __repr__(self) -> str:
        samples = f"{len(self.sample_ids_N):,} samples, {self.tokens:,} tokens, {self.padding_fraction:.1%} padding"
        return f"<EpochPlan of epoch {self.epoch}: {self.steps:,} steps, {samples}>"


def row_width(tokens_B: IntArray) -> IntArray:
    """Return the width of unpadded rows with this many tokens: the next multiple of 32, so that there are few widths.

    A CPU prepares its matrix products once per shape; with rows of any width it would do so in each step.
    """
    return -(-tokens_B // ROW_STEP) * ROW_STEP


def run_padding(plans: Sequence[EpochPlan]) -> float:
    """Return the padding fraction of a whole run: pad tokens / all tokens of its batches."""
    return 1.0 - sum(int(plan.kept_N.sum()) for plan in plans) / sum(plan.tokens for plan in plans)


def run_target_padding(plans: Sequence[EpochPlan], *, is_sorted: bool = True) -> float | None:
    """Return the padding fraction of a run's targets, sorted or unsorted; None if they are not sequences."""
    real = sum(int(plan.target_lengths_N.sum()) for plan in plans if plan.target_lengths_N is not None)
    tokens = sum((0 if is_sorted else plan.unsorted_target_tokens) or plan.target_tokens for plan in plans)
    return 1.0 - real / tokens if tokens else None
