"""Batches of random tokens have the shapes that real ones have, and a model of every kind of task takes them."""

import numpy as np
import pytest
import torch

from tdbs.analysis.profile.shapes import synthetic_batch
from tdbs.data.tasks import Columns, Task
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.train.device import DeviceSettings
from tdbs.train.models.inputs import SampleFormat
from tdbs.train.models.load import ModelSettings, open_model
from tdbs.train.rows.models import use_sequences
from tdbs.train.step import batch_loss, forward
from tests.reports.conftest import make_dataset
from tests.train.rules import TYPED

VOCABULARY = 30
COLUMNS = Columns(text="text")
TASKS = {
    "classification": Task(name="t", kind="classification", columns=COLUMNS, classes=("a", "b", "c")),
    "classification of pairs": Task(
        name="t", kind="classification", columns=Columns(text="text", pair="other"), classes=("a", "b")
    ),
    "regression": Task(name="t", kind="regression", columns=COLUMNS),
    "regression of several": Task(name="t", kind="regression", columns=Columns(text="text", labels=("x", "y"))),
    "multi_label": Task(name="t", kind="multi_label", columns=COLUMNS, classes=("a", "b", "c", "d")),
    "token_classification": Task(name="t", kind="token_classification", columns=COLUMNS, classes=("O", "B-X", "I-X")),
    "question_answering": Task(name="t", kind="question_answering", columns=Columns(text="q", pair="c")),
    "seq2seq": Task(name="t", kind="seq2seq", columns=COLUMNS),
}
EXECUTIONS = ("padded", "packed", "unpadded")


def dataset_of(name: str) -> PreparedDataset:
    tokenizer = TokenizerInfo(
        name="words",
        source="words",
        sha256="b",
        vocabulary_sha256="c",
        vocabulary_size=VOCABULARY,
        pad_id=0,
        special_ids=(0, 1, 2),
        special_tokens=2,
        end_id=1,
    )
    return make_dataset(task=TASKS[name], tokenizer=tokenizer, max_length=64)


def batch_of(name: str, execution: str, *, samples: int = 6, length: int = 20, target_length: int = 0):
    manifest = dataset_of(name).manifest
    return synthetic_batch(manifest, execution, samples=samples, length=length, target_length=target_length)


@pytest.mark.parametrize("samples", [1, 7])
@pytest.mark.parametrize("length", [1, 3, 20])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_every_token_has_one_place_in_rows_of_the_shape_that_was_asked_for(execution, length, samples):
    """Samples lie side by side: no place is of two of them, and none is left over but at the end of an unpadded row."""
    batch = batch_of("classification", execution, samples=samples, length=length)
    rows, width = batch.input_ids_RW.shape
    assert batch.execution == execution
    assert (batch.input_ids_RW >= 0).all()
    assert (batch.input_ids_RW < VOCABULARY).all()
    assert batch.lengths_B.min() >= 1
    assert len(batch.sample_ids_B) == len(batch.lengths_B) == len(batch.labels)
    if execution == "padded":
        assert (rows, width) == (samples, length)
        assert batch.lengths_B.tolist() == [length] * samples
        assert batch.starts_B is None
        return
    taken = [
        place for start, n in zip(batch.starts_B, batch.lengths_B, strict=True) for place in range(start, start + n)
    ]
    tokens = rows * width if execution == "packed" else int(batch.lengths_B.sum())
    assert sorted(taken) == list(range(tokens))
    if execution == "packed":
        assert (rows, width) == (samples, length)
        row_of = [
            (int(s) // width, int(s + n - 1) // width) for s, n in zip(batch.starts_B, batch.lengths_B, strict=True)
        ]
        assert all(first == last for first, last in row_of)  # no sample lies in two rows
        assert np.bincount([first for first, _ in row_of]).tolist() == [min(5, length)] * rows
    else:
        assert rows == 1
        assert width == -(-tokens // 32) * 32
        assert len(batch.lengths_B) == samples
        assert batch.lengths_B.max() == length
        assert batch.lengths_B.min() >= length // 4


def test_the_same_shape_is_the_same_batch():
    """Times of two kernels are of the same tokens."""
    first, second = (batch_of("classification", "unpadded") for _ in range(2))
    assert first.input_ids_RW.tolist() == second.input_ids_RW.tolist()
    assert len(np.unique(first.input_ids_RW)) > VOCABULARY // 2


LABELS = {
    "classification": ((6,), np.int64),
    "classification of pairs": ((6,), np.int64),
    "regression": ((6,), np.float64),
    "regression of several": ((6, 2), np.float64),
    "multi_label": ((6, 4), np.float32),
    "token_classification": ((6, 20), np.int64),
    "question_answering": ((6, 2), np.int64),
    "seq2seq": ((6, 9), np.int64),
}


@pytest.mark.parametrize("name", TASKS)
def test_labels_are_those_of_the_kind_of_task(name):
    batch = batch_of(name, "padded", target_length=9 if name == "seq2seq" else 0)
    assert (batch.labels.shape, batch.labels.dtype) == LABELS[name]
    is_pair = TASKS[name].is_pair
    assert (batch.segment_starts_B is not None) == is_pair
    if is_pair:
        assert (batch.segment_starts_B < batch.lengths_B).all()
    outputs = TASKS[name].outputs
    if name in ("classification", "token_classification"):
        assert set(np.unique(batch.labels)) <= set(range(outputs))


CASES = [(name, execution) for name in TASKS for execution in EXECUTIONS if name != "seq2seq" or execution == "padded"]


@pytest.mark.parametrize(("name", "execution"), CASES)
def test_a_model_of_every_kind_learns_from_it(name, execution):
    """Forward, loss and backward of the tiny model: what a profile times is a real step."""
    dataset = dataset_of(name)
    manifest = dataset.manifest
    samples = SampleFormat(task=manifest.task, info=manifest.tokenizer, backend=None, layout=None, max_length=64)
    execution_of_model = DeviceSettings(device="cpu", precision="fp32", attention="eager")
    model = open_model("tiny", samples, ModelSettings(purpose="train", execution=execution_of_model))
    if execution != "padded":
        use_sequences(model, "eager")
    batch = batch_of(name, execution, target_length=9 if name == "seq2seq" else 0)
    kind = dataset.manifest.task.kind
    logits = forward(model, batch, kind, TYPED, device=torch.device("cpu"))
    loss = batch_loss(kind, logits, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
