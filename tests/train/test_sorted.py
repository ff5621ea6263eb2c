"""An update of `sorted` is that of one padded batch: same loss, same gradients, whatever the loss averages over."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tdbs
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.loop import StepPlace, run_step, shares_of
from tdbs.train.planning.strategies import STRATEGIES, Strategy
from tests.train.opened import tiny_learner

WORDS = "a film that is good bad slow warm and nobody in the town would watch it twice or even once".split()
BATCH, STEPS = 16, 3


def texts(count: int) -> list[list[str]]:
    chance = np.random.default_rng(0)
    return [chance.choice(WORDS, int(size)).tolist() for size in chance.integers(2, 40, count)]


def rows_of(kind: str) -> list[dict[str, object]]:
    words = texts(BATCH * STEPS - 5)  # the last update is a smaller one
    if kind == "classification":
        return [{"text": " ".join(each), "label": len(each) % 3} for each in words]
    if kind == "token_classification":
        return [{"tokens": each, "tags": ["LONG" if len(word) > 3 else "O" for word in each]} for each in words]
    return [{"text": " ".join(each), "target": " ".join(each[: 1 + len(each) // 3])} for each in words]


@pytest.fixture(scope="module", params=["classification", "token_classification", "seq2seq"])
def dataset(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    options = {
        "classification": {},
        "token_classification": {"text": "tokens", "label": "tags"},
        "seq2seq": {"target": "target"},
    }[request.param]
    made = tdbs.prepare(rows_of(request.param), tokenizer=str(TOKENIZER_FOLDER), out=place / "d", **options).dataset
    assert made.manifest.task.kind == request.param
    return made


def updates_of(dataset, strategy: Strategy) -> list[tuple[int, int, float, dict[str, torch.Tensor]]]:
    """Return the calls, predictions and loss of each update of an epoch, and the gradients that move the weights."""
    learner = tiny_learner(dataset, in_rows=strategy.in_rows)
    seen: list[dict[str, torch.Tensor]] = []

    def note(*_: object) -> None:
        named = learner.model.named_parameters()
        seen.append({name: value.grad.to_dense().clone() for name, value in named if value.grad is not None})

    learner.optimizer.register_step_pre_hook(note)
    feed = make_feed(open_training_data(dataset), replace(strategy, base_batch_size=BATCH), seed=1, epochs=1)
    found = []
    for step, (batches, share) in enumerate(shares_of(learner, feed.steps(feed.plans[0]))):
        record, end = run_step(learner, batches, share, StepPlace(step=step, rate=0.0, seed=1))
        assert end.finite
        found.append((len(batches), record.predicted, record.loss, seen[-1]))
    return found


CUT = {
    "sorted": replace(STRATEGIES["sorted"], call_tokens=8),
    "padded within a cap": replace(STRATEGIES["random"], max_tokens=200),
    "unpadded within a cap": replace(STRATEGIES["unpadded"], max_pairs=3000),
}


@pytest.fixture(scope="module")
def padded(dataset):
    """Return the updates of padded batches."""
    return updates_of(dataset, STRATEGIES["random"])


@pytest.mark.parametrize("name", CUT)
def test_loss_and_gradients_are_those_of_a_padded_batch(dataset, padded, name):
    strategy = CUT[name]
    if strategy.in_rows and dataset.manifest.task.kind == "seq2seq":
        strategy = replace(strategy, execution="padded_max")
    cut = updates_of(dataset, strategy)
    assert len(padded) == len(cut) == STEPS
    assert all(calls > 1 for calls, *_ in cut)
    for (_, predicted, loss, expected), (_, own_predicted, own_loss, found) in zip(padded, cut, strict=True):
        assert own_predicted == predicted
        assert own_loss == pytest.approx(loss, abs=1e-5)
        assert found.keys() == expected.keys()
        for parameter, gradient in expected.items():
            torch.testing.assert_close(found[parameter], gradient, rtol=1e-4, atol=1e-5, msg=parameter)
