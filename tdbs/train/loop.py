"""The training loop, from top to bottom: epoch, step, seed, forward, backward, update, log, checkpoint, score.

`run_epochs` is the loop, `run_step` one step of it, `update` what a step does to the weights. Each step seeds torch
from (seed, epoch, step), so the dropout masks of a step do not depend on the steps before it. A run that resumes from
a checkpoint ends in the same weights as one that was never stopped.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from tdbs import rng
from tdbs.arrays import IntArray
from tdbs.train.allocator import give_back_freed_memory
from tdbs.train.batches import Batch
from tdbs.train.checkpoint import RunState
from tdbs.train.dropout_masks import dropout_masks
from tdbs.train.evaluate import evaluate_split, length_order_plan
from tdbs.train.gradients import add_rows, clipped_update, dense_gradients, gradient_norm
from tdbs.train.joint_step import joint_backward
from tdbs.train.learner import Learner
from tdbs.train.micro_batches import within_memory
from tdbs.train.prefetch import prefetch
from tdbs.train.processes import own_share, sum_up
from tdbs.train.rows.sequences import laid_out
from tdbs.train.run_context import (
    RunContext,
    StepRecord,
    is_checkpoint_due,
    log_step,
    not_finite_error,
    open_log,
    stopped_error_of,
    write_checkpoint,
)
from tdbs.train.sample_records import SCORE_NAMES, read_epoch
from tdbs.train.sample_scores import SampleScores, batch_scores, scores_of_update
from tdbs.train.scores.no_answers import THRESHOLD
from tdbs.train.scores.scoring import Metrics, ScoredSplit
from tdbs.train.step import batch_loss, forward, predicted_by

_TRACKED = ("loss", "lr", "batch_size", "padded_length", "tokens", "seconds")  # of a step


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlace:
    """Where a step stands in its run."""

    step: int  # of the run
    rate: float
    seed: int  # of the run
    epoch: int = 0
    first_step: int = 0  # of the epoch, counted over the run
    stopping: bool = False  # whether this process was asked to stop

    @property
    def step_of_epoch(self) -> int:
        """The step, counted from the epoch's first one."""
        return self.step - self.first_step


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEnd:
    """The result of an update, the same in all processes."""

    loss: float
    finite: bool  # whether loss and gradients are; if not, there was no update
    stopping: bool  # whether some process was asked to stop
    scores: SampleScores | None = None  # of the update's samples; None: not asked, or the task has none


def run_epochs(run: RunContext, state: RunState) -> None:
    """Train what is left of a run, and score each epoch; `state` always says what is done.

    Raises TrainingError at the first step whose loss or gradients are not finite, and StoppedError after the step in
    which a signal came.
    """
    first_step = 0  # of the epoch, counted over the run
    rates_S = run.rates(run.feed.plans)
    for epoch in range(len(run.feed.plans)):
        if run.diet is not None and epoch > 0:  # on the samples that are hardest after the epoch before
            run.feed.plans[epoch] = run.diet.plan(epoch)
            rates_S = run.rates(run.feed.plans)  # those of earlier steps stay: they follow the samples seen
        plan = run.feed.plans[epoch]
        if epoch < len(state.history):  # done before the run was resumed
            first_step += plan.steps
            if run.diet is not None:
                names, rows = run.samples.names, run.samples.rows
                run.diet.take(read_epoch(run.folder, epoch, names=names, rows=rows))
            continue
        clock = saved = time.perf_counter()
        with open_log(run) as log:
            for batches, share in shares_of(run.learner, run.feed.steps(plan, first=state.step - first_step)):
                place = StepPlace(
                    step=state.step,
                    rate=float(rates_S[state.step]),
                    seed=run.seed,
                    epoch=epoch,
                    first_step=first_step,
                    stopping=run.stop.number is not None,
                )
                record, end = run_step(run.learner, batches, share, place)
                log_step(log, record)
                if not end.finite:
                    raise not_finite_error(run, record, batch=place.step_of_epoch)
                state.count(record.loss, record.predicted)
                if end.scores is not None:
                    run.samples.take(end.scores.sample_ids_B, end.scores.values_BK)
                now = time.perf_counter()
                state.seconds["train"] += now - clock
                clock = now
                run.progress(record, len(rates_S))
                run.tracker.log({name: getattr(record, name) for name in _TRACKED}, step=record.step)
                stopping = _is_stopping(run, end)
                if stopping or is_checkpoint_due(run.rule, state.step, now - saved):
                    write_checkpoint(run, state, log)
                    clock = saved = time.perf_counter()
                if stopping:
                    raise stopped_error_of(run, state)
        first_step += plan.steps
        scores = run.samples.close(run.folder, plan, writes=run.learner.accelerator.is_main_process)
        if run.diet is not None and scores is not None:
            run.diet.take(scores)
        _score_epoch(run, state, epoch=epoch)
        if epoch + 1 < len(run.feed.plans):  # after the last one the run is finished
            write_checkpoint(run, state)
        run.scored(epoch, state.history[-1]["score"])


def shares_of(learner: Learner, steps: Iterable[Sequence[Batch]]) -> Iterator[tuple[Sequence[Batch], Sequence[Batch]]]:
    """Yield the batches of each step with this process's share of them; the next ones are made in another thread."""
    learner.prepared.train()
    process, processes = learner.accelerator.process_index, learner.accelerator.num_processes
    shared = ((step, own_share(step, learner.kind, process=process, processes=processes)) for step in steps)
    return prefetch((step, list(map(laid_out, share))) for step, share in shared)


def run_step(
    learner: Learner, batches: Sequence[Batch], share: Sequence[Batch], place: StepPlace
) -> tuple[StepRecord, StepEnd]:
    """Seed torch and update the model by a step's batches, of which this process takes its share.

    If the device runs out of memory, the update is made again in smaller micro-batches.
    """
    clock = time.perf_counter()
    _seed_torch(learner, place)
    predicted = sum(predicted_by(learner.kind, batch, learner.objective) for batch in batches)
    train = partial(
        update,
        learner,
        predicted=predicted,
        rate=place.rate,
        stopping=place.stopping,
        scored_B=np.concatenate([batch.sample_ids_B for batch in batches]) if learner.kind in SCORE_NAMES else None,
    )
    end = within_memory(train, share, learner.memory_caps, step=place.step, clear=partial(_clear, learner))
    record = StepRecord(
        step=place.step,
        epoch=place.epoch,
        batch_size=sum(len(batch.sample_ids_B) for batch in batches),
        predicted=predicted,
        padded_length=max(padded_length(batch) for batch in batches),
        tokens=sum(batch.input_ids_RW.size for batch in batches),
        lr=place.rate,
        loss=end.loss,
        seconds=time.perf_counter() - clock,
    )
    return record, end


def update(
    learner: Learner,
    batches: Sequence[Batch],
    *,
    rate: float,
    predicted: int | None = None,
    stopping: bool = False,
    scored_B: IntArray | None = None,
) -> StepEnd:
    """Update the model once: forward and backward for each batch, then gradients are clipped and weights move.

    The loss is a mean over all that the step predicts, however it is split over batches and processes; a share of a
    step needs that number (`predicted`).
    If the loss or a gradient is not finite, the weights stay as they were. `stopping`: this process was asked to stop.
    `scored_B` are the samples of the update in all processes, to return their scores; None: without scores.
    """
    accelerator, model, optimizer = learner.accelerator, learner.prepared, learner.optimizer
    for group in optimizer.param_groups:
        group["lr"] = rate
    if predicted is None:
        predicted = sum(predicted_by(learner.kind, batch, learner.objective) for batch in batches)
    total = 0.0
    scores = []
    if learner.objective is not None and learner.objective.is_joint:
        total = joint_backward(learner, batches, learner.objective) / accelerator.num_processes  # sum_up adds them up
        batches = ()
    with accelerator.autocast():  # one for all batches: weights are cast once
        for batch in batches:
            with dropout_masks(accelerator.device, compiled=learner.compiled):
                logits = forward(model, batch, learner.kind, learner.rules, device=accelerator.device)
            with torch.autocast(accelerator.device.type, enabled=False):
                loss = batch_loss(learner.kind, logits, batch, learner.objective)
                if scored_B is not None:
                    scores.append(batch_scores(learner.kind, logits, batch))
                if len(batches) > 1 or accelerator.num_processes > 1:
                    loss = loss * (predicted_by(learner.kind, batch, learner.objective) / max(predicted, 1))
                accelerator.backward(loss)
            total += float(loss.detach())
            if len(batches) > 1:
                add_rows(model)
            if learner.gives_back:
                del logits, loss
                give_back_freed_memory()
    with dense_gradients(model) as rows:
        own_BK = None if scored_B is None else scores_of_update(scored_B, batches, scores, learner.kind)
        (total, stops), all_BK = sum_up(accelerator, model, (total, float(stopping)), own_BK)
        finite = math.isfinite(total) and clipped_update(optimizer, gradient_norm(model, rows))
    optimizer.zero_grad()
    found = None if scored_B is None or all_BK is None else SampleScores(sample_ids_B=scored_B, values_BK=all_BK)
    return StepEnd(loss=total, finite=finite, stopping=stops > 0, scores=found)


def padded_length(batch: Batch) -> int:
    """Return the width of a batch's rows, or of an unpadded batch its longest sample."""
    return int(batch.lengths_B.max()) if batch.execution == "unpadded" else batch.input_ids_RW.shape[1]


def score_splits(
    learner: Learner, splits: Iterable[ScoredSplit], scored_split: str, largest_call: tuple[int, int] | None = None
) -> Metrics:
    """Return the metrics on all splits; a metric of another split than the scored one begins with that split's name.

    The scored split comes first. If it chooses the no-answer threshold, the others are scored with that. Calls have no
    more tokens and pairs than the largest one that is given.
    """
    metrics: Metrics = {}
    for scored in splits:
        chosen = metrics.get(THRESHOLD)
        found = evaluate_split(
            learner.accelerator,
            learner.prepared,
            scored if chosen is None else replace(scored, no_answer_threshold=chosen),
            pad_id=learner.pad_id,
            rules=learner.rules,
            plan=length_order_plan(scored.split.lengths_N, largest_call=largest_call),
        )
        prefix = "" if scored.split.name == scored_split else f"{scored.split.name}/"
        metrics |= {prefix + metric: value for metric, value in found.items()}
    return metrics


def _score_epoch(run: RunContext, state: RunState, *, epoch: int) -> None:
    """Score the model on the validation splits, and close the epoch."""
    clock = time.perf_counter()
    task = run.dataset.manifest.task
    state.metrics = score_splits(run.learner, run.validation, task.scored_split, run.largest_call)
    state.seconds["evaluate"] += time.perf_counter() - clock
    loss = state.loss_sum / max(state.predicted, 1)
    state.history.append({"epoch": epoch, "loss": loss, "score": state.metrics.get(task.metrics[0])})
    state.loss_sum, state.predicted = 0.0, 0
    run.tracker.log({"epoch": epoch, "epoch/loss": loss, **state.metrics}, step=state.step)


def _seed_torch(learner: Learner, place: StepPlace) -> None:
    """Seed the generators that a step draws from; on a CPU manual_seed takes 0.6 ms for other devices."""
    seed = rng.torch_seed(
        rng.RandomPurpose.TRAIN_STEP,
        seed=place.seed,
        epoch=place.epoch,
        step=place.step_of_epoch,
        process=learner.accelerator.process_index,
    )
    if learner.accelerator.device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _clear(learner: Learner) -> None:
    """Remove what a step left when it ran out of memory."""
    learner.optimizer.zero_grad()
    if learner.accelerator.device.type == "cuda":
        torch.cuda.empty_cache()


def _is_stopping(run: RunContext, end: StepEnd) -> bool:
    """Return whether a signal ends the run here; several processes stop after the step that they agreed on."""
    return end.stopping if run.learner.accelerator.num_processes > 1 else run.stop.number is not None
