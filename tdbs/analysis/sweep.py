"""Search hyperparameters on one prepared dataset: a trial is a combination, trained with every seed, by Optuna.

Trials live in Optuna's storage, so several workers share one search, and a search that was stopped goes on. Runs lie
below the sweep's folder and resume from their checkpoints. The dataset is read once for all of them.
"""

import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tdbs.analysis.sweep_result import ASKED, SweepResult, SweepTerms, live_trials, result_of, trial_strategy
from tdbs.analysis.sweep_space import Range, Space, combinations, is_grid
from tdbs.errors import ConfigError, TrainingError
from tdbs.files import make_file, make_folder, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.removal import refuse_link, remove_folder
from tdbs.train.defaults import check_hyperparameters
from tdbs.train.run_folder import MODEL_FOLDER, holds_run
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import HeldData, TrainResult, hold_data, train

if TYPE_CHECKING:
    import optuna

SETTINGS_NAME, RESULT_NAME, STORAGE_NAME, RUNS_FOLDER = "settings.json", "sweep.json", "trials.db", "runs"
_STUDY = "tdbs"
_RUN_NAME = re.compile(r"[0-9a-f]{12}-seed\d+")
_OF_STORAGE = ("", "-journal", "-wal", "-shm")  # SQLite keeps changes in files beside its own
Progress = Callable[[str], None]


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
    Optuna's that several workers may share, or to a file in `out`. Where `stop` has a signal the run at hand is saved
    and StoppedError raised. Raises ConfigError where `out` holds something else or a sweep begun otherwise.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_hyperparameters(epochs=terms.epochs)
    if not space:
        raise ConfigError("A sweep needs something to search.", next_step="Pass --lr 3e-5,4e-5,5e-5, or --space FILE.")
    for each in combinations({name: part for name, part in space.items() if not isinstance(part, Range)}):
        trial_strategy(dataset, terms, each)  # refused before anything is written
    _begin(out, dataset, space, terms, resume=resume)
    if storage is None:
        make_file(out / STORAGE_NAME)  # SQLite would not follow the umask
    study = optuna.create_study(
        storage=storage or f"sqlite:///{out.resolve() / STORAGE_NAME}",
        study_name=_STUDY,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=None),
        pruner=optuna.pruners.MedianPruner() if terms.prune else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    held = hold_data(dataset)
    if storage is None:  # nobody else works on this file: what is running there was killed
        _retry_killed(study)

    def run(trial: "optuna.Trial") -> float:
        try:
            return _run_trial(trial, study, dataset, held, space, terms, out=out, stop=stop, progress=progress)
        except StoppedError:
            _enqueue(study, trial.params)  # it goes on first when the sweep does
            raise
        except TrainingError as error:  # a rate that is too high ends a trial, not the search
            progress(f"trial {trial.number}: {error.message}")
            raise optuna.TrialPruned from error

    if is_grid(space):
        _enqueue_missing(study, space)
        while study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            study.optimize(run, n_trials=1)
    else:
        ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        while len(study.get_trials(deepcopy=False, states=ended)) < terms.trials:
            study.optimize(run, n_trials=1)
    result = result_of(study, dataset, terms)
    write_json(out / RESULT_NAME, asdict(result))
    return result


def _begin(out: Path, dataset: PreparedDataset, space: Space, terms: SweepTerms, *, resume: bool) -> None:
    """Make the folder of a sweep, or refuse one that holds anything else."""
    told = {name: asdict(part) if isinstance(part, Range) else list(part) for name, part in space.items()}
    common = {name: value for name, value in asdict(terms).items() if name not in ("trials", "prune")}
    for name in ("", RUNS_FOLDER, *(f"{STORAGE_NAME}{ending}" for ending in _OF_STORAGE)):
        refuse_link(out / name)
    settings = json.loads(json.dumps({"dataset": dataset.manifest.key, "space": told, "terms": common}))
    place = out / SETTINGS_NAME
    if place.exists():
        if not resume:
            raise ConfigError(f"{out} holds a sweep.", next_step="Pass --resume to go on, or another --out.")
        begun = json.loads(place.read_text(encoding="utf-8"))
        different = [name for name in settings if begun.get(name) != settings[name]]
        if different:
            raise ConfigError(
                f"The sweep in {out} was begun otherwise: {', '.join(different)}.",
                next_step="Repeat the command that began it, or pass another --out.",
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} holds something else.", next_step="Pass another --out.")
    make_folder(out)
    write_json(place, settings)


def _enqueue_missing(study: "optuna.Study", space: Space) -> None:
    """Queue the combinations of a grid that no trial has ended, waits or runs with."""
    known = [trial.user_attrs.get(ASKED, trial.params) for trial in live_trials(study)]
    for each in combinations(space):
        if each not in known:
            _enqueue(study, each)


def _enqueue(study: "optuna.Study", params: Mapping[str, Any]) -> None:
    study.enqueue_trial(dict(params), user_attrs={ASKED: dict(params)})


def _retry_killed(study: "optuna.Study") -> None:
    """Queue the trials again that a killed worker left running; their runs go on from their checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        _enqueue(study, trial.user_attrs.get(ASKED, trial.params))


def _run_trial(
    trial: "optuna.Trial",
    study: "optuna.Study",
    dataset: PreparedDataset,
    held: HeldData,
    space: Space,
    terms: SweepTerms,
    *,
    out: Path,
    stop: Stop | None,
    progress: Progress,
) -> float:
    """Train a combination with each seed; the trial is pruned where its mean so far is hopeless."""
    import optuna

    params = _suggested(trial, space)
    if is_grid(space) and ASKED not in trial.user_attrs:
        raise optuna.TrialPruned  # another worker was quicker: what the queue held is taken
    epochs = int(params.get("epochs", terms.epochs))
    scores: list[float] = []
    for index, seed in enumerate(terms.seeds):
        folder = out / RUNS_FOLDER / run_name(params, seed)
        progress(f"trial {trial.number}, seed {seed}: " + ", ".join(f"{name} {params[name]}" for name in params))

        def scored(epoch: int, score: float | None, first: int = index * epochs) -> None:
            trial.report(statistics.mean([*scores, score or 0.0]), first + epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        result = _trained(dataset, held, terms, params, seed=seed, folder=folder, stop=stop, scored=scored)
        scores.append(result.score or 0.0)
        trial.set_user_attr(f"score/{seed}", result.score)
        trial.set_user_attr(f"seconds/{seed}", result.seconds["total"])
        trial.set_user_attr(f"run/{seed}", folder.name)
    mean = statistics.mean(scores)
    _keep_one_model(study, out, mean=mean, params=params, seeds=terms.seeds)
    return mean


def _suggested(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    return {
        name: trial.suggest_float(name, part.low, part.high, log=part.log)
        if isinstance(part, Range)
        else trial.suggest_categorical(name, list(part))
        for name, part in space.items()
    }


def _trained(
    dataset: PreparedDataset,
    held: HeldData,
    terms: SweepTerms,
    params: Mapping[str, Any],
    *,
    seed: int,
    folder: Path,
    stop: Stop | None,
    scored: Callable[[int, float | None], None],
) -> TrainResult:
    of_run = {name: params[name] for name in ("lr", "dropout", "warmup") if name in params}
    return train(
        dataset,
        strategy=trial_strategy(dataset, terms, params),
        model=terms.model,
        epochs=int(params.get("epochs", terms.epochs)),
        seed=seed,
        precision=terms.precision,
        attention=terms.attention,
        out=folder,
        resume=True,
        stop=stop,
        scored=scored,
        held=held,
        **of_run,
    )


def run_name(params: Mapping[str, Any], seed: int) -> str:
    """Return the folder of a run: the same for the same combination, so that a killed one is found again."""
    return f"{sha256_of(json.dumps(dict(params), sort_keys=True).encode())[:12]}-seed{seed}"


def _keep_one_model(
    study: "optuna.Study", out: Path, *, mean: float, params: Mapping[str, Any], seeds: Sequence[int]
) -> None:
    """Remove the models of all trials but the best: a sweep would fill a disk with them."""
    done = [trial for trial in live_trials(study) if trial.state.name == "COMPLETE"]
    best = max(done, key=lambda trial: trial.value or 0.0, default=None)
    winner = params if best is None or mean > (best.value or 0.0) else best.params
    kept = {run_name(winner, seed) for seed in seeds}
    for folder in (out / RUNS_FOLDER).iterdir():
        is_of_a_trial = _RUN_NAME.fullmatch(folder.name) and not folder.is_symlink() and holds_run(folder)
        if is_of_a_trial and folder.name not in kept:
            remove_folder(folder / MODEL_FOLDER)
