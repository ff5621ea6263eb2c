"""The context of a run: what stays the same in all epochs, and what a run writes: steps, checkpoints, its end."""

import json
import math
import os
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tdbs.arrays import FloatArray
from tdbs.errors import TrainingError
from tdbs.files import append_to
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.checkpoint import CheckpointRule, RunState, save_checkpoint
from tdbs.train.data_diet import DataDiet
from tdbs.train.energy import EnergyMeter
from tdbs.train.feed import Feed
from tdbs.train.learner import Learner
from tdbs.train.models.saved_model import save_model
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.run_folder import LAST_GOOD_FOLDER, STEPS_NAME
from tdbs.train.sample_records import EpochScores
from tdbs.train.scores.scoring import ScoredSplit
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.tracking import Tracker

Scored = Callable[[int, float | None], None]  # of an epoch, and its score


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """One step, as `steps.jsonl` has it; `loss` is a mean over what the batch predicts (models/heads.py)."""

    step: int
    epoch: int
    batch_size: int
    predicted: int  # number of predictions: samples, labelled words, or tokens of the targets
    padded_length: int  # of the step's widest batch; unpadded: its longest sample
    tokens: int  # that the linear layers see, padding included; for seq2seq those of the sources
    lr: float
    loss: float
    seconds: float


Progress = Callable[[StepRecord, int], None]  # of a step, and the number of all steps


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """The values that stay the same in all epochs of a run."""

    folder: Path
    dataset: PreparedDataset
    learner: Learner
    feed: Feed
    rates: Callable[[Sequence[EpochPlan]], FloatArray]  # of each step of the run, from its plans
    started: float  # start on the clock, in seconds; earlier by what the run took before it was resumed
    validation: list[ScoredSplit]
    seed: int
    rule: CheckpointRule | None  # None: no checkpoints
    stop: Stop
    progress: Progress
    scored: Scored
    samples: EpochScores  # of the current epoch
    diet: DataDiet | None  # None: later epochs are as planned before training
    tracker: Tracker
    energy: EnergyMeter
    largest_call: tuple[int, int] | None  # when scoring: most tokens and pairs of a call; None: no caps


def open_log(run: RunContext) -> IO[str]:
    """Return the run's log, open for appending; with several processes, only the first one writes it."""
    return append_to(run.folder / STEPS_NAME if run.learner.accelerator.is_main_process else Path(os.devnull))


def log_step(log: IO[str], record: StepRecord) -> None:
    """Append a step to the run's log as a line of JSON."""
    loss = record.loss if math.isfinite(record.loss) else None  # JSON has no NaN
    log.write(json.dumps({**asdict(record), "loss": loss}) + "\n")


def is_checkpoint_due(rule: CheckpointRule | None, step: int, seconds: float) -> bool:
    """Return whether a checkpoint is due after a step, some seconds after the last one."""
    if rule is None:
        return False
    return (rule.steps is not None and step % rule.steps == 0) or (
        rule.minutes is not None and seconds >= 60 * rule.minutes
    )


def write_checkpoint(run: RunContext, state: RunState, log: IO[str] | None = None) -> None:
    """Write a checkpoint, if the run has them; the log is flushed first, so it is never behind."""
    learner = run.learner
    if run.rule is None or not learner.accelerator.is_main_process:
        return
    if log is not None:
        log.flush()
        os.fsync(log.fileno())
    caps = learner.memory_caps
    state.seconds["total"] = time.perf_counter() - run.started
    state.caps = {str(bucket): cap for bucket, cap in caps.by_bucket.items()}
    state.halved = list(caps.halved)
    state.energy = run.energy()
    save_checkpoint(
        run.folder, learner.model, learner.optimizer, state, keep=run.rule.keep, scores_NK=run.samples.values_NK
    )


def not_finite_error(run: RunContext, record: StepRecord, *, batch: int) -> TrainingError:
    """Save the weights, which the step did not update, and return the error that names the step."""
    last_good = run.folder / LAST_GOOD_FOLDER
    if run.learner.accelerator.is_main_process:
        save_model(last_good, run.learner.model, run.learner.rules, run.dataset)
    return TrainingError(
        f"Loss or gradients are not finite at step {record.step} (epoch {record.epoch}, batch {batch} of "
        f"{record.batch_size} samples): the loss is {record.loss}.",
        next_step=f"Lower --lr, or pass --precision fp32. The weights before this step are in {last_good}.",
    )


def stopped_error_of(run: RunContext, state: RunState) -> StoppedError:
    """Return the error that ends a run after a signal, with how to resume it."""
    number = run.stop.number or signal.SIGTERM  # another process got it
    lost = "" if run.rule is not None else " No checkpoint was written."
    return StoppedError(
        f"Stopped by {signal.Signals(number).name} after step {state.step:,} of {run.feed.step_count:,}.{lost}",
        next_step=f"Run the same command with --resume --out {shlex.quote(str(run.folder))} to continue.",
        number=number,
    )
