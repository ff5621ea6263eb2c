"""Flips are counted sample by sample: what the model says of a whole sample against what it says of what is left."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from tdbs.analysis.conditions.flips import DEFAULT_RATE, count_flips
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.planning.tokendrop import drop_order, words_of_split
from tdbs.train.trainer import train
from tests.cli.conftest import run_command
from tests.reference.algorithm1 import token_drop

LISTED = ("the", "not", "a", "this", "very")  # "not" decides labels here, so that dropping it must flip some
RATES = (0.3, pytest.param(0.6, marks=pytest.mark.slow), 1.0)
ROWS = {"train": 240, "validation": 90, "test": 40}


def make_rows(count: int, seed: int) -> list[tuple[str, int, int, int]]:
    """Return (text, whether it praises, whether it denies, whether its adjective is a warm one)."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        denies = chance.random() < 0.5
        word = chance.choice(("good", "funny", "clever", "bad", "dull", "weak"))
        first, film = (
            chance.choice(("the ", "this ", "a very ", "", "")),
            chance.choice(("film", "movie", "story", "drama")),
        )
        warm = word in ("good", "funny", "clever")
        end = chance.choice((" here", " says Baker", "", " not" if denies else ""))
        rows.append(
            (f"{first}{film} is {'not ' if denies else ''}{word}{end}", int(warm != denies), int(denies), int(warm))
        )
    return rows


@pytest.fixture(scope="module", params=["classification", pytest.param("multi_label", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a tiny model in fp32 that heeds "not"; the test split has no labels."""
    place = tmp_path_factory.mktemp(request.param)
    (place / "files").mkdir()
    (place / "words.txt").write_text("\n".join(LISTED))
    for seed, (split, count) in enumerate(ROWS.items()):
        with (place / f"files/{split}.csv").open("w", newline="", encoding="utf-8") as file:
            columns = 1 if split == "test" else 4
            rows = [("text", "praises", "denies", "warm"), *make_rows(count, seed)]
            csv.writer(file).writerows(row[:columns] for row in rows)
    label = {"classification": "praises", "multi_label": "denies,warm"}[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        dataset = prepare(
            "files", tokenizer=str(TOKENIZER_FOLDER), label=label, stopwords="words.txt", out=place / "d"
        ).dataset
        assert dataset.manifest.task.kind == request.param
        strategy = replace(STRATEGIES["random"], base_batch_size=16)
        result = train(dataset, model="tiny", strategy=strategy, epochs=10, precision="fp32", out=place / "run")
    assert result.score > 0.8
    return place / "run"


def dataset_of(run: Path) -> PreparedDataset:
    return load(run.parent / "d")


@cache
def flips_by_loops(run: Path, split_name: str, rate: float, *, seed: int = 0) -> tuple[list[bool], list[set[str]]]:
    """Return for each sample whether it flips, and the words it lost: one sample at a time, Algorithm 1 as printed.

    The product gives the random order of the words alone.
    """
    dataset = dataset_of(run)
    split = read_split(dataset, split_name)
    words = words_of_split(split, STRATEGIES["random"], dataset.manifest.tokenizer)
    order = drop_order(words, seed=seed, epoch=0)
    tokenizer = Tokenizer.from_file(str(dataset.path / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(run / "model", attn_implementation="eager").eval()

    def predicted(ids: list[int]) -> list[int]:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        if dataset.manifest.task.kind == "multi_label":
            return [int(logit > 0) for logit in logits.tolist()]
        return [int(logits.argmax())]

    flipped, lost = [], []
    for sample in range(len(split.lengths_N)):
        ids = split.input_ids_T[split.token_offsets_N1[sample] : split.token_offsets_N1[sample + 1]].tolist()
        first, last = split.word_offsets_N1[sample : sample + 2].tolist()
        sizes = split.word_sizes_W[first:last].tolist()
        starts = split.word_starts_W[first:last].tolist()
        places = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        going = token_drop(
            sizes,
            [int(word) - first for word in order[first:last]],
            rate,
            sum(token not in dataset.manifest.tokenizer.special_ids for token in ids),
        )
        gone = [position for word in going for position in places[word]]
        left = [token for position, token in enumerate(ids) if position not in gone]
        flipped.append(predicted(ids) != predicted(left))
        lost.append({tokenizer.decode([ids[position] for position in places[word]]) for word in going})
    return flipped, lost


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_counts_are_those_of_a_loop_over_samples(run, split, rate):
    """Also of a split without labels: nothing is scored."""
    found = count_flips(run, split=split, drop_rate=rate)
    flipped, lost = flips_by_loops(run, split, rate)
    assert (found.split, found.drop_rate, found.rows) == (split, rate, ROWS[split])
    assert found.changed == sum(bool(words) for words in lost)
    assert found.flips == sum(flipped)
    assert found.share == found.flips / found.rows
    assert found.flips > 0 or rate < 1


@pytest.mark.parametrize("rate", RATES)
def test_words_are_counted_once_a_sample_that_lost_them(run, rate):
    """With the samples that flipped among them; most flips first, then most samples, then by the alphabet."""
    found = count_flips(run, drop_rate=rate)
    flipped, lost = flips_by_loops(run, "validation", rate)
    expected = {}
    for flips, words in zip(flipped, lost, strict=True):
        for word in words:
            samples, turned = expected.get(word, (0, 0))
            expected[word] = (samples + 1, turned + flips)
    assert {word.word: (word.samples, word.flips) for word in found.by_word} == expected
    assert set(expected) <= set(LISTED)
    keys = [(-word.flips, -word.samples, word.word) for word in found.by_word]
    assert keys == sorted(keys)


def test_the_word_that_decides_labels_leads_the_list(run):
    worst = count_flips(run, drop_rate=1.0).by_word[0]
    assert worst.word == "not"
    assert worst.flips / worst.samples > 0.6


def test_at_rate_0_nothing_is_dropped_and_nothing_flips(run):
    found = count_flips(run, drop_rate=0.0)
    assert (found.changed, found.flips, found.share, list(found.by_word)) == (0, 0, 0.0, [])


def test_the_default_is_the_papers_rate_on_the_scored_split(run):
    assert DEFAULT_RATE == 0.3
    assert count_flips(run) == count_flips(run, split="validation", drop_rate=0.3, seed=0)


def test_another_seed_drops_other_words(run):
    first, again, other = (count_flips(run, drop_rate=0.4, seed=seed) for seed in (0, 0, 5))
    assert first == again
    assert [word.samples for word in first.by_word] != [word.samples for word in other.by_word]
    flipped, _ = flips_by_loops(run, "validation", 0.4, seed=5)
    assert other.flips == sum(flipped)


# ------------------------------------------------------------------------------------------------------------- refusals


def refused(run: Path, **options) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        count_flips(run, **options)
    return caught.value.message, caught.value.next_step


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("regression", "regression"),
        ("token_classification", "token classification"),
        ("question_answering", "question answering"),
        ("seq2seq", "seq2seq"),
    ],
)
def test_only_classes_of_whole_samples_can_flip(run, kind, named):
    dataset = dataset_of(run)
    other = replace(dataset.manifest, task=replace(dataset.manifest.task, kind=kind))
    assert refused(run, dataset=replace(dataset, manifest=other)) == (
        f"--flips needs a task that predicts classes of whole samples; this task is {named}.",
        "Leave --flips out.",
    )


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_rate_is_a_share(run, rate):
    message, next_step = refused(run, drop_rate=rate)
    assert message == f"--drop-rate must be from 0 to 1, got {rate}."
    assert next_step == "Pass a share such as --drop-rate 0.3."


# -------------------------------------------------------------------------------------------------- the command line


def test_the_command_fails_where_more_flip_than_allowed(run):
    """After it has printed everything: a script gets the numbers and the exit code."""
    found = count_flips(run, drop_rate=1.0)
    outcome = run_command("evaluate", run, "--flips", "--drop-rate", 1.0, "--max-flips", 0, "--json")
    assert outcome.code == 1
    assert outcome.error == (
        f"{found.share:.2%} of the predictions flip, more than 0.00%.",
        "Look at the words with most flips, and prepare again with --keep WORDS or --forbid-drop REASON.",
    )
    flips = outcome.json["flips"]
    assert list(flips) == ["split", "drop_rate", "rows", "changed", "flips", "share", "by_word"]
    assert flips["by_word"][0] == {
        "word": "not",
        "samples": found.by_word[0].samples,
        "flips": found.by_word[0].flips,
    }
    assert (flips["split"], flips["drop_rate"], flips["rows"]) == ("validation", 1.0, 90)
    assert (flips["changed"], flips["flips"], flips["share"]) == (found.changed, found.flips, found.share)
    assert outcome.json["score"] > 0.8


def test_the_command_succeeds_where_no_more_flip_and_people_see_the_words(run):
    outcome = run_command("evaluate", run, "--flips", "--drop-rate", 1.0, "--max-flips", 1)
    found = count_flips(run, drop_rate=1.0)
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert lines[-1] == (
        f"{found.flips} of 90 predictions flip ({found.share:.2%}) at drop rate 1; {found.changed} samples lost a word."
    )
    worst = found.by_word[0]
    assert ["not", str(worst.samples), str(worst.flips), f"{worst.flips / worst.samples:.1%}"] in [
        line.split() for line in lines
    ]
    assert run_command("evaluate", run, "--flips", "--drop-rate", 0, "--max-flips", 0).code == 0
    assert "flips" not in run_command("evaluate", run, "--json").json


@pytest.mark.parametrize("options", ["--max-flips 0.1", "--flips --max-flips 1.1", "--flips --max-flips -1"])
def test_the_limit_is_a_share_of_counted_flips(run, options):
    outcome = run_command("evaluate", run, *options.split())
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.error == (
        "--max-flips is a share from 0 to 1, and goes with --flips.",
        "Pass --flips --max-flips 0.05.",
    )


def test_a_task_that_forbids_dropping_has_no_flips(workplace):
    """CoLA, or a dataset of the user's own with a reason: there is no option of `evaluate` to insist with."""
    Path("grammar.csv").write_text(
        "\n".join(["text,label", *(f"{text},{praises}" for text, praises, _, _ in make_rows(30, 0))])
    )
    options = ("--tokenizer", TOKENIZER_FOLDER, "--validation", 0.2, "--forbid-drop", "judges grammar", "--out", "d")
    assert run_command("prepare", "grammar.csv", *options).code == 0
    assert run_command("train", "d", "--model", "tiny", "--epochs", 1, "--out", "run").code == 0
    outcome = run_command("evaluate", "run", "--flips")
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.error == ("Task 'grammar' judges grammar.", "Leave --flips out.")
    assert run_command("evaluate", "run").code == 0
