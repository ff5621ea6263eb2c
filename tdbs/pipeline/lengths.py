"""Length buckets, statistics of length histograms, and the limits of a sample's length.

Buckets are half-open [min_seq_len, max_seq_len), and the last one includes the maximum length. The width of 5 is the
paper's (App. A); the last bucket may be narrower: with 128 tokens it is [125, 128]. A histogram is an array: entry l
counts the sequences of l tokens, special ones included, after truncation. It gives averages, percentiles, and the
padding of random batches (paper, App. E.2). Limits are the tokens of a sample, of its target, and those that two
windows share.
"""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ConfigError, at_least
from tdbs.fields import LONGEST
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, check_max_length
from tdbs.shown import shown_number

# Shapes: L1 = greatest length + 1.

PAPER_WIDTH = 5
PAPER_PERCENT = 87.5
DEFAULT_MAX_LENGTH = 128
MAX_LENGTHS: dict[TaskKind, int] = {"question_answering": 384, "seq2seq": 512}  # of other kinds of tasks, the default
DEFAULT_MAX_TARGET_LENGTH = 128
STRIDE_SHARE = 3  # windows share a third of their tokens: 128 of 384, as the field does it


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Lengths in tokens, special ones included."""

    max_length: int
    stride: int | None = None  # question answering: tokens that neighbouring windows share
    max_target_length: int | None = None  # seq2seq


def bucket_edges(max_length: int, width: int = PAPER_WIDTH) -> IntArray:
    """Return the edges 0, width, 2 x width, …, max_length: bucket i is [edges[i], edges[i + 1]).

    Buckets of width 1 hold one length each, so there the maximum length has a bucket of its own.
    """
    at_least("--bucket-width", width, 1)
    if width == 1:
        return np.arange(max_length + 2)
    return np.append(np.arange(0, max_length, width), max_length)


def bucket_of(lengths_N: IntArray, edges: IntArray) -> IntArray:
    """Return the bucket of each length, looked up in a table of all lengths up to the last edge."""
    every = np.arange(int(edges[-1]) + 1)
    table = np.minimum(np.searchsorted(edges, every, side="right") - 1, len(edges) - 2)
    return table[lengths_N]


def longest_lengths(edges: IntArray, max_length: int) -> IntArray:
    """Return the longest length of each bucket: it decides how many samples a batch may hold."""
    return np.append(edges[1:-1] - 1, max_length)


def bucket_name(edges: IntArray, bucket: int, *, buckets: int = 1) -> str:
    """Return the name that shards and plans use, "005-010": zero-padded, so that names sort as lengths do.

    Several buckets side by side are named as one.
    """
    digits = max(3, len(str(edges[-1])))
    return f"{edges[bucket]:0{digits}d}-{edges[bucket + buckets]:0{digits}d}"


def length_histogram(lengths_N: IntArray, max_length: int = 0) -> IntArray:
    """Return how many sequences have each length, from 0 to `max_length` at least."""
    return np.bincount(lengths_N, minlength=max_length + 1)


def average_length(counts_L1: IntArray) -> float:
    """Return L_avg, the mean tokens of a sequence."""
    return float(counts_L1 @ np.arange(len(counts_L1)) / counts_L1.sum())


def percentile_length(counts_L1: IntArray, percent: float = PAPER_PERCENT) -> int:
    """Return L_K: the smallest length that at least K % of the sequences do not exceed.

    The paper's text has it backwards (docs/decisions.md); the probability that it computes needs this one.
    """
    if not 0 < percent <= 100:
        raise ConfigError(
            f"--percent must be above 0 and at most 100, got {percent}.", next_step="Pass --percent 87.5."
        )
    reached = np.cumsum(counts_L1) * 100 >= percent * counts_L1.sum()
    return int(np.argmax(reached))


def padding_fraction_estimate(counts_L1: IntArray, percent: float = PAPER_PERCENT) -> float:
    """Return padding_fraction_est = (L_K - L_avg) / L_K of App. E.2: a conservative estimate, 0 at least."""
    longest = percentile_length(counts_L1, percent)
    return max(longest - average_length(counts_L1), 0.0) / longest if longest else 0.0


def expected_longest(counts_L1: IntArray, batch_size: float) -> float:
    """Return the expected longest sequence of a random batch: the sum over l of 1 - F(l)^B, l from 0.

    Exact for batches drawn with replacement; on data sets larger than some batches the difference is negligible.
    """
    share_up_to_L1 = np.cumsum(counts_L1) / counts_L1.sum()
    return float(np.sum(1.0 - share_up_to_L1[:-1] ** batch_size))


def expected_random_padding(counts_L1: IntArray, batch_size: float) -> float:
    """Return the expected share of pad tokens in random batches that are padded to their longest sequence."""
    longest = expected_longest(counts_L1, batch_size)
    return 1.0 - average_length(counts_L1) / longest if longest else 0.0


def choose_limits(
    task: Task,
    tokenizer: LoadedTokenizer,
    *,
    max_length: int | None,
    stride: int | None,
    max_target_length: int | None,
) -> Limits:
    """Return the lengths that a kind of task has, checked against each other and against the tokenizer."""
    for option, value, kind in (
        ("--stride", stride, "question_answering"),
        ("--max-target-length", max_target_length, "seq2seq"),
    ):
        if value is not None and task.kind != kind:
            raise ConfigError(
                f"{option} only applies to {_named(kind)}; this task is {_named(task.kind)}.", next_step="Leave it out."
            )
    if max_length is None:
        max_length = MAX_LENGTHS.get(task.kind, DEFAULT_MAX_LENGTH)
    for option, value in (
        ("--max-length", max_length),
        ("--max-target-length", max_target_length),
        ("--stride", stride),
    ):
        if value is not None and not isinstance(value, Integral):
            raise ConfigError(f"{option} must be a whole number, got {value}.", next_step=f"Pass another {option}.")
    for option, value in (("--max-length", max_length), ("--max-target-length", max_target_length)):
        if value is not None:
            at_least(option, value, 1)
        if value is not None and value > LONGEST:  # the manifest has an entry for each length, up to this one
            raise ConfigError(
                f"{option} must be at most {LONGEST}, got {shown_number(value)}.", next_step=f"Pass {option} 128."
            )
    check_max_length(tokenizer, max_length, pair=task.is_pair)
    if task.kind == "question_answering":
        stride = max_length // STRIDE_SHARE if stride is None else stride
        most = max_length - tokenizer.backend.num_special_tokens_to_add(is_pair=True) - 2
        if not 0 <= stride <= most:
            raise ConfigError(
                f"--stride must be from 0 to {most} with --max-length {max_length}, got {shown_number(stride)}.",
                next_step="Pass another --stride, or a larger --max-length.",
            )
    if task.kind == "seq2seq":
        max_target_length = max_target_length or DEFAULT_MAX_TARGET_LENGTH
        special = tokenizer.backend.num_special_tokens_to_add(is_pair=False)
        if max_target_length <= special:
            raise ConfigError(
                f"--max-target-length {max_target_length} leaves no room for text: {tokenizer.name} adds {special} "
                "special tokens.",
                next_step=f"Pass --max-target-length {special + 1} or more.",
            )
    return Limits(max_length=max_length, stride=stride, max_target_length=max_target_length)


def _named(kind: str) -> str:
    return kind.replace("_", " ")
