"""The estimate is a ratio of tokens of the trainer's own plans, nothing else."""

import csv
import itertools

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tdbs.analysis.speedup import estimate_speedup, plan_dataset
from tdbs.cli import app
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import read_split
from tdbs.pipeline.prepare import prepare
from tdbs.train.planning.plan import plan_digest, plan_run
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.planning.tokendrop import words_of_split
from tests.pipeline.test_tokenizer import write_tokenizer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six hundred rows of 1 to 40 words, a third of them droppable."""
    place = tmp_path_factory.mktemp("estimate")
    with (place / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(" ".join("abof"[j % 2] if j % 3 else "of" for j in range(1 + i * 7 % 40)), i % 2) for i in range(600)]
        csv.writer(file).writerows([("text", "label"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return prepare(
            str(place / "rows.csv"), tokenizer=str(write_tokenizer(place / "t")), max_length=48, out=place / "out"
        ).dataset


def tokens_of(plan) -> int:
    """Count the tokens of a plan batch by batch, or row by row where rows hold several samples."""
    bounds = plan.batch_offsets_B1.tolist()
    if plan.execution == "unpadded":  # a row is as wide as the next multiple of 32
        kept = [int(plan.kept_N[a:b].sum()) for a, b in itertools.pairwise(bounds)]
        return sum(-(-tokens // 32) * 32 for tokens in kept)
    if plan.row_offsets_R1 is not None:
        return (len(plan.row_offsets_R1) - 1) * 48
    widths = plan.padded_lengths_B.tolist()
    return sum((b - a) * width for a, b, width in zip(bounds[:-1], bounds[1:], widths, strict=True))


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_plans_are_those_of_the_trainer(dataset, name):
    """One planner: the digest that training records is the digest of what the estimate counted."""
    split = read_split(dataset, "train")
    words = words_of_split(split, STRATEGIES[name], dataset.manifest.tokenizer)
    expected = plan_run(split.lengths_N, words, STRATEGIES[name], max_length=48, seed=5, epochs=range(2))
    assert plan_digest(plan_dataset(dataset, STRATEGIES[name], seed=5, epochs=2)) == plan_digest(expected)


@pytest.fixture
def columns_read(monkeypatch):
    """The names of the columns that are read from shards, as they are read."""
    seen = set()
    read = pq.ParquetFile.read

    def spy(file, columns=None, **options):
        table = read(file, columns, **options)
        seen.update(table.schema.names)
        return table

    monkeypatch.setattr(pq.ParquetFile, "read", spy)
    return seen


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_plan_reads_lengths_and_no_labels(dataset, columns_read, name):
    """And if words are dropped, how much of each sample can be."""
    plan_dataset(dataset, STRATEGIES[name], seed=0, epochs=1)
    dropping = {"droppable"} if STRATEGIES[name].drop != "none" else set()
    assert columns_read == {"sample_id", "length"} | dropping


@pytest.mark.parametrize("command", ["plan", "estimate-speedup"])
def test_the_commands_read_no_token_ids_if_nothing_is_dropped(dataset, columns_read, command):
    strategy = ["--strategy", "bucket"] if command == "plan" else ["--strategy", "bucket", "--strategy", "unpadded"]
    result = CliRunner().invoke(app, [command, str(dataset.path), *strategy])
    assert result.exit_code == 0, result.output
    assert columns_read == {"sample_id", "length"}


def test_an_estimate_is_the_ratio_of_tokens(dataset):
    """Over the run, and the least and greatest over its epochs; steps, tokens and padding are the plans'."""
    names = list(STRATEGIES)
    found = estimate_speedup(dataset, [STRATEGIES[name] for name in names], seed=1, epochs=3)
    base = [tokens_of(plan) for plan in plan_dataset(dataset, STRATEGIES["random"], seed=1, epochs=3)]
    for name, estimate in zip(names, found, strict=True):
        plans = plan_dataset(dataset, STRATEGIES[name], seed=1, epochs=3)
        own = [tokens_of(plan) for plan in plans]
        kept = sum(int(plan.kept_N.sum()) for plan in plans)
        assert (estimate.strategy, estimate.seconds, estimate.tokens) == (name, None, sum(own))
        batches = sum(len(plan.padded_lengths_B) for plan in plans)
        if name == "sorted":
            assert estimate.steps == sum(plan.steps for plan in plans) < batches
        else:
            assert estimate.steps == (batches / 4 if name == "batch_rebalance" else batches)
        assert estimate.padding_fraction == pytest.approx(1 - kept / sum(own))
        assert estimate.speedup == pytest.approx(sum(base) / sum(own))
        ratios = [b / o for b, o in zip(base, own, strict=True)]
        assert (estimate.speedup_low, estimate.speedup_high) == pytest.approx((min(ratios), max(ratios)))
        assert estimate.speedup_low <= estimate.speedup <= estimate.speedup_high


def test_the_baseline_is_1_against_itself_and_can_be_chosen(dataset):
    """Against `random_max` every strategy gains more than against `random`."""
    (itself,) = estimate_speedup(dataset, [STRATEGIES["random"]])
    assert (itself.speedup, itself.speedup_low, itself.speedup_high) == (1.0, 1.0, 1.0)
    (against_random,) = estimate_speedup(dataset, [STRATEGIES["reach"]])
    (against_max,) = estimate_speedup(dataset, [STRATEGIES["reach"]], baseline=STRATEGIES["random_max"])
    assert against_max.speedup > against_random.speedup > 1


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_are_refused(dataset, epochs):
    with pytest.raises(ConfigError) as caught:
        estimate_speedup(dataset, [STRATEGIES["random"]], epochs=epochs)
    assert str(caught.value) == f"--epochs must be 1 or more, got {epochs}. Pass another --epochs."


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(dataset, seed):
    """A larger seed would make the key of a random stream longer, and two streams one."""
    with pytest.raises(ConfigError) as caught:
        estimate_speedup(dataset, [STRATEGIES["random"]], seed=seed)
    assert str(caught.value) == f"--seed must be from 0 to 4294967295, got {seed}. Pass another --seed."
