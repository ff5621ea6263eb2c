"""Strategies: named choices of batches x drop x execution, each part of which can be overridden.

`batches` says which samples share an update, `drop` which words are dropped (TokenDrop), `execution` how a batch is
given to the model. Every ablation of the paper is such a choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from tdbs.data.tasks import Task, TaskKind
from tdbs.errors import ConfigError, at_least, choose
from tdbs.fields import Count
from tdbs.option import Option
from tdbs.settings import canonical
from tdbs.shown import shown_number
from tdbs.train.planning.caps import MOST, call_tokens, chosen_caps, has_cuda, refuse_several_rows
from tdbs.train.planning.edges import AUTO, BatchCosts, width_of, width_parts
from tdbs.train.planning.profile_file import CapTable, Profile

Batches = Literal["random", "stratified", "length_grouped", "batch_rebalance", "packs", "bucket", "reach"]
Drop = Literal["none", "rate", "any", "all", "batch_min", "reach"]
Execution = Literal["padded_max", "padded", "sorted", "packed", "unpadded"]

# Tasks with tokens that must stay; prepare removes them from the droppable words.
_PROTECTED: dict[TaskKind, str] = {
    "token_classification": "words that have a label",
    "question_answering": "tokens of an answer",
    "seq2seq": "the prefix",
    "embedding": "all tokens of a text",
    "ranking": "all tokens of a text",
}
BUCKETED = ("bucket", "reach")  # `batches` of one bucket each
SAME_UPDATES = ("random_max", "random", "sorted", "unpadded")  # the same function of the same batches
_DROP_PARTS = ("drop", "drop_rate", "grid_lengths")
DEFAULT_STRATEGY = "tdbs"  # an alias: resolved_name
BASELINE = "random"  # what speedups are over


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """One way to make batches of an epoch, every part resolved."""

    name: str
    batches: Annotated[Batches, Option("Samples that share an update.")]
    drop: Annotated[Drop, Option("TokenDrop: which words go.")]
    execution: Annotated[Execution, Option("How a batch is given to the model.")] = "padded"
    drop_rate: Annotated[float, Option("Share of words for --drop rate and any.", default="0.3")] = 0.3  # Table 8
    bucket_width: Annotated[
        Count | str, Option("Lengths of a bucket, or steps of the reach grid; auto: edges that make updates cheapest.")
    ] = 5
    grid_lengths: Annotated[Count, Option("Grid lengths that a sample may go to with --drop reach.", default="1")] = 1
    rbm: Annotated[bool, Option("Merge residual batches.")] = True
    lrm: Annotated[bool, Option("Scale the rate by the batch size.")] = True  # learning-rate modulation
    base_batch_size: Annotated[Count, Option("Batch size in epoch 0.", default="64", alias="batch_size")] = 64
    # EpochCap = scaling_factor^epoch x base_batch_size
    scaling_factor: Annotated[Count, Option("Growth of the largest batch per epoch.", default="2")] = 2
    # without it, HWCap alone holds in every epoch
    batch_cap: Annotated[bool, Option("Let the largest batch grow from epoch to epoch.")] = True
    sort_targets: Annotated[bool, Option("Sort by target length if targets have much padding.")] = True
    # a divisor of the size of each batch
    micro_batches: Annotated[Count, Option("Batches of an update, each from its own bucket.", default="1")] = 1
    # a process runs its share in micro-batches if it exceeds HWCap
    devices: Annotated[Count, Option("Devices whose caps add up in an update.", default="1")] = 1
    caps: Annotated[
        str,
        Option(
            "Largest batch for a length (HWCap): a number, paper, memory or knee (of --profile), or a profile's file.",
            default="the base batch size; paper on CUDA",
        ),
    ] = "base"  # base: base_batch_size
    max_tokens: Annotated[
        int | None,
        Option("Most tokens of a model call; a larger batch is cut into several calls of the same update."),
    ] = None
    max_pairs: Annotated[int | None, Option("Most pairs of tokens that attention compares in a model call.")] = None
    dropout: float | None = None  # of the model; None: the paper's rule
    call_tokens: int | None = None  # what a call costs beyond its tokens, in tokens; None: as on a CPU (cuts.py)
    measured_caps: CapTable | None = None  # of a profile, if caps are `memory`, `knee` or a file
    batch_costs: BatchCosts | None = None  # by which `--bucket-width auto` chooses; None: in tokens, as on a CPU

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("--batches", self.batches, get_args(Batches)),
            ("--drop", self.drop, get_args(Drop)),
            ("--execution", self.execution, get_args(Execution)),
        ):
            choose(name, value, choices)
        for name, number in (
            ("--bucket-width", None if width_of(self.bucket_width) == AUTO else self.width),
            ("--base-batch-size", self.base_batch_size),
            ("--scaling-factor", self.scaling_factor),
            ("--micro-batches", self.micro_batches),
            ("--grid-lengths", self.grid_lengths),
            ("--devices", self.devices),
            ("--max-tokens", self.max_tokens),
            ("--max-pairs", self.max_pairs),
        ):
            if number is None:
                continue
            at_least(name, number, 1)
            if not isinstance(number, int) or number > MOST:
                raise ConfigError(
                    f"{name} must be a whole number up to {MOST:,}, got {shown_number(number)}.",
                    next_step=f"Pass another {name}.",
                )
        if self.execution == "packed" and (self.max_tokens or self.max_pairs):
            raise ConfigError(
                "--max-tokens and --max-pairs have no effect with --execution packed: all its rows have one width.",
                next_step="Leave them out, or pass --strategy unpadded.",
            )
        if (self.batches == "packs") != (self.execution == "packed"):
            raise ConfigError(
                f"--batches {self.batches} does not go with --execution {self.execution}.",
                next_step="Pass --batches packs with --execution packed, or neither.",
            )
        if self.micro_batches > 1 and self.batches not in BUCKETED:
            raise ConfigError(
                f"--micro-batches has no effect with --batches {self.batches}.",
                next_step="Leave it out, or pass --batches bucket or reach.",
            )
        if self.grid_lengths > 1 and self.drop != "reach":
            raise ConfigError(
                f"--grid-lengths has no effect with --drop {self.drop}.",
                next_step="Leave it out, or pass --drop reach.",
            )
        if self.bucket_width == AUTO and (self.batches, self.drop, self.execution) != ("bucket", "none", "padded"):
            raise ConfigError(
                "--bucket-width auto is for --batches bucket, --drop none and --execution padded: there the edges "
                f"decide the padding. Got {self.batches}, {self.drop} and {self.execution}.",
                next_step="Pass --strategy bucket, or a number.",
            )
        if not 0 <= self.drop_rate <= 1:
            raise ConfigError(
                f"--drop-rate must be from 0 to 1, got {shown_number(self.drop_rate)}.",
                next_step="Pass a share such as --drop-rate 0.3.",
            )
        _ = self.hw_caps  # refuses what is neither a number nor a table

    @property
    def hw_caps(self) -> CapTable:
        """HWCap by length."""
        return self.measured_caps or chosen_caps(str(self.base_batch_size) if self.caps == "base" else self.caps)

    @property
    def width(self) -> int:
        """Lengths of a bucket. With `auto` the edges depend on the samples, and there is no width."""
        width = width_of(self.bucket_width)
        if isinstance(width, str):
            raise ValueError("--bucket-width auto has no width")
        return width

    @property
    def in_rows(self) -> bool:
        """Whether a row of the model may hold several samples."""
        return self.execution in ("packed", "unpadded")

    @property
    def accumulates(self) -> bool:
        """Whether a batch may be larger than its HWCap, the most that a device computes at once."""
        return self.devices > 1 or (self.batches not in BUCKETED and self.caps not in ("base", "paper"))

    @property
    def effective_rate(self) -> float:
        """Share of the droppable words that are dropped, if `drops_at_rate`."""
        return 1.0 if self.drop == "all" else self.drop_rate

    @property
    def drops_at_rate(self) -> bool:
        """Whether a share of each sample's words is dropped, independently of its batch."""
        return self.drop in ("rate", "any", "all")


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(name="random_max", batches="random", drop="none", execution="padded_max", lrm=False),
        Strategy(name="random", batches="random", drop="none", lrm=False),
        Strategy(name="length_grouped", batches="length_grouped", drop="none", lrm=False),
        Strategy(name="batch_rebalance", batches="batch_rebalance", drop="none", lrm=False),
        Strategy(name="sorted", batches="random", drop="none", execution="sorted", lrm=False),
        Strategy(name="packed", batches="packs", drop="none", execution="packed", lrm=False),
        Strategy(name="unpadded", batches="random", drop="none", execution="unpadded", lrm=False),
        Strategy(name="stratified", batches="stratified", drop="none", execution="unpadded", lrm=False),
        Strategy(
            name="tf_bucket",
            batches="bucket",
            drop="none",
            bucket_width=1,
            rbm=False,
            lrm=False,
            batch_cap=False,
            caps="paper",
        ),
        Strategy(name="bucket", batches="bucket", drop="none", bucket_width=1),
        Strategy(name="tdbs_paper", batches="bucket", drop="batch_min", caps="paper"),
        Strategy(name="reach", batches="reach", drop="reach"),
    )
}


def parts_without_drop(parts: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Return a strategy's parts, without those of TokenDrop if the task forbids it (CoLA)."""
    return {name: value for name, value in parts.items() if name not in _DROP_PARTS or not task.drop_forbidden}


def resolved_name(name: str, task: Task, *, in_rows: bool = True) -> str:
    """Return the strategy that a name means; `tdbs`, the default, is the fastest that is as accurate as `random`.

    That is `unpadded` (docs/decisions.md, "The default"), and `sorted` if the rows of the model cannot hold several
    samples (`in_rows`), and for sequence to sequence: one call with all logits of targets is slower.
    """
    if name != DEFAULT_STRATEGY:
        return name
    return "unpadded" if in_rows and task.kind != "seq2seq" else "sorted"


def resolve_strategy(
    name: str,
    task: Task,
    overrides: Mapping[str, Any] | None = None,
    *,
    allow_drop: bool = False,
    profile: Profile | None = None,
    in_rows: bool = True,
) -> Strategy:
    """Return a strategy with the user's overrides (None: not given) and the task's policy applied.

    Measured caps (memory, knee) come from `profile`. `in_rows` says whether the model's rows may hold several
    samples (model_choice.py): it decides what the default is, and which strategies are refused.

    On a task that forbids dropping, a strategy runs without TokenDrop and with buckets of width 1; an override of
    `drop` is refused there, unless `allow_drop`.
    """
    named = STRATEGIES.get(resolved_name(name, task, in_rows=in_rows))
    if named is None:
        raise ConfigError(
            f"There is no strategy {name}.", next_step=f"Choose one of: {', '.join([*STRATEGIES, DEFAULT_STRATEGY])}."
        )
    given = canonical({part: value for part, value in (overrides or {}).items() if value is not None}, Strategy)
    if task.drop_forbidden and not allow_drop:
        if given.get("drop", "none") != "none":
            raise ConfigError(
                f"Task '{task.name}' {task.drop_forbidden}.",
                next_step="Leave --drop out, or pass --allow-drop.",
            )
        if named.drop != "none":
            named = replace(named, drop="none", bucket_width=1)
    if given.get("drop") == "any" and task.kind in _PROTECTED:
        raise ConfigError(
            f"--drop any could drop {_PROTECTED[task.kind]}.",
            next_step="Pass --drop rate, which drops only listed words.",
        )
    if "caps" not in given and named.caps == "base" and has_cuda():
        given["caps"] = "paper"  # on a CPU larger batches save almost no time (docs/decisions.md)
    if given.get("caps") in ("memory", "knee") or str(given.get("caps")).endswith(".json"):
        refuse_several_rows("--caps", given["caps"], task, next_step="Pass --caps N, or --max-tokens N.")
        given["measured_caps"] = chosen_caps(given["caps"], profile)
    if "drop" in given:  # App. A: buckets of width 1 without TokenDrop, of width 5 with it
        given.setdefault("bucket_width", 1 if given["drop"] == "none" else 5)
    if given.get("bucket_width") == AUTO:
        refuse_several_rows("--bucket-width", AUTO, task, next_step="Pass --bucket-width N.")
    given |= width_parts(given, profile)
    if "batches" in given:
        given.setdefault("lrm", given["batches"] in BUCKETED)
    if given.get("execution", named.execution) == "sorted":
        given.setdefault("call_tokens", call_tokens(profile))
    strategy = replace(named, **given)
    check_rows(strategy, task, in_rows=in_rows)
    if "drop_rate" in given and strategy.drop not in ("rate", "any"):
        raise ConfigError(
            f"--drop-rate has no effect with --drop {strategy.drop}.",
            next_step="Pass --drop rate or --drop any with it.",
        )
    return strategy


def check_rows(strategy: Strategy, task: Task, *, in_rows: bool) -> None:
    """Refuse a strategy of rows that hold several samples if those of the model cannot (`in_rows`)."""
    if strategy.execution == "packed" and task.is_grouped:
        raise ConfigError(
            "--execution packed packs samples of one sequence; these have several.",
            next_step="Pass --strategy unpadded, without --batches and --execution: it puts all of them in one row.",
        )
    if strategy.execution == "packed" and task.kind == "seq2seq":
        raise ConfigError(
            "--execution packed packs texts alone; these samples have targets, too.",
            next_step="Pass --execution unpadded or sorted.",
        )
    if not strategy.in_rows or in_rows:
        return
    if strategy.execution != STRATEGIES.get(strategy.name, strategy).execution:
        raise ConfigError(
            f"--execution {strategy.execution} puts several samples in a row, which this model cannot run.",
            next_step=f"Leave {'--batches and ' if strategy.batches == 'packs' else ''}--execution out.",
        )
    raise ConfigError(
        f"The strategy {strategy.name} puts several samples in a row, which this model cannot run.",
        next_step="Choose another strategy, such as sorted.",
    )
