"""The fields that tdbs reads of a run's `config.toml`, `steps.jsonl` and `result.json`, each with its type."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from tdbs.data.tasks import TaskKind
from tdbs.errors import TrainingError
from tdbs.fields import Count, PlainText
from tdbs.records import Form
from tdbs.train.energy import EnergyUse

FORM = Form(what="a record of a run", error=TrainingError, next_step="Train again.")


class DatasetFields(TypedDict):
    """`dataset` of config.toml."""

    path: PlainText
    key: NotRequired[str]
    source: NotRequired[str]


class TaskFields(TypedDict):
    """`task` of config.toml."""

    kind: TaskKind
    classes: Sequence[str]


class ExecutionFields(TypedDict):
    """`execution` of config.toml."""

    device: NotRequired[str]
    precision: str
    attention: str
    compiled: NotRequired[bool]
    checkpoint_activations: NotRequired[bool]


class ConfigFields(TypedDict):
    """What tdbs reads of config.toml; only resuming compares all other settings in it."""

    plan_digest: str
    dataset: DatasetFields
    task: TaskFields
    execution: ExecutionFields
    model: str
    seed: int
    epochs: Count
    memory: NotRequired[str]
    strategy: Mapping[str, Any]


class StepFields(TypedDict):
    """What tdbs reads of a line of steps.jsonl."""

    step: Count
    epoch: Count
    batch_size: Count
    predicted: Count
    lr: float
    loss: float | None


class SecondsFields(TypedDict):
    """`seconds` of result.json."""

    plan: NotRequired[float]
    train: float
    evaluate: float
    total: float


class EpochFields(TypedDict):
    """An epoch of result.json."""

    epoch: Count
    loss: float | None
    score: float | None


class ResultFields(TypedDict):
    """What tdbs reads of result.json."""

    strategy: str
    steps: Count
    tokens: Count
    padding_fraction: float
    seconds: SecondsFields
    metrics: Mapping[str, float | None]
    score: float | None
    epochs: Sequence[EpochFields]
    energy: NotRequired[EnergyUse | None]
    no_answer_threshold: NotRequired[float | None]
