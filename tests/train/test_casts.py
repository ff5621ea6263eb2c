"""In bf16 an update casts each weight once, whatever its calls; gradients are those of each call."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertForSequenceClassification

from tdbs.train.loop import update
from tests.train.test_trainer import SMALL_BERT, a_batch, learner

INNER = 24  # a size of one weight alone
LABELS = ((0, 1), (1, 1), (1, 0))


class Casts(TorchDispatchMode):
    """Counts casts to bfloat16 of tensors of a shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and tuple(args[0].shape) == self.shape:
            self.count += kwargs["dtype"] == torch.bfloat16
        return func(*args, **(kwargs or {}))


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = SMALL_BERT | {"intermediate_size": INNER, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(BertConfig(vocab_size=20, **sizes))


@pytest.fixture
def in_bf16():
    AcceleratorState._reset_state()
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state()


def test_weights_are_cast_once_an_update(in_bf16):
    model = bert()
    trained = replace(learner(model), accelerator=in_bf16)
    found = []
    trained.optimizer.register_step_pre_hook(
        lambda *_: found.extend(value.grad.clone() for value in model.parameters())
    )
    with Casts(INNER, SMALL_BERT["hidden_size"]) as casts:
        update(trained, [a_batch(labels) for labels in LABELS], rate=0.0)
    assert casts.count == 1

    other = bert()
    for labels in LABELS:
        batch = a_batch(labels)
        with torch.autocast("cpu", torch.bfloat16):
            logits = other(input_ids=torch.from_numpy(batch.input_ids_RW), attention_mask=mask_of(batch)).logits
        (functional.cross_entropy(logits.float(), torch.tensor(labels)) / len(LABELS)).backward()
    for one, value in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(one, value.grad, rtol=0, atol=0)


def mask_of(batch) -> torch.Tensor:
    return torch.from_numpy(batch.lengths_B)[:, None] > torch.arange(batch.input_ids_RW.shape[1])
