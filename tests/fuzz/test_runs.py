"""Run folders and checkpoints of training, damaged in their parts and bytes."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load, save
from transformers import BertConfig, BertForSequenceClassification

from tdbs.reports.report import report_on_run
from tdbs.train.checkpoint import RunState, load_checkpoint, newest_checkpoint, save_checkpoint
from tdbs.train.evaluate import evaluate
from tdbs.train.run_folder import CONFIG_NAME, RESULT_NAME, STEPS_NAME, check_same_run, flat_settings, read_run
from tdbs.train.trainer import train
from tests.analysis.tiny import tiny_dataset
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.test_records import as_json, as_toml, json_files


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return the finished run of a tiny model."""
    place = tmp_path_factory.mktemp("run")
    dataset = tiny_dataset(place / "data", train_rows=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        train(dataset, model="tiny", epochs=1, out=place / "run")
    return place / "run"


@pytest.fixture
def files(run) -> dict[str, bytes]:
    """Return the records of the run, which is whole again after the test."""
    found = {name: (run / name).read_bytes() for name in (CONFIG_NAME, RESULT_NAME, STEPS_NAME)}
    yield found
    for name, data in found.items():
        (run / name).write_bytes(data)


def records(files: dict[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Return one of a run's files with its contents made wrong."""

    config = tomllib.loads(files[CONFIG_NAME].decode())
    steps = [json.loads(line) for line in files[STEPS_NAME].splitlines()][:3]
    return st.one_of(
        st.tuples(st.just(CONFIG_NAME), mutated(config).map(as_toml) | damaged(files[CONFIG_NAME])),
        st.tuples(st.just(RESULT_NAME), json_files(json.loads(files[RESULT_NAME]))),
        st.tuples(st.just(STEPS_NAME), mutated(steps).map(lambda rows: b"\n".join(map(as_json, rows)) + b"\n")),
        st.tuples(st.just(STEPS_NAME), damaged(files[STEPS_NAME])),
    )


def test_a_run_is_read_or_refused(fuzz, run, files, workplace):

    whole = tomllib.loads(files[CONFIG_NAME].decode())

    def check(example: tuple[str, bytes]) -> None:
        for name, data in files.items():
            (run / name).write_bytes(example[1] if name == example[0] else data)
        found = read_run(run)
        assert "plan_digest" in found.config
        assert found.result is None or isinstance(found.result, dict)
        assert all(isinstance(step, dict) for step in found.steps)
        flat_settings(found.config)
        check_same_run(found, whole)

    check((CONFIG_NAME, files[CONFIG_NAME]))
    fuzz("runs", inputs=2_500, of=records(files), check=check)


def test_a_run_is_evaluated_and_reported_or_refused(fuzz, run, files, workplace):
    """What reads a run follows what it says."""

    def check(example: tuple[str, bytes]) -> None:
        for name, data in files.items():
            (run / name).write_bytes(example[1] if name == example[0] else data)
        report_on_run(run)
        evaluate(run)

    fuzz("what runs say", inputs=300, of=records(files), check=check)


def test_a_checkpoint_is_loaded_whole_or_refused(fuzz, place):
    sizes = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
    model = BertForSequenceClassification(BertConfig(vocab_size=6, max_position_embeddings=8, **sizes))
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.tensor([[1, 2]]), labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    state = RunState(
        step=3, loss_sum=1.5, predicted=10, history=[{"epoch": 0, "loss": 0.7, "score": 0.5}], caps={"5": 8}
    )
    save_checkpoint(place, model, optimizer, state, keep=2)
    checkpoint = newest_checkpoint(place)
    whole = {path.name: path.read_bytes() for path in sorted(checkpoint.iterdir())}

    @st.composite
    def tensors(draw: st.DrawFn, name: str) -> bytes:
        found = dict(load(whole[name]))
        key = draw(st.sampled_from(sorted(found)))
        match draw(st.sampled_from(("drop", "rename", "shape", "type", "nan", "empty"))):
            case "drop":
                del found[key]
            case "rename":
                found[draw(st.sampled_from(("", "/", "x/exp_avg", key + "x")))] = found.pop(key)
            case "shape":
                found[key] = torch.zeros(draw(st.lists(st.integers(0, 3), max_size=3)))
            case "type":
                kinds = (torch.int64, torch.bool, torch.float64, torch.bfloat16)
                found[key] = found[key].to(draw(st.sampled_from(kinds)))
            case "nan":
                found[key] = torch.full_like(found[key], float("nan"))
            case _:
                found = {}
        return save(found)

    names = sorted(whole)
    tensor_names = [name for name in names if name.endswith(".safetensors")]
    record = next(name for name in names if name.endswith(".json"))
    examples = st.one_of(
        st.tuples(st.just(record), json_files(json.loads(whole[record]))),
        *(st.tuples(st.just(name), damaged(whole[name])) for name in tensor_names),
        *(st.tuples(st.just(name), tensors(name)) for name in tensor_names),
        st.tuples(st.sampled_from(names), st.none()),
    )

    def check(example: tuple[str, bytes | None]) -> None:
        name, data = example
        for other, contents in whole.items():
            (checkpoint / other).write_bytes(contents)
        if data is None:
            (checkpoint / name).unlink()
        else:
            (checkpoint / name).write_bytes(data)
        found = load_checkpoint(checkpoint, model, optimizer)
        assert isinstance(found.step, int)
        assert found.step >= 0
        assert isinstance(found.history, list)
        assert isinstance(found.loss_sum, float | int)
        for parameter, moments in optimizer.state.items():
            assert moments.keys() == {"step", "exp_avg", "exp_avg_sq"}
            assert all(value.shape == (() if kind == "step" else parameter.shape) for kind, value in moments.items())
        optimizer.step()

    check((record, whole[record]))  # else every input is refused for what it was made from
    fuzz("checkpoints", inputs=1_500, of=examples, check=check)
