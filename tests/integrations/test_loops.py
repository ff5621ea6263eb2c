"""Loops of one's own: the updates of the plan, from any place on, as an iterable and through torch's DataLoader."""

import itertools
import re

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tdbs.errors import ConfigError, ModelError
from tdbs.integrations.loops import PreparedSteps, run_in_rows
from tdbs.integrations.steps import only_one, run_steps_of
from tdbs.pipeline.dataset import load
from tests.integrations.test_trainer import ROOT, hub_tokenizer, model_of
from tests.train.row_models import row_config

pytestmark = pytest.mark.real_data
RUN = {"seed": 4, "epochs": 2}


def trained(steps, *, stop=None):
    """Train a model on the updates that are left; return its losses."""
    torch.manual_seed(0)
    model = model_of()
    losses = []
    for number, inputs in enumerate(steps):
        losses.append(float(steps.loss(model, inputs).detach()))
        if number + 1 == stop:
            break
    return losses


@pytest.mark.parametrize("strategy", ["unpadded", "packed", "reach", "random", "sorted"])
def test_the_updates_are_those_of_the_plan(mrpc, strategy):
    model = model_of()
    steps = PreparedSteps(mrpc, model=model, strategy=strategy, **RUN)
    planned = run_steps_of(mrpc, strategy=strategy, **RUN)
    updates = list(planned.steps_from(0))
    inputs = list(steps)
    assert len(inputs) == len(steps) == len(updates)
    for given, batches in zip(inputs, updates, strict=True):
        tokens = np.concatenate([batch.input_ids_RW.ravel() for batch in batches])
        assert np.array_equal(given["input_ids"].ravel(), tokens)
    assert np.array_equal(steps.rate_factors, planned.factors_S)
    assert list(steps) == []  # all are done


@pytest.mark.parametrize("strategy", ["unpadded", "sorted"])
def test_losses_are_those_of_random_batches(mrpc, strategy):
    padded = trained(PreparedSteps(mrpc, model=model_of(), strategy="random", **RUN))
    model = model_of()
    steps = PreparedSteps(mrpc, model=model, strategy=strategy, **RUN)
    rows = [float(steps.loss(model, inputs).detach()) for inputs in steps]
    assert rows == pytest.approx(padded, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param(name, strategy, marks=() if strategy == every_day else pytest.mark.slow)
        for name, every_day in (("bert", "random"), ("deberta-v2", "unpadded"), ("llama", "sorted"))
        for strategy in ("random", "sorted", "unpadded")
    ],
)
def test_a_model_of_peft_s_is_trained_as_it_is(mrpc, name, strategy):
    from peft import LoraConfig, get_peft_model

    config = row_config(name, outputs=2)
    config.vocab_size, config.max_position_embeddings = load(mrpc).manifest.tokenizer.vocabulary_size, 130
    torch.manual_seed(0)
    plain = AutoModelForSequenceClassification.from_config(config)
    adapters = LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear", modules_to_save=[])
    expected = [float(loss.detach()) for loss in losses_of(plain, mrpc, "random")]  # adapters begin as nothing
    found = list(losses_of(get_peft_model(plain, adapters), mrpc, strategy))
    assert [float(loss.detach()) for loss in found] == pytest.approx(expected, rel=1e-4)
    found[0].backward()


def losses_of(model, dataset, strategy):
    steps = PreparedSteps(dataset, model=model, strategy=strategy, **RUN)
    return (steps.loss(model, inputs) for inputs in itertools.islice(steps, 2))


@pytest.mark.parametrize("stop", [5, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (1, 9))])
def test_a_loop_goes_on_where_it_was(mrpc, stop):
    whole = trained(PreparedSteps(mrpc, model=model_of(), strategy="reach", **RUN))
    first = PreparedSteps(mrpc, model=model_of(), strategy="reach", **RUN)
    begun = trained(first, stop=stop)
    again = PreparedSteps(mrpc, model=model_of(), strategy="reach", **RUN)
    again.load_state_dict(first.state_dict())
    assert [*begun, *trained(again)] == whole


def test_a_state_of_another_run_is_refused(mrpc):
    state = PreparedSteps(mrpc, model=model_of(), strategy="reach", seed=1).state_dict()
    with pytest.raises(ConfigError) as caught:
        PreparedSteps(mrpc, model=model_of(), strategy="reach", seed=2).load_state_dict(state)
    assert caught.value.message == "The state belongs to a run with other batches."
    assert caught.value.next_step == "Use the dataset, strategy, seed and epochs of that run."


def test_a_model_that_makes_rows_itself_is_refused(mrpc):
    with pytest.raises(ConfigError) as caught:
        PreparedSteps(mrpc, model=run_in_rows(model_of()))
    assert caught.value.message == "The model was given to run_in_rows or prepare_trainer, and makes rows itself."
    assert caught.value.next_step == (
        "Pass it to prepared_split before; PreparedSteps and PreparedTrainer need no such call."
    )


def test_a_model_without_a_configuration_is_refused(mrpc):
    """A module of torch says neither how it is called nor what its rows may hold."""
    with pytest.raises(ModelError) as caught:
        PreparedSteps(mrpc, model=torch.nn.Linear(2, 2))
    assert caught.value.message == (
        "Linear has no configuration of transformers (model.config), so it is not known what it is given."
    )
    assert caught.value.next_step == (
        "Pass a model of transformers, or a class of your own that is derived from PreTrainedModel."
    )


def test_a_loader_of_torch_gives_the_same_and_knows_its_place(mrpc):
    plain = list(PreparedSteps(mrpc, model=model_of(), strategy="reach", **RUN))
    steps = PreparedSteps(mrpc, model=model_of(), strategy="reach", **RUN)
    loader = torch.utils.data.DataLoader(steps.inputs, batch_sampler=steps.sampler, collate_fn=only_one)
    for number, (given, expected) in enumerate(zip(loader, plain, strict=True)):
        assert given.keys() == expected.keys()
        assert all(torch.equal(given[name], expected[name]) for name in given)
        assert steps.state_dict()["step"] == number + 1


def test_the_scripts_of_the_page_run(mrpc, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/loops.md").read_text(encoding="utf-8")
    folder = tmp_path / "bert"
    model_of().save_pretrained(folder)
    hub_tokenizer(mrpc).save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    scripts = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    assert len(scripts) == 4
    for script in scripts[:3]:  # the last one is for Lightning: test_lightning.py
        local = script.replace("bert-base-uncased", str(folder)).replace("data/mrpc", str(mrpc))
        exec(compile(local, "loop.py", "exec"), {})  # noqa: S102  (the page's own script)
    shown = capsys.readouterr().out
    assert "21 updates, loss" in shown
    assert "updates done" in shown
    assert shown.splitlines()[-1].startswith("loss ")
    assert torch.load(tmp_path / "place.pt", weights_only=True)["step"] == 21
