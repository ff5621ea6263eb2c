"""Trials of a sweep in Optuna's storage: opening it, queueing combinations, and drawing from ranges."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tdbs import rng
from tdbs.analysis.sweep.result import (
    AGAIN,
    ASKED,
    SweepTerms,
    live_trials,
)
from tdbs.analysis.sweep.space import Range, Space, combinations, is_grid
from tdbs.errors import ConfigError, reason_of
from tdbs.records import Form

if TYPE_CHECKING:
    import optuna

FORM = Form(what="a sweep of tdbs", error=ConfigError, next_step="Pass another --out.")
STORAGE_NAME = "trials.db"
_STUDY = "tdbs"


def open_trials(storage: str | None, out: Path, terms: SweepTerms) -> "optuna.Study":
    """Open the trials there are. Raises ConfigError if their storage is damaged, or not one."""
    import optuna

    try:
        study = optuna.create_study(
            storage=storage or f"sqlite:///{out.resolve() / STORAGE_NAME}",
            study_name=_STUDY,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner() if terms.prune else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        study.get_trials(deepcopy=False)
    except Exception as error:  # of Optuna, of SQLAlchemy, of the driver of a database
        raise FORM.unreadable(storage or str(out / STORAGE_NAME), reason_of(error)) from error
    return study


def enqueue_missing(study: "optuna.Study", space: Space) -> None:
    """Queue the combinations of a grid that no trial has ended, waits or runs with."""
    known = [trial.user_attrs.get(ASKED, trial.params) for trial in live_trials(study)]
    for each in combinations(space):
        if each not in known:
            enqueue(study, each)


def enqueue(study: "optuna.Study", params: Mapping[str, Any], *, again: bool = False) -> None:
    """Queue a combination; `again`: a trial of it was stopped."""
    study.enqueue_trial(dict(params), user_attrs={ASKED: dict(params), **({AGAIN: True} if again else {})})


def retry_killed(study: "optuna.Study") -> None:
    """Queue again the trials that a killed worker left running; their runs resume from checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        enqueue(study, trial.user_attrs.get(ASKED, trial.params), again=True)


def is_unfinished(study: "optuna.Study", space: Space, terms: SweepTerms) -> bool:
    """Return whether a trial of a grid waits, or a space with ranges had fewer trials than asked."""
    from optuna.trial import TrialState

    if is_grid(space):
        return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))) < terms.trials


def sampler_of(trial: "optuna.Trial", study: "optuna.Study", terms: SweepTerms) -> "optuna.samplers.TPESampler":
    """Return TPE, seeded by the trial's place among those that are drawn: no two workers draw alike.

    A trial that was stopped and is run again under another number has no place of its own: the search continues as if
    it had not been stopped.
    """
    import optuna

    upto = [each for each in study.get_trials(deepcopy=False) if each.number <= trial.number]
    place = trial.number - sum(AGAIN in each.user_attrs for each in upto)
    generator = rng.stream(rng.RandomPurpose.SWEEP_TRIAL, seed=terms.seeds[0], index=place)
    return optuna.samplers.TPESampler(seed=int(generator.integers(2**32)))


def suggested(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    """Return the combination of a trial: what was queued, or values that the sampler draws."""
    return {
        name: trial.suggest_float(name, part.low, part.high, log=part.log)
        if isinstance(part, Range)
        else trial.suggest_categorical(name, list(part))
        for name, part in space.items()
    }
