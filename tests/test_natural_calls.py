"""Calls as users write them first: folders, results and single names work; what cannot work says what to pass."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars
import pytest

import tdbs
from tdbs.errors import ConfigError, DatasetError
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.planning.profile_file import named_profile
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.run_folder import read_run
from tests.analysis.test_cost import points_of
from tests.analysis.tiny import tiny_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> PreparedDataset:
    return tiny_dataset(tmp_path_factory.mktemp("natural"))


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory) -> Any:
    """Return a run that was asked for as on the command line."""
    out = tmp_path_factory.mktemp("natural-run") / "run"
    return tdbs.train(str(dataset.path), model="tiny", epochs=1, batch_size=16, learning_rate=1e-3, out=out)


@pytest.mark.parametrize("given", [str, Path, tdbs.load], ids=["text", "path", "dataset"])
def test_a_dataset_is_given_as_it_is_or_by_its_folder(dataset, given, tmp_path):
    """By every function that takes one."""
    place = given(str(dataset.path))
    assert tdbs.load(place) == dataset
    assert tdbs.verify(place).problems == ()
    expected = tdbs.estimate_speedup(dataset, ["reach"], model="tiny", epochs=1)
    assert tdbs.estimate_speedup(place, "reach", model="tiny", epochs=1) == expected
    assert tdbs.estimate_speedup(place, STRATEGIES["reach"], model="tiny", epochs=1) == expected


def test_a_run_is_given_as_it_is_or_by_its_folder(dataset, run):
    """Scores and predictions are the same whatever names run and dataset."""
    scored = tdbs.evaluate(run, dataset=dataset.path)
    assert scored.score == tdbs.evaluate(run.run).score == run.score
    assert (scored.run, scored.dataset) == (run.run, str(dataset.path))
    assert (os.fspath(run), Path(run)) == (run.run, Path(run.run))
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        assert tdbs.predict(run, dataset, out=nowhere).rows == dataset.manifest.splits["validation"].rows
    assert tdbs.Predictor(run)("a fine film").prediction in dataset.classes


def test_batch_size_is_the_base_batch_size(dataset, run):
    """In `train`, `estimate_speedup` and `resolve_strategy`; a strategy that is resolved has its own."""
    rows = dataset.manifest.splits["train"].rows
    assert run.steps == -(-rows // 16)
    assert tdbs.estimate_speedup(dataset, "random", model="tiny", epochs=1, batch_size=16)[0].steps == run.steps
    task = dataset.manifest.task
    assert resolve_strategy("random", task, {"batch_size": 16}, in_rows=True).base_batch_size == 16
    with pytest.raises(ConfigError) as caught:
        tdbs.estimate_speedup(dataset, STRATEGIES["random"], model="tiny", batch_size=16)
    assert str(caught.value) == (
        "The strategy random has a base batch size of 64, not 16. "
        "Pass the strategy by its name, or leave batch_size out."
    )
    with pytest.raises(ConfigError, match=re.escape("base_batch_size is given twice, once as batch_size.")):
        resolve_strategy("random", task, {"base_batch_size": 16, "batch_size": 16}, in_rows=True)


def test_one_strategy_and_one_seed_are_compared(dataset, tmp_path):
    out = tmp_path / "compared"
    result = tdbs.compare(dataset.path, strategies="unpadded", seeds=1, model="tiny", epochs=1, part_steps=1, out=out)
    assert [(row["strategy"], row["seed"]) for row in result["rows"]] == [("random", 1), ("unpadded", 1)]
    assert json.loads((out / "compare.json").read_text(encoding="utf-8"))["seeds"] == [1]


PROFILED = {
    "tdbs_profile": 1,
    "model": {"name": "made up"},
    "device": {"name": "made up"},
    "settings": {"kind": "classification", "attention": "sdpa"},
    "max_length": 128,
    "caps": {"lengths": [128], "memory": [8], "knee": [8]},
    "points": points_of(attention="sdpa"),
}


def test_a_profile_is_given_as_it_is_or_by_its_file(dataset, run, workplace):
    """Its seconds, its attention kernel, its caps; a file that is not there is named."""
    Path("made-up.json").write_text(json.dumps(PROFILED), encoding="utf-8")
    short = {"model": "tiny", "epochs": 1}
    for given in ("made-up.json", Path("made-up.json"), tdbs.read_profile("made-up.json")):
        [estimate] = tdbs.estimate_speedup(dataset, "unpadded", profile=given, **short)
        assert estimate.seconds is not None
    trained = tdbs.train(dataset, profile="made-up.json", out="run", **short)
    assert read_run(Path(trained.run)).config["execution"]["attention"] == "sdpa"
    compared = tdbs.compare(dataset, "unpadded", profile="made-up.json", part_steps=1, **short)
    assert compared["prediction"]["profile"] == {"name": "made up"}
    tdbs.predict(run, dataset, profile="made-up.json", caps="memory", out="predicted.jsonl")
    with pytest.raises(ConfigError, match=re.escape("The profile none.json cannot be read: No such file")):
        tdbs.estimate_speedup(dataset, profile="none.json")


def test_a_comparison_without_a_folder_gets_one_and_names_it(dataset, workplace):
    """Two in one second have folders of their own; what is finished is returned with its folder, too."""
    named = {"model": "tiny", "epochs": 1, "part_steps": 1}
    first, second = (tdbs.compare(dataset, "random", **named) for _ in range(2))
    assert first["comparison"].startswith(f"runs/compare/{dataset.manifest.source}-")
    assert first["comparison"] != second["comparison"]
    again = tdbs.compare(dataset, "random", out=first["comparison"], resume=True, **named)
    assert again == json.loads(json.dumps(first))
    with pytest.raises(ConfigError) as caught:
        tdbs.compare(dataset, "random", resume=True, **named)
    assert str(caught.value) == "--resume needs the folder of the comparison. Pass --out with it."


ROWS = [{"text": f"{'the film is good ' * (1 + i % 3)}", "mood": ["bad", "good"][i % 2]} for i in range(12)]


def test_rows_frames_and_files_are_prepared(dataset, workplace):
    """The same rows in each form, with the tokenizer of another dataset; one word to keep needs no list."""
    options = {"label": "mood", "tokenizer": dataset, "keep": "the"}
    polars.DataFrame(ROWS).write_csv("rows.csv")
    found = [
        tdbs.prepare(rows, **options) for rows in (ROWS, polars.DataFrame(ROWS), polars.DataFrame(ROWS).to_pandas())
    ]
    assert [result.cached for result in found] == [False, True, True]
    assert found[0].dataset.manifest.words.kept == ("the",)
    from_file = tdbs.prepare(Path("rows.csv"), validation=Path("rows.csv"), **options)
    assert {name: info.rows for name, info in from_file.dataset.manifest.splits.items()} == {
        "train": 12,
        "validation": 12,
    }
    assert tdbs.load(from_file) == from_file.dataset


def test_columns_are_named_in_a_list(dataset, workplace):
    rows = [{"text": row["text"], "joy": i % 2, "anger": i % 3 == 0} for i, row in enumerate(ROWS)]
    found = tdbs.prepare(rows, label=["joy", "anger"], tokenizer=dataset).dataset
    assert found.manifest.task.kind == "multi_label"
    pairs = [{"first, of two": row["text"], "second": row["mood"]} for row in ROWS]
    found = tdbs.prepare(pairs, columns=["first, of two", "second"], tokenizer=dataset).dataset
    assert (found.manifest.task.columns.text, found.manifest.task.columns.pair) == ("first, of two", "second")


A_DATASET = "Pass what tdbs.prepare returns or a path."
WRONG = [
    (lambda _: tdbs.train(3), "'dataset' is of type int.", A_DATASET),
    (lambda _: tdbs.train(polars.DataFrame(ROWS)), "'dataset' is of type DataFrame.", A_DATASET),
    (lambda _: tdbs.compare(None, out="runs/compared"), "'dataset' is of type NoneType.", A_DATASET),
    (lambda _: tdbs.estimate_speedup(ROWS), "'dataset' is of type list.", A_DATASET),
    (lambda _: tdbs.measure_profile(3), "'dataset' is of type int.", A_DATASET),
    (lambda _: tdbs.verify({}), "'dataset' is of type dict.", A_DATASET),
    (lambda _: tdbs.audit(3), "'dataset' is of type int.", A_DATASET),
    (lambda _: tdbs.load(None), "'path' is of type NoneType.", "Pass a path."),
    (lambda _: tdbs.evaluate(3), "'run' is of type int.", "Pass a path."),
    (lambda _: tdbs.predict("run", 3), "'source' is of type int.", "Pass a path."),
    (lambda _: tdbs.Predictor(3), "'model' is of type int.", "Pass a path."),
    (lambda _: tdbs.read_profile({}), "'path' is of type dict.", "Pass a path."),
    (lambda d: tdbs.train(d, epochs="2"), "'epochs' is of type str.", "Pass a whole number."),
    (lambda d: tdbs.train(d, learning_rate="1e-3"), "'lr' is of type str.", "Pass a number or None."),
    (lambda d: tdbs.train(d, strategy=["reach"]), "'strategy' is of type list.", "Pass a text or a Strategy."),
    (
        lambda d: tdbs.train(d, profile=3),
        "'profile' is of type int.",
        "Pass what tdbs.read_profile returns, a path or None.",
    ),
    (
        lambda d: tdbs.estimate_speedup(d, ["reach", None]),
        "'strategies' has an item of type NoneType.",
        "Pass a Strategy, a text, a list of them or None.",
    ),
    (
        lambda d: tdbs.compare(d, seeds="1", out="x"),
        "'seeds' is of type str.",
        "Pass a whole number or a list of them.",
    ),
    (lambda _: tdbs.prepare("sample", max_length="9"), "'max_length' is of type str.", "Pass a whole number or None."),
    (
        lambda _: tdbs.prepare("sample", columns=[0, 1]),
        "'columns' has an item of type int.",
        "Pass a text, a list of them or None.",
    ),
    (lambda _: tdbs.prepare("sample", label=1), "'label' is of type int.", "Pass a text, a list of them or None."),
    (lambda _: tdbs.prepare("sample", overwrite="no"), "'overwrite' is of type str.", "Pass True or False."),
    (lambda d: tdbs.train(d, progress="bar"), "'progress' is of type str.", "Pass a function or True or False."),
]


@pytest.mark.parametrize(("call", "message", "next_step"), WRONG)
def test_wrong_types_are_refused_with_what_to_pass(dataset, workplace, call, message, next_step):
    with pytest.raises(ConfigError) as caught:
        call(dataset)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
    assert list(workplace.iterdir()) == []


def test_a_file_where_a_dataset_is_meant_is_named(workplace):
    Path("reviews.csv").write_text("text,label\na,b\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        tdbs.train("reviews.csv")
    assert str(caught.value) == (
        "reviews.csv is a file, not a prepared dataset. Prepare it first, and pass the folder that this gives."
    )


def test_what_functions_return_is_printed_in_a_line(dataset, run, workplace):
    [estimate] = tdbs.estimate_speedup(dataset, "random", model="tiny", epochs=1)
    cost = f"{estimate.steps} steps, {estimate.tokens:,} tokens, {estimate.padding_fraction:.1%} padding"
    assert repr(estimate) == f"<StrategyEstimate random: {cost}, speedup 1.00>"
    assert repr(replace(estimate, seconds=1234.4)) == f"<StrategyEstimate random: {cost}, 1,234 s, speedup 1.00>"
    cost = f"{run.steps} steps, {run.tokens:,} tokens, {run.padding_fraction:.1%} padding"
    took = f"{run.seconds['total']:,.0f} s, score {run.score:.3f}"
    assert repr(run) == f"<TrainResult unpadded, seed 0: {cost}, {took}; {run.run}>"
    assert repr(replace(run, score=None)).count("no score") == 1
    prepared = tdbs.prepare(ROWS, label="mood", tokenizer=dataset)
    assert repr(prepared) == f"<PrepareResult prepared: {prepared.dataset!r}>"
    assert repr(replace(prepared, cached=True, warnings=("a", "b"))).startswith("<PrepareResult cached, 2 warnings: <")
    assert prepared._repr_html_() == prepared.dataset._repr_html_()
    assert repr(named_profile("rtx-2080-ti")).startswith("<Profile of ")
    assert repr(tdbs.Predictor(run)) == f"<Predictor {run.run}, classification>"
