"""Runs under conditions: scores against a loop over samples, side by side, kept in their folders."""

import json
import statistics
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tdbs.analysis.conditions.asked import ConditionRow, Question
from tdbs.analysis.conditions.conditions import choose_batches, choose_conditions, give
from tdbs.analysis.conditions.evaluate import evaluate_runs, newest_over_rates
from tdbs.analysis.conditions.times import SINGLE_SAMPLES, spread_samples
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import load, read_split
from tdbs.train.batches import epoch_batches
from tdbs.train.evaluate import evaluate
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.planning.tokendrop import drop_order, words_of_split
from tdbs.train.trainer import train
from tests.analysis.tiny import time_calls_once, tiny_dataset
from tests.cli.conftest import run_command
from tests.reference.algorithm1 import token_drop

ROWS = 40  # of validation
KEYS = list(ConditionRow.__dataclass_fields__)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the tiny model in fp32, one trained with TokenDrop."""
    place = tmp_path_factory.mktemp("evaluated")
    dataset = tiny_dataset(place, max_length=24)
    folders = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("random", "tdbs_paper"):
            strategy = replace(STRATEGIES[name], base_batch_size=16)
            train(dataset, model="tiny", strategy=strategy, epochs=4, precision="fp32", out=place / name)
            folders.append(place / name)
    return folders


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here reads how exact a time is."""
    time_calls_once(monkeypatch)


@cache
def score_by_loops(run: Path, rate: float, *, seed: int = 0, draw: int = 0) -> tuple[float, int]:
    """Return accuracy and tokens with words dropped by Algorithm 1 as printed, a sample a call.

    The product gives the random order of the words alone, for rates at which it matters.
    """
    dataset = load(run.parent / "prepared")
    split = read_split(dataset, "validation")
    words = words_of_split(split, STRATEGIES["random"], dataset.manifest.tokenizer)
    order = drop_order(words, seed=seed, epoch=draw)
    model = AutoModelForSequenceClassification.from_pretrained(run / "model", attn_implementation="eager").eval()
    right = tokens = 0
    for sample in range(ROWS):
        ids = split.input_ids_T[split.token_offsets_N1[sample] : split.token_offsets_N1[sample + 1]].tolist()
        first, last = split.word_offsets_N1[sample : sample + 2].tolist()
        sizes = split.word_sizes_W[first:last].tolist()
        starts = split.word_starts_W[first:last].tolist()
        ordinary = sum(token not in dataset.manifest.tokenizer.special_ids for token in ids)
        going = token_drop(sizes, [int(word) - first for word in order[first:last]], rate, ordinary)
        gone = {place for word in going for place in range(starts[word], starts[word] + sizes[word])}
        left = [token for place, token in enumerate(ids) if place not in gone]
        with torch.inference_mode():
            right += int(model(input_ids=torch.tensor([left])).logits.argmax()) == int(split.targets.values[sample])
        tokens += len(left)
    return right / ROWS, tokens


def test_scores_are_those_of_a_loop_over_samples(runs):
    """Whole, at a rate in three draws, and with every droppable word gone."""
    asked = Question(conditions=choose_conditions([0, 0.5, 1]), seed=3)
    found = evaluate_runs(runs, asked)
    assert [(row.run, row.strategy, row.condition, row.drop_rate, row.draws) for row in found.rows] == [
        (str(run), name, condition, rate, draws)
        for run, name in zip(runs, ("random", "tdbs_paper"), strict=True)
        for condition, rate, draws in (("whole", 0.0, 1), ("drop 0.5", 0.5, 3), ("drop 1", 1.0, 1))
    ]
    for run, (whole, half, full) in zip(runs, (found.rows[:3], found.rows[3:]), strict=True):
        score, tokens = score_by_loops(run, 0)
        draws = [score_by_loops(run, 0.5, seed=3, draw=draw) for draw in range(3)]
        assert whole.score == pytest.approx(score)
        assert half.score == pytest.approx(statistics.mean(score for score, _ in draws))
        assert half.score_std == pytest.approx(statistics.stdev(score for score, _ in draws), abs=1e-6)
        assert half.kept == pytest.approx(statistics.mean(left for _, left in draws) / tokens)
        assert (full.score, full.kept) == (pytest.approx(score_by_loops(run, 1)[0]), score_by_loops(run, 1)[1] / tokens)
        assert full.difference == full.score - whole.score
        assert (whole.kept, whole.difference, whole.score_std, full.score_std) == (1.0, 0.0, None, None)
        assert {row.seconds for row in (whole, half, full)} == {None}


def test_whole_texts_score_what_evaluate_says(runs):
    """To the last bit: the same batches."""
    found = evaluate_runs(runs, Question(conditions=choose_conditions([0])))
    assert [row.score for row in found.rows] == [evaluate(run).score for run in runs]


def test_draws_drop_other_words_and_runs_the_same(runs):
    dataset = load(runs[0].parent / "prepared")
    condition = choose_conditions([0.5])[1]
    first, second, again = (
        [given.held_out.split.input_ids_T.tolist() for given in give(dataset, "validation", condition, draws=2, seed=s)]
        for s in (0, 1, 0)
    )
    assert first == again
    assert first[0] != first[1]
    assert first != second


def test_edited_texts_are_scored(runs, tmp_path):
    """What is removed is tokens; a user's edits are named for their file."""
    (tmp_path / "slips.tsv").write_text("(?i)the\tteh\n")
    conditions = choose_conditions(removals=["articles", "articles, punctuation"], edits=[tmp_path / "slips.tsv"])
    found = evaluate_runs(runs[:1], Question(conditions=conditions, timed=True))
    names = ["whole", "without articles", "without articles, punctuation", "slips.tsv"]
    assert [row.condition for row in found.rows] == names
    whole, articles, both, slips = found.rows
    assert both.kept < articles.kept < 1
    assert slips.kept >= 1
    assert [row.drop_rate for row in found.rows] == [0.0, None, None, None]
    assert whole.speedup == 1.0
    assert (articles.seconds, both.speedup) == (None, None)


def test_batches_of_strategies_hold_every_sample_as_it_is_left(runs):
    dataset = load(runs[0].parent / "prepared")
    lengths = read_split(dataset, "validation").lengths_N
    for condition in choose_batches(["random", "bucket", "tdbs_paper", "reach"]):
        draws = give(dataset, "validation", condition, draws=3, seed=0)
        assert len(draws) == (1 if condition.name in ("random", "bucket") else 3)
        for given in draws:
            split = given.held_out.split
            batches = list(epoch_batches(split, given.plan, None, pad_id=dataset.manifest.tokenizer.pad_id))
            assert sorted(np.concatenate([batch.sample_ids_B for batch in batches])) == list(range(ROWS))
            for batch in batches:
                assert batch.lengths_B.tolist() == split.lengths_N[batch.sample_ids_B].tolist()
                if condition.name in ("bucket", "tdbs_paper"):  # of one bucket of width 5: none are merged
                    assert len(set((lengths[batch.sample_ids_B] // 5).tolist())) == 1


def test_batches_are_timed_and_tell_their_padding(runs):
    found = evaluate_runs(runs[:1], Question(conditions=choose_batches(["random", "tdbs_paper"]), draws=2, timed=True))
    random, both = found.rows
    assert (random.condition, both.condition, random.speedup) == ("random", "tdbs_paper", 1.0)
    assert random.score == pytest.approx(evaluate(runs[0]).score)
    assert 0 <= both.padding_fraction < random.padding_fraction < 1
    assert both.speedup == random.seconds / both.seconds


def test_timed_samples_are_spread_from_short_to_long():
    lengths = np.random.default_rng(0).permutation(200)
    chosen = spread_samples(lengths, SINGLE_SAMPLES)
    assert len(set(chosen.tolist())) == SINGLE_SAMPLES
    assert lengths[chosen].tolist() == sorted(lengths[chosen].tolist())
    assert (lengths[chosen[0]], lengths[chosen[-1]]) == (0, 199)
    assert len(spread_samples(lengths[:5], SINGLE_SAMPLES)) == 5


# ------------------------------------------------------------------------------------------------------------ kept


def test_what_is_found_is_kept_in_the_run_until_it_is_trained_anew(runs, tmp_path):
    """The same question replaces its file, another one stands beside it."""
    dataset = load(runs[0].parent / "prepared")
    train(dataset, model="tiny", strategy="random", epochs=1, out=tmp_path / "run", precision="fp32")
    for rates in ([0.5], [0.5], [0, 0.5, 1]):
        evaluate_runs([tmp_path / "run"], Question(conditions=choose_conditions(rates)))
    files = sorted((tmp_path / "run/evaluations").iterdir())
    assert len(files) == 2
    newest = newest_over_rates(tmp_path / "run")
    assert [row.drop_rate for row in newest] == [0.0, 0.5, 1.0]
    kept = json.loads(files[0].read_text())
    assert list(kept) == ["date", "device", "dataset", "split", "asked", "rows"]
    assert list(kept["rows"][0]) == KEYS[1:]
    train(dataset, model="tiny", strategy="random", epochs=1, out=tmp_path / "run", precision="fp32", overwrite=True)
    assert newest_over_rates(tmp_path / "run") == []
    assert not (tmp_path / "run/evaluations").exists()


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: choose_conditions([0.5, 1.5]), "--drop-rate must be from 0 to 1, got 1.5."),
        (lambda: choose_conditions([0.5, 0.5]), "'drop 0.5' is given twice."),
        (lambda: choose_batches(["random", "unpadded"]), "Unknown value 'unpadded' for --batches."),
        (lambda: Question(conditions=choose_conditions(), draws=0), "--draws must be 1 or more, got 0."),
    ],
)
def test_what_cannot_be_asked_is_refused(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.message == message


def test_where_grammar_is_judged_no_word_goes(runs):
    """The paper leaves CoLA out; a user's own edits are the user's matter."""
    dataset = load(runs[0].parent / "prepared")
    task = replace(dataset.manifest.task, drop_forbidden=HUB_TASKS["glue/cola"].task.drop_forbidden)
    cola = replace(dataset, manifest=replace(dataset.manifest, task=task))
    for conditions in (choose_conditions([0.5]), choose_conditions(removals=["articles"])):
        with pytest.raises(ConfigError) as caught:
            evaluate_runs(runs[:1], Question(conditions=conditions), dataset=cola)
        assert caught.value.next_step == "Leave --drop-rate and --remove out."
    evaluate_runs(runs[:1], Question(conditions=choose_conditions()), dataset=cola)


# -------------------------------------------------------------------------------------------------- the command line


def test_the_command_shows_runs_side_by_side(runs):
    outcome = run_command("evaluate", *runs, "--drop-rate", "0,1", "--remove", "articles,punctuation", "--time")
    assert outcome.code == 0
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert ["run", "trained", "with", "condition", "score", "difference", "kept", "time", "speedup"] in lines
    rows = [line for line in lines if "100.0%" in line]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (str(runs[0]), "random", "whole"), (str(runs[1]), "tdbs_paper", "whole")
    ]  # fmt: skip
    assert sum("articles," in line for line in lines) == 2
    [scored] = evaluate_runs(runs, Question(conditions=choose_conditions([], (), ()))).scored
    assert outcome.stdout.splitlines()[-1] == f"Scores x 100 are {scored}."
    assert scored.startswith("accuracy on ")


def test_the_command_prints_one_json_object(runs):
    outcome = run_command("evaluate", runs[0], "--batches", "random,bucket", "--draws", 2, "--seed", 4, "--json")
    assert outcome.code == 0, outcome.stderr
    found = outcome.json
    assert list(found) == ["split", "draws", "seed", "device", "scored", "rows"]
    assert (found["split"], found["draws"], found["seed"]) == ("validation", 2, 4)
    assert [list(row) for row in found["rows"]] == [KEYS, KEYS]
    single = run_command("evaluate", runs[0], "--drop-rate", "0.5", "--json").json
    assert [row["condition"] for row in single["rows"]] == ["whole", "drop 0.5"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--drop-rate half", "--drop-rate takes shares separated by commas, got half."),
        (
            "--flips --drop-rate 0.1,0.2",
            "--flips takes one run and one --drop-rate, without --remove, --edits, --time and --batches.",
        ),
        (
            "--batches random --drop-rate 0.2",
            "--batches is timed alone, without --drop-rate, --remove, --edits and --time.",
        ),
        ("--remove verbs", "Unknown value 'verbs' for --remove."),
    ],
)
def test_options_that_do_not_go_together_are_refused(runs, options, message):
    outcome = run_command("evaluate", runs[0], *options.split())
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.error[0] == message


def test_the_report_of_a_run_shows_its_drop_rates(runs, tmp_path):
    """As Fig. 4 draws them, where they were asked for; a run without shows nothing of it."""
    evaluate_runs(runs[:1], Question(conditions=choose_conditions([0.5, 1]), timed=True))
    for run, has in ((runs[0], True), (runs[1], False)):
        for path in (run / "evaluations").glob("*.json") if not has else ():
            path.unlink()
        page = tmp_path / f"{run.name}.html"
        assert run_command("report", run, "--out", page, "--files").code == 0
        assert ("Words dropped at inference" in page.read_text(encoding="utf-8")) is has
        assert (page.with_name(f"{run.name}_files") / "drop_rates.svg").exists() is has
        numbers = json.loads((page.with_name(f"{run.name}_files") / "numbers.json").read_text(encoding="utf-8"))
        assert [row["drop_rate"] for row in numbers["drop_rates"]] == ([0.0, 0.5, 1.0] if has else [])
