"""Train on a prepared dataset: the plans of all epochs and their rates first, then the loop, then the run's folder.

Steps, rates and padding are known before the first step.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from tdbs.errors import DatasetError
from tdbs.files import is_remote
from tdbs.pipeline.dataset import PreparedDataset, load, split_info
from tdbs.pipeline.engines import DEFAULT_MEMORY
from tdbs.records import record_of
from tdbs.train.checkpoint import DEFAULT_CHECKPOINTS, CheckpointRule, RunState, load_checkpoint, newest_checkpoint
from tdbs.train.device import resolve_execution
from tdbs.train.energy import EnergyUse, check_energy, metered
from tdbs.train.epochs import Course, Progress, Scored, run_epochs
from tdbs.train.feed import TRAIN, TrainingData, make_feed, open_training_data
from tdbs.train.loop import Learner, make_learner
from tdbs.train.models.load import model_to_train
from tdbs.train.models.part import WHOLE, TrainablePart, check_part
from tdbs.train.models.saved_model import save_model
from tdbs.train.planning.caps import hardware_caps
from tdbs.train.planning.model_choice import DEFAULT_EPOCHS, DEFAULT_WARMUP, check_hyperparameters
from tdbs.train.planning.plan import plan_digest, run_padding, run_target_padding
from tdbs.train.planning.profile_file import Profile, profiled_attention
from tdbs.train.planning.rates import learning_rates
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy, given_strategy, resolve_dropout
from tdbs.train.run_folder import FORM as RUN_FORM
from tdbs.train.run_folder import (
    MODEL_FOLDER,
    RESULT_NAME,
    begun_run,
    check_run_folder,
    check_same_run,
    continue_run,
    default_run_folder,
    finish_run,
    start_run,
)
from tdbs.train.scores.scoring import ScoredSplit, read_scored_split
from tdbs.train.stopping import Stop
from tdbs.train.tracking import Tracker, check_tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What a run made; the fields are the JSON keys of `tdbs train`."""

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
    target_tokens: int = 0  # seq2seq: of the targets, pad included
    target_padding_fraction: float | None = None
    halved_caps: list[dict[str, str | int]] = field(default_factory=list)  # where memory ran out
    energy: EnergyUse | None = None  # of training and evaluation, where it is measured


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedData:
    """What a run reads of a dataset: the train split, and the validation splits with labels, the scored one first."""

    training: TrainingData
    validation: list[ScoredSplit]


def load_data(dataset: PreparedDataset, *, memory: int | str = DEFAULT_MEMORY) -> LoadedData:
    """Read what runs train on and are scored on, once for as many runs as there are."""
    return LoadedData(training=open_training_data(dataset, memory=memory), validation=_labelled_validation(dataset))


def train(
    dataset: PreparedDataset | str | Path,
    *,
    strategy: str | Strategy = DEFAULT_STRATEGY,
    model: str | None = None,
    epochs: int = DEFAULT_EPOCHS,
    seed: int = 0,
    lr: float | None = None,
    warmup: float = DEFAULT_WARMUP,
    dropout: float | None = None,
    precision: str = "auto",
    attention: str = "auto",
    profile: Profile | None = None,
    compiled: bool = False,
    part: TrainablePart = WHOLE,
    track: str | None = None,
    energy: str | None = None,
    memory: int | str = DEFAULT_MEMORY,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    checkpoints: CheckpointRule | None = DEFAULT_CHECKPOINTS,
    stop: Stop | None = None,
    save: bool = True,
    progress: Progress = lambda _record, _steps: None,
    scored: Scored = lambda _epoch, _score: None,
    held: LoadedData | None = None,
) -> TrainResult:
    """Fine-tune a model on a prepared dataset and score it on the validation split after each epoch.

    `strategy` is a name, resolved for the dataset's task, or a resolved Strategy, which is taken as it is; `lr`
    defaults to 5e-5 (1e-3 for `tiny`), `dropout` to the paper's rule for the strategy, the attention kernel to the
    fastest of `profile`, where one is given; `compiled` compiles layers (compiled.py); `part` says what of the model is
    trained. A train split that takes more than `memory` to train on is read in windows (windows.py); runs of one
    process may share what they read (`held`).

    Writes a run folder, with the model unless not `save`, and checkpoints while it runs; with `resume` a run that the
    folder holds goes on from the newest one, or from its beginning. Where `stop` has a signal, training ends after the
    step with StoppedError. `track` names a tracker that is told of each step (tracking.py); with `energy`, a country's
    three letters or `world`, kWh and CO2e of training and evaluation are measured (energy.py); `scored` is told each
    epoch's score, and what it raises ends the run there. Of several processes that torchrun or accelerate started, each
    trains on its share of every update, and the first one writes the folder.

    Raises a TdbsError before anything is written where options, dataset and model do not fit, or are not those of the
    run to resume, and TrainingError where a loss is not finite.
    """
    started = time.perf_counter()
    dataset = dataset if isinstance(dataset, PreparedDataset) else load(dataset)
    manifest = dataset.manifest
    check_hyperparameters(epochs=epochs, lr=lr, warmup=warmup, dropout=dropout)
    check_tracker(track)
    energy = check_energy(energy)
    trained = model_to_train(model, manifest)
    check_part(part, trained.name)
    strategy = given_strategy(strategy, manifest.task, in_rows=trained.in_rows)
    attention = profiled_attention(profile, attention)
    execution = resolve_execution(precision=precision, attention=attention, compiled=compiled)
    processes = PartialState(cpu=execution.device == "cpu")  # one of those that torchrun started, or the only one
    folder = Path(out) if out is not None else default_run_folder(manifest.source, strategy.name, seed)
    folder = broadcast_object_list([folder])[0]  # its name has the time
    begun = begun_run(folder) if resume else None
    if begun is None:
        check_run_folder(folder, overwrite=overwrite)

    info = split_info(dataset, TRAIN)
    if not info.labelled:
        raise DatasetError(f"{dataset.path} has no labels to train on.", next_step="Prepare it with --label.")
    held = held or load_data(dataset, memory=memory)
    clock = time.perf_counter()
    feed = make_feed(held.training, strategy, seed=seed, epochs=epochs)
    plans = feed.plans
    planning = time.perf_counter() - clock
    base_lr = trained.rate if lr is None else lr
    rates_S = learning_rates(plans, strategy, base_lr=base_lr, warmup=warmup)
    dropout = resolve_dropout(dropout, strategy, info.rows)
    config = {
        "dataset": {
            "path": str(dataset.path if is_remote(dataset.path) else dataset.path.resolve()),
            "key": manifest.key,
            "source": manifest.source,
        },
        "task": {"kind": manifest.task.kind, "classes": list(manifest.task.classes)},
        "model": trained.name,
        "seed": seed,
        "epochs": epochs,
        "lr": base_lr,
        "warmup": warmup,
        "dropout": dropout,
        "plan_digest": plan_digest(plans),
        "memory": str(memory),
        "windows": held.training.windows,
        "strategy": {name: value for name, value in asdict(strategy).items() if value is not None},
        "part": {name: value for name, value in asdict(part).items() if value is not None},
        "execution": {name: value for name, value in asdict(execution).items() if value is not False},
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        # one of the terms: a run that is resumed without it would tell less than it used
        **({} if energy is None else {"energy": {"country": energy}}),
    }
    if begun is not None:
        check_same_run(begun, config)
        if begun.result is not None:
            return record_of(begun.result, TrainResult, RUN_FORM, named=str(folder / RESULT_NAME))
    learner = make_learner(
        dataset, trained.name, seed=seed, dropout=dropout, execution=execution, in_rows=strategy.in_rows, part=part
    )
    if strategy.accumulates:
        learner.memory_caps.hardware_L1 = hardware_caps(strategy.hw_caps, max_length=manifest.max_length)
    state = _restore(learner, None if begun is None else newest_checkpoint(folder))
    with metered(energy if processes.is_main_process else None, state.energy) as meter:
        _open_folder(folder, config, None if begun is None else state)
        course = Course(
            folder=folder,
            dataset=dataset,
            learner=learner,
            feed=feed,
            rates_S=rates_S,
            started=started - state.seconds["total"],
            validation=held.validation,
            seed=seed,
            rule=checkpoints,
            stop=stop or Stop(),
            progress=progress,
            scored=scored,
            tracker=Tracker(track, folder, config),
            energy=meter,
        )
        state.seconds["plan"] += planning
        run_epochs(course, state)
    if save and processes.is_main_process:
        save_model(folder / MODEL_FOLDER, learner.model, learner.rules, dataset)
    state.seconds["total"] = time.perf_counter() - course.started
    result = _result(course, state, strategy)
    if processes.is_main_process:
        finish_run(folder, asdict(result))
    processes.wait_for_everyone()  # the run is whole when any of them returns
    return result


def _result(course: Course, state: RunState, strategy: Strategy) -> TrainResult:
    plans = course.feed.plans
    return TrainResult(
        run=str(course.folder),
        strategy=strategy.name,
        seed=course.seed,
        steps=len(course.rates_S),
        samples=sum(len(plan.sample_ids_N) for plan in plans),
        tokens=sum(plan.tokens for plan in plans),
        padding_fraction=run_padding(plans),
        target_tokens=sum(plan.target_tokens for plan in plans),
        target_padding_fraction=run_target_padding(plans),
        seconds=state.seconds,
        metrics=state.metrics,
        score=state.metrics.get(course.dataset.manifest.task.metrics[0]),
        epochs=state.history,
        halved_caps=[asdict(halved) for halved in course.learner.memory_caps.halved],
        energy=state.energy,
    )


def _restore(learner: Learner, newest: Path | None) -> RunState:
    """Return where a run stands, and give the learner what its newest checkpoint holds."""
    if newest is None:
        return RunState()
    state = load_checkpoint(newest, learner.model, learner.optimizer)
    learner.memory_caps.take(state.caps, state.halved)
    return state


def _open_folder(folder: Path, config: Mapping[str, Any], resumed: RunState | None) -> None:
    """Begin a run's folder, or go on with it; one process does it, once all have looked at what is there."""
    processes = PartialState()
    processes.wait_for_everyone()
    if not processes.is_main_process:
        return
    if resumed is None:
        start_run(folder, config)
    else:
        continue_run(folder, steps=resumed.step)


def _labelled_validation(dataset: PreparedDataset) -> list[ScoredSplit]:
    """Return the validation splits with labels, the scored one first."""
    splits = dataset.manifest.splits
    names = [name for name, info in splits.items() if name.startswith("validation") and info.labelled]
    names.sort(key=lambda name: name != dataset.manifest.task.scored_split)
    return [read_scored_split(dataset, name) for name in names]
