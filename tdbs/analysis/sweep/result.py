"""What a sweep found: its trials as Optuna has them, the best one, what mattered, and what preparing once has saved."""

import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tdbs.analysis.speedup import estimate_speedup
from tdbs.analysis.sweep.space import STRATEGY_PARTS
from tdbs.errors import ConfigError, TrainingError
from tdbs.fields import InnerPath
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.records import Form, record_of
from tdbs.settings import TrainSettings
from tdbs.shown import fitted
from tdbs.train.models.load import model_to_train
from tdbs.train.planning.model_choice import default_model, shown_model
from tdbs.train.planning.strategies import BASELINE, DEFAULT_STRATEGY, Strategy, resolve_strategy

if TYPE_CHECKING:
    import optuna

ASKED = "asked"  # attribute of a trial that was queued: its combination
REASON = "reason"  # attribute of a trial that was pruned: why
AGAIN = "again"  # attribute of a trial that was stopped under an earlier number
DEFAULT_TRIALS = 20  # of a space with ranges
_TRIAL = Form(what="a trial of a sweep", error=ConfigError, next_step="Pass another --storage or --out.")
_TELLING = 10  # trials from which on shares of importance mean something


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepTerms(TrainSettings):
    """What all trials of a sweep have in common; a hyperparameter that is searched has another value in each."""

    seeds: tuple[int, ...]
    strategy: str = DEFAULT_STRATEGY
    trials: int = DEFAULT_TRIALS  # of a space with ranges; a grid has as many as it has combinations
    prune: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A combination and what came of it."""

    number: int
    state: str  # complete, pruned, running, waiting or fail
    params: Mapping[str, Any]
    score: float | None  # mean over seeds
    reason: str | None = None  # why it was pruned
    scores: Mapping[str, float | None] = field(default_factory=dict)  # by seed
    run_seconds: Mapping[str, float] = field(default_factory=dict)  # by seed
    runs: Sequence[InnerPath] = ()  # folders below runs/


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResult:
    """What a sweep found; the fields are JSON keys of `tdbs sweep`."""

    dataset: str
    source: str  # source of its texts
    model: str
    metric: str
    epochs: int
    seeds: tuple[int, ...]
    best: Trial | None
    trials: list[Trial]
    importance: dict[str, float]  # share of the scores' spread that a hyperparameter explains; none with one of them
    runs: int  # runs trained to their end
    prepare_seconds: float
    run_seconds: float | None  # mean time of a run of the best trial
    speedup_one_run: float | None  # ratio to random batches in tokens, if each run prepared its dataset
    speedup_all_runs: float | None  # prepared once for all runs there were


def trial_strategy(dataset: PreparedDataset, terms: SweepTerms, params: Mapping[str, Any]) -> Strategy:
    """Return the strategy of a combination. Raises ConfigError if there is none such."""
    manifest = dataset.manifest
    parts = {name: value for name, value in params.items() if name in STRATEGY_PARTS}
    name, model = params.get("strategy", terms.strategy), model_to_train(terms.model, manifest)
    return resolve_strategy(name, manifest.task, parts, in_rows=model.in_rows)


def live_trials(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Return the trials that have ended, run or wait; those that failed are tried again under another number."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name != "FAIL"]


def best_of(trials: "Sequence[optuna.trial.FrozenTrial]") -> "optuna.trial.FrozenTrial | None":
    """Return the trial with the highest score, of several the first one; None if none is complete."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    return max(complete, key=lambda trial: trial.value or 0.0, default=None)


def refuse_without_scores(result: SweepResult) -> None:
    """Raise TrainingError if every trial was pruned: the search found nothing."""
    if not result.trials or any(trial.state != "pruned" for trial in result.trials):
        return
    reasons = [trial.reason for trial in result.trials if trial.reason is not None]
    raise TrainingError(
        fitted("No trial of the sweep has a score: {reason}", reason=reasons[0] if reasons else "all were pruned."),
        next_step="Search other values; sweep.json has the reason of each trial.",
    )


def result_of(study: "optuna.Study", dataset: PreparedDataset, terms: SweepTerms) -> SweepResult:
    """Return what is known of all trials."""
    live = live_trials(study)
    trials = [_trial(each) for each in live]
    winner = best_of(live)
    best = None if winner is None else _trial(winner)
    runs = sum(len(trial.scores) for trial in trials)
    prepare = dataset.manifest.seconds.get("total", 0.0)
    run_seconds = statistics.mean(best.run_seconds.values()) if best else None
    alone = together = None
    if best and run_seconds:
        [estimate] = estimate_speedup(
            dataset,
            [trial_strategy(dataset, terms, best.params)],
            baseline=BASELINE,
            model=terms.model,
            seed=terms.seeds[0],
            epochs=int(best.params.get("epochs", terms.epochs)),
        )
        padded = run_seconds * estimate.speedup
        alone = padded / (prepare + run_seconds)
        together = runs * padded / (prepare + runs * run_seconds)
    return SweepResult(
        dataset=str(dataset.path),
        source=dataset.manifest.source,
        model=shown_model(terms.model or default_model(dataset.manifest)),
        metric=dataset.manifest.task.metrics[0],
        epochs=terms.epochs,
        seeds=terms.seeds,
        best=best,
        trials=trials,
        importance=_importance(study),
        runs=runs,
        prepare_seconds=prepare,
        run_seconds=run_seconds,
        speedup_one_run=alone,
        speedup_all_runs=together,
    )


def _trial(frozen: "optuna.trial.FrozenTrial") -> Trial:
    of = {
        kind: {
            name.partition("/")[2]: value for name, value in frozen.user_attrs.items() if name.startswith(f"{kind}/")
        }
        for kind in ("score", "seconds", "run")
    }
    return record_of(
        {
            "number": frozen.number,
            "state": frozen.state.name.lower(),
            "reason": frozen.user_attrs.get(REASON),
            "params": frozen.params or frozen.user_attrs.get(ASKED, {}),
            "score": frozen.value,
            "scores": of["score"],
            "run_seconds": of["seconds"],
            "runs": list(of["run"].values()),
        },
        Trial,
        _TRIAL,
        named=f"Trial {frozen.number}",
    )


def _importance(study: "optuna.Study") -> dict[str, float]:
    """Return how much of the scores' spread each hyperparameter explains (PED-ANOVA); empty if that is unknown."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    searched = {name for trial in complete for name in trial.params}
    if len(searched) < 2 or len(complete) < _TELLING:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # it warns where a share would mean nothing
            return dict(
                optuna.importance.get_param_importances(
                    study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
                )
            )
    except (ValueError, RuntimeError, UserWarning):  # too few trials, or all scores alike
        return {}
