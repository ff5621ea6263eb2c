"""Train on a prepared dataset: the plans of all epochs and their rates first, then the loop, then the run's folder.

Steps, rates and padding are known before the first step.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState

from tdbs.errors import DatasetError
from tdbs.notebook import of_steps, shown_progress
from tdbs.pipeline.dataset import AnyDataset, opened, split_info
from tdbs.records import record_of
from tdbs.settings import TrainSettings, options_of, takes
from tdbs.shown import shown
from tdbs.train.arguments import TrainArguments, config_of, folder_of, load_data, recorded_memory
from tdbs.train.checkpoint import RunState, load_checkpoint, load_scores, newest_checkpoint
from tdbs.train.data_diet import DataDiet
from tdbs.train.energy import EnergyUse, metered
from tdbs.train.feed import TRAIN, TrainingData, feed_of, plan_data
from tdbs.train.learner import Learner, make_learner
from tdbs.train.loop import run_epochs
from tdbs.train.models.saved_model import save_model
from tdbs.train.models.sentence_settings import note_on_training, sentence_folder
from tdbs.train.objectives.negatives import objective_notes
from tdbs.train.planning.caps import hardware_caps
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.epoch_plan import run_padding, run_target_padding
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.kept_samples import subset_of
from tdbs.train.planning.memory_bound import Fitted, bound_note, fitted_plans, training_bound
from tdbs.train.planning.memory_windows import replan_epoch
from tdbs.train.planning.peak_memory import largest_call, memory_terms
from tdbs.train.planning.profile_file import opened_profile
from tdbs.train.planning.rates import idle_note, learning_rates
from tdbs.train.planning.strategies import Strategy
from tdbs.train.planning.subsets import Subset, samples_of
from tdbs.train.resolved import ResolvedSettings, resolve_settings
from tdbs.train.run_context import RunContext
from tdbs.train.run_folder import (
    MODEL_FOLDER,
    RESULT_NAME,
    Run,
    begun_run,
    check_run_folder,
    check_same_run,
    continue_run,
    finish_run,
    start_run,
)
from tdbs.train.run_records import FORM as RUN_FORM
from tdbs.train.sample_records import SCORE_NAMES, EpochScores
from tdbs.train.scores.no_answers import THRESHOLD
from tdbs.train.scores.scoring import untuned_threshold
from tdbs.train.stopping import Stop
from tdbs.train.tracking import Tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """The result of a run; the fields are the JSON keys of `tdbs train`. It is the path of the run's folder, too."""

    run: str
    strategy: str
    seed: int
    steps: int
    samples: int
    tokens: int
    padding_fraction: float
    seconds: dict[str, float]
    metrics: dict[str, float | None]
    score: float | None
    epochs: list[dict[str, Any]]  # mean loss and score of each epoch
    target_tokens: int = 0  # seq2seq: of the targets, padding included
    target_padding_fraction: float | None = None
    halved_caps: list[dict[str, str | int]] = field(default_factory=list)  # after memory ran out
    energy: EnergyUse | None = None  # of training and evaluation; None: not measured
    no_answer_threshold: float | None = None  # question answering: above it the answer is empty; None: never

    def __fspath__(self) -> str:
        return self.run

    def __repr__(self) -> str:
        cost = f"{self.steps:,} steps, {self.tokens:,} tokens, {self.padding_fraction:.1%} padding"
        result = f"{self.seconds['total']:,.0f} s, " + ("no score" if self.score is None else f"score {self.score:.3f}")
        return shown(f"<TrainResult {self.strategy}, seed {self.seed}: {cost}, {result}; {self.run}>")


@takes(TrainArguments)
def train(dataset: AnyDataset, arguments: TrainArguments) -> TrainResult:
    """Fine-tune a model on a prepared dataset and score it on the validation split after each epoch.

    Writes a run folder with the model, and checkpoints while it runs. If torchrun or accelerate started several
    processes, each trains on its share of every update, and the first one writes the folder.

    Args:
        dataset: A prepared dataset, or its folder.

    Returns:
        The result: steps, tokens, padding, seconds, metrics, the score (0 to 1), and the folder.

    Raises:
        TdbsError: Options, dataset and model do not fit together, or are not those of the run to resume. Nothing is
            written then.
        TrainingError: The loss or a gradient is not finite.
        StoppedError: `stop` got a signal; the run can be resumed.
    """
    started = time.perf_counter()
    dataset = opened(dataset)
    resolved = resolve_settings(arguments, dataset.manifest, profile=opened_profile(arguments.profile))
    strategy = given_strategy(
        arguments.strategy,
        dataset.manifest.task,
        in_rows=resolved.model.in_rows,
        batch_size=arguments.base_batch_size,
    )
    # one of the processes that torchrun started, or the only one
    processes = PartialState(cpu=resolved.execution.device == "cpu")
    folder = folder_of(dataset, strategy, arguments)
    begun = begun_run(folder) if arguments.resume else None
    if begun is None:
        check_run_folder(folder, overwrite=arguments.overwrite)

    info = split_info(dataset, TRAIN)
    if not info.labelled:
        raise DatasetError(f"{dataset.path} has no labels to train on.", next_step="Prepare it with --label.")
    loaded = arguments.loaded or load_data(dataset, memory=arguments.memory)
    clock = time.perf_counter()
    dropout = resolve_dropout(arguments.dropout, strategy, info.rows)
    subset = subset_of(arguments, dataset, TRAIN)
    fitted = _planned(loaded.training, strategy, arguments, resolved, begun, subset, dropout=dropout)
    strategy, feed = fitted.strategy, feed_of(loaded.training, fitted.strategy, fitted.plans, seed=arguments.seed)
    planning = time.perf_counter() - clock
    rates = partial(
        learning_rates,
        strategy=strategy,
        base_lr=resolved.lr,
        warmup=arguments.warmup,
        scheduler=arguments.lr_scheduler,
    )
    config = config_of(dataset, arguments, resolved, strategy, feed, dropout=dropout, windows=loaded.training.windows)
    if begun is not None:
        check_same_run(begun, config)
        if begun.result is not None:
            return record_of(begun.result, TrainResult, RUN_FORM, named=str(folder / RESULT_NAME))
    learner = make_learner(
        dataset,
        resolved,
        seed=arguments.seed,
        dropout=dropout,
        in_rows=strategy.in_rows,
        bounded=arguments.memory is not None,
    )
    embeds = learner.rules.pooling is not None
    of_texts = note_on_training(sentence_folder(resolved.model.name, cached=True)) if embeds else None
    of_objective = objective_notes(learner.objective, dataset.manifest, loaded.training.index, feed.plans[0])
    for note in filter(None, (of_texts, *of_objective, idle_note(rates(feed.plans)))):
        arguments.noted(note)
    if strategy.accumulates:
        caps = hardware_caps(strategy.hw_caps, max_length=dataset.manifest.max_length)
        learner.memory_caps.hardware_L1 = caps
    samples = EpochScores(names=SCORE_NAMES.get(learner.kind, ()), rows=info.rows)
    state = _restore(learner, samples, None if begun is None else newest_checkpoint(folder))
    with metered(resolved.energy if processes.is_main_process else None, state.energy) as meter:
        _open_folder(folder, config, None if begun is None else state)
        name = f"{strategy.name}, seed {arguments.seed}"
        with (
            closing(Tracker(arguments.track, folder, config)) as tracker,
            shown_progress(arguments.progress, of_steps(name)) as progress,
        ):
            run = RunContext(
                folder=folder,
                dataset=dataset,
                learner=learner,
                feed=feed,
                rates=rates,
                started=started - state.seconds["total"],
                validation=loaded.validation,
                seed=arguments.seed,
                rule=arguments.checkpoints,
                stop=arguments.stop or Stop(),
                progress=progress,
                scored=arguments.scored,
                samples=samples,
                diet=_diet(loaded.training, strategy, subset, seed=arguments.seed),
                tracker=tracker,
                energy=meter,
                # scoring stores nothing, so calls as large as those of training fit, too
                largest_call=None if arguments.memory is None else largest_call(fitted.plans),
            )
            state.seconds["plan"] += planning
            run_epochs(run, state)
            state.energy = meter()
    if arguments.save and processes.is_main_process:
        save_model(folder / MODEL_FOLDER, learner.model, learner.rules, dataset)
    state.seconds["total"] = time.perf_counter() - run.started
    result = _result(run, state, strategy)
    if processes.is_main_process:
        finish_run(folder, asdict(result))
    processes.wait_for_everyone()  # so the run is complete when any of them returns
    return result


def _planned(
    data: TrainingData,
    strategy: Strategy,
    arguments: TrainArguments,
    resolved: ResolvedSettings,
    begun: Run | None,
    subset: Subset,
    *,
    dropout: float,
) -> Fitted:
    """Return the plans of a run within `--memory`; a run that resumes keeps the calls it began with."""
    manifest = data.dataset.manifest
    bound = training_bound(arguments.memory, manifest.splits[TRAIN], manifest)
    if bound is not None and begun is not None and begun.config.get("memory") == recorded_memory(arguments.memory):
        cap = begun.config.get("strategy", {}).get("max_tokens") if strategy.max_tokens is None else strategy.max_tokens
        strategy, bound = replace(strategy, max_tokens=cap), None  # another version might predict another peak
    settings = TrainSettings(**options_of(arguments) | resolved.options)
    terms = memory_terms(resolved.model, manifest.task.kind, settings, dropout=dropout)
    plan = partial(plan_data, data, seed=arguments.seed, epochs=arguments.epochs, subset=subset)
    fitted = fitted_plans(plan, strategy, terms, bound)
    if fitted.error is not None:
        raise fitted.error
    note = bound_note(fitted, arguments.memory, resolved.model)
    if note is not None:
        arguments.noted(note)
    return fitted


def _diet(data: TrainingData, strategy: Strategy, subset: Subset, *, seed: int) -> DataDiet | None:
    """Return the data diet of a run; None if epochs are as planned before training."""
    if subset.diet is None:
        return None
    rows = len(data.index.lengths_N)
    replan = partial(replan_epoch, data.index, data.dataset.manifest, strategy, seed=seed, windows=data.windows)
    return DataDiet(
        share=subset.diet, samples_M=samples_of(subset, rows), replan=replan, el2n_N=np.zeros(rows, dtype=np.float32)
    )


def _result(run: RunContext, state: RunState, strategy: Strategy) -> TrainResult:
    plans = run.feed.plans
    return TrainResult(
        run=str(run.folder),
        strategy=strategy.name,
        seed=run.seed,
        steps=run.feed.step_count,
        samples=sum(len(plan.sample_ids_N) for plan in plans),
        tokens=sum(plan.tokens for plan in plans),
        padding_fraction=run_padding(plans),
        target_tokens=sum(plan.target_tokens for plan in plans),
        target_padding_fraction=run_target_padding(plans),
        seconds=state.seconds,
        metrics=state.metrics,
        score=state.metrics.get(run.dataset.manifest.task.metrics[0]),
        epochs=[{**epoch} for epoch in state.history],
        halved_caps=[asdict(halved) for halved in run.learner.memory_caps.halved],
        energy=state.energy,
        no_answer_threshold=state.metrics.get(THRESHOLD, untuned_threshold(run.dataset.manifest)),
    )


def _restore(learner: Learner, samples: EpochScores, newest: Path | None) -> RunState:
    """Return the progress of a run, and restore learner and scores of samples from the newest checkpoint."""
    if newest is None:
        return RunState()
    state = load_checkpoint(newest, learner.model, learner.optimizer)
    learner.memory_caps.take(state.caps, state.halved)
    samples.values_NK = load_scores(newest, rows=samples.rows, scores=len(samples.names))
    return state


def _open_folder(folder: Path, config: Mapping[str, Any], resumed: RunState | None) -> None:
    """Start a run's folder, or continue it; one process does so, after all processes have checked what is there."""
    processes = PartialState()
    processes.wait_for_everyone()
    if not processes.is_main_process:
        return
    if resumed is None:
        start_run(folder, config)
    else:
        continue_run(folder, steps=resumed.step)
