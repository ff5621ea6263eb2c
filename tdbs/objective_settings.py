"""What is learned from the sequences of a sample: the settings of embedding and ranking tasks.

They are part of the settings of training (settings.py); other kinds of tasks take none of them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tdbs.errors import ConfigError, choose
from tdbs.option import Option
from tdbs.shown import shown_number

EmbeddingLoss = Literal["negatives", "symmetric", "cosine", "triplet"]
RankingLoss = Literal["binary", "listwise"]
PoolingMode = Literal["mean", "cls", "last"]
_LEAST_TEMPERATURE = 1e-4  # below it gradients are beyond what 32 bits hold
LOSSES = (*get_args(EmbeddingLoss), *get_args(RankingLoss))


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSettings:
    """The settings of embedding and ranking tasks. Raises ConfigError for a value out of range."""

    loss: Annotated[
        str | None,
        Option(
            "Loss of embeddings (the first four) or of a reranker.",
            default="cosine for pairs with scores, else negatives; rerankers binary",
            choices=LOSSES,
        ),
    ] = None
    temperature: Annotated[
        float | None, Option("What similarities are divided by in the losses negatives and symmetric.", default="0.05")
    ] = None
    margin: Annotated[
        float | None, Option("How much farther the negative is to be in the loss triplet.", default="5")
    ] = None
    pooling: Annotated[
        str | None,
        Option(
            "How the embedding of a text is made of its tokens' states.",
            default="as the model's folder says, else mean; decoders last",
            choices=get_args(PoolingMode),
        ),
    ] = None
    normalize: Annotated[bool, Option("Give embeddings the length 1; a model's folder may say so by itself.")] = False
    dimensions: Annotated[
        str | None,
        Option("Also learn with the first entries of embeddings alone (Matryoshka): 256,128,64."),
    ] = None
    keep_repeats: Annotated[
        bool, Option("Take a text for a negative even if it is also a positive of the same query in the batch.")
    ] = False

    def __post_init__(self) -> None:
        for name, value, choices in (("--loss", self.loss, LOSSES), ("--pooling", self.pooling, get_args(PoolingMode))):
            if value is not None:
                choose(name, value, choices)
        for name, number in (("--temperature", self.temperature), ("--margin", self.margin)):
            if not (number is None or 0 < number < float("inf")):
                raise ConfigError(
                    f"{name} must be above 0, got {shown_number(number)}.", next_step=f"Pass another {name}."
                )
        if self.temperature is not None and self.temperature < _LEAST_TEMPERATURE:
            raise ConfigError(
                f"--temperature must be {_LEAST_TEMPERATURE:g} or more, got {shown_number(self.temperature)}.",
                next_step="Pass a temperature such as 0.05.",
            )
        _ = self.sizes

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of entries of `dimensions`, each once, large ones first."""
        parts = [] if self.dimensions is None else [part.strip() for part in self.dimensions.split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ConfigError(
                f"--dimensions takes numbers from 1 on, separated by commas, got '{self.dimensions}'.",
                next_step="Pass numbers such as --dimensions 256,128,64.",
            )
        return tuple(sorted({int(part) for part in parts}, reverse=True))
