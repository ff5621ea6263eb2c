"""Compare strategies on one prepared dataset, on equal terms: first the prediction, then the measurement.

All strategies share model, attention kernel, precision, rate, epochs and seeds. Only what belongs to a strategy
differs: its batches, its drop, its execution, and the dropout of the paper's rule. The prediction is stored before the
first step and stays valid if the comparison resumes; finished runs are not repeated.
"""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tdbs.analysis.compare.record import (
    RESULT_NAME,
    Row,
    Terms,
    begin_comparison,
    check_comparison,
    estimates_of,
    prediction_errors,
    read_prediction,
    read_result,
    read_rows,
    summaries,
    with_speedups,
    write_rows,
)
from tdbs.analysis.compare.runs import PartTime, run_row, timed_parts
from tdbs.analysis.environment import device_name
from tdbs.analysis.profile.timing import device_drift
from tdbs.analysis.speedup import BASELINE, StrategyEstimate, costs_for, estimate_speedup
from tdbs.errors import ConfigError
from tdbs.files import is_remote, sha256_of, write_json
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.device import resolve_execution
from tdbs.train.energy import check_energy
from tdbs.train.models.load import model_to_train
from tdbs.train.planning.model_choice import DEFAULT_EPOCHS, check_hyperparameters, shown_model
from tdbs.train.planning.profile_file import Profile, profiled_attention
from tdbs.train.planning.strategies import (
    Strategy,
    given_strategy,
    left_out,
    resolve_strategy,
    resolved_name,
    strategies_for,
)

Progress = Callable[[str], None]


def compare(
    dataset: PreparedDataset,
    strategies: Sequence[Strategy | str] | None = None,
    *,
    out: str | Path,
    seeds: Sequence[int] = (0,),
    baseline: str = BASELINE,
    model: str | None = None,
    epochs: int = DEFAULT_EPOCHS,
    lr: float | None = None,
    dropout: float | None = None,
    precision: str = "auto",
    attention: str = "auto",
    profile: Profile | None = None,
    part_steps: int | None = None,
    energy: str | None = None,
    resume: bool = False,
    pool: Path | None = None,
    progress: Progress = lambda _message: None,
) -> dict[str, Any]:
    """Train each strategy with each seed, or time `part_steps` steps of it, and return what `compare.json` holds.

    Strategies are names, resolved for the dataset's task and the model, or resolved ones; all that both can run by
    default, and the baseline always. With a profile the whole is predicted first. With `energy`, a country's three
    letters or `world`, kWh and CO2e of each run are measured. Runs that are in `pool` are taken from there, new ones
    are kept in it. Raises ConfigError if the model cannot run a strategy, where `out` holds something and is not to
    be resumed, or was started with other settings; what is refused leaves no folder.
    """
    check_hyperparameters(epochs=epochs, lr=lr, dropout=dropout)
    if energy is not None and part_steps is not None:
        raise ConfigError(
            "--energy measures whole runs, and --steps makes none.", next_step="Leave out --energy or --steps."
        )
    energy = check_energy(energy)
    task = dataset.manifest.task
    trained = model_to_train(model, dataset.manifest)
    in_rows = trained.in_rows
    baseline = resolved_name(baseline, task, in_rows=in_rows)
    chosen = [
        given_strategy(given, task, profile=profile, in_rows=in_rows)
        for given in (strategies_for(task, in_rows=in_rows) if strategies is None else strategies)
    ]
    for seed in seeds:
        if list(seeds).count(seed) > 1:
            raise ConfigError(f"Seed {seed} is named twice.", next_step="Name each seed once.")
    names = [strategy.name for strategy in chosen]
    if baseline not in names:
        chosen.insert(0, resolve_strategy(baseline, task, profile=profile, in_rows=in_rows))
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two strategies are named {name}.", next_step="Give each its own name.")
    execution = resolve_execution(precision=precision, attention=profiled_attention(profile, attention))
    terms = Terms(
        model=trained.name,
        seeds=tuple(seeds),
        epochs=epochs,
        lr=trained.rate if lr is None else lr,
        dropout=dropout,
        precision=execution.precision,
        attention=execution.attention,
        part_steps=part_steps,
        energy=energy,
    )
    folder = Path(out)
    settings = {
        "dataset": dataset.manifest.key,
        "strategies": [asdict(strategy) for strategy in chosen],
        "baseline": baseline,
        "profile": None if profile is None else _key_of(profile),
        "terms": asdict(terms),
    }
    settings = json.loads(json.dumps(settings))
    check_comparison(folder, settings, resume=resume)
    finished = read_result(folder)
    if finished is not None:
        return finished
    prediction = read_prediction(folder)
    if prediction is None:
        prediction = _prediction(dataset, chosen, terms, baseline=baseline, profile=profile)
        begin_comparison(folder, settings, prediction)
    predicted = estimates_of(prediction, folder, seeds=terms.seeds, strategies=[strategy.name for strategy in chosen])
    rows = _measured(folder, dataset, chosen, terms, predicted, profile=profile, pool=pool, progress=progress)
    rows = with_speedups(rows, baseline)
    summarized = summaries(rows, baseline)
    result = {
        "dataset": str(dataset.path if is_remote(dataset.path) else dataset.path.resolve()),
        "dataset_key": dataset.manifest.key,
        "source": dataset.manifest.source,
        "baseline": baseline,
        "left_out": list(left_out(in_rows=in_rows)),
        **asdict(terms),
        "model": shown_model(terms.model),
        "device": device_name(),
        "prepare_seconds": dataset.manifest.seconds.get("total", 0.0),
        "prediction": {
            "profile": None if profile is None else dict(profile.device),
            "pace": prediction["pace"],
            "overhead": [] if profile is None else [dict(entry) for entry in profile.overhead],
            "strategies": prediction["seeds"][str(terms.seeds[0])],
        },
        "rows": [asdict(row) for row in rows],
        "summary": [asdict(summary) for summary in summarized],
        **prediction_errors(summarized),
    }
    write_json(folder / RESULT_NAME, result)
    return result


def _key_of(profile: Profile) -> str:
    """Return a hash of what predictions depend on; `overhead` is only reported."""
    values = asdict(profile)
    del values["overhead"]
    return sha256_of(json.dumps(values).encode())


def _prediction(
    dataset: PreparedDataset,
    strategies: Sequence[Strategy],
    terms: Terms,
    *,
    baseline: str,
    profile: Profile | None,
) -> dict[str, Any]:
    """Return the predictions by seed and strategy, as in `prediction.json`, and the device's pace."""
    base = next(strategy for strategy in strategies if strategy.name == baseline)
    of_seeds = {
        str(seed): [
            asdict(estimate)
            for estimate in estimate_speedup(
                dataset,
                strategies,
                baseline=base,
                model=terms.model,
                seed=seed,
                epochs=terms.epochs,
                profile=profile,
                attention=terms.attention,
                dropout=terms.dropout,
            )
        ]
        for seed in terms.seeds
    }
    pace = None
    if profile is not None:
        pace = device_drift(dataset, profile, model=terms.model, precision=terms.precision, attention=terms.attention)
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "profile": None if profile is None else {"model": dict(profile.model), "device": dict(profile.device)},
        "pace": pace,
        "seeds": of_seeds,
    }


def _measured(
    folder: Path,
    dataset: PreparedDataset,
    strategies: Sequence[Strategy],
    terms: Terms,
    predicted: Mapping[int, Mapping[str, StrategyEstimate]],
    *,
    profile: Profile | None,
    pool: Path | None,
    progress: Progress,
) -> list[Row]:
    """Return a row for each seed and strategy; those of a comparison that was interrupted are read."""
    rows = read_rows(folder)
    for seed in terms.seeds:
        done = {row.strategy for row in rows if row.seed == seed}
        waiting = [strategy for strategy in strategies if strategy.name not in done]
        if not waiting:
            continue
        if terms.part_steps is not None:
            costs = None if profile is None else costs_for(dataset, profile, terms.attention)
            progress(f"{terms.part_steps} steps of each strategy, seed {seed}")
            rows += [
                _part_row(part, predicted[seed][part.strategy.name], seed=seed)
                for part in timed_parts(dataset, waiting, terms, seed=seed, costs=costs)
            ]
            write_rows(folder, rows)
            continue
        for strategy in waiting:
            estimate = predicted[seed][strategy.name]
            rows.append(run_row(folder, dataset, strategy, terms, estimate, seed=seed, pool=pool, progress=progress))
            write_rows(folder, rows)
    return rows


def _part_row(part: PartTime, estimate: StrategyEstimate, *, seed: int) -> Row:
    """Return the row of a strategy with timed steps, whose whole run is projected from them."""
    return Row(
        strategy=estimate.strategy,
        seed=seed,
        seconds=part.seconds,
        predicted_seconds=estimate.seconds,
        speedup=None,
        predicted_speedup=None if estimate.seconds is None else estimate.speedup,
        padding_fraction=estimate.padding_fraction,
        tokens=estimate.tokens + estimate.target_tokens,
        steps=estimate.steps,
        score=None,
        evaluate_seconds=None,
        plan_seconds=None,
        peak_memory_bytes=None,
        run=None,
    )
