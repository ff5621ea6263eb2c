"""Each family: training, scores, predictions and the saved run are those of transformers with its folder (1e-5)."""

import json
import re
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

import tdbs
from tdbs import model_families
from tdbs.errors import ModelError
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.model_choice import choose_model
from tdbs.train.planning.strategies import STRATEGIES, Strategy, resolve_strategy
from tdbs.train.stopping import Stop, StoppedError
from tests.families.folders import save_family
from tests.families.reference import (
    LONG,
    SHORT,
    losses_of_updates,
    pipeline_scores,
    probabilities,
    rows_of,
    spread_of,
    write_rows,
)
from tests.families.refused import refusals
from tests.families.table import EVERY_DAY, FAMILIES, ROOM

WITHIN = 1e-5
REFUSED = ("funnel",)
EXACT = [name for name in FAMILIES if name not in REFUSED]
BATCH, RATE = 4, 2e-4
FIRST = 3  # updates
WITHOUT_DROP = ("random", "random_max", "length_grouped", "sorted", "unpadded", "packed", "tf_bucket", "bucket")


class Place:
    """A family's folder, texts, and a dataset prepared with it."""

    def __init__(self, name: str, place: Path, *, pairs: bool, sizes: tuple[int, ...], rows: int) -> None:
        self.family = FAMILIES[name]
        self.rows = rows_of(rows, pairs=pairs, sizes=sizes)
        self.held = rows_of(8, pairs=pairs, sizes=sizes, seed=2)
        self.folder = save_family(self.family, place / "model", spread_over=spread_of(self.held))
        self.dataset = tdbs.prepare(
            str(write_rows(place / "train.csv", self.rows)),
            validation=str(write_rows(place / "held.csv", self.held)),
            tokenizer=str(self.folder),
            pair="pair" if pairs else None,
            max_length=ROOM,
            out=place / "dataset",
        ).dataset
        self.place = place

    @property
    def in_rows(self) -> bool:
        return choose_model(str(self.folder), self.dataset.manifest).in_rows

    def strategy(self, name: str) -> Strategy:
        found = resolve_strategy(name, self.dataset.manifest.task, in_rows=self.in_rows)
        cuts = {"call_tokens": 4} if found.execution == "sorted" else {}  # else four samples are one call
        return replace(found, base_batch_size=BATCH, **cuts)

    def train(self, name: str, out: str, **options: object) -> tdbs.train:
        given = {"epochs": 1, "seed": 3, "lr": RATE, "dropout": 0.0, "precision": "fp32"}
        return tdbs.train(
            self.dataset,
            strategy=self.strategy(name),
            model=str(self.folder),
            out=self.place / out,
            **(given | options),
        )

    def updates(self, strategy: Strategy, run: Path) -> tuple[list, list[float]]:
        """Return what each update was made of, from the plan, and the losses that the run logged."""
        steps = [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]
        plan = make_feed(open_training_data(self.dataset), strategy, seed=3, epochs=1).plans[0]
        ends = [0, *np.cumsum([step["batch_size"] for step in steps])]
        made = []
        for step, first, last in zip(steps, ends, ends[1:], strict=False):
            samples = plan.sample_ids_N[first:last].tolist()
            made.append(([self.rows[each] for each in samples], [each % 2 for each in samples], step["lr"]))
        return made, [step["loss"] for step in steps]


def predicted(model: Path, rows: list, place: Path, **options: object) -> np.ndarray:
    source = write_rows(place / "in.csv", rows)
    out = place / "out.jsonl"
    tdbs.predict(
        model, source, out=out, overwrite=True, precision="fp32", pair="pair" if len(rows[0]) > 1 else None, **options
    )
    found = [json.loads(line)["scores"] for line in out.read_text().splitlines()]
    return np.array([[scores[name] for name in sorted(scores)] for scores in found])


def check_losses(made: Place, name: str, result: object) -> None:
    """Losses of a run are those of a plain loop over padded batches."""
    updates, losses = made.updates(made.strategy(name), Path(result.run))
    pad_id = made.dataset.manifest.tokenizer.pad_id
    # later ones tell rounding, which AdamW makes larger with each update
    expected = losses_of_updates(made.folder, updates[:FIRST], pad_id=pad_id)
    assert losses[:FIRST] == pytest.approx(expected, abs=WITHIN)


def check_scores(made: Place, result: object) -> None:
    """Scores and predictions of a run are those of transformers with the folder that it saved."""
    run = Path(result.run)
    expected = pipeline_scores(run / "model", made.held)
    assert np.ptp(expected[:, 1]) > 0.1, "the texts look alike to the model, so nothing is compared"
    assert tdbs.evaluate(run).score == result.score
    labels = np.arange(len(made.held)) % 2
    assert result.score == pytest.approx((expected.argmax(axis=1) == labels).mean())
    for model in (run, run / "model"):
        assert predicted(model, made.held, made.place) == pytest.approx(expected, abs=WITHIN)


def test_the_matrix_has_each_type_of_the_table_whose_rows_hold_several_samples():
    types = {getattr(transformers, family.config).model_type for family in FAMILIES.values()}
    assert set(model_families.SHARING_ROWS) <= types
    assert {name for name, family in model_families.FAMILIES.items() if family.pools_padding} == set(REFUSED)


@pytest.mark.parametrize(
    "name", [each if each in EVERY_DAY else pytest.param(each, marks=pytest.mark.slow) for each in EXACT]
)
def test_one_update_and_what_comes_of_it(name, tmp_path):
    """The default strategy on tiny texts: pairs, since they have segment ids."""
    made = Place(name, tmp_path, pairs=True, sizes=SHORT, rows=BATCH)
    result = made.train("tdbs", "run")
    check_losses(made, "tdbs", result)
    check_scores(made, result)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("name", EXACT)
def test_first_updates_and_what_comes_of_them(name, pairs, tmp_path):
    """Every strategy that drops nothing, texts beyond any window, several updates."""
    made = Place(name, tmp_path, pairs=pairs, sizes=LONG, rows=19)
    for strategy in WITHOUT_DROP:
        if made.in_rows or not STRATEGIES[strategy].in_rows:
            result = made.train(strategy, strategy)
            check_losses(made, strategy, result)
            assert tdbs.evaluate(result.run).score == result.score
    check_scores(made, result)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("name", EXACT)
def test_predictions_of_every_strategy_and_one_by_one(name, pairs, tmp_path):
    rows = rows_of(24, pairs=pairs, sizes=LONG)
    folder = save_family(FAMILIES[name], tmp_path / "model", spread_over=spread_of(rows[3:]))
    expected = probabilities(folder, rows)
    in_rows = tdbs.Predictor(folder).checkpoint.in_rows
    for strategy in STRATEGIES:
        if in_rows or not STRATEGIES[strategy].in_rows:
            found = predicted(folder, rows, tmp_path, strategy=strategy, batch_size=5)
            assert found == pytest.approx(expected, abs=WITHIN), strategy
    assert predicted(folder, rows, tmp_path, batch_size=1) == pytest.approx(expected, abs=WITHIN)
    predictor = tdbs.Predictor(folder, precision="fp32")
    alone = [predictor(row if pairs else row[0]).scores for row in rows]
    assert np.array([[each[name] for name in sorted(each)] for each in alone]) == pytest.approx(expected, abs=WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_a_resumed_run_ends_as_an_undisturbed_one(name, tmp_path):
    made = Place(name, tmp_path, pairs=True, sizes=LONG, rows=19)
    whole = made.train("tdbs", "whole")
    stop = Stop()

    def stop_after_two(record, _steps):
        stop.number = signal.SIGTERM if record.step == 1 else None

    with pytest.raises(StoppedError):
        made.train("tdbs", "stopped", stop=stop, progress=stop_after_two)
    resumed = made.train("tdbs", "stopped", resume=True)
    ours, theirs = (load_file(Path(run.run) / "model/model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(ours[weight], theirs[weight]) for weight in ours)
    check_losses(made, "tdbs", resumed)
    check_scores(made, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_adapters_are_those_that_transformers_reads(name, tmp_path):
    made = Place(name, tmp_path, pairs=True, sizes=LONG, rows=19)
    result = made.train("tdbs", "adapted", lora=4, epochs=2)
    updates, losses = made.updates(made.strategy("tdbs"), Path(result.run))
    pad_id = made.dataset.manifest.tokenizer.pad_id
    # adapters begin as nothing, so the first update sees the model as it was
    assert losses[0] == pytest.approx(losses_of_updates(made.folder, updates[:1], pad_id=pad_id)[0], abs=WITHIN)
    check_scores(made, result)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert", "deberta-v2", "qwen2"])
def test_frozen_layers_stay_and_the_others_learn(name, tmp_path):
    made = Place(name, tmp_path, pairs=True, sizes=LONG, rows=19)
    result = made.train("tdbs", "frozen", freeze_layers=1)
    updates, losses = made.updates(made.strategy("tdbs"), Path(result.run))
    pad_id = made.dataset.manifest.tokenizer.pad_id
    assert losses[0] == pytest.approx(losses_of_updates(made.folder, updates[:1], pad_id=pad_id)[0], abs=WITHIN)
    before, after = (load_file(folder / "model.safetensors") for folder in (made.folder, Path(result.run) / "model"))
    changed = [weight for weight in after if not torch.equal(before[weight], after[weight])]
    assert not [weight for weight in changed if re.search(r"\.embed|layers?\.0\.", weight)]
    assert [weight for weight in changed if re.search(r"layers?\.[12]\.", weight)]
    check_scores(made, result)


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_a_model_that_padding_changes_is_refused_before_anything_is_trained(pairs, tmp_path):
    """Funnel pools over neighbouring tokens, those of padding too."""
    made = Place("funnel", tmp_path, pairs=pairs, sizes=SHORT, rows=BATCH)
    text = (
        f"Padding changes the outputs of {made.folder} (funnel), so no batch would be exact. "
        "Choose a model whose attention ignores padding, such as BERT or RoBERTa."
    )
    calls = partial(made.train, "random", "run"), partial(tdbs.Predictor, made.folder)
    assert refusals(ModelError, *calls) == {text}
    assert not (tmp_path / "run").exists()
