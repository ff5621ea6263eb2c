"""The settings of training: one record, from which commands, Python functions and their help are made.

A new setting is a field of `TrainSettings`, and the code that uses it. It stands in a run's `config.toml` then, and a
run resumes only on the same value.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, TypeVar, get_args, get_type_hints

from tdbs.errors import ConfigError, choose
from tdbs.given import fitting, is_list
from tdbs.objective_settings import ObjectiveSettings
from tdbs.option import Option
from tdbs.shown import shown_number

DEFAULT_EPOCHS = 3
DEFAULT_WARMUP = 0.06  # share of the run's samples; RoBERTa's fine-tuning recipe
DEFAULT_MEMORY = "2GiB"
Precision = Literal["auto", "fp32", "bf16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]
SCHEDULERS = ("linear", "cosine", "constant")
TRACKERS = ("tensorboard", "wandb", "trackio")
_RETURNS = "\n\n    Returns:"  # the Args of a docstring end before it

Fields = ParamSpec("Fields")
Subject = TypeVar("Subject")
Record = TypeVar("Record")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings(ObjectiveSettings):
    """How models are trained. Raises ConfigError for a value out of range."""

    model: Annotated[
        str | None,
        Option("Hub name or folder of the model, or tiny.", default="the one the dataset was tokenized for"),
    ] = None
    epochs: Annotated[int, Option("Epochs of the run.")] = DEFAULT_EPOCHS
    lr: Annotated[float | None, Option("Base learning rate.", default="5e-5; tiny 1e-3", alias="learning_rate")] = None
    warmup: Annotated[float, Option("Share of the samples over which the rate grows.", alias="warmup_ratio")] = (
        DEFAULT_WARMUP
    )
    lr_scheduler: Annotated[str, Option("How the rate falls after the warm-up.", choices=SCHEDULERS)] = "linear"
    weight_decay: Annotated[float, Option("Weight decay of AdamW, but for biases and norms.")] = 0.0
    dropout: Annotated[float | None, Option("Dropout of the model.", default="the paper's rule")] = None
    precision: Annotated[
        str, Option("Numbers of the model; auto is bf16 if the device computes in it.", choices=get_args(Precision))
    ] = "auto"
    attention: Annotated[
        str,
        Option(
            "Attention kernel; auto is the profile's fastest, else eager on a CPU and sdpa on CUDA.",
            choices=get_args(Attention),
        ),
    ] = "auto"
    compiled: Annotated[
        bool, Option("Compile the model's layers: for CUDA; it makes a CPU slower.", flag="--compile")
    ] = False
    checkpoint_activations: Annotated[
        bool, Option("Store one state per layer and compute the rest again in the backward pass: slower, less memory.")
    ] = False
    lora: Annotated[int | None, Option("Train adapters of this rank (peft), and the head.")] = None
    freeze_layers: Annotated[int | None, Option("Freeze the embeddings and this many lowest layers.")] = None
    track: Annotated[str | None, Option("Log each step to a tracker.", choices=TRACKERS, alias="report_to")] = None
    energy: Annotated[
        str | None,
        Option("Measure kWh and CO2e with this country's electricity: its three letters (ISO 3166), or world."),
    ] = None
    memory: Annotated[
        int | str | None,
        Option(
            "Most memory of training: updates are cut into calls of the model that fit, by the predicted peak. At most "
            "half is for the train split; a larger one is read in windows.",
            default="2GiB for the split, no bound for the rest",
        ),
    ] = None

    keep_samples: Annotated[
        str | None,
        Option(
            "Train on these samples alone: a file of source rows (Parquet, or a number a line), or RUN:FRACTION. "
            "That is the hardest share of a scored run, by EL2N.",
            default="all",
            flag="--keep",
        ),
    ] = None
    data_diet: Annotated[
        float | None,
        Option("After a first full epoch, train on this share of the samples, those of the highest EL2N.", default="1"),
    ] = None

    def __post_init__(self) -> None:
        ObjectiveSettings.__post_init__(self)
        check_hyperparameters(epochs=self.epochs, lr=self.lr, warmup=self.warmup, dropout=self.dropout)
        choose("--lr-scheduler", self.lr_scheduler, SCHEDULERS)
        if not (isinstance(self.weight_decay, int | float) and 0 <= self.weight_decay <= 1):
            raise ConfigError(
                f"--weight-decay must be from 0 to 1, got {shown_number(self.weight_decay)}.",
                next_step="Pass a share such as --weight-decay 0.01.",
            )
        if not (self.data_diet is None or 0 < self.data_diet <= 1):
            raise ConfigError(
                f"--data-diet must be above 0 and at most 1, got {shown_number(self.data_diet)}.",
                next_step="Pass a share such as --data-diet 0.5.",
            )


def check_hyperparameters(
    *, epochs: int, lr: float | None = None, warmup: float = DEFAULT_WARMUP, dropout: float | None = None
) -> None:
    """Refuse values out of range. With a rate above 1 AdamW could leave weights that are not numbers."""
    for right, name, value, rule in (
        (epochs >= 1, "--epochs", epochs, "1 or more"),
        (lr is None or 0 < lr <= 1, "--learning-rate", lr, "above 0 and at most 1"),
        (0 <= warmup < 1, "--warmup-ratio", warmup, "from 0 to less than 1"),
        (dropout is None or 0 <= dropout < 1, "--dropout", dropout, "from 0 to less than 1"),
    ):
        if not right:
            given = "None" if value is None else shown_number(value)
            raise ConfigError(f"{name} must be {rule}, got {given}.", next_step=f"Pass another {name}.")


def options_of(settings: TrainSettings) -> dict[str, Any]:
    """Return the fields of TrainSettings as keywords, for another record or for `train`."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(TrainSettings)}


def changed_fields(given: Any, record: type) -> dict[str, Any]:
    """Return the fields of a record that do not have their default; `given` may be of a record that extends it."""
    return {
        field.name: value
        for field in dataclasses.fields(record)
        if (value := getattr(given, field.name)) != field.default
    }


@functools.cache
def documented_fields(record: Callable[..., Any]) -> dict[str, tuple[inspect.Parameter, Option]]:
    """Return by name each field of a record that has an Option: a parameter with its plain type, and the Option."""
    hints = get_type_hints(record, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(record).parameters.items():
        option = next((each for each in getattr(hints[name], "__metadata__", ()) if isinstance(each, Option)), None)
        if option is not None:
            found[name] = parameter.replace(annotation=get_args(hints[name])[0]), option
    return found


def option_of(record: Callable[..., Any], name: str) -> Option:
    """Return the Option of a record's field."""
    return documented_fields(record)[name][1]


def canonical(given: Mapping[str, Any], *records: Callable[..., Any]) -> dict[str, Any]:
    """Return values by the names of the records' fields: `learning_rate` is `lr`. Raises ConfigError for both."""
    names = {
        option.alias: name
        for record in records
        for name, (_, option) in documented_fields(record).items()
        if option.alias is not None
    }
    found: dict[str, Any] = {}
    for name, value in given.items():
        field = names.get(name, name)
        if field in found:
            raise ConfigError(f"{field} is given twice, once as {name}.", next_step="Give it once.")
        found[field] = value
    return found


def takes(
    record: Callable[Fields, Record],
) -> Callable[[Callable[[Subject, Record], Result]], Callable[Concatenate[Subject, Fields], Result]]:
    """Let a function of a subject and a record be called with the record's fields as keywords.

    Its signature and the Args of its docstring are made from the record, so neither can be behind it.
    """

    def decorate(function: Callable[[Subject, Record], Result]) -> Callable[Concatenate[Subject, Fields], Result]:
        first = next(iter(inspect.signature(function).parameters.values()))
        signature = _signature(function, record, first)

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Result:
            given = signature.bind(*arguments, **canonical(options, record)).arguments
            subject = given.pop(first.name)
            return function(subject, record(**_fitting(given, record)))  # type: ignore[call-arg]  # bound above

        _document(call, signature, record)
        return call

    return decorate


def takes_only(record: Callable[Fields, Record]) -> Callable[[Callable[[Record], Result]], Callable[Fields, Result]]:
    """Let a function of a record be called with the record's fields; as `takes`, for a function without a subject."""

    def decorate(function: Callable[[Record], Result]) -> Callable[Fields, Result]:
        signature = _signature(function, record)

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Result:
            given = signature.bind(*arguments, **canonical(options, record)).arguments
            return function(record(**_fitting(given, record)))  # type: ignore[call-arg]

        _document(call, signature, record, head="\n\n    Args:")
        return call

    return decorate


def _fitting(given: Mapping[str, Any], record: Callable[..., Any]) -> dict[str, Any]:
    """Return values, each of a type that its field has; a list of names is one text, where a text lists them."""
    found = {}
    for name, value in given.items():
        parameter, option = documented_fields(record)[name]
        listed = option.listed and is_list(value) and all(isinstance(item, str) for item in value)
        found[name] = fitting(name, parameter.annotation, ",".join(value) if listed else value)
    return found


def _signature(
    function: Callable[..., Any], record: Callable[..., Any], *before: inspect.Parameter
) -> inspect.Signature:
    fields = (parameter for parameter, _ in documented_fields(record).values())
    return inspect.Signature([*before, *fields], return_annotation=inspect.signature(function).return_annotation)


def _document(
    call: Callable[..., Any], signature: inspect.Signature, record: Callable[..., Any], *, head: str = ""
) -> None:
    """Give a function its signature, and the record's fields as the last Args of its docstring."""
    call.__signature__ = signature  # type: ignore[attr-defined]  # functools has no type for it
    lines = []
    for parameter, option in documented_fields(record).values():
        choices = f" One of {', '.join(option.choices)}." if option.choices else ""
        alias = f" Also as {option.alias}." if option.alias else ""
        lines.append(f"        {parameter.name}: {option.text}{choices}{alias}")
    call.__doc__ = (call.__doc__ or "").replace(_RETURNS, head + "\n" + "\n".join(lines) + _RETURNS)
