"""Options that several commands share, and the notes about what they choose."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from tdbs.data.formats import ReadOptions
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.prepare import PrepareArguments, Validation
from tdbs.settings import DEFAULT_MEMORY, Option, TrainSettings, documented_fields
from tdbs.train.energy import WORLD
from tdbs.train.feed import TRAIN
from tdbs.train.planning.cuts import count_above_caps
from tdbs.train.planning.memory_bound import data_memory
from tdbs.train.planning.memory_windows import count_windows, have_few_lengths
from tdbs.train.planning.model_choice import ModelChoice, left_out_note
from tdbs.train.planning.profile_file import Profile, read_profile
from tdbs.train.planning.strategies import (
    DEFAULT_STRATEGY,
    STRATEGIES,
    Strategy,
    left_out,
    resolve_strategy,
    strategies_for,
)

StrategyOption = Annotated[str, typer.Option(help=f"One of {', '.join([*STRATEGIES, DEFAULT_STRATEGY])}.")]
SeedOption = Annotated[int, typer.Option(help="Seed of batches, TokenDrop and new weights.")]
ProfileOption = Annotated[Path | None, typer.Option(help="Device profile that tdbs profile wrote.", show_default=False)]
EnergyOption = Annotated[bool, typer.Option("--energy", help="Measure energy and CO2e of the machine (codecarbon).")]
CountryOption = Annotated[
    str | None,
    typer.Option(
        help="Country whose electricity --energy counts: three letters (ISO 3166), such as FRA. [default: the world's "
        "average]",
        show_default=False,
    ),
]
AllowDropOption = Annotated[bool, typer.Option("--allow-drop", help="Drop words even if the task forbids it.")]

Chosen = Mapping[str, Any]
Command = Callable[..., None]
# settings that decide a run's memory, and nothing of its plan
OF_MEMORY = ("attention", "precision", "dropout", "checkpoint_activations", "lora", "freeze_layers")
_NOT_AN_OPTION = ("energy",)  # --energy and --country give it
_OF_PREPARE = ("source", "mirror", "keep", "overwrite", "progress", "waiting")  # the command has them itself
# What the command line takes for a type of several
_TAKEN_AS: dict[Any, Any] = {
    int | str: str,
    int | str | None: str | None,
    str | Path | None: str | None,
    Validation: str | None,
}


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of TrainSettings with these names, or all, as a mapping: its parameter `settings`."""
    return _receiving("settings", _options(TrainSettings, *names))


def with_preparation(function: Command) -> Command:
    """Give a command the options of `prepare`, as a mapping: its parameter `settings`."""
    names = [name for name in documented_fields(PrepareArguments) if name not in _OF_PREPARE]
    names.sort(key=lambda name: name in documented_fields(ReadOptions))  # rarely needed ones last
    return _receiving("settings", _options(PrepareArguments, *names))(function)


def with_reading(function: Command) -> Command:
    """Give a command the options of how files are written, as a mapping: its parameter `reading`."""
    return _receiving("reading", _options(ReadOptions))(function)


def with_parts(*names: str) -> Callable[[Command], Command]:
    """Give a command options for these parts of a strategy, as a mapping: its parameter `parts`. Not given: None."""
    return _receiving("parts", _options(Strategy, *names, unset=True))


def with_strategy_options(function: Command) -> Command:
    """Give a command the options that choose a strategy, as a mapping: its parameter `chosen`."""
    strategy = _keyword("strategy", DEFAULT_STRATEGY, StrategyOption)
    others = [_keyword("profile", None, ProfileOption), _keyword("allow_drop", False, AllowDropOption)]
    return _receiving("chosen", [strategy, *_options(Strategy, unset=True), *others])(function)


def chosen_strategy(chosen: Chosen, dataset: PreparedDataset, model: ModelChoice) -> Strategy:
    """Return the strategy that the options choose for the dataset's task and the model."""
    parts = {name: chosen[name] for name in documented_fields(Strategy)}
    return resolve_strategy(
        chosen["strategy"],
        dataset.manifest.task,
        parts,
        allow_drop=chosen["allow_drop"],
        profile=given_profile(chosen["profile"]),
        in_rows=model.in_rows,
    )


def strategies_to_compare(
    named: Sequence[str] | None, dataset: PreparedDataset, model: ModelChoice
) -> tuple[Sequence[str], str | None]:
    """Return the strategies that the user named, or all that task and model can run and a note on those left out."""
    if named:
        return named, None
    names = strategies_for(dataset.manifest.task, in_rows=model.in_rows)
    return names, left_out_note(left_out(in_rows=model.in_rows), model)


def chosen_country(energy: bool, country: str | None) -> str | None:
    """Return the country whose electricity counts; None if energy is not measured."""
    if country is not None and not energy:
        raise ConfigError("--country has no effect without --energy.", next_step="Pass --energy with it.")
    return (country or WORLD) if energy else None


def given_profile(path: Path | None) -> Profile | None:
    """Return the profile that the user named; one found by chance is never used."""
    return None if path is None else read_profile(path)


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


def sorted_note(chosen: Chosen, strategy: Strategy) -> str | None:
    """Return a note if the default strategy has to pad."""
    if chosen["strategy"] != DEFAULT_STRATEGY or strategy.execution != "sorted":
        return None
    return "The default here is sorted: an update runs as a few padded calls, sorted by length."


def caps_note(strategy: Strategy, dataset: PreparedDataset) -> str | None:
    """Return a note if samples are too large for the caps of a call (--max-tokens, --max-pairs) even alone."""
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


def policy_note(strategy: Strategy, dataset: PreparedDataset) -> str | None:
    """Return a note if the task keeps the strategy from dropping words."""
    task = dataset.manifest.task
    named = STRATEGIES[strategy.name]
    if task.drop_forbidden and named.drop != "none" and strategy.drop == "none":
        return f"{strategy.name} runs without TokenDrop: task '{task.name}' {task.drop_forbidden}."
    return None


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _options(record: type, *names: str, unset: bool = False) -> list[inspect.Parameter]:
    """Return fields of a record as options; with `unset`, one that is not given is None, not its default."""
    fields = documented_fields(record)
    return [_option(*fields[name], unset=unset) for name in names or fields if name not in _NOT_AN_OPTION]


def _option(field: inspect.Parameter, option: Option, *, unset: bool) -> inspect.Parameter:
    is_choice = get_origin(field.annotation) is Literal
    kind = str if is_choice else _TAKEN_AS.get(field.annotation, field.annotation)
    default = None if unset else field.default
    flag = option.flag or f"--{field.name.replace('_', '-')}"
    flags = [f"{flag}/--no-{flag[2:]}" if unset else flag] if kind is bool else [flag]
    shows_default = default is not None and default is not False and option.default is None
    metavar = "PATH" if Path in get_args(field.annotation) else None
    asked = typer.Option(*flags, help=option.text, show_default=shows_default, metavar=metavar)
    annotation = Annotated[(kind | None) if unset else kind, asked]  # type: ignore[valid-type]  # made at runtime
    return _keyword(field.name, default, annotation)


def _receiving(into: str, options: Sequence[inspect.Parameter]) -> Callable[[Command], Command]:
    """Give a command options after its first parameter; it receives them as a mapping, in its parameter `into`."""

    def decorate(function: Command) -> Command:
        first, *others = (each for each in inspect.signature(function).parameters.values() if each.name != into)

        @functools.wraps(function)
        def command(**arguments: Any) -> None:
            given = {parameter.name: arguments.pop(parameter.name) for parameter in options}
            function(**arguments, **{into: given})

        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (first, *options, *others)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functools lacks it
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
