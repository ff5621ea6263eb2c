"""Compare strategies on one prepared dataset, on equal terms: first the prediction, then the measurement.

All strategies share model, attention kernel, precision, rate, epochs and seeds. Only what belongs to a strategy
differs: its batches, its drop, its execution, and the dropout of the paper's rule. The prediction is stored before the
first step and stays valid if the comparison resumes; finished runs are not repeated.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tdbs.analysis.compare.arguments import CompareArguments, chosen_strategies, default_folder
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
from tdbs.analysis.compare.runs import PartTime, Run, run_row, timed_parts
from tdbs.analysis.environment import device_name
from tdbs.analysis.profile.timing import device_drift
from tdbs.analysis.run_seconds import costs_for
from tdbs.analysis.speedup import StrategyEstimate, estimate_speedup
from tdbs.errors import ConfigError
from tdbs.files import is_remote, sha256_of, write_json
from tdbs.given import several
from tdbs.notebook import of_messages, shown_progress
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, opened
from tdbs.settings import options_of, takes
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.planning.profile_file import Profile, opened_profile
from tdbs.train.planning.recorded import recorded_parts
from tdbs.train.planning.runnable import left_out
from tdbs.train.planning.strategies import Strategy, resolved_name
from tdbs.train.resolved import resolve_settings


@takes(CompareArguments)
def compare(dataset: AnyDataset, arguments: CompareArguments) -> dict[str, Any]:
    """Train each strategy with each seed on equal terms, or time some steps of each.

    Args:
        dataset: A prepared dataset, or its folder.

    Returns:
        The folder as `comparison`, and what `compare.json` has: terms, prediction, a row for each run, a summary for
        each strategy.

    Raises:
        ConfigError: The model cannot run a strategy, or the folder is not empty and cannot be resumed on these terms.
            What is refused leaves no folder.
    """
    dataset = opened(dataset)
    profile = opened_profile(arguments.profile)
    folder = default_folder(dataset.manifest.source) if arguments.out is None else Path(arguments.out)
    resolved = resolve_settings(arguments, dataset.manifest, profile=profile)
    in_rows = resolved.model.in_rows
    baseline = resolved_name(arguments.baseline, dataset.manifest.task, in_rows=in_rows)
    chosen = chosen_strategies(dataset, arguments, baseline, profile=profile, in_rows=in_rows)
    terms = Terms(
        **options_of(arguments) | resolved.options,
        seeds=tuple(several(arguments.seeds)),
        part_steps=arguments.part_steps,
    )
    settings = {
        "dataset": dataset.manifest.key,
        "strategies": [{"name": strategy.name, **recorded_parts(strategy)} for strategy in chosen],
        "baseline": baseline,
        "profile": None if profile is None else _key_of(profile),
        "terms": terms.on_disk(),
    }
    settings = json.loads(json.dumps(settings))
    check_comparison(folder, settings, resume=arguments.resume)
    finished = read_result(folder)
    if finished is not None:
        return {"comparison": str(folder), **finished}
    prediction = read_prediction(folder)
    if prediction is None:
        prediction = _prediction(dataset, chosen, terms, baseline=baseline, profile=profile)
        _refuse_unheld(prediction, terms)
        begin_comparison(folder, settings, prediction)
    predicted = estimates_of(prediction, folder, seeds=terms.seeds, strategies=[strategy.name for strategy in chosen])
    rows = _measured(folder, dataset, chosen, terms, predicted, arguments, profile=profile)
    rows = with_speedups(rows, baseline)
    summarized = summaries(rows, baseline)
    result = {
        "dataset": str(dataset.path if is_remote(dataset.path) else dataset.path.resolve()),
        "dataset_key": dataset.manifest.key,
        "source": dataset.manifest.source,
        "baseline": baseline,
        "left_out": list(left_out(dataset.manifest.task, in_rows=in_rows)),
        **terms.on_disk(),
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
    return {"comparison": str(folder), **result}


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
                memory=terms.memory,
                profile=profile,
                attention=terms.attention,
                dropout=terms.dropout,
                precision=terms.precision,
                checkpoint_activations=terms.checkpoint_activations,
                lora=terms.lora,
                freeze_layers=terms.freeze_layers,
                keep_samples=terms.keep_samples,
                data_diet=terms.data_diet,
            )
        ]
        for seed in terms.seeds
    }
    pace = None
    if profile is not None:
        pace = device_drift(dataset, profile, terms)
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
    arguments: CompareArguments,
    *,
    profile: Profile | None,
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
            cut = [_cut(strategy, predicted[seed][strategy.name]) for strategy in waiting]
            with shown_progress(arguments.progress, of_messages("compare")) as progress:
                progress(f"{terms.part_steps} steps of each strategy, seed {seed}")
                rows += [
                    _part_row(part, predicted[seed][part.strategy.name], seed=seed)
                    for part in timed_parts(dataset, cut, terms, seed=seed, costs=costs)
                ]
            write_rows(folder, rows)
            continue
        for strategy in waiting:
            estimate = predicted[seed][strategy.name]
            run = Run(dataset=dataset, strategy=strategy, terms=terms, seed=seed)
            rows.append(run_row(folder, run, estimate, pool=arguments.pool, progress=arguments.progress))
            write_rows(folder, rows)
    return rows


def _refuse_unheld(prediction: Mapping[str, Any], terms: Terms) -> None:
    """Refuse strategies that `--memory` does not hold, before anything is trained or written."""
    estimates = [estimate for of_seed in prediction["seeds"].values() for estimate in of_seed]
    names = list(dict.fromkeys(estimate["strategy"] for estimate in estimates if estimate["is_refused"]))
    if names:
        raise ConfigError(
            f"--memory {terms.memory} does not hold {', '.join(names)}.",
            next_step="Leave them out by naming each --strategy, or pass a larger --memory.",
        )


def _cut(strategy: Strategy, estimate: StrategyEstimate) -> Strategy:
    """Return a strategy in the calls that `--memory` lets it run in."""
    return strategy if estimate.max_tokens is None else replace(strategy, max_tokens=estimate.max_tokens)


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
        predicted_peak_memory_bytes=estimate.peak_memory_bytes,
    )
