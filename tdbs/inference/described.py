"""What the files of a checkpoint say that it does: the kind of task, its classes, and what becomes of its logits.

`architectures` and `problem_type` of a configuration give the kind, `id2label` the classes. A folder of
sentence-transformers says what else it is: a model that embeds, or a reranker, by the activation that it names. Names
of activations are looked up in a closed table: nothing is imported by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PretrainedConfig

from tdbs.data.tasks import Columns, Task, TaskKind
from tdbs.errors import ModelError
from tdbs.inference.sentence_folders import activation_of
from tdbs.shown import fitted
from tdbs.train.models.pooling import saved_pooling

_KINDS: dict[str, TaskKind] = {  # by the end of a class's name in transformers
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token_classification",
    "ForQuestionAnswering": "question_answering",
    "ForQuestionAnsweringSimple": "question_answering",  # XLNet's
    "ForConditionalGeneration": "seq2seq",
}
_PROBLEMS: dict[str, TaskKind] = {
    "regression": "regression",
    "multi_label_classification": "multi_label",
    "single_label_classification": "classification",
}
_FINE_TUNE = "Fine-tune it with tdbs train --model, or pass a checkpoint that was fine-tuned."
IDENTITY, SIGMOID = "Identity", "Sigmoid"
# By their names in torch.nn, with its defaults: number by number, whatever the shape.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    IDENTITY: nn.Identity(),
    SIGMOID: nn.Sigmoid(),
    "Tanh": nn.Tanh(),
    "ReLU": nn.ReLU(),
    "Softplus": nn.Softplus(),
    "LogSigmoid": nn.LogSigmoid(),
    "Hardsigmoid": nn.Hardsigmoid(),
    "Hardtanh": nn.Hardtanh(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What a checkpoint does, by its files."""

    task: Task
    activation: str = IDENTITY  # name of what makes numbers and scores of logits
    ranked_by: str | None = None  # activation of its scores if texts are ranked by it; None: its task says all
    note: str | None = None  # open points of its configuration, and how they were read


def describe(name: str, folder: Path, config: PretrainedConfig) -> Described:
    """Return what a configuration and the files of sentence-transformers in a folder say of a model.

    Raises ModelError if it has no head that predicts, or if its numbers need an activation that is not in the table.
    """
    if saved_pooling(folder) is not None:
        return Described(task=Task(name=Path(name).name, kind="embedding", columns=Columns(text="text", labels=())))
    classes = [str(each) for each in config.architectures] if isinstance(config.architectures, list) else []
    kind = next((kind for end, kind in _KINDS.items() if any(each.endswith(end) for each in classes)), None)
    if kind is None:
        raise ModelError(
            f"The model {name} has no head that predicts: it is a {', '.join(classes) or config.model_type}.",
            next_step=_FINE_TUNE,
        )
    named = None
    if kind == "classification":
        implied: TaskKind = "regression" if config.num_labels == 1 else "classification"
        kind = _PROBLEMS.get(config.problem_type or "", implied)
        named = activation_of(folder, config)
        if config.num_labels == 1 and named is not None and _short(named) == SIGMOID:
            return Described(task=ranking_task(name), activation=SIGMOID)
    labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    columns = Columns(text="question", pair="context") if kind == "question_answering" else Columns(text="text")
    if kind == "regression":
        columns = replace(columns, labels=labels)
    has_classes = kind in ("classification", "multi_label", "token_classification")
    task = Task(name=Path(name).name, kind=kind, columns=columns, classes=labels if has_classes else ())
    return _of_numbers(name, task, config, named) if kind == "regression" else Described(task=task)


def ranking_task(name: str) -> Task:
    """Return the task of a model that scores a query and a text."""
    return Task(name=Path(name).name, kind="ranking", columns=Columns(text="query", pair="text", labels=()))


def _of_numbers(name: str, task: Task, config: PretrainedConfig, named: str | None) -> Described:
    """Return what a model of numbers does. One output without a problem_type may rank, as a CrossEncoder does."""
    activation = IDENTITY if named is None else _short(named)
    if activation not in ACTIVATIONS:
        raise ModelError(
            fitted(
                "The model {name} names {named}, an activation that tdbs does not apply.", name=name, named=activation
            ),
            next_step="For its raw numbers write torch.nn.Identity as activation_fn in its configuration.",
        )
    if config.problem_type in _PROBLEMS:
        return Described(task=task, activation=activation)
    note = (
        f"{name} has one output and no problem_type in its config.json: it is read as regression, and its numbers are "
        "printed unchanged, without a sigmoid."
    )
    return Described(
        task=task,
        activation=activation,
        ranked_by=SIGMOID if named is None else activation,  # the default of sentence-transformers
        note=note if named is None else None,
    )


def _short(named: str) -> str:
    """Return the name of an activation of torch; another one keeps its whole name, whatever that ends with."""
    return named.rpartition(".")[2] if named.startswith("torch.") else named
