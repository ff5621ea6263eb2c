"""The commands that a page names: the one that makes a run or a comparison again, and what fits next.

They are built from what a run or a comparison records, so a page of an older run has them, too. A shell takes each as
it is; words in capitals are for the reader to replace.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.reports.comparison import Comparison
from tdbs.settings import DEFAULT_MEMORY, TrainSettings, documented_fields
from tdbs.train.energy import WORLD
from tdbs.train.planning.dropout import resolve_dropout
from tdbs.train.planning.model_choice import default_model, default_rate
from tdbs.train.planning.strategies import BASELINE, STRATEGIES, resolve_strategy
from tdbs.train.run_folder import CONFIG_NAME, Run

_SEEDS = (0, 1, 2)  # enough for a deviation
_LEFT_OPEN = ("name", "base_batch_size", "caps", "measured_caps", "call_tokens", "batch_costs", "devices", "dropout")


class NextStep(NamedTuple):
    """Why to do something, and the command for it."""

    why: str
    command: str


def run_command(run: Run, dataset: PreparedDataset, *words: Any) -> str:
    """Return the command that makes a run again, with more words behind it."""
    return _shell("tdbs", "train", dataset.path, "--config", run.path / CONFIG_NAME, *words)


def compare_command(
    comparison: Comparison,
    dataset: PreparedDataset,
    *,
    seeds: Sequence[int] | None = None,
    whole_runs: bool = False,
) -> str | None:
    """Return the command that makes a comparison again, or with other seeds, or of whole runs.

    None if it cannot name all: a strategy made in Python, or a comparison whose terms are not recorded.
    """
    parts = comparison.strategies
    if not comparison.terms or not all(_is_plain(each, dataset.manifest.task) for each in parts):
        return None
    size, caps = ([each.get(name) for each in parts] for name in ("base_batch_size", "caps"))
    if any(other != size[0] for other in size):
        return None
    seeds = seeds or tuple(dict.fromkeys(row.seed for row in comparison.rows))
    words: list[Any] = ["--strategy", ",".join(each["name"] for each in parts), "--baseline", comparison.baseline]
    words += ["--seeds", ",".join(map(str, seeds)), *_size_words(size[0])]
    if caps[0] not in (None, "base") and all(other == caps[0] for other in caps):
        words += ["--caps", caps[0]]
    words += _setting_words(comparison.terms, dataset.manifest)
    if comparison.part_steps is not None and not whole_runs:
        words += ["--steps", comparison.part_steps]
    if comparison.energy is not None:
        words += ["--energy", *(() if comparison.energy == WORLD else ("--country", comparison.energy))]
    if comparison.is_profiled:
        words += ["--profile", "PROFILE.json"]
    return _shell("tdbs", "compare", dataset.path, *words)


def next_of_run(run: Run, dataset: PreparedDataset, better: Sequence[str], *, has_model: bool) -> list[NextStep]:
    """Return what to do after a finished run; `better` are the strategies with fewer tokens that its page names."""
    steps = []
    strategy = run.config.get("strategy", {})
    if isinstance(strategy, Mapping) and _is_plain(strategy, dataset.manifest.task):
        own, words = strategy["name"], _run_words(run, strategy, dataset)
        if better:
            named = ("--strategy", ",".join(better), "--baseline", own, "--seeds", run.config["seed"])
            command = _shell("tdbs", "compare", dataset.path, *named, *words)
            steps.append(NextStep("Measure what fewer tokens save in seconds, and what they do to the score.", command))
        named = ("--strategy", own, "--baseline", own, "--seeds", ",".join(map(str, _SEEDS)))
        command = _shell("tdbs", "compare", dataset.path, *named, *words)
        steps.append(NextStep("See how far the score varies over seeds.", command))
    if has_model:
        command = _shell("tdbs", "predict", run.path, "FILE.csv", "--out", "predictions.jsonl")
        steps.append(NextStep("Predict texts of your own.", command))
    return steps


def next_of_unfinished(run: Run, dataset: PreparedDataset, *, not_finite: bool) -> list[NextStep]:
    """Return what to do after a run that did not finish."""
    lr = run.config.get("lr")
    if not_finite and isinstance(lr, float):
        command = run_command(run, dataset, "--learning-rate", f"{lr / 10:.2g}")
        return [NextStep("Train with a tenth of the learning rate.", command)]
    again = _shell("tdbs", "report", run.path)
    return [
        NextStep("Continue the run.", run_command(run, dataset, "--out", run.path, "--resume")),
        NextStep("Then write this page again.", again),
    ]


def next_of_comparison(comparison: Comparison, dataset: PreparedDataset) -> list[NextStep]:
    """Return what to do after a comparison: whole runs or more seeds, a model of the best strategy, its run's page."""
    steps = []
    best = comparison.best
    if comparison.part_steps is not None:
        command = compare_command(comparison, dataset, whole_runs=True)
        why = "Train whole runs: their times are measured, and they have scores."
    else:
        command = compare_command(comparison, dataset, seeds=_SEEDS) if best.seeds == 1 else None
        why = "See how far times and scores vary over seeds."
    if command is not None:
        steps.append(NextStep(why, command))
    parts = next((each for each in comparison.strategies if each.get("name") == best.strategy), {})
    if comparison.terms and _is_plain(parts, dataset.manifest.task):
        words = [*_size_words(parts.get("base_batch_size")), *_setting_words(comparison.terms, dataset.manifest)]
        named = ("--strategy", best.strategy, "--seed", comparison.rows[0].seed)
        command = _shell("tdbs", "train", dataset.path, *named, *words)
        steps.append(NextStep("Train a model to keep: a comparison keeps none.", command))
    if best.strategy in comparison.runs:
        command = _shell("tdbs", "report", comparison.runs[best.strategy].path)
        steps.append(NextStep(f"Look at a run of {best.strategy}.", command))
    return steps


def _run_words(run: Run, strategy: Mapping[str, Any], dataset: PreparedDataset) -> list[Any]:
    """Return a run's settings as options of `tdbs compare`; what the paper's rule for dropout gives is not one."""
    config, manifest = run.config, dataset.manifest
    tables = (config.get(name) for name in ("part", "execution"))
    settings = {name: value for table in tables if isinstance(table, Mapping) for name, value in table.items()}
    settings |= config
    train = manifest.splits.get("train")
    named = resolve_strategy(strategy["name"], manifest.task, in_rows=True)  # a name that has run
    by_rule = resolve_dropout(None, named, train.rows if train else 0)
    if settings.get("dropout") == by_rule:
        del settings["dropout"]
    caps = strategy.get("caps")
    of_caps = [] if caps in (None, STRATEGIES[strategy["name"]].caps) else ["--caps", caps]
    of_profile = ["--profile", "PROFILE.json"] if of_caps and strategy.get("measured_caps") else []
    words = _setting_words(settings, manifest)
    return [*_size_words(strategy.get("base_batch_size")), *of_caps, *of_profile, *words]


def _setting_words(settings: Mapping[str, Any], manifest: Manifest) -> list[Any]:
    """Return settings as options, without those that a command finds by itself."""
    model = default_model(manifest)
    found = {"model": model, "lr": default_rate(str(settings.get("model") or model)), "memory": DEFAULT_MEMORY}
    words: list[Any] = []
    for name, (parameter, option) in documented_fields(TrainSettings).items():
        value = settings.get(name)
        if name == "energy" or not isinstance(value, str | int | float):
            continue
        if value not in (parameter.default, found.get(name)):
            flag = option.flag or f"--{(option.alias or name).replace('_', '-')}"
            words += [flag] if value is True else [flag, value]
    return words


def _size_words(size: Any) -> list[Any]:
    return [] if size in (None, STRATEGIES[BASELINE].base_batch_size) else ["--batch-size", size]


def _is_plain(parts: Mapping[str, Any], task: Task) -> bool:
    """Return whether a strategy's name and batch size say all of it, but for what device and rule decide."""
    name = parts.get("name")
    if not isinstance(name, str) or name not in STRATEGIES:
        return False
    try:
        named = resolve_strategy(name, task, in_rows=True)  # a name that has run
    except ConfigError:
        return False
    return all(getattr(named, part, None) == value for part, value in parts.items() if part not in _LEFT_OPEN)


def _shell(*words: Any) -> str:
    return shlex.join(map(str, words))
