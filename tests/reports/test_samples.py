"""Samples before and after TokenDrop: what is shown is what training sees, and the label stays with it."""

import json
from pathlib import Path

import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import read_split
from tdbs.pipeline.prepare import prepare
from tdbs.reports.samples import drop_examples, show_drops, show_samples
from tdbs.train.planning.strategies import resolve_strategy

TEXTS = ["the film is a delight and it is of the best", "it is dull", "a story of the city", "the end of it all"] * 20
KINDS = {
    "classification": [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS)],
    "regression": [{"text": text, "label": i + 0.5} for i, text in enumerate(TEXTS)],
    "multi_label": [{"text": text, "label": ["b", "a"][: i % 3]} for i, text in enumerate(TEXTS)],
    "token_classification": [
        {"tokens": words, "ner_tags": ["B-X" if word in ("film", "story", "of") else "O" for word in words]}
        for words in map(str.split, TEXTS)
    ],
    "question_answering": [
        {
            "question": "what is it of?",
            "context": text,
            "answers": {"text": [text.split()[-1]], "answer_start": [text.rindex(" ") + 1]},
        }
        for text in TEXTS
    ],
    "seq2seq": [{"document": text, "summary": text[:11].strip()} for text in TEXTS],
}


@pytest.fixture(params=KINDS)
def dataset(request, workplace):
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in KINDS[request.param]))
    made = prepare("d.jsonl", tokenizer=str(TOKENIZER_FOLDER)).dataset
    assert made.manifest.task.kind == request.param
    return made


def text_of(pieces, *, marked=(True, False)):
    return " ".join("".join(text + " " for text, mark in pieces if mark in marked).split())


@pytest.mark.parametrize("name", ["reach", "tdbs_paper", "bucket"])
def test_what_is_not_marked_before_is_all_there_is_after(dataset, name):
    split = read_split(dataset, "train")
    strategy = resolve_strategy(name, dataset.manifest.task)
    drops = show_drops(dataset, split, strategy, 20, seed=1, epoch=1)
    assert [drop.before.sample_id for drop in drops] == [
        sample.sample_id for sample in show_samples(dataset, split, 20, seed=1)
    ]
    for drop in drops:
        assert text_of(drop.before.pieces, marked=(False,)) == text_of(drop.after.pieces)
        assert drop.before.label == drop.after.label
    lost = sum(drop.before.length - drop.after.length for drop in drops)
    assert (lost > 0) == (name != "bucket")


def test_labels_are_shown_as_texts(dataset):
    shown = show_samples(dataset, read_split(dataset, "train"), 80)
    expected = {
        "classification": {"a", "b"},
        "regression": {"0.5", "79.5"},
        "multi_label": {"no class", "b", "a, b"},
        "token_classification": {"film B-X, of B-X", "of B-X", "story B-X, of B-X", ""},
        "question_answering": {"best", "dull", "city", "all"},
        "seq2seq": {"the film is", "it is dull", "a story of", "the end of"},
    }[dataset.manifest.task.kind]
    assert {sample.label for sample in shown} >= expected


def test_an_epoch_and_a_seed_choose_what_goes(dataset):
    split = read_split(dataset, "train")
    strategy = resolve_strategy("reach", dataset.manifest.task)
    shown = [
        [drop.after.pieces for drop in show_drops(dataset, split, strategy, 80, seed=seed, epoch=epoch)]
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert shown[0] == shown[3]
    assert shown[0] != shown[1]
    assert shown[0] != shown[2]


def test_examples_lose_words_and_count_what_all_samples_lose(dataset):
    """Counted once more from what `show_drops` shows of every sample."""
    split = read_split(dataset, "train")
    strategy = resolve_strategy("reach", dataset.manifest.task)
    every = show_drops(dataset, split, strategy, len(TEXTS) * 9, seed=1)
    found = drop_examples(dataset, split, strategy, 4, seed=1)
    lost = [drop.before.length - drop.after.length for drop in every]
    assert (found.samples, found.changed) == (len(every), sum(tokens > 0 for tokens in lost))
    assert (found.tokens, found.dropped) == (sum(drop.before.length for drop in every), sum(lost))
    assert len(found.drops) == 4
    for drop in found.drops:
        assert drop.after.length < drop.before.length
        assert any(marked for _, marked in drop.before.pieces)


def test_examples_of_single_texts_have_no_special_tokens(dataset):
    split = read_split(dataset, "train")
    found = drop_examples(dataset, split, resolve_strategy("reach", dataset.manifest.task), 3)
    shown = "".join(text for drop in found.drops for text, _ in drop.before.pieces)
    assert ("[CLS]" in shown) == (split.segment_starts_N is not None)


def test_a_strategy_that_drops_nothing_has_no_examples(dataset):
    found = drop_examples(dataset, read_split(dataset, "train"), resolve_strategy("bucket", dataset.manifest.task), 3)
    assert (found.changed, found.dropped, found.drops) == (0, 0, ())
