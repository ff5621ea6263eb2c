"""The arguments of `train`, the data that it reads, and the settings that identify a run (`config.toml`)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from accelerate.utils import broadcast_object_list

from tdbs.files import is_remote
from tdbs.given import Place
from tdbs.notebook import HELP
from tdbs.objective_settings import ObjectiveSettings
from tdbs.option import Option
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import DEFAULT_MEMORY, TrainSettings, changed_fields, options_of
from tdbs.train.checkpoint import DEFAULT_CHECKPOINTS, CheckpointRule
from tdbs.train.feed import Feed, TrainingData, open_training_data
from tdbs.train.objectives.objective import resolved_options
from tdbs.train.planning.memory_bound import data_memory
from tdbs.train.planning.plan import plan_digest
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, Strategy
from tdbs.train.resolved import ResolvedSettings
from tdbs.train.run_context import Progress, Scored
from tdbs.train.run_folder import default_run_folder
from tdbs.train.scores.scoring import ScoredSplit, given_threshold, read_scored_split, untuned_threshold
from tdbs.train.stopping import Stop

# Settings that config.toml has in its tables part, execution and energy
_IN_TABLES = {"lora", "freeze_layers", "precision", "attention", "compiled", "checkpoint_activations", "energy"}
# settings of some runs alone: config.toml has them if they are given
_IF_GIVEN = {"keep_samples", "data_diet", *(each.name for each in fields(ObjectiveSettings))}
_NO_PART_OF_A_RUN = {"track"}  # a run may resume with another one


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedData:
    """What a run reads of a dataset: the train split, and the validation splits with labels, the scored one first."""

    training: TrainingData
    validation: list[ScoredSplit]


def load_data(dataset: PreparedDataset, *, memory: int | str | None = None) -> LoadedData:
    """Read the splits that runs train on and are scored on, once for any number of runs."""
    training = open_training_data(dataset, memory=data_memory(memory))
    return LoadedData(training=training, validation=_labelled_validation(dataset))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainArguments(TrainSettings):
    """The arguments of `train` besides the dataset."""

    strategy: Annotated[
        str | Strategy, Option("Name, resolved for the dataset's task, or a resolved Strategy, which is used as it is.")
    ] = DEFAULT_STRATEGY
    base_batch_size: Annotated[
        int | None,
        Option("Batch size in epoch 0, for a strategy given by name.", default="64", alias="batch_size"),
    ] = None
    seed: Annotated[int, Option("Seed of batches, TokenDrop and new weights.")] = 0
    profile: Annotated[
        Profile | Place | None, Option("Device profile, or its file; attention auto is its fastest kernel.")
    ] = None
    out: Annotated[
        str | Path | None, Option("Folder of the run.", default="runs/<source>/<strategy>-seed<seed>-<time>")
    ] = None
    overwrite: Annotated[bool, Option("Replace a run in the folder.")] = False
    resume: Annotated[bool, Option("Resume the run in the folder from its newest checkpoint, if there is one.")] = False
    checkpoints: Annotated[CheckpointRule | None, Option("When to write checkpoints; None: never.")] = (
        DEFAULT_CHECKPOINTS
    )
    save: Annotated[bool, Option("Save the model.")] = True
    stop: Annotated[Stop | None, Option("Ends training after the step in which it gets a signal.")] = None
    progress: Annotated[
        Progress | bool, Option(f"Called after each step with its record and the number of steps. {HELP}")
    ] = True
    scored: Annotated[Scored, Option("Called after each epoch with its score; its exceptions end the run.")] = (
        lambda _epoch, _score: None
    )
    noted: Annotated[Callable[[str], None], Option("Called with each note on what was chosen for the run.")] = (
        lambda _note: None
    )
    loaded: Annotated[LoadedData | None, Option("Result of load_data, to share it among runs.")] = None


def recorded_memory(memory: int | str | None) -> str:
    """Return `--memory` as `config.toml` has it: without it, the memory for the train split."""
    return DEFAULT_MEMORY if memory is None else str(memory)


def folder_of(dataset: PreparedDataset, strategy: Strategy, arguments: TrainArguments) -> Path:
    """Return the folder of the run, the same in all processes: a default name contains the time."""
    default = default_run_folder(dataset.manifest.source, strategy.name, arguments.seed)
    folder: Path = broadcast_object_list([default if arguments.out is None else Path(arguments.out)])[0]
    return folder


def config_of(
    dataset: PreparedDataset,
    arguments: TrainArguments,
    resolved: ResolvedSettings,
    strategy: Strategy,
    feed: Feed,
    *,
    dropout: float,
    windows: int,
) -> dict[str, Any]:
    """Return the settings that identify a run, as in `config.toml`; a run resumes only with the same values."""
    manifest = dataset.manifest
    memory = recorded_memory(arguments.memory)
    settings = options_of(arguments) | resolved.options | {"dropout": dropout, "memory": memory}
    left_out = _IN_TABLES | _NO_PART_OF_A_RUN | (_IF_GIVEN - changed_fields(arguments, TrainSettings).keys())
    return {
        "dataset": {
            "path": str(dataset.path if is_remote(dataset.path) else dataset.path.resolve()),
            "key": manifest.key,
            "source": manifest.source,
        },
        "task": {"kind": manifest.task.kind, "classes": list(manifest.task.classes)},
        "seed": arguments.seed,
        **{name: value for name, value in settings.items() if name not in left_out},
        **resolved_options(arguments, manifest.task),
        "plan_digest": plan_digest(feed.plans),
        "windows": windows,
        "strategy": {name: value for name, value in asdict(strategy).items() if value is not None},
        "part": {name: value for name, value in asdict(resolved.part).items() if value is not None},
        "execution": {name: value for name, value in asdict(resolved.execution).items() if value is not False},
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        # a run that resumes without measuring would report less than it used
        **({} if resolved.energy is None else {"energy": {"country": resolved.energy}}),
    }


def _labelled_validation(dataset: PreparedDataset) -> list[ScoredSplit]:
    """Return the validation splits with labels, the scored one first."""
    splits = dataset.manifest.splits
    names = [name for name, info in splits.items() if name.startswith("validation") and info.labelled]
    names.sort(key=lambda name: name != dataset.manifest.task.scored_split)
    scored = [read_scored_split(dataset, name) for name in names]
    return [replace(each, no_answer_threshold=_threshold_for(dataset, each.split.name)) for each in scored]


def _threshold_for(dataset: PreparedDataset, name: str) -> float | None:
    """Return the threshold that a run scores a validation split with; None: the best one, which the run keeps."""
    splits = dataset.manifest.splits
    if name == dataset.manifest.task.scored_split and splits[name].unanswered:
        return None
    return given_threshold(untuned_threshold(dataset.manifest))
