"""Search hyperparameters on one prepared dataset with Optuna: a trial is a combination, trained with every seed.

Trials are in Optuna's storage, so several workers can share one search, and a stopped search can resume. Runs are below
the sweep's folder and resume from their checkpoints. All trials share one read of the dataset.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tdbs.analysis.sweep.result import (
    ASKED,
    REASON,
    SweepResult,
    SweepTerms,
    best_of,
    live_trials,
    result_of,
    trial_strategy,
)
from tdbs.analysis.sweep.space import Range, Space, check_names, combinations, ends_of, is_grid
from tdbs.analysis.sweep.trials import (
    FORM,
    STORAGE_NAME,
    enqueue,
    enqueue_missing,
    is_unfinished,
    open_trials,
    retry_killed,
    sampler_of,
    suggested,
)
from tdbs.errors import ConfigError, DatasetError, TrainingError
from tdbs.files import make_file, make_folder, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.records import read_record
from tdbs.removal import refuse_link, remove_folder
from tdbs.settings import TrainSettings, changed_fields, options_of
from tdbs.train.arguments import LoadedData, load_data
from tdbs.train.objectives.negatives import check_negatives, is_unranked
from tdbs.train.objectives.objective import check_objective
from tdbs.train.resolved import resolve_settings
from tdbs.train.run_folder import MODEL_FOLDER, holds_run
from tdbs.train.stopping import Stop, StoppedError, stopped_error
from tdbs.train.trainer import train

if TYPE_CHECKING:
    import optuna

SETTINGS_NAME, RESULT_NAME, RUNS_FOLDER = "settings.json", "sweep.json", "runs"
_OF_TRAINING = (  # searched as they are
    *("lr", "dropout", "warmup", "lr_scheduler", "weight_decay"),
    *("loss", "temperature", "margin", "pooling"),  # of embeddings and rerankers
)
_COMMON = ("seeds", "model", "epochs", "strategy", "precision", "attention")  # in settings.json always
_OF_STORAGE = ("", "-journal", "-wal", "-shm")  # SQLite keeps changes in files beside its own
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Settings:
    """What is read of settings.json: what resuming compares."""

    dataset: str
    space: Mapping[str, Any]
    terms: Mapping[str, Any]


def sweep(
    dataset: PreparedDataset,
    space: Space,
    terms: SweepTerms,
    *,
    out: Path,
    storage: str | None = None,
    resume: bool = False,
    stop: Stop | None = None,
    progress: Progress = lambda _message: None,
) -> SweepResult:
    """Train the trials that are missing and return what is known of all.

    A space of lists is searched whole; one with ranges by TPE, `terms.trials` times. Trials go to `storage`, a URL of
    Optuna's that several workers may share, or to a file in `out`. On a signal in `stop` the current run is saved and
    StoppedError raised. Raises ConfigError if `out` contains other files or a sweep started with other settings, and
    DatasetError if no split has labels to score trials on.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it prints a traceback of a trial that was stopped
    _check_scored(dataset)
    if not space:
        raise ConfigError("tdbs sweep has no values to search.", next_step="Pass --lr 3e-5,4e-5,5e-5, or --space FILE.")
    check_names(space)
    for each in combinations(ends_of(space)):  # refused before anything is written
        trial_strategy(dataset, terms, each)
        asked = _settings_of(each, terms)
        check_objective(asked, dataset.manifest.task)
        check_negatives(asked, dataset.manifest)
    resolve_settings(terms, dataset.manifest)
    _begin(out, dataset, space, terms, resume=resume)
    if storage is None:
        make_file(out / STORAGE_NAME)  # SQLite would not follow the umask
    study = open_trials(storage, out, terms)
    loaded = load_data(dataset, memory=terms.memory)
    if storage is None:  # nobody else works on this file: what is running there was killed
        retry_killed(study)

    def run(trial: "optuna.Trial") -> float:
        study.sampler = sampler_of(trial, study, terms)
        try:
            return _run_trial(trial, dataset, loaded, space, terms, out=out, stop=stop, progress=progress)
        except (StoppedError, KeyboardInterrupt):
            enqueue(
                study, trial.user_attrs.get(ASKED, trial.params), again=True
            )  # it runs first when the sweep resumes
            raise
        except TrainingError as error:  # a rate that is too high ends a trial, not the search
            progress(f"trial {trial.number}: {error.message}")
            trial.set_user_attr(REASON, error.message)
            raise optuna.TrialPruned from error

    if is_grid(space):
        enqueue_missing(study, space)
    while is_unfinished(study, space, terms):
        if stop is not None and stop.number is not None:
            raise _stopped(out, stop.number)
        try:
            study.optimize(run, n_trials=1)
        except StoppedError as error:
            raise _stopped(out, error.exit_code - 128) from error
        _keep_one_model(study, out, seeds=terms.seeds)
    _keep_one_model(study, out, seeds=terms.seeds)  # what another worker's last trial was better than
    result = result_of(study, dataset, terms)
    write_json(out / RESULT_NAME, asdict(result))
    return result


def run_name(params: Mapping[str, Any], seed: int) -> str:
    """Return the folder of a run: the same for the same combination, so that a killed one is found again."""
    return f"{sha256_of(json.dumps(dict(params), sort_keys=True).encode())[:12]}-seed{seed}"


def _check_scored(dataset: PreparedDataset) -> None:
    """Refuse a dataset on which every trial would score nothing."""
    name = dataset.manifest.task.scored_split
    info = dataset.manifest.splits.get(name)
    if info is None or not info.labelled:
        raise DatasetError(
            f"{dataset.path} has no {name} split with labels, and a sweep ranks its trials by their scores.",
            next_step="Prepare it with --validation FILE, or --validation 0.1 to hold out a tenth of the rows.",
        )
    if is_unranked(dataset.manifest):
        raise DatasetError(
            f"No sample of {name} has a negative, so its score is undefined, and a sweep ranks its trials by scores.",
            next_step="Prepare it with validation rows that have negatives.",
        )


def _stopped(out: Path, number: int) -> StoppedError:
    return stopped_error(
        f"The sweep in {out}", number, next_step=f"Run the same command with --resume --out {out} to continue."
    )


def _begin(out: Path, dataset: PreparedDataset, space: Space, terms: SweepTerms, *, resume: bool) -> None:
    """Make the folder of a sweep, or refuse one that holds anything else."""
    described = {name: asdict(part) if isinstance(part, Range) else list(part) for name, part in space.items()}
    common = {name: getattr(terms, name) for name in _COMMON} | changed_fields(terms, TrainSettings)
    for name in ("", RUNS_FOLDER, *(f"{STORAGE_NAME}{ending}" for ending in _OF_STORAGE)):
        refuse_link(out / name)
    settings = json.loads(json.dumps({"dataset": dataset.manifest.key, "space": described, "terms": common}))
    place = out / SETTINGS_NAME
    if place.exists():
        if not resume:
            raise ConfigError(f"{out} contains a sweep.", next_step="Pass --resume to continue, or another --out.")
        begun = read_record(place, _Settings, FORM)
        different = [name for name in settings if getattr(begun, name) != settings[name]]
        if different:
            raise ConfigError(
                f"The sweep in {out} was started with other settings: {', '.join(different)}.",
                next_step="Repeat the command that started it, or pass another --out.",
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} contains other files.", next_step="Pass another --out.")
    make_folder(out)
    write_json(place, settings)


def _run_trial(
    trial: "optuna.Trial",
    dataset: PreparedDataset,
    loaded: LoadedData,
    space: Space,
    terms: SweepTerms,
    *,
    out: Path,
    stop: Stop | None,
    progress: Progress,
) -> float:
    """Train a combination with each seed; the trial is pruned if its mean so far is hopeless."""
    import optuna

    params = suggested(trial, space)
    if is_grid(space) and ASKED not in trial.user_attrs:
        raise optuna.TrialPruned  # another worker was quicker: what the queue held is taken
    epochs = _settings_of(params, terms).epochs
    scores: list[float] = []
    for index, seed in enumerate(terms.seeds):
        folder = out / RUNS_FOLDER / run_name(params, seed)
        progress(f"trial {trial.number}, seed {seed}: " + ", ".join(f"{name} {params[name]}" for name in params))

        def scored(epoch: int, score: float | None, first: int = index * epochs) -> None:
            if score is None:
                return
            trial.report(statistics.mean([*scores, score]), first + epoch)
            if trial.should_prune():
                trial.set_user_attr(REASON, "Its score was below the median of the others.")
                raise optuna.TrialPruned

        result = train(
            dataset,
            **options_of(_settings_of(params, terms)),
            strategy=trial_strategy(dataset, terms, params),
            seed=seed,
            out=folder,
            resume=True,
            stop=stop,
            scored=scored,
            loaded=loaded,
        )
        if result.score is None:
            progress(f"trial {trial.number}: its score is undefined")
            trial.set_user_attr(REASON, f"{dataset.manifest.task.metrics[0]} is undefined.")
            raise optuna.TrialPruned
        scores.append(result.score)
        trial.set_user_attr(f"score/{seed}", result.score)
        trial.set_user_attr(f"seconds/{seed}", result.seconds["total"])
        trial.set_user_attr(f"run/{seed}", folder.name)
    return statistics.mean(scores)


def _settings_of(params: Mapping[str, Any], terms: SweepTerms) -> SweepTerms:
    """Return how a combination is trained. Raises ConfigError for a value out of range."""
    own = {name: params[name] for name in _OF_TRAINING if name in params}
    return replace(terms, epochs=int(params.get("epochs", terms.epochs)), **own)


def _keep_one_model(study: "optuna.Study", out: Path, *, seeds: Sequence[int]) -> None:
    """Remove the models of trials that have ended, but the best one's: a sweep would fill a disk with them.

    Other workers may be at work below the same folder: runs of trials that wait or run stay as they are.
    """
    trials = live_trials(study)
    best = best_of(trials)
    ended = [trial for trial in trials if trial.state.is_finished()]
    kept = [trial for trial in trials if not trial.state.is_finished() or trial is best]
    names = {run_name(trial.params or trial.user_attrs.get(ASKED, {}), seed) for trial in kept for seed in seeds}
    for name in {run_name(trial.params, seed) for trial in ended for seed in seeds} - names:
        folder = out / RUNS_FOLDER / name
        if not folder.is_symlink() and holds_run(folder):
            remove_folder(folder / MODEL_FOLDER)
