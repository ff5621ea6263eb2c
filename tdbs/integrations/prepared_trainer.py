"""A Trainer as its user made it, whose model runs batches without their padding.

The Trainer keeps its data, batches, loop, rates, loss and checkpoints: only the model's call changes
(forward_in_rows.py). What would change the updates is refused, by the arguments and by a trial on the first samples.
"""

import functools
import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import IterableDataset, Subset
from transformers import DataCollatorWithPadding, PreTrainedModel, Trainer, TrainingArguments

from tdbs.errors import ConfigError, ModelError, TdbsError, reason_of
from tdbs.integrations.arguments import refuse_first
from tdbs.integrations.forward_in_rows import both_forwards, logits_of, rows_of, run_in_rows, run_padded
from tdbs.pipeline.schema import IGNORED

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)

_TRIED = 8  # samples
_TOLERANCE = 1e-3  # of the largest number; other tokens or positions cost about all of it
_TOLERANCE_IN_HALF = 3e-2


def prepare_trainer(trainer: AnyTrainer) -> AnyTrainer:
    """Make a Trainer of transformers train and evaluate without padding, and return it.

    Its datasets, batches, order of samples, rates, losses, callbacks and checkpoints stay its own, and so do its
    updates up to rounding. With dropout, other numbers are drawn. Works for heads of texts and of tokens; batches need
    their attention_mask, and padding on the right.

    Args:
        trainer: Any Trainer, before `train`; a subclass with a loss of its own too, if that calls the model with
            the batch's inputs.

    Returns:
        The same object.

    Raises:
        ConfigError: An argument, or the first samples' batch, has something that cannot be kept.
        ModelError: The model's rows cannot hold several samples, or it has another head.
    """
    _check(trainer.args)
    own = run_in_rows(trainer.model)
    if _is_tried(trainer):
        try:
            _try(own, _first_batch(trainer))
        except BaseException:
            run_padded(own)  # whoever catches it may train this Trainer as it was
            raise
    if trainer.model_init is not None:
        trainer.model_init = _in_rows(trainer.model_init)
    return trainer


def _check(args: TrainingArguments) -> None:
    """Refuse arguments that cannot be kept without padding."""
    cases = (
        (args.torch_compile, "torch_compile", "Leave it out: rows have other lengths in every update."),
        (args.neftune_noise_alpha, "neftune_noise_alpha", "Leave it out: its noise depends on the padded length."),
        (args.n_gpu > 1, "several GPUs in one process", "Start it with torchrun, a process for each GPU."),
        (args.fsdp, "fsdp", "Leave it out: each process needs the whole model."),
        (args.deepspeed, "deepspeed", "Leave it out: each process needs the whole model."),
        (getattr(args, "parallelism_config", None), "parallelism_config", "Leave it out."),
    )
    refuse_first("prepare_trainer", cases)


def _in_rows(make: Any) -> Any:
    """Return a `model_init` whose models run without padding: the Trainer makes a new one in each `train`."""

    @functools.wraps(make)
    def model_init(*trial: Any) -> Any:
        model = make(*trial)
        run_in_rows(model)
        return model

    return model_init


def _is_tried(trainer: Trainer) -> bool:
    """Return whether samples can be looked at without taking them from training."""
    own_batches = type(trainer).get_train_dataloader is not Trainer.get_train_dataloader
    data = trainer.train_dataset
    return data is not None and not own_batches and not isinstance(data, IterableDataset) and len(data) > 0


def _first_batch(trainer: Trainer) -> dict[str, Any]:
    """Return the first samples as the Trainer's collator makes a batch of them."""
    data: Any = trainer.train_dataset
    chosen = range(min(_TRIED, len(data)))
    with _same_randomness():
        if isinstance(trainer.data_collator, DataCollatorWithPadding) and "input_ids" not in data[0]:
            raise ConfigError(
                "The training dataset has no input_ids.",
                next_step="Tokenize it: "
                'dataset.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True).',
            )
        few = data.select(chosen) if hasattr(data, "select") else Subset(data, chosen)
        loader = trainer.get_test_dataloader(few)
        batch: dict[str, Any] = loader.collate_fn([loader.dataset[number] for number in chosen])
    return batch


def _try(model: PreTrainedModel, batch: dict[str, Any]) -> None:
    """Refuse a batch with what rows cannot have, and a model with another loss or other logits without padding."""
    device = next(model.parameters()).device
    known = inspect.signature(model.forward).parameters
    inputs = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name in known  # a loss of the user's takes the others
    }
    if rows_of(model, inputs) is None:
        inputs = _with_padding(model, inputs)
        if rows_of(model, inputs) is None:
            return
    needs_half = "flash" in model.config._attn_implementation  # it computes in nothing else
    padded, in_rows = both_forwards(model)
    was_training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=needs_half):
        expected = _numbers_of(padded(**inputs), inputs)
        try:
            found = _numbers_of(in_rows(**inputs), inputs)
        except TdbsError:
            raise
        except Exception as error:  # a forward of the user's fails in its own way
            raise ModelError(
                f"This {type(model).__name__} cannot be run without padding: {reason_of(error)}.",
                next_step="Use the Trainer as it is.",
            ) from error
    model.train(was_training)
    most = _TOLERANCE_IN_HALF if needs_half or _computes_in_half(model) else _TOLERANCE
    if not all(map(partial(_is_near, most), found, expected)):
        raise ModelError(
            f"This {type(model).__name__} has another loss, or other logits, without padding.",
            next_step="Use the Trainer as it is.",
        )


def _is_near(most: float, found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether numbers are those expected up to a part of the largest one; NaN is near NaN."""
    near = (found - expected).abs() <= most * expected.abs().nan_to_num().max()
    return bool((near | (found.isnan() & expected.isnan())).all())


def _with_padding(model: PreTrainedModel, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a batch whose every second sample has lost its last token: a trial without padding would show nothing."""
    size_BL = inputs["input_ids"].shape
    fillers = {"input_ids": model.config.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORED}
    found = dict(inputs)
    for name, filler in fillers.items():
        value = inputs.get(name)
        if isinstance(value, torch.Tensor) and value.shape == size_BL:
            found[name] = value.clone()
            found[name][1::2, -1] = filler
    return found


def _numbers_of(output: Any, inputs: dict[str, Any]) -> list[torch.Tensor]:
    """Return what a trial compares of an output: logits, of real tokens if they are of tokens, and the loss."""
    with_loss = inputs.get("labels") is not None
    logits = logits_of(output, with_loss=with_loss)
    real = inputs["attention_mask"] != 0
    of_tokens = logits.dim() > 2 and logits.shape[:2] == real.shape
    found = [logits[real] if of_tokens else logits]
    if isinstance(output, tuple):
        return [*found, output[0]] if with_loss else found
    return found if output.get("loss") is None else [*found, output["loss"]]


def _computes_in_half(model: PreTrainedModel) -> bool:
    """Return whether a model's numbers have 16 bits, by themselves or within what accelerate put around its forward."""
    return model.dtype in (torch.float16, torch.bfloat16) or hasattr(model, "_original_forward")


@contextmanager
def _same_randomness() -> Iterator[None]:
    """Leave all generators as they are: a collator may draw, and the order of samples follows from them."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(python)
    np.random.set_state(numpy)
