"""How much of a text a sample holds: tokens of a sample, of its target, and those that two windows share."""

from dataclasses import dataclass
from numbers import Integral

from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ConfigError
from tdbs.pipeline.tokenizer import LoadedTokenizer, check_max_length
from tdbs.records import LONGEST
from tdbs.shown import shown_number

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
                f"{option} is for {_named(kind)}; this task is {_named(task.kind)}.", next_step="Leave it out."
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
        if value is not None and value < 1:
            raise ConfigError(
                f"{option} must be 1 or more, got {shown_number(value)}.", next_step=f"Pass {option} 128."
            )
        if value is not None and value > LONGEST:  # the manifest has an entry for each length, and so many it takes
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
