"""The model that trains is known from its config.json alone, and every resolution of a strategy asks for it."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
from transformers import AutoConfig

from tdbs.data.sample import SAMPLE_TASK
from tdbs.errors import ConfigError
from tdbs.model_families import SHARING_ROWS
from tdbs.train.models.load import model_to_train, tiny_config
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.model_choice import ModelChoice, choose_model, left_out_note
from tdbs.train.planning.runnable import left_out, strategies_for
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.rows.models import knows_sequences
from tests.analysis.tiny import tiny_dataset
from tests.test_layers import FILES, loaded_after

OTHERS = ("funnel", "longformer", "xlnet")  # one sample a row


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("choice"), train_rows=20).manifest


@pytest.fixture(scope="module")
def writing(manifest):
    """The manifest of a dataset whose model writes texts."""
    return replace(manifest, task=replace(manifest.task, kind="seq2seq"))


def folder_of(place: Path, config: object) -> str:
    place.mkdir()
    (place / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return str(place)


@pytest.mark.parametrize("model_type", [*SHARING_ROWS, *OTHERS])
def test_a_config_file_says_what_transformers_would(manifest, tmp_path, model_type):
    name = folder_of(tmp_path / "m", {"model_type": model_type})
    choice = choose_model(name, manifest)
    assert (choice.model_type, choice.in_rows) == (model_type, knows_sequences(AutoConfig.from_pretrained(name)))
    assert choice.assumption is None
    assert model_to_train(name, manifest) == choice


def test_tiny_is_known_without_a_file(manifest, writing):
    for each in (manifest, writing):
        config = tiny_config(each.task, each.tokenizer, each.max_length)
        assert choose_model("tiny", each).model_type == config.model_type
    assert choose_model("tiny", manifest).in_rows
    assert choose_model("tiny", writing).in_rows
    assert choose_model("tiny", manifest).rate == 1e-3


def test_a_model_of_the_hub_is_known_from_the_cache(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--some--distilled/snapshots/0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "funnel"}')
    (tmp_path / "models--some--distilled/refs").mkdir()
    (tmp_path / "models--some--distilled/refs/main").write_text(snapshot.name)
    assert choose_model("some/distilled", manifest) == ModelChoice(
        name="some/distilled", model_type="funnel", in_rows=False
    )


@pytest.mark.parametrize("config", [None, "no JSON", "[]", "{}", '{"model_type": 3}'])
def test_what_is_assumed_without_a_configuration_is_said(manifest, writing, tmp_path, config):
    name = str(tmp_path / "m") if config is None else folder_of(tmp_path / "m", config)
    choice = choose_model(name, manifest)
    assert choice == ModelChoice(name=name, model_type=None, in_rows=True)
    assert choice.assumption == (
        f"No configuration of the model {tmp_path.name}/m was found. tdbs assumes that its rows can hold several "
        "samples, as BERT's can. Pass --model with the model to train."
    )
    assert choose_model(name, writing).assumption is None  # an encoder-decoder takes one sample a row, whatever it is


def test_the_default_is_the_model_that_the_dataset_was_tokenized_for(manifest, tmp_path):
    name = folder_of(tmp_path / "m", {"model_type": "funnel"})
    of_it = replace(manifest, tokenizer=replace(manifest.tokenizer, source=name))
    assert choose_model(None, of_it) == ModelChoice(name=name, model_type="funnel", in_rows=False)
    assert choose_model(None, replace(manifest, source=SAMPLE_TASK.name)).name == "tiny"


def test_a_model_is_chosen_without_torch_transformers_or_the_hub(tmp_path):
    name = folder_of(tmp_path / "m", {"model_type": "funnel"})
    statement = (
        "from types import SimpleNamespace as Any\nfrom tdbs.train.planning.model_choice import choose_model\n"
        f"assert not choose_model({name!r}, Any(task=Any(kind='classification'))).in_rows"
    )
    assert loaded_after([statement], {"torch", "transformers", "huggingface_hub"}) == {statement: set()}


# ---------------------------------------------------------------------------------------------------------- strategies


def test_what_a_model_cannot_run_is_left_out_and_named():
    missing = left_out(SAMPLE_TASK, in_rows=False)
    assert missing == ("packed", "unpadded", "stratified")
    assert set(strategies_for(SAMPLE_TASK, in_rows=False)) == set(STRATEGIES) - set(missing)
    model = ModelChoice(name="here/m", model_type="funnel", in_rows=False)
    assert left_out_note(missing, model) == (
        "packed, unpadded and stratified are left out: here/m (funnel) takes one sample a row."
    )
    assert left_out(SAMPLE_TASK, in_rows=True) == ()
    assert left_out_note((), model) is None


@pytest.mark.parametrize("kind", ["seq2seq", "embedding", "ranking"])
def test_what_a_task_cannot_run_is_left_out_and_named(kind):
    task = replace(SAMPLE_TASK, kind=kind)
    missing = left_out(task, in_rows=True)
    assert missing == ("packed",)
    assert set(strategies_for(task)) == set(STRATEGIES) - set(missing)
    model = ModelChoice(name="here/m", model_type="bert", in_rows=True)
    assert left_out_note(missing, model) == "packed is left out: samples are of several sequences."


@pytest.mark.parametrize("name", ["packed", "unpadded", "stratified"])
def test_a_strategy_that_the_model_cannot_run_is_refused_by_name_and_resolved(name):
    for given in (name, STRATEGIES[name]):
        with pytest.raises(ConfigError) as caught:
            given_strategy(given, SAMPLE_TASK, in_rows=False)
        assert str(caught.value) == (
            f"The strategy {name} puts several samples in a row, which this model cannot run. "
            "Choose another strategy, such as sorted."
        )
        assert given_strategy(given, SAMPLE_TASK, in_rows=True) == STRATEGIES[name]


@pytest.mark.parametrize(
    ("parts", "next_step"),
    [
        ({"execution": "unpadded"}, "Leave --execution out."),
        ({"execution": "packed", "batches": "packs"}, "Leave --batches and --execution out."),
    ],
)
def test_an_execution_that_the_model_cannot_run_is_refused(parts, next_step):
    with pytest.raises(ConfigError) as caught:
        resolve_strategy("tdbs", SAMPLE_TASK, parts, in_rows=False)
    assert str(caught.value) == (
        f"--execution {parts['execution']} puts several samples in a row, which this model cannot run. {next_step}"
    )


def calls_without_in_rows(source: str) -> list[int]:
    """Return the lines that resolve a strategy without saying what rows the model takes."""
    resolving = ("resolve_strategy", "resolved_name", "strategies_for", "given_strategy", "inference_strategy")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    partials = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "partial"]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in resolving]
    named += [call for call in partials if isinstance(call.args[0], ast.Name) and call.args[0].id in resolving]
    return [call.lineno for call in named if "in_rows" not in {keyword.arg for keyword in call.keywords}]


def test_whoever_resolves_a_strategy_says_what_rows_the_model_takes():
    """A default would be a second resolution: that of a model which does not train."""
    assert calls_without_in_rows("x = resolve_strategy('tdbs', task)\ny = partial(strategies_for, task)") == [1, 2]
    assert {
        path.name: lines for path in FILES if (lines := calls_without_in_rows(path.read_text(encoding="utf-8")))
    } == {}
