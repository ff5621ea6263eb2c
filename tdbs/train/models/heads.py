"""What each kind of task needs of a model: its class in transformers, its logits, and the loss.

Losses are means over samples, or over what the task predicts: labelled words (token classification) or target tokens
(seq2seq). A batch's padding never counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from tdbs.data.tasks import TaskKind
from tdbs.pipeline.schema import IGNORED

# Shapes: B samples of the batch, L its padded length, M its longest target, C outputs, V entries of the vocabulary.


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """One kind of head; logits come in float32."""

    model_class: Any  # one of transformers' AutoModelFor...
    logits: Callable[[Any], torch.Tensor]  # those of a model's output
    # of logits and labels; None: the run's objective has it (objectives/losses.py)
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
    of_tokens: bool = False  # whether logits are of each token, not of each sample
    hides_padding: bool = False  # whether logits at padding are -inf: no answer can be there
    problem_type: str | None = None  # as a model's configuration names it
    adapter_task: str = "SEQ_CLS"  # as peft names it
    pools: bool = False  # whether its outputs are embeddings, made of hidden states (pooling.py)


def _logits(output: Any) -> torch.Tensor:
    return in_full(output.logits)


def _span_logits(output: Any) -> torch.Tensor:
    """Return the logits of first and last token (B x L x 2)."""
    return in_full(torch.stack([output.start_logits, output.end_logits], dim=-1))


def in_full(numbers: torch.Tensor) -> torch.Tensor:
    """Return numbers of at least 32 bits: half precision is too coarse for losses and scores."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _class_loss(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits_BC, labels_B)


def _number_loss(logits_BC: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(logits_BC, labels.to(logits_BC.dtype).reshape(logits_BC.shape))


def _flag_loss(logits_BC: torch.Tensor, labels_BC: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits_BC, labels_BC)


def _span_loss(logits_BL2: torch.Tensor, labels_B2: torch.Tensor) -> torch.Tensor:
    return (
        functional.cross_entropy(logits_BL2[..., 0], labels_B2[:, 0])
        + functional.cross_entropy(logits_BL2[..., 1], labels_B2[:, 1])
    ) / 2


def _token_loss(logits_BLC: torch.Tensor, labels_BL: torch.Tensor) -> torch.Tensor:
    """Return the mean over tokens that have a label; 0 if none has."""
    total = functional.cross_entropy(
        logits_BLC.flatten(0, 1), labels_BL.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels_BL != IGNORED).sum().clamp(min=1)


HEADS: dict[TaskKind, Head] = {
    "classification": Head(
        model_class=AutoModelForSequenceClassification,
        logits=_logits,
        loss=_class_loss,
        problem_type="single_label_classification",
    ),
    "regression": Head(
        model_class=AutoModelForSequenceClassification, logits=_logits, loss=_number_loss, problem_type="regression"
    ),
    "multi_label": Head(
        model_class=AutoModelForSequenceClassification,
        logits=_logits,
        loss=_flag_loss,
        problem_type="multi_label_classification",
    ),
    "token_classification": Head(
        model_class=AutoModelForTokenClassification,
        logits=_logits,
        loss=_token_loss,
        of_tokens=True,
        adapter_task="TOKEN_CLS",
    ),
    "question_answering": Head(
        model_class=AutoModelForQuestionAnswering,
        logits=_span_logits,
        loss=_span_loss,
        of_tokens=True,
        hides_padding=True,
        adapter_task="QUESTION_ANS",
    ),
    "seq2seq": Head(model_class=AutoModelForSeq2SeqLM, logits=_logits, loss=_token_loss, adapter_task="SEQ_2_SEQ_LM"),
    "embedding": Head(
        model_class=AutoModel,
        logits=lambda output: output.last_hidden_state,  # pooled in the precision of the model
        loss=None,
        pools=True,
        adapter_task="FEATURE_EXTRACTION",
    ),
    "ranking": Head(model_class=AutoModelForSequenceClassification, logits=_logits, loss=None),
}
