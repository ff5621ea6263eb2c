"""Notes about what a command chose, or what its result leaves out."""

from collections.abc import Mapping, Sequence
from typing import Any

from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.settings import DEFAULT_MEMORY, TrainSettings
from tdbs.train.feed import TRAIN
from tdbs.train.objectives.objective import is_joint
from tdbs.train.planning.cuts import count_above_caps
from tdbs.train.planning.memory_bound import data_memory
from tdbs.train.planning.memory_windows import count_windows, have_few_lengths
from tdbs.train.planning.model_choice import ModelChoice
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy


def profile_note(profile: Profile | None, model: ModelChoice) -> str | None:
    """Return a note if the profile is of another family than the model to train."""
    timed = None if profile is None else profile.model.get("type")
    if timed is None or model.model_type in (None, timed):
        return None
    return (
        f"The profile was measured with a {timed}, but the model to train is a {model.model_type}: seconds may differ. "
        "Measure the model with tdbs profile."
    )


def untimed_note(profile: Profile | None, settings: TrainSettings) -> str | None:
    """Return a note if a profile's seconds were measured without something that a run does."""
    without = {
        "--checkpoint-activations": settings.checkpoint_activations,
        "--lora": settings.lora is not None,
        "--freeze-layers": settings.freeze_layers is not None,
        "--compile": settings.compiled,
    }
    named = [name for name, is_asked in without.items() if is_asked]
    if profile is None or not named:
        return None
    return f"Predicted seconds are those of whole steps: the profile was measured without {' and '.join(named)}."


def sorted_note(chosen: Mapping[str, Any], strategy: Strategy) -> str | None:
    """Return a note if the default strategy has to pad."""
    if chosen["strategy"] != DEFAULT_STRATEGY or strategy.execution != "sorted":
        return None
    return "The default here is sorted: an update runs as a few padded calls, sorted by length."


def caps_note(strategy: Strategy, dataset: PreparedDataset) -> str | None:
    """Return a note if samples are too large for the caps of a call (--max-tokens, --max-pairs) even alone."""
    if dataset.manifest.task.is_grouped and (strategy.execution != "unpadded" or strategy.max_pairs):
        return None  # the length of a sample does not say how long its sequences are
    found = count_above_caps(split_info(dataset, TRAIN).lengths_L1, strategy, max_length=dataset.manifest.max_length)
    if not found:
        return None
    verb = "sample is" if found == 1 else "samples are"
    return f"{found:,} {verb} above --max-tokens or --max-pairs even alone: such a sample is a call of its own."


def windows_note(dataset: PreparedDataset, memory: int | str | None) -> str | None:
    """Return a note if the train split is larger than its part of the memory."""
    info = split_info(dataset, TRAIN)
    windows = count_windows(info, dataset.manifest, memory=data_memory(memory))
    if windows == 1:
        return None
    part = f"{DEFAULT_MEMORY}, the default" if memory is None else f"its part of --memory {memory}"
    note = f"The train split takes more than {part}: {windows} windows an epoch."
    if have_few_lengths(info, windows):
        note += " Each contains few of the lengths, so random batches look better than they are; raise --memory."
    return note


def negatives_note(strategies: Sequence[Strategy], loss: str | None, dataset: PreparedDataset) -> str | None:
    """Return a note if the lengths of samples decide which texts are the negatives of a query."""
    names = [strategy.name for strategy in strategies if strategy.batches not in ("random", "stratified")]
    if not names or not is_joint(loss, dataset.manifest.task):
        return None
    verb = "chooses" if len(names) == 1 else "choose"
    return (
        f"{', '.join(names)} {verb} by length which samples share an update, and so which texts are the negatives of "
        "a query. Random and stratified batches do not."
    )


def policy_note(strategy: Strategy, dataset: PreparedDataset) -> str | None:
    """Return a note if the task keeps the strategy from dropping words, or from saving anything by it."""
    task = dataset.manifest.task
    named = STRATEGIES[strategy.name]
    if task.drop_forbidden and named.drop != "none" and strategy.drop == "none":
        return f"{strategy.name} runs without TokenDrop: task '{task.name}' {task.drop_forbidden}."
    if task.is_grouped and strategy.drop != "none" and strategy.execution in ("padded", "padded_max"):
        return (
            f"{strategy.name} drops words, but its rows stay as wide as their longest text, so that saves no time. "
            "--strategy unpadded --drop rate does."
        )
    return None


def diet_note(settings: TrainSettings) -> str | None:
    """Return a note on what is not known of a data diet before training."""
    if settings.data_diet is None or idle_diet_note(settings):
        return idle_diet_note(settings)
    return (
        "--data-diet: training chooses the samples of later epochs. Their number is exact here; lengths and padding "
        "are those of random samples."
    )


def idle_diet_note(settings: TrainSettings) -> str | None:
    """Return a note on a data diet that leaves no sample out."""
    if settings.data_diet == 1:
        return "--data-diet 1 has no effect: each epoch trains on all samples."
    if settings.data_diet is not None and settings.epochs == 1:
        return "--data-diet has no effect with --epochs 1: the first epoch trains on all samples."
    return None
