"""The options that say how batches are made, shared by `plan` and `train`."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, split_info
from tdbs.pipeline.engines import memory_bytes
from tdbs.train.energy import WORLD
from tdbs.train.feed import TRAIN
from tdbs.train.planning.memory_windows import count_windows, have_few_lengths
from tdbs.train.planning.model_choice import ModelChoice, left_out_note
from tdbs.train.planning.profile_file import Profile, read_profile
from tdbs.train.planning.strategies import (
    DEFAULT_STRATEGY,
    STRATEGIES,
    Batches,
    Drop,
    Execution,
    Strategy,
    left_out,
    resolve_strategy,
    strategies_for,
)

StrategyOption = Annotated[str, typer.Option(help=f"One of {', '.join([*STRATEGIES, DEFAULT_STRATEGY])}.")]
SeedOption = Annotated[int, typer.Option(help="Seed of batches, TokenDrop and new weights.")]
EpochsOption = Annotated[int, typer.Option(help="Epochs of the run.")]
CapsOption = Annotated[
    str | None,
    typer.Option(
        help="Largest batch for a length (HWCap): a number, paper, memory or knee (of --profile), or a profile's "
        "file. [default: the base batch size; paper on CUDA]",
        show_default=False,
    ),
]
ProfileOption = Annotated[Path | None, typer.Option(help="Device profile that tdbs profile wrote.", show_default=False)]
AttentionOption = Annotated[
    str,
    typer.Option(
        help="auto (the profile's fastest; else eager on a CPU, sdpa on CUDA), eager, sdpa or flash_attention_2."
    ),
]
PrecisionOption = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Hub name or folder of the model, or tiny. [default: the one the dataset was tokenized for]",
        show_default=False,
    ),
]
DropoutOption = Annotated[
    float | None, typer.Option(help="Dropout of the model. [default: the paper's rule]", show_default=False)
]
EnergyOption = Annotated[bool, typer.Option("--energy", help="Measure energy and CO2e of the machine (codecarbon).")]
CountryOption = Annotated[
    str | None,
    typer.Option(
        help="Whose electricity --energy counts: a country's three letters (ISO 3166), such as FRA. [default: the "
        "world's average]",
        show_default=False,
    ),
]
BaseBatchOption = Annotated[
    int | None, typer.Option(help="Samples of a batch in epoch 0. [default: 64]", show_default=False)
]
AllowDropOption = Annotated[bool, typer.Option("--allow-drop", help="Drop words even where the task forbids it.")]


def _strategy_options(
    *,
    strategy: StrategyOption = DEFAULT_STRATEGY,
    batches: Annotated[
        str | None, typer.Option(help=f"Samples that share an update: {', '.join(get_args(Batches))}.")
    ] = None,
    drop: Annotated[str | None, typer.Option(help=f"TokenDrop: {', '.join(get_args(Drop))}.")] = None,
    drop_rate: Annotated[
        float | None, typer.Option(help="Share of words for --drop rate and any. [default: 0.3]", show_default=False)
    ] = None,
    execution: Annotated[
        str | None, typer.Option(help=f"How a batch meets the model: {', '.join(get_args(Execution))}.")
    ] = None,
    rbm: Annotated[bool | None, typer.Option("--rbm/--no-rbm", help="Merge residual batches.")] = None,
    lrm: Annotated[bool | None, typer.Option("--lrm/--no-lrm", help="Scale the rate by the batch size.")] = None,
    bucket_width: Annotated[int | None, typer.Option(help="Lengths of a bucket, or steps of the reach grid.")] = None,
    base_batch_size: BaseBatchOption = None,
    scaling_factor: Annotated[
        int | None, typer.Option(help="Growth of the largest batch per epoch. [default: 2]", show_default=False)
    ] = None,
    micro_batches: Annotated[
        int | None,
        typer.Option(help="Batches of an update, each from a bucket of its own. [default: 1]", show_default=False),
    ] = None,
    grid_lengths: Annotated[
        int | None,
        typer.Option(help="Grid lengths that a sample may go to with --drop reach. [default: 1]", show_default=False),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Devices whose caps add up in an update. [default: 1]", show_default=False)
    ] = None,
    batch_cap: Annotated[
        bool | None, typer.Option("--batch-cap/--no-batch-cap", help="Let the largest batch grow from epoch to epoch.")
    ] = None,
    sort_targets: Annotated[
        bool | None,
        typer.Option("--sort-targets/--no-sort-targets", help="Sort by target where padding asks for it."),
    ] = None,
    caps: CapsOption = None,
    profile: ProfileOption = None,
    allow_drop: AllowDropOption = False,
) -> None:
    """Hold the options; never called."""


Chosen = Mapping[str, Any]


def with_strategy_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options above; it receives them as one argument, `chosen`."""
    ours = inspect.signature(_strategy_options).parameters
    own = inspect.signature(function)

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in ours}
        function(**arguments, chosen=chosen)

    kept = [parameter for name, parameter in own.parameters.items() if name != "chosen"]
    command.__signature__ = own.replace(parameters=[*kept, *ours.values()])  # type: ignore[attr-defined]  # functools has no type for it
    annotations = {name: value for name, value in function.__annotations__.items() if name != "chosen"}
    command.__annotations__ = {**annotations, **_strategy_options.__annotations__}
    return command


def chosen_strategy(chosen: Chosen, dataset: PreparedDataset, model: ModelChoice) -> Strategy:
    """Return the strategy that the options choose for the dataset's task and the model."""
    parts = {name: value for name, value in chosen.items() if name not in ("strategy", "allow_drop", "profile")}
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
    """Return whose electricity counts; None where energy is not measured."""
    if country is not None and not energy:
        raise ConfigError("--country says whose electricity --energy counts.", next_step="Pass --energy with it.")
    return (country or WORLD) if energy else None


def given_profile(path: Path | None) -> Profile | None:
    """Return the profile that the user named; one found by chance is never used."""
    return None if path is None else read_profile(path)


def profile_note(profile: Profile | None, model: ModelChoice) -> str | None:
    """Return what to say where the profile is of another family than the model that trains."""
    timed = None if profile is None else profile.model.get("type")
    if timed is None or model.model_type in (None, timed):
        return None
    return (
        f"The profile is of a {timed}, but the model that trains is a {model.model_type}: seconds may differ. "
        "Measure the model with tdbs profile."
    )


def padded_note(chosen: Chosen, strategy: Strategy) -> str | None:
    """Return what to say where the default has to pad."""
    if chosen["strategy"] != DEFAULT_STRATEGY or (strategy.name, strategy.batches) != ("random", "random"):
        return None
    return (
        "This model takes one sample a row, so random batches are padded. --strategy reach hardly pads; "
        "its updates have samples of one length, which can cost score."
    )


def windows_note(dataset: PreparedDataset, memory: str) -> str | None:
    """Return what to say where the train split is larger than the memory."""
    info = split_info(dataset, TRAIN)
    windows = count_windows(info, dataset.manifest, memory=memory_bytes(memory))
    if windows == 1:
        return None
    note = f"The train split takes more than --memory {memory}: {windows} windows an epoch."
    if have_few_lengths(info, windows):
        note += " Each holds few of the lengths, so random batches look better than they are; raise --memory."
    return note


def policy_note(strategy: Strategy, dataset: PreparedDataset) -> str | None:
    """Return what to say where the task keeps the strategy from dropping words."""
    task = dataset.manifest.task
    named = STRATEGIES[strategy.name]
    if task.drop_forbidden and named.drop != "none" and strategy.drop == "none":
        return f"{strategy.name} runs without TokenDrop: task '{task.name}' {task.drop_forbidden}."
    return None
