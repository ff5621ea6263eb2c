"""Options that several commands share. What `--help` does not need is imported in the functions that need it."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from tdbs.cli.completion import completes, strategy_names
from tdbs.cli.config_file import with_recorded_costs
from tdbs.errors import ConfigError
from tdbs.option import Option
from tdbs.settings import TrainSettings, documented_fields
from tdbs.train.planning.runnable import left_out, strategies_for
from tdbs.train.planning.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy, resolve_strategy

if TYPE_CHECKING:
    from tdbs.pipeline.dataset import PreparedDataset
    from tdbs.train.planning.model_choice import ModelChoice
    from tdbs.train.planning.profile_file import Profile


def one_of(choices: Sequence[str]) -> str:
    """Return how help shows an option's choices; the code that uses a value checks it, and says what to pass."""
    return f"[{'|'.join(choices)}]"


StrategyOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"How batches are made: {', '.join([*STRATEGIES, DEFAULT_STRATEGY])}.",
        autocompletion=completes(strategy_names),
    ),
]
LIST = "A,B,…"  # how help shows a list; its option may be repeated, too
StrategiesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar=LIST,
        help="Strategies to compare. [default: all]",
        show_default=False,
        autocompletion=completes(strategy_names, listed=True),
    ),
]
SeedsOption = Annotated[
    list[str] | None,
    typer.Option("--seeds", "--seed", metavar=LIST, help="Seeds. [default: 0]", show_default=False),
]
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
OF_SAMPLES = ("keep_samples", "data_diet")  # settings that decide which samples a run trains on
_NOT_AN_OPTION = ("energy",)  # --energy and --country give it
_OF_PREPARE = ("source", "mirror", "keep", "overwrite", "progress", "waiting")  # the command has them itself


def listed(given: Sequence[str] | None, option: str) -> list[str]:
    """Return the values of an option that takes lists: separated by commas, repeated, or both.

    Raises ConfigError if the option is given without a value: nothing would mean all, or be ignored.
    """
    found = [part.strip() for text in given or () for part in text.split(",") if part.strip()]
    if given and not found:
        raise ConfigError(f"{option} is empty.", next_step=f"Leave {option} out, or give it a value.")
    return found


def listed_seeds(given: Sequence[str] | None, default: Sequence[int] = (0,)) -> tuple[int, ...]:
    """Return the seeds of --seeds, each once."""
    seeds = [part.strip() for text in given or () for part in text.split(",")]
    if not all(seed.isdecimal() for seed in seeds):
        raise ConfigError(
            f"--seeds takes numbers separated by commas, got {','.join(given or ())}.", next_step="Pass --seeds 1,2,3."
        )
    return tuple(dict.fromkeys(map(int, seeds))) or tuple(default)


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of TrainSettings with these names, or all, as a mapping: its parameter `settings`."""
    return _receiving("settings", _options(TrainSettings, *names))


def with_preparation(function: Command) -> Command:
    """Give a command the options of `prepare`, as a mapping: its parameter `settings`."""
    from tdbs.data.formats import ReadOptions
    from tdbs.pipeline.prepare import PrepareArguments

    names = [name for name in documented_fields(PrepareArguments) if name not in _OF_PREPARE]
    names.sort(key=lambda name: name in documented_fields(ReadOptions))  # rarely needed ones last
    return _receiving("settings", _options(PrepareArguments, *names))(function)


def with_reading(function: Command) -> Command:
    """Give a command the options of how files are written, as a mapping: its parameter `reading`."""
    from tdbs.data.formats import ReadOptions

    return _receiving("reading", _options(ReadOptions))(function)


def with_parts(*names: str) -> Callable[[Command], Command]:
    """Give a command options for these parts of a strategy, as a mapping: its parameter `parts`. Not given: None."""
    return _receiving("parts", _options(Strategy, *names, unset=True))


def with_strategy_options(function: Command) -> Command:
    """Give a command the options that choose a strategy, as a mapping: its parameter `chosen`."""
    strategy = _keyword("strategy", DEFAULT_STRATEGY, StrategyOption)
    others = [_keyword("profile", None, ProfileOption), _keyword("allow_drop", False, AllowDropOption)]
    others.append(_keyword("ctx", inspect.Parameter.empty, typer.Context))  # what --config notes of a run
    return _receiving("chosen", [strategy, *_options(Strategy, unset=True), *others])(function)


def chosen_strategy(chosen: Chosen, dataset: "PreparedDataset", model: "ModelChoice") -> Strategy:
    """Return the strategy that the options choose for the dataset's task and the model."""
    parts = {name: chosen[name] for name in documented_fields(Strategy)}
    profile = given_profile(chosen["profile"])
    strategy = resolve_strategy(
        chosen["strategy"],
        dataset.manifest.task,
        parts,
        allow_drop=chosen["allow_drop"],
        profile=profile,
        in_rows=model.in_rows,
    )
    return with_recorded_costs(chosen["ctx"], strategy, profile)


def strategies_to_compare(
    named: Sequence[str] | None, dataset: "PreparedDataset", model: "ModelChoice"
) -> tuple[Sequence[str], str | None]:
    """Return the strategies that the user named, or all that task and model can run and a note on those left out."""
    if named:
        return named, None
    from tdbs.train.planning.model_choice import left_out_note

    task = dataset.manifest.task
    names = strategies_for(task, in_rows=model.in_rows)
    return names, left_out_note(left_out(task, in_rows=model.in_rows), model)


def chosen_country(energy: bool, country: str | None) -> str | None:
    """Return the country whose electricity counts; None if energy is not measured."""
    if country is not None and not energy:
        raise ConfigError("--country has no effect without --energy.", next_step="Pass --energy with it.")
    from tdbs.train.energy import WORLD

    return (country or WORLD) if energy else None


def given_profile(path: Path | None) -> "Profile | None":
    """Return the profile that the user named; one found by chance is never used."""
    from tdbs.train.planning.profile_file import read_profile

    return None if path is None else read_profile(path)


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _options(record: type, *names: str, unset: bool = False) -> list[inspect.Parameter]:
    """Return fields of a record as options; with `unset`, one that is not given is None, not its default."""
    fields = documented_fields(record)
    return [_option(*fields[name], unset=unset) for name in names or fields if name not in _NOT_AN_OPTION]


def _option(field: inspect.Parameter, option: Option, *, unset: bool) -> inspect.Parameter:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else option.choices
    kind = _taken_as(field.annotation)
    default = None if unset else field.default
    flag = option.flag or _flag(field.name)
    flags = [f"{flag}/--no-{flag[2:]}" if unset else flag] if kind is bool else [flag]
    if option.alias is not None:
        flags.insert(0, _flag(option.alias))
    if option.listed:
        kind = list[str] | None
    shows_default = default is not None and default is not False and option.default is None
    metavar = LIST if option.listed else "PATH" if Path in get_args(field.annotation) else None
    asked = typer.Option(
        *flags,
        help=option.text,
        show_default=shows_default,
        metavar=one_of(choices) if choices else metavar,
        autocompletion=completes(choices) if choices else None,
    )
    annotation = Annotated[(kind | None) if unset else kind, asked]  # type: ignore[valid-type]  # made at runtime
    return _keyword(field.name, default, annotation)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _taken_as(annotation: Any) -> Any:
    """Return what the command line takes for a type: a text for choices, and for several types with text among them."""
    kinds = get_args(annotation)
    if get_origin(annotation) is Literal:
        return str
    if str in kinds:
        return str | None if type(None) in kinds else str
    return annotation


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
