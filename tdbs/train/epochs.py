"""Run the epochs of a run from wherever it stands: steps, their log, scores, and checkpoints in between."""

import json
import math
import os
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tdbs.arrays import FloatArray
from tdbs.errors import TrainingError
from tdbs.files import append_to
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.checkpoint import CheckpointRule, RunState, save_checkpoint
from tdbs.train.energy import EnergyMeter
from tdbs.train.feed import Feed
from tdbs.train.loop import Learner, StepOutcome, StepRecord, run_steps, score_splits
from tdbs.train.models.saved_model import save_model
from tdbs.train.planning.plan import EpochPlan
from tdbs.train.run_folder import LAST_GOOD_FOLDER, STEPS_NAME
from tdbs.train.scores.scoring import ScoredSplit
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.tracking import Tracker

Progress = Callable[[StepRecord, int], None]  # a step, and how many there are in all
Scored = Callable[[int, float | None], None]  # an epoch, and its score


_TRACKED = ("loss", "lr", "batch_size", "padded_length", "tokens", "seconds")  # of a step


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What stays the same through all epochs of a run."""

    folder: Path
    dataset: PreparedDataset
    learner: Learner
    feed: Feed
    rates_S: FloatArray  # of each step of the run
    started: float  # of the clock, less what went before a checkpoint
    validation: list[ScoredSplit]
    seed: int
    rule: CheckpointRule | None  # None: no checkpoints
    stop: Stop
    progress: Progress
    scored: Scored
    tracker: Tracker
    energy: EnergyMeter


def run_epochs(course: Course, state: RunState) -> None:
    """Run what is left of a run, as _run_epochs says, and let its tracker end whatever happens."""
    try:
        _run_epochs(course, state)
        state.energy = course.energy()
    finally:
        course.tracker.finish()


def _run_epochs(course: Course, state: RunState) -> None:
    """Run what is left of a run; `state` always says what is done.

    Raises TrainingError at the first step whose loss or gradients are not finite, and StoppedError after the step
    in which a signal came.
    """
    first_step = 0
    for plan in course.feed.plans:
        if plan.epoch < len(state.history):
            first_step += plan.steps
            continue
        _run_steps(course, state, plan, first_step=first_step)
        first_step += plan.steps
        clock = time.perf_counter()
        task = course.dataset.manifest.task
        state.metrics = score_splits(course.learner, course.validation, task.scored_split)
        state.seconds["evaluate"] += time.perf_counter() - clock
        loss = state.loss_sum / max(state.predicted, 1)
        state.history.append({"epoch": plan.epoch, "loss": loss, "score": state.metrics.get(task.metrics[0])})
        state.loss_sum, state.predicted = 0.0, 0
        if course.rule is not None and plan is not course.feed.plans[-1]:  # after the last one the run is finished
            _save(course, state)
        course.tracker.log({"epoch": plan.epoch, "epoch/loss": loss, **state.metrics}, step=state.step)
        course.scored(plan.epoch, state.history[-1]["score"])


def _run_steps(course: Course, state: RunState, plan: EpochPlan, *, first_step: int) -> None:
    """Run the steps of an epoch that are left, and write each to the run's log."""
    done = state.step - first_step
    outcomes = run_steps(
        course.learner,
        course.feed.steps(plan, first=done),
        course.rates_S,
        first_step=first_step,
        skipped=done,
        epoch=plan.epoch,
        seed=course.seed,
        stop=course.stop,
    )
    clock = saved = time.perf_counter()
    with _log_of(course) as log:
        for outcome in outcomes:
            record = outcome.record
            loss = record.loss if math.isfinite(record.loss) else None  # JSON has no NaN
            log.write(json.dumps({**asdict(record), "loss": loss}) + "\n")
            if not outcome.finite:
                _not_finite(course, record, batch=record.step - first_step)
            state.step += 1
            state.loss_sum += record.loss * record.predicted
            state.predicted += record.predicted
            now = time.perf_counter()
            state.seconds["train"] += now - clock
            clock = now
            course.progress(record, len(course.rates_S))
            course.tracker.log({name: getattr(record, name) for name in _TRACKED}, step=record.step)
            stopping = _is_stopping(course, outcome)
            if stopping or _is_due(course.rule, state.step, now - saved):
                if course.rule is not None:
                    _save(course, state, log)
                clock = saved = time.perf_counter()
            if stopping:
                _stopped(course, state)


def _log_of(course: Course) -> IO[str]:
    """Return the run's log to write on; of several processes one writes it."""
    return append_to(course.folder / STEPS_NAME if course.learner.accelerator.is_main_process else Path(os.devnull))


def _is_stopping(course: Course, outcome: StepOutcome) -> bool:
    """Tell whether a signal ends the run here; several processes stop after the same step, the one they agreed on."""
    if course.learner.accelerator.num_processes > 1:
        return outcome.stopping
    return course.stop.number is not None


def _is_due(rule: CheckpointRule | None, step: int, seconds: float) -> bool:
    if rule is None:
        return False
    return (rule.steps is not None and step % rule.steps == 0) or (
        rule.minutes is not None and seconds >= 60 * rule.minutes
    )


def _save(course: Course, state: RunState, log: IO[str] | None = None) -> None:
    """Write a checkpoint; the run's log is never behind one."""
    learner, rule = course.learner, course.rule
    if not learner.accelerator.is_main_process:
        return
    if log is not None:
        log.flush()
        os.fsync(log.fileno())
    caps = learner.memory_caps
    state.seconds["total"] = time.perf_counter() - course.started
    state.caps = {str(bucket): cap for bucket, cap in caps.by_bucket.items()}
    state.halved = list(caps.halved)
    state.energy = course.energy()
    save_checkpoint(course.folder, learner.model, learner.optimizer, state, keep=1 if rule is None else rule.keep)


def _not_finite(course: Course, record: StepRecord, *, batch: int) -> None:
    """Keep the weights before the step, which were not updated, and say where it was."""
    place = course.folder / LAST_GOOD_FOLDER
    if course.learner.accelerator.is_main_process:
        save_model(place, course.learner.model, course.learner.rules, course.dataset)
    raise TrainingError(
        f"Loss or gradients are not finite at step {record.step} (epoch {record.epoch}, batch {batch} of "
        f"{record.batch_size} samples): the loss is {record.loss}.",
        next_step=f"Lower --lr, or pass --precision fp32. The weights before this step are in {place}.",
    )


def _stopped(course: Course, state: RunState) -> None:
    number = course.stop.number or signal.SIGTERM  # another process had it
    name = signal.Signals(number).name
    kept = "" if course.rule is not None else " Nothing of it is kept."
    raise StoppedError(
        f"Stopped by {name} after step {state.step:,} of {len(course.rates_S):,}.{kept}",
        next_step=f"Run the same command with --resume --out {shlex.quote(str(course.folder))} to continue.",
        number=number,
    )
