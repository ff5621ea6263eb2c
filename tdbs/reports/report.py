"""What a report is about: a dataset with a run of it, or with a comparison of strategies on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tdbs.analysis.compare.record import RESULT_NAME as COMPARED_NAME
from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.analysis.conditions.evaluate import newest_over_rates
from tdbs.analysis.speedup import StrategyEstimate, estimate_speedup
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.records import Form, record_of
from tdbs.reports.comparison import Comparison, read_comparison
from tdbs.reports.figures.bars import Overheads, prepare_stages
from tdbs.reports.figures.lengths import CapLines, cap_lines
from tdbs.reports.origin import date_of
from tdbs.reports.samples import DropExamples, drop_examples
from tdbs.settings import DEFAULT_MEMORY
from tdbs.train.feed import open_training_data
from tdbs.train.planning.memory_bound import data_memory
from tdbs.train.planning.model_choice import choose_model
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.strategies import BASELINE, STRATEGIES, Strategy, resolve_strategy
from tdbs.train.run_folder import CONFIG_NAME, MODEL_FOLDER, RESULT_NAME, Run, read_run

_EXAMPLES = 5
_STRATEGY = Form(what="a strategy", error=ConfigError, next_step="Train again.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All contents of a page, before any words; unknown or inapplicable values are None."""

    dataset: PreparedDataset
    estimates: Sequence[StrategyEstimate]  # speedups are in tokens
    run: Run | None = None
    comparison: Comparison | None = None
    caps: CapLines | None = None
    drops: DropExamples | None = None
    over_rates: Sequence[ConditionRow] = ()  # the run's model with words dropped, if it was evaluated so
    date: str | None = None  # when the run or the comparison finished, or an unfinished run started
    has_model: bool = False  # whether the run saved its model

    @property
    def overheads(self) -> Overheads | None:
        """The cost paid once and the cost of each run; for a comparison, of the fastest strategy's runs, on average."""
        seconds = self.dataset.manifest.seconds
        if "total" not in seconds:
            return None
        run: Mapping[str, float] = {}
        strategy = None
        if self.comparison:
            strategy = self.comparison.best.strategy
            run = _mean_stages(self.comparison, strategy)
        elif self.run and self.run.result:
            strategy = self.run.result["strategy"]
            run = _stages_of(self.run.result["seconds"])
        return Overheads(prepare=seconds["total"], stages=prepare_stages(seconds), run=run, strategy=strategy)


def report_on_run(folder: Path) -> Report:
    """Read a run and its dataset, and estimate what other strategies would have cost."""
    run = read_run(folder)
    dataset = load(run.config["dataset"]["path"])
    seed, epochs = run.config["seed"], run.config["epochs"]
    recorded = run.config.get("memory", DEFAULT_MEMORY)  # older runs have none
    memory = None if recorded == DEFAULT_MEMORY else recorded
    strategy = _strategy_of(run.config.get("strategy", {}))
    model = _model_of(run)
    planned = _planned_beside(strategy, dataset, model) if strategy else None
    return Report(
        dataset=dataset,
        run=run,
        estimates=estimate_speedup(
            dataset,
            planned,
            baseline=next((each for each in planned or () if each.name == BASELINE), BASELINE),
            model=model,
            seed=seed,
            epochs=epochs,
            memory=memory,
        ),
        caps=cap_lines(strategy, max_length=dataset.manifest.max_length, epochs=epochs) if strategy else None,
        drops=_examples(dataset, [strategy] if strategy else [], seed=seed, memory=memory),
        over_rates=newest_over_rates(run.path) if run.result else (),
        date=date_of(run.path / (RESULT_NAME if run.result else CONFIG_NAME)),
        has_model=(run.path / MODEL_FOLDER).is_dir(),
    )


def report_on_comparison(folder: Path) -> Report:
    """Read a comparison, its runs and its dataset; caps and dropped words are those of its fastest strategies."""
    comparison = read_comparison(folder)
    dataset = load(comparison.dataset)
    strategies = _best_first(comparison)
    max_length = dataset.manifest.max_length
    caps = (cap_lines(strategy, max_length=max_length, epochs=comparison.epochs) for strategy in strategies)
    return Report(
        dataset=dataset,
        comparison=comparison,
        estimates=by_tokens(comparison.estimates, comparison.baseline),
        caps=next((lines for lines in caps if lines), None),
        drops=_examples(dataset, strategies, seed=comparison.rows[0].seed, memory=None),
        date=date_of(comparison.path / COMPARED_NAME),
    )


def by_tokens(estimates: Sequence[StrategyEstimate], baseline: str) -> list[StrategyEstimate]:
    """Return estimates with speedups in tokens if they were in seconds, without a range."""
    tokens = {estimate.strategy: estimate.tokens + estimate.target_tokens for estimate in estimates}
    if baseline not in tokens:
        return list(estimates)
    return [
        estimate if estimate.seconds is None else _by_tokens(estimate, tokens[baseline] / tokens[estimate.strategy])
        for estimate in estimates
    ]


def _model_of(run: Run) -> str | None:
    """Return the model of a run: what it saved, which is there wherever the run is, else the one that it began with."""
    saved = run.path / MODEL_FOLDER
    return str(saved) if saved.is_dir() else run.config.get("model")


def _planned_beside(strategy: Strategy, dataset: PreparedDataset, model: str | None) -> list[Strategy]:
    """Return all strategies that a run's model can run, with the sizes of its batches: else tokens say nothing."""
    manifest = dataset.manifest
    in_rows = choose_model(model, manifest).in_rows
    is_table = strategy.caps == "paper" or strategy.caps.isdecimal()  # those of a profile need its file
    own = is_table and strategy.name in STRATEGIES and strategy.caps != STRATEGIES[strategy.name].caps
    sizes = {"base_batch_size": strategy.base_batch_size, "caps": strategy.caps if own else None}
    return [
        resolve_strategy(name, manifest.task, sizes, in_rows=in_rows)
        for name in strategies_for(manifest.task, in_rows=in_rows)
    ]


def _by_tokens(estimate: StrategyEstimate, speedup: float) -> StrategyEstimate:
    return replace(estimate, speedup=speedup, speedup_low=speedup, speedup_high=speedup)


def _best_first(comparison: Comparison) -> list[Strategy]:
    """Return the strategies of a comparison: first those that keep the baseline's score, by their time."""
    place = {summary.strategy: comparison.rank(summary) for summary in comparison.summaries}
    strategies = [strategy for strategy in map(_strategy_of, comparison.strategies) if strategy]
    return sorted(strategies, key=lambda strategy: place.get(strategy.name, (True, math.inf)))


def _strategy_of(parts: Mapping[str, Any]) -> Strategy | None:
    """Return a strategy that was written as a table of its parts; None if another version of tdbs wrote it."""
    if not set(parts) <= {part.name for part in fields(Strategy)}:
        return None  # another key of a record may be ignored, a part of a strategy decides its batches
    try:
        return record_of(parts, Strategy, _STRATEGY, named="The strategy")
    except ConfigError:
        return None


def _examples(
    dataset: PreparedDataset, strategies: Sequence[Strategy], *, seed: int, memory: int | str | None
) -> DropExamples | None:
    """Return samples that lose words with the first strategy that drops some; None if the split is too large."""
    dropping = next((strategy for strategy in strategies if strategy.drop != "none"), None)
    split = open_training_data(dataset, memory=data_memory(memory)).split if dropping else None
    if dropping is None or split is None:
        return None
    return drop_examples(dataset, split, dropping, _EXAMPLES, seed=seed)


def _stages_of(seconds: Mapping[str, Any]) -> dict[str, float]:
    """Return the stages of a run from its result, and the rest of its wall-clock."""
    stages = {stage: float(seconds[stage]) for stage in ("plan", "train", "evaluate") if stage in seconds}
    other = float(seconds["total"]) - sum(stages.values())
    return {**stages, "other": other} if other > 0 else stages


def _mean_stages(comparison: Comparison, strategy: str) -> dict[str, float]:
    """Return the mean seconds of each stage of a strategy's runs; training is the rest, without planning."""
    rows = [row for row in comparison.rows if row.strategy == strategy]
    plan = [row.plan_seconds for row in rows if row.plan_seconds is not None]
    evaluate = [row.evaluate_seconds for row in rows if row.evaluate_seconds is not None]
    stages = {"plan": sum(plan) / len(rows), "train": sum(row.seconds for row in rows) / len(rows)}
    stages["train"] -= stages["plan"]
    stages["evaluate"] = sum(evaluate) / len(rows)
    return {stage: spent for stage, spent in stages.items() if spent > 0}
