"""A split in windows: the same samples and the same dropped words as in memory, in an order that is a pure function."""

import dataclasses
import gc
import json
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import MPNetConfig, MPNetForSequenceClassification
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import read_part, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.schema import IGNORED
from tdbs.pipeline.split_index import index_columns, read_index
from tdbs.rng import RandomPurpose, counter_values, counter_values_at
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.memory_windows import (
    count_windows,
    have_few_lengths,
    plan_split,
    shard_bytes,
    window_samples,
    window_shards,
)
from tdbs.train.planning.plan import plan_digest, plan_epoch
from tdbs.train.planning.strategies import STRATEGIES, Strategy
from tdbs.train.planning.tokendrop import drop_order
from tests.docs.files import write_files

RATE = Strategy(name="rate", batches="bucket", drop="rate", drop_rate=0.5)
ANY = Strategy(name="any", batches="random", drop="any", drop_rate=0.3)
ALL = {**STRATEGIES, "rate": RATE, "any": ANY}
EVERY_DAY = ("random", "unpadded", "reach", "any")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The sample: 20,000 rows in 26 shards or so."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("windows")
        patch.chdir(place)
        return prepare(out=place / "dataset").dataset


@pytest.fixture(scope="module")
def memory(dataset) -> int:
    """A budget of half of the split, which takes several windows: one of its shards is a third of it."""
    return sum(shard_bytes(dataset.manifest.splits["train"], dataset.manifest)) // 2


def kept_tokens(feed, plan) -> dict[int, list[int]]:
    """Return what is left of each sample, from the batches that training sees."""
    found = {}
    for batch in feed.batches(plan):
        for sample, row, length in zip(batch.sample_ids_B, batch.input_ids_RW, batch.lengths_B, strict=True):
            assert int(sample) not in found
            found[int(sample)] = row[:length].tolist()
    return found


@pytest.mark.parametrize(
    "name", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in ALL]
)
def test_every_sample_comes_once_and_in_batches_of_its_window(dataset, memory, name):
    """An epoch in windows is a partition of the split, and no batch needs two windows."""
    data = open_training_data(dataset, memory=memory)
    assert data.windows > 3
    for plan in make_feed(data, ALL[name], seed=1, epochs=2).plans:
        assert sorted(plan.sample_ids_N.tolist()) == list(range(20_000))
        assert len(plan.windows) == data.windows
        assert sorted(number for window in plan.windows for number in window.shards) == list(
            range(len(dataset.manifest.splits["train"].shards))
        )
        last = 0
        for window in plan.windows:
            assert window.first_batch == last
            last = window.last_batch
            bounds = plan.batch_offsets_B1[[window.first_batch, window.last_batch]]
            samples = plan.sample_ids_N[bounds[0] : bounds[1]]
            assert set(data.index.shards_N[samples].tolist()) == set(window.shards)
        assert last == len(plan.padded_lengths_B)


@pytest.mark.parametrize(
    "drop", ["rate", "all", *(pytest.param(drop, marks=pytest.mark.slow) for drop in ("none", "any"))]
)
def test_what_is_dropped_does_not_depend_on_windows(dataset, memory, drop):
    """Token for token, where the amount does not depend on the batch."""
    strategy = Strategy(name="s", batches="random", drop=drop)
    feeds = [make_feed(open_training_data(dataset, memory=m), strategy, seed=3, epochs=2) for m in (memory, "1GiB")]
    streamed, held = (kept_tokens(feed, feed.plans[1]) for feed in feeds)
    assert streamed == held
    assert len(held) == 20_000


@pytest.mark.parametrize("drop", ["rate", "any", "batch_min", "reach"])
@pytest.mark.parametrize("budget", ["1GiB", None], ids=["in memory", "in windows"])
def test_the_order_of_words_is_drawn_once_an_epoch(dataset, memory, budget, drop, monkeypatch):
    """By the planner or by what makes the batches, never by both; in windows, once for each."""
    drawn = []

    def counted(words, *, seed, epoch):
        drawn.append((seed, epoch))
        return drop_order(words, seed=seed, epoch=epoch)

    monkeypatch.setattr("tdbs.train.planning.tokendrop.drop_order", counted)
    strategy = Strategy(name="s", batches="random", drop=drop)
    feed = make_feed(open_training_data(dataset, memory=budget or memory), strategy, seed=3, epochs=2)
    for plan in feed.plans:
        for _ in feed.batches(plan):
            pass
    windows = max(len(feed.plans[0].windows), 1)
    assert sorted(drawn) == [(3, 0)] * windows + [(3, 1)] * windows
    assert (windows > 1) == (budget is None)


@pytest.mark.parametrize("name", ["reach", "tdbs_paper"])
def test_samples_that_lose_as_much_lose_the_same_words(dataset, memory, name):
    """Where the batch decides how many tokens go, the order in which words go is still the same."""
    feeds = [
        make_feed(open_training_data(dataset, memory=m), STRATEGIES[name], seed=3, epochs=1) for m in (memory, "1GiB")
    ]
    streamed, held = (kept_tokens(feed, feed.plans[0]) for feed in feeds)
    alike = [sample for sample in held if len(held[sample]) == len(streamed[sample])]
    assert len(alike) > 10_000
    assert all(held[sample] == streamed[sample] for sample in alike)


@pytest.mark.parametrize("name", ["reach", "random"])
def test_a_plan_in_windows_is_a_pure_function(dataset, memory, name):
    """Same arguments, same digest; another seed or number of windows, another one."""

    def digest(memory, **options):
        feed = make_feed(open_training_data(dataset, memory=memory), STRATEGIES[name], **options)
        return plan_digest(feed.plans)

    base = digest(memory, seed=1, epochs=1)
    assert base == digest(memory, seed=1, epochs=1)
    assert (
        len(
            {
                base,
                digest(memory, seed=2, epochs=1),
                digest(memory * 4 // 5, seed=1, epochs=1),
                digest("1GiB", seed=1, epochs=1),
            }
        )
        == 4
    )
    plans = make_feed(open_training_data(dataset, memory=memory), STRATEGIES[name], seed=1, epochs=2).plans
    assert plans[0].windows != plans[1].windows


def test_the_digest_tells_of_windows(dataset, memory):
    """Two plans with the same batches from other windows are not one plan: another order of reading."""
    plan = make_feed(open_training_data(dataset, memory=memory), RATE, seed=1, epochs=1).plans[0]
    assert plan_digest([plan]) != plan_digest([dataclasses.replace(plan, windows=())])


def test_padding_is_hardly_more_than_in_memory(dataset, memory):
    """Every window has its share of each bucket."""
    streamed, held = (
        make_feed(open_training_data(dataset, memory=m), STRATEGIES["reach"], seed=1, epochs=1).plans[0]
        for m in (memory, "1GiB")
    )
    assert abs(streamed.tokens / held.tokens - 1) < 0.02


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("ratings.csv", {"label": "clarity,depth"}),
        ("emotions.csv", {"label": "joy,anger"}),
        ("names.jsonl", {}),
        ("questions.jsonl", {"max_length": 64}),
        ("news.jsonl", {"max_length": 64}),
    ],
)
def test_every_kind_has_its_labels_in_windows_too(workplace, source, options):
    """With a drop that does not depend on the batch: the same tokens and labels of each sample as in memory."""
    write_files(workplace)
    dataset = prepare(source, tokenizer=str(TOKENIZER_FOLDER), out="d", **options).dataset
    found = []
    for memory in (1 << 10, "1GiB"):
        data = open_training_data(dataset, memory=memory)
        feed = make_feed(data, RATE, seed=1, epochs=1)
        samples = {}
        for batch in feed.batches(feed.plans[0]):
            for place, sample in enumerate(batch.sample_ids_B.tolist()):
                length = int(batch.lengths_B[place])
                labels = np.asarray(batch.labels[place])
                labels = labels[labels != IGNORED] if labels.ndim else labels  # without padding
                samples[sample] = (batch.input_ids_RW[place, :length].tolist(), labels.tolist())
        found.append((data.windows, samples))
    assert found[0][0] > 1
    assert found[0][1] == found[1][1]
    assert len(found[0][1]) == dataset.manifest.splits["train"].rows


def test_windows_of_few_lengths_are_told(dataset):
    """The sample has a shard or two a bucket: random batches of a window hold less padding than those of the split."""
    info = dataset.manifest.splits["train"]
    assert not have_few_lengths(info, 1)
    assert have_few_lengths(info, 5)
    largest = max(info.shards, key=lambda shard: shard.tokens)
    many = dataclasses.replace(info, shards=(largest,) * 8, tokens=8 * largest.tokens)
    assert (have_few_lengths(many, 8), have_few_lengths(many, 9)) == (False, True)
    result = CliRunner().invoke(app, ["estimate-speedup", str(dataset.path), "--memory", "1M"])
    assert result.exit_code == 0
    assert (
        "Each contains few of the lengths, so random batches look better than they are; raise --memory."
        in result.stderr
    )


def test_one_window_is_in_memory_at_a_time(dataset, memory, monkeypatch):
    """What a window takes is gone before the next one is read."""
    tokens = []
    seen = []

    def read(*arguments):
        gc.collect()
        seen.append(sum(ids() is not None for ids in tokens))
        split = read_part(*arguments)
        tokens.append(weakref.ref(split.input_ids_T))
        return split

    monkeypatch.setattr("tdbs.train.feed.read_part", read)
    feed = make_feed(open_training_data(dataset, memory=memory), STRATEGIES["reach"], seed=1, epochs=1)
    for _batch in feed.batches(feed.plans[0]):
        pass
    assert seen == [0] * len(feed.plans[0].windows)


def test_what_was_not_read_is_not_planned(dataset):
    """An index without words drops none, and a split in memory has no windows: neither is taken for the other."""
    few = read_index(dataset, "train", columns=index_columns(dataset, "train", drops=False))
    with pytest.raises(ValueError, match="the index was read without its droppable words"):
        plan_split(few, dataset.manifest, STRATEGIES["reach"], seed=0, epochs=1)
    with pytest.raises(ValueError, match="--drop reach needs the droppable words"):
        plan_epoch(few.lengths_N.astype(np.int64), None, STRATEGIES["reach"], max_length=128, seed=0, epoch=0)
    with pytest.raises(ValueError, match="a split in memory has no windows"):
        window_samples(dataclasses.replace(few, shards_N=None), [0])


def test_windows_fit_the_memory(dataset):
    """No window is larger than the budget, unless one shard is."""
    info, manifest = dataset.manifest.splits["train"], dataset.manifest
    sizes = shard_bytes(info, manifest)
    for budget in (sum(sizes) * 9 // 10, sum(sizes) // 2, max(sizes) + 1, max(sizes) // 2):
        windows = count_windows(info, manifest, memory=budget)
        for epoch in range(5):
            for members in window_shards(info.shards, sizes, windows, seed=0, epoch=epoch):
                assert sum(sizes[number] for number in members) <= budget or len(members) == 1
    assert count_windows(info, manifest, memory=1) == len(info.shards)
    assert count_windows(info, manifest, memory=sum(sizes)) == 1


def test_the_index_says_what_the_split_says(dataset):
    index, split = read_index(dataset, "train"), read_split(dataset, "train")
    assert index.lengths_N.tolist() == split.lengths_N.tolist()
    assert index.words.counts_N.tolist() == np.diff(split.word_offsets_N1).tolist()
    sizes = [
        index.words.sizes_V[first : first + count].tolist()
        for first, count in zip(index.words.firsts_N.tolist(), index.words.counts_N.tolist(), strict=True)
    ]
    assert [size for sample in sizes for size in sample] == split.word_sizes_W.tolist()


@given(st.sets(st.integers(0, 3_000_000), min_size=1, max_size=20))
def test_values_at_places_are_those_of_the_stream(places):
    key = {"seed": 1, "epoch": 2, "part": 3}
    ordered = np.array(sorted(places))
    found = counter_values_at(RandomPurpose.DROP_ORDER, **key, places=ordered)
    one_by_one = [
        counter_values(RandomPurpose.DROP_ORDER, **key, first=place, count=1)[0] for place in ordered.tolist()
    ]
    assert found.tolist() == [int(value) for value in one_by_one]


@pytest.mark.slow
def test_train_and_plan_agree_on_a_split_larger_than_memory(dataset, tmp_path):
    """`tdbs plan --memory` shows what `tdbs train --memory` does: windows, steps, tokens and digest."""
    uncounted = tmp_path / "model"  # a family whose memory is not predicted: then the bound is for the data alone
    config = MPNetConfig(
        vocab_size=dataset.manifest.tokenizer.vocabulary_size,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
    )
    MPNetForSequenceClassification(config).save_pretrained(uncounted)
    options = [str(dataset.path), "--memory", "400KiB", "--epochs", "1", "--json", "--model", str(uncounted)]
    options += ["--lr", "1e-3"]
    runner = CliRunner()
    plan = runner.invoke(app, ["plan", *options])
    assert plan.exit_code == 0, plan.output
    planned = json.loads(plan.stdout)
    assert planned["epochs"][0]["windows"] > 3
    train = runner.invoke(app, ["train", *options, "--out", str(tmp_path / "run"), "--precision", "fp32"])
    assert train.exit_code == 0, train.output
    trained = json.loads(train.stdout)
    assert (trained["steps"], trained["tokens"]) == (planned["epochs"][0]["steps"], planned["epochs"][0]["tokens"])
    assert planned["plan_digest"] in (tmp_path / "run" / "config.toml").read_text()
    assert trained["score"] > 0.8
