"""A model of the user's that takes padded batches, and runs them without their padding.

Its forward gathers the tokens of all samples into one row, and puts what it says of tokens back into their places. So
whoever calls the model, such as transformers' Trainer, keeps its batches, its loss and its outputs.
"""

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from tdbs.arrays import BoolArray
from tdbs.data.tasks import TaskKind
from tdbs.errors import ConfigError, ModelError
from tdbs.pipeline.schema import IGNORED
from tdbs.train.device import to_device
from tdbs.train.models.heads import HEADS
from tdbs.train.models.recompute import store_last_layer
from tdbs.train.planning.epoch_plan import row_width
from tdbs.train.rows.heads import body_on_rows
from tdbs.train.rows.models import inputs_of_rows, knows_sequences, on_rows, use_sequences
from tdbs.train.rows.sequences import Sequences, sequences_at
from tdbs.train.step import unwrapped

# Shapes: B samples of a batch, L its padded length, K their tokens, F tokens of the row, C outputs.

Forward = Callable[..., Any]

_MARK = "tdbs_forwards"  # attribute of a model: its forward as it was, and that in rows
_KINDS: tuple[TaskKind, ...] = ("classification", "token_classification")
_TOKENS = ("input_ids", "attention_mask", "token_type_ids")
_GATHERED = (*_TOKENS, "labels")
_ASKED = ("output_hidden_states", "output_attentions")
_OF_ROWS = (*_ASKED, "position_ids", "inputs_embeds", "past_key_values")


def run_in_rows(model: Any) -> PreTrainedModel:
    """Make a model run padded batches in one row of all their tokens; return it, without what peft put around it.

    Outputs are those of the padded batch up to rounding; logits of tokens are zeros at padding. Raises ModelError for
    models and heads that cannot do so.
    """
    own = unwrapped(model)
    _check_model(model, own)
    if runs_in_rows(own):
        return own
    kind = _kind_of(own)
    if not knows_sequences(own.config):
        raise ModelError(
            f"Rows of several samples are not supported by this {own.config.model_type}.",
            next_step='Use the Trainer as it is, or PreparedTrainer with a prepared dataset and strategy="sorted".',
        )
    use_sequences(own, own.config._attn_implementation)
    padded = own.forward.__func__
    names = tuple(inspect.signature(own.forward).parameters)

    @functools.wraps(padded)
    def in_rows(self: Any, *args: Any, **named: Any) -> Any:
        named = {**dict(zip(names, args, strict=False)), **named}
        try:
            rows = rows_of(self, named)
        except ConfigError:
            if self.training:
                raise
            return padded(self, **named)
        return padded(self, **named) if rows is None else _forward(self, padded, kind, named, rows)

    setattr(own, _MARK, (padded, in_rows))
    own.forward = MethodType(in_rows, own)  # a method: a copy of the model calls the copy
    return own


def run_padded(model: PreTrainedModel) -> None:
    """Make a model run padded batches as they are again."""
    model.forward = both_forwards(model)[0]
    delattr(model, _MARK)


def runs_in_rows(model: Any) -> bool:
    """Return whether a model's forward is that of run_in_rows."""
    return hasattr(model, _MARK)


def both_forwards(model: PreTrainedModel) -> tuple[Forward, Forward]:
    """Return a model's forward as it was before run_in_rows, and that in rows, without what was put around it later."""
    padded, in_rows = getattr(model, _MARK)
    return MethodType(padded, model), MethodType(in_rows, model)


def logits_of(output: Any, *, with_loss: bool) -> torch.Tensor:
    """Return the logits of an output: by name, or in a tuple, behind the loss if there is one."""
    found: torch.Tensor = output[int(with_loss)] if isinstance(output, tuple) else output["logits"]
    return found


def _check_model(model: Any, own: Any) -> None:
    """Refuse what is not a model of transformers with a forward of its own class."""
    if not isinstance(own, PreTrainedModel):
        raise ModelError(
            f"{type(own).__name__} is not a model of transformers.",
            next_step="Pass one of AutoModelForSequenceClassification or AutoModelForTokenClassification.",
        )
    if not isinstance(own.forward, MethodType):
        raise ModelError(
            f"Another library has replaced the forward of this {type(own).__name__}.",
            next_step="Load the model onto one device, without hooks of another library.",
        )
    adapters = getattr(getattr(model, "module", model), "active_peft_config", None)
    if getattr(adapters, "is_prompt_learning", False):
        raise ModelError(
            "Prompts of peft stand before each text, and rows of several samples do not have them.",
            next_step="Use the Trainer as it is, or adapters such as LoRA.",
        )


def _kind_of(model: PreTrainedModel) -> TaskKind:
    """Return what kind of head a model has. Raises ModelError for others than those of texts and of tokens."""
    mappings = {kind: HEADS[kind].model_class._model_mapping for kind in _KINDS}
    known = {kind: classes[type(model.config)] for kind, classes in mappings.items() if type(model.config) in classes}
    for kind, known_class in known.items():
        if isinstance(model, known_class):
            return kind
    if not type(model).__module__.startswith("transformers."):
        names = " or ".join(known_class.__name__ for known_class in known.values())
        raise ModelError(
            f"{type(model).__name__} is a class of your own, so it is not known what its head reads.",
            next_step=f"Derive it from {names}, or use the Trainer as it is." if names else "Use the Trainer as it is.",
        )
    raise ModelError(
        f"A {type(model).__name__} cannot be run without padding: its head reads neither a text nor its tokens.",
        next_step="Use the Trainer as it is, or prepare the dataset with tdbs and pass it to PreparedTrainer.",
    )


class _Rows:
    """The places of a padded batch's tokens, and one row of them."""

    def __init__(self, mask_BL: BoolArray, device: torch.device) -> None:
        self._size_BL = mask_BL.shape
        self._place_K = to_device(np.flatnonzero(mask_BL), device)
        self._lengths_B = mask_BL.sum(axis=1)
        self._size = int(row_width(self._lengths_B.sum()))

    def sequences(self) -> Sequences:
        """Return the layout of the row."""
        lengths_B = self._lengths_B
        starts_B = np.cumsum(lengths_B) - lengths_B
        return sequences_at(starts_B, lengths_B, size=self._size, device=self._place_K.device)

    def gathered(self, values_BL: torch.Tensor, filler: int) -> torch.Tensor:
        """Return the values of the tokens in the row (1 x F)."""
        row_F = values_BL.new_full((self._size,), filler)
        row_F[: len(self._place_K)] = values_BL.flatten().index_select(0, self._place_K)
        return row_F[None]

    def scattered(self, values_1FC: torch.Tensor) -> torch.Tensor:
        """Return values of the row's tokens in their places (B x L x C), zeros at padding."""
        values_KC = values_1FC[0, : len(self._place_K)]
        flat = values_KC.new_zeros(self._size_BL[0] * self._size_BL[1], values_KC.shape[1])
        return flat.index_copy(0, self._place_K, values_KC).view(*self._size_BL, -1)


def rows_of(model: PreTrainedModel, inputs: dict[str, Any]) -> _Rows | None:
    """Return the rows of a padded batch. Raises ConfigError for what rows cannot have.

    None: it has no padding, or a sample without tokens. The padded call gives what it always gave.
    """
    asked = {name: value for name in _ASKED if (value := getattr(model.config, name, None))} | inputs
    for name in _OF_ROWS:
        _check_not_asked(name, asked.get(name))
    if inputs.get("input_ids") is None or inputs.get("attention_mask") is None:
        raise ConfigError(
            "The batches have no input_ids with an attention_mask, so it is not known what is padding.",
            next_step="Tokenize the texts, and keep the attention_mask that the tokenizer returns.",
        )
    size_BL = inputs["input_ids"].shape
    for name, value in inputs.items():
        if name not in _GATHERED and isinstance(value, torch.Tensor) and value.shape[-2:] == size_BL:
            _check_not_asked(name, value)
    mask_BL = inputs["attention_mask"].cpu().numpy() != 0
    lengths_B = mask_BL.sum(axis=1)
    if not np.array_equal(mask_BL, np.arange(mask_BL.shape[1]) < lengths_B[:, None]):
        raise ConfigError(
            "The batches have padding before or between tokens.",
            next_step='Pad on the right: tokenizer.padding_side = "right".',
        )
    if lengths_B.min() in (0, mask_BL.shape[1]):  # a row has no place for a sample without tokens
        return None
    return _Rows(mask_BL, inputs["input_ids"].device)


def _check_not_asked(name: str, value: Any) -> None:
    if value is not None and value is not False:
        raise ConfigError(
            f"The model is called with {name}, which rows of several samples do not have.",
            next_step=f"Leave {name} out.",
        )


def _forward(model: Any, padded: Any, kind: TaskKind, named: dict[str, Any], rows: _Rows) -> Any:
    """Call a model on the tokens of a padded batch, in one row."""
    # behind the last token the row has the model's own filler: some models count positions by it
    row_1F = rows.gathered(named["input_ids"], model.config.pad_token_id or 0)
    sequences = rows.sequences()
    inputs = {"input_ids": row_1F, **inputs_of_rows(model, sequences, row_1F)}
    if named.get("token_type_ids") is not None:
        inputs["token_type_ids"] = rows.gathered(named["token_type_ids"], 0)
    rest = {name: value for name, value in named.items() if name not in _TOKENS}
    if "use_cache" in inspect.signature(padded).parameters:
        rest["use_cache"] = False
    with on_rows(model, sequences):
        if not HEADS[kind].of_tokens:
            store_last_layer(model)  # a hook cuts its end in the forward pass alone
            with body_on_rows(model, sequences, inputs) as tokens_read:
                return padded(model, **rest, **tokens_read)
        with_loss = rest.get("labels") is not None
        if with_loss:
            _check_labels(rest["labels"], named["attention_mask"])
            rest["labels"] = rows.gathered(rest["labels"], IGNORED)
        output = padded(model, **rest, **inputs)
    logits_BLC = rows.scattered(logits_of(output, with_loss=with_loss))
    if isinstance(output, tuple):
        place = int(with_loss)
        return (*output[:place], logits_BLC, *output[place + 1 :])
    output["logits"] = logits_BLC
    return output


def _check_labels(labels_BL: torch.Tensor, mask_BL: torch.Tensor) -> None:
    if bool(((labels_BL != IGNORED) & (mask_BL == 0)).any()):
        raise ConfigError(
            f"Tokens of padding have labels other than {IGNORED}, so the loss counts padding.",
            next_step="Use DataCollatorForTokenClassification.",
        )
