"""What is trained by two libraries side by side: three studies, and the settings of sentence-transformers.

Its trainers take each argument of transformers' Trainer but make their own batches: `train_sampling_strategy` is not
looked at, so `group_by_length` changes nothing there. What they have against padding needs flash attention on a GPU,
or is for cached losses alone. A batch sampler by length can be given to them, and is an arm of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

OURS = "tdbs"
TEMPERATURE = 0.05  # scale 20, the default of sentence-transformers
DROPOUT = 0.1  # what MiniLM is trained with


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One thing to train: data, loss and rates are the same for all arms."""

    title: str
    task: Literal["embedding", "ranking"]
    loss: Literal["cosine", "negatives", "binary"]  # as `tdbs train --loss` names it
    columns: tuple[str, ...]
    label: str | None = None
    max_length: int  # tokens of a text, or of a pair
    batch: int  # rows of an update
    rate: float
    epochs: int
    score: str  # the one of the table, a key of the scorer's


STUDIES: Mapping[str, Study] = {
    "stsb": Study(
        title="STS-B, cosine regression",
        task="embedding",
        loss="cosine",
        columns=("query", "positive"),
        label="score",
        max_length=128,
        batch=64,
        rate=5e-5,
        epochs=2,
        score="spearman",
    ),
    "squad": Study(
        title="SQuAD, questions to paragraphs, in-batch negatives",
        task="embedding",
        loss="negatives",
        columns=("query", "positive"),
        max_length=256,
        batch=64,
        rate=5e-5,
        epochs=1,
        score="ndcg@10",
    ),
    "rerank": Study(
        title="SQuAD, a cross-encoder over questions and paragraphs",
        task="ranking",
        loss="binary",
        columns=("query", "positive", "negatives"),
        max_length=256,
        batch=32,
        rate=1e-4,
        epochs=1,
        score="ndcg@10",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerArm:
    """Settings of sentence-transformers beside those of the study."""

    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # of its training arguments
    attention: str | None = None  # kernel; None: its default, which is sdpa
    best: bool = False  # in-batch negatives without duplicates, as its pages advise
    by_length: bool = False  # batches of like lengths, from a sampler that is given to it


_BF16 = {"bf16": True}
ARMS: Mapping[str, PeerArm] = {
    "its defaults": PeerArm(),
    "eager attention": PeerArm(attention="eager", best=True),
    "eager attention, by length": PeerArm(attention="eager", by_length=True),
    "bf16": PeerArm(arguments=_BF16, best=True),
    "bf16, eager attention": PeerArm(arguments=_BF16, attention="eager", best=True),
    "bf16, eager attention, by length": PeerArm(arguments=_BF16, attention="eager", by_length=True),
}


def arms_of(precision: str) -> list[str]:
    """Return the arms to compare with: the defaults, and the others in the precision of ours."""
    return [name for name, arm in ARMS.items() if arm == PeerArm() or bool(arm.arguments) == (precision == "bf16")]
