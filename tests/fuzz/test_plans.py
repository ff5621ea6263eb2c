"""Arguments of plans, in Python and on the command line: a plan is a partition of the samples, or is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from tdbs.data.sample import SAMPLE_TASK
from tdbs.data.tasks import HUB_TASKS
from tdbs.settings import check_hyperparameters
from tdbs.train.planning.caps import batch_caps, chosen_caps, hardware_caps
from tdbs.train.planning.droppable_words import DroppableWords, droppable_words_of
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_digest, plan_epoch
from tdbs.train.planning.strategies import STRATEGIES, Strategy, resolve_strategy
from tests.analysis.tiny import tiny_dataset
from tests.cli.conftest import run_command, tree
from tests.fuzz.mutations import odd_values

SIZES = st.integers(-2, 70) | st.sampled_from((0, 1, 2**31, 2**63, 10**30))
TEXTS = st.sampled_from(("none", "rate", "any", "all", "batch_min", "reach", "nope", "", "base", "x.json"))
SHARES = st.floats(-0.5, 1.5) | st.sampled_from((0.0, 1.0, 0.3, float("nan"), float("inf"), 5e-324))
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "batches": st.sampled_from(("random", "stratified", "length_grouped", "packs", "bucket", "reach", "nope")),
        "drop": TEXTS,
        "drop_rate": SHARES,
        "execution": st.sampled_from(("padded", "padded_max", "sorted", "packed", "unpadded", "none")),
        "bucket_width": SIZES,
        "grid_lengths": SIZES,
        "rbm": st.booleans(),
        "lrm": st.booleans(),
        "base_batch_size": SIZES,
        "scaling_factor": SIZES,
        "micro_batches": SIZES,
        "devices": SIZES,
        "max_tokens": SIZES,
        "max_pairs": SIZES,
        "batch_cap": st.booleans(),
        "caps": st.sampled_from(
            ("1", "3", "64", "0", "-1", "paper", "memory", "knee", "x", "9" * 30, "9" * 5000, "٣", "1.5")
        ),
    },
)
NAMES = st.sampled_from((*STRATEGIES, "tdbs", "nope", ""))
TASKS = (SAMPLE_TASK, *(HUB_TASKS[name].task for name in ("glue/cola", "squad", "xsum")))


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, DroppableWords, int]:
    """Return samples' lengths, their droppable words and the longest that a sample may be."""
    lengths, sizes = [], []
    for _ in range(draw(st.integers(1, 25))):
        words = draw(st.lists(st.integers(1, 4), max_size=4))
        sizes.append(words)
        lengths.append(sum(words) + draw(st.integers(0, 12)))
    lengths_N = np.array(lengths)
    words = droppable_words_of(
        "train",
        lengths_N=lengths_N,
        offsets_N1=np.concatenate([[0], np.cumsum([len(words) for words in sizes])]),
        sizes_W=np.array([size for words in sizes for size in words], dtype=np.int64),
        special_N=np.minimum(2, lengths_N),
    )
    return lengths_N, words, max(1, *lengths) + draw(st.integers(0, 5))


def check_plan(plan: EpochPlan, lengths_N: np.ndarray, max_length: int) -> None:
    """A plan has every sample once, in rows that hold it."""
    assert sorted(plan.sample_ids_N) == list(range(len(lengths_N)))
    assert plan.batch_offsets_B1[0] == 0
    assert plan.batch_offsets_B1[-1] == len(lengths_N)
    assert (np.diff(plan.batch_offsets_B1) > 0).all()
    assert (plan.kept_N <= lengths_N[plan.sample_ids_N]).all()
    assert (plan.kept_N >= np.minimum(lengths_N[plan.sample_ids_N], 1)).all()
    if plan.execution.startswith("padded"):
        assert (np.maximum.reduceat(plan.kept_N, plan.batch_offsets_B1[:-1]) <= plan.padded_lengths_B).all()
    assert plan.tokens >= plan.kept_N.sum()
    assert 0 <= plan.padding_fraction < 1 or not plan.kept_N.any()
    assert plan.step_batches_S.sum() == len(plan.padded_lengths_B)


def test_plans_are_partitions_or_refused(fuzz):
    def check(given: tuple) -> None:
        name, parts, task, allow_drop, (lengths_N, words, max_length), seed, epoch = given
        strategy = resolve_strategy(name, task, parts, allow_drop=allow_drop)
        plan = plan_epoch(lengths_N, words, strategy, max_length=max_length, seed=seed, epoch=epoch)
        check_plan(plan, lengths_N, max_length)
        assert len(plan_digest([plan])) == 64

    examples = st.tuples(
        NAMES,
        PARTS,
        st.sampled_from(TASKS),
        st.booleans(),
        samples(),
        st.integers(-1, 3) | st.sampled_from((2**32 - 1, 2**32, 2**64)),
        st.integers(0, 3) | st.sampled_from((31, 70, 1000)),
    )
    fuzz("plan arguments", inputs=6_000, of=examples, check=check)


def test_plans_of_valid_parts_are_partitions(fuzz):
    """Most of the arguments above are refused; these are not."""
    valid = {
        "drop_rate": st.floats(0, 1),
        "bucket_width": st.integers(1, 40),
        "base_batch_size": st.integers(1, 80),
        "scaling_factor": st.integers(1, 5),
        "rbm": st.booleans(),
        "batch_cap": st.booleans(),
        "devices": st.integers(1, 4),
        "caps": st.sampled_from(("base", "paper", "1", "7", "64", "1000000")),
    }

    def check(given: tuple) -> None:
        name, parts, (lengths_N, words, max_length), seed, epoch = given
        strategy = dataclasses.replace(STRATEGIES[name], **parts)
        plan = plan_epoch(lengths_N, words, strategy, max_length=max_length, seed=seed, epoch=epoch)
        check_plan(plan, lengths_N, max_length)

    names = st.sampled_from([name for name in STRATEGIES if name not in ("batch_rebalance", "length_grouped")])
    examples = st.tuples(
        names, st.fixed_dictionaries({}, optional=valid), samples(), st.integers(0, 2**32 - 1), st.integers(0, 400)
    )
    fuzz("plans", inputs=5_000, of=examples, check=check)


def test_caps_and_hyperparameters_are_numbers_or_refused(fuzz):
    def check(given: tuple) -> None:
        caps, max_length, epoch, base, factor, hyperparameters = given
        check_hyperparameters(**hyperparameters)
        Strategy(name="x", batches="bucket", drop="none", caps=caps, base_batch_size=base, scaling_factor=factor)
        caps_L1 = batch_caps(
            hardware_caps(chosen_caps(caps), max_length=max_length),
            epoch=epoch,
            base_batch_size=base,
            scaling_factor=factor,
        )
        assert len(caps_L1) == max_length + 1
        assert caps_L1.min() >= 1

    numbers = st.text(st.sampled_from("0123456789-+. e_²٣"), max_size=6)
    hyperparameters = st.fixed_dictionaries(
        {"epochs": SIZES}, optional={"lr": SHARES | st.none(), "warmup": SHARES, "dropout": SHARES | st.none()}
    )
    examples = st.tuples(
        numbers | st.sampled_from(("paper", "64", "9" * 30)),
        st.integers(0, 600),
        st.integers(0, 300),
        st.integers(1, 100) | SIZES,
        st.integers(1, 5) | SIZES,
        hyperparameters,
    )
    fuzz("caps and hyperparameters", inputs=12_000, of=examples, check=check)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Return the folder of a small prepared dataset."""
    return tiny_dataset(tmp_path_factory.mktemp("tiny"), train_rows=40).path


OPTIONS = ("--strategy", "--batches", "--drop", "--drop-rate", "--execution", "--bucket-width", "--base-batch-size",
           "--scaling-factor", "--micro-batches", "--grid-lengths", "--devices", "--caps", "--epochs", "--seed", "--lr",
           "--warmup", "--memory", "--profile")  # fmt: skip
FLAGS = ("--rbm", "--no-rbm", "--lrm", "--no-lrm", "--batch-cap", "--no-batch-cap", "--allow-drop", "--sort-targets",
         "--json", "--overwrite", "--nope", "-x", "--", "--help", "more")  # fmt: skip
VALUES = st.sampled_from(
    (*STRATEGIES, "tdbs", "none", "rate", "any", "bucket", "packs", "packed", "padded", "unpadded", "paper", "memory",
     "0", "1", "2", "3", "64", "-1", "0.3", "1.5", "nan", "inf", "-inf", "1e-5", "99999999999999999999", "4GB", "1k",
     "", " ", "é", "a\0b", "\x1b[2J", "[bold]x[/bold]", "/", ".", "x.json", "\ud800", "²", "1e400", "9" * 5000)
)  # fmt: skip


def test_commands_that_plan_end_with_a_result_or_two_lines(fuzz, dataset, workplace):
    """Exit code 0, 1 or 2, no traceback, and no file but the one asked for."""
    before = tree(dataset)

    def check(given: tuple) -> None:
        command, options, flags, out = given
        words = [word for pair in options.items() for word in pair]
        asked = ["--out", out] if out is not None and command == "plan" else []
        outcome = run_command(command, dataset, *words, *flags, *asked)
        assert outcome.code in (0, 1, 2), outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert "failed where it should not" not in outcome.stderr, outcome.stderr
        if outcome.code == 1:
            assert outcome.error
        if outcome.code == 0 and "--json" in flags and "--help" not in flags:
            assert outcome.json
        written = [path for path in workplace.rglob("*") if path.is_file()]
        assert len(written) <= (1 if asked and outcome.code == 0 else 0), written
        for path in written:
            pq.read_table(path)
            path.unlink()

    options = st.dictionaries(st.sampled_from(OPTIONS), VALUES, max_size=3)
    examples = st.tuples(
        st.sampled_from(("plan", "plan", "plan", "estimate-speedup")),
        options,
        st.lists(st.sampled_from(FLAGS), max_size=2),
        st.none() | st.sampled_from(("plan.parquet", "plan", ".", "a/b.parquet", "é.parquet")),
    )
    fuzz("plan commands", inputs=500, of=examples, check=check)
    assert tree(dataset) == before


def test_plan_arguments_of_any_type_are_refused_by_the_parts_that_name_them(fuzz):
    """Through Python a caller may pass anything; numbers and names out of range are errors of tdbs's own."""
    numbers = odd_values.filter(lambda value: isinstance(value, int | float) and not isinstance(value, bool))

    def check(given: tuple) -> None:
        part, value = given
        strategy = resolve_strategy("bucket", SAMPLE_TASK, {part: value})
        lengths_N, words = np.array([3, 4, 5]), NO_WORDS
        check_plan(plan_epoch(lengths_N, words, strategy, max_length=5, seed=0, epoch=1), lengths_N, 5)

    parts = st.sampled_from(
        ("drop_rate", "bucket_width", "base_batch_size", "scaling_factor", "devices", "micro_batches")
    )
    fuzz("odd numbers of plans", inputs=4_000, of=st.tuples(parts, numbers), check=check)


NO_WORDS = droppable_words_of(
    "train",
    lengths_N=np.array([3, 4, 5]),
    offsets_N1=np.zeros(4, dtype=np.int64),
    sizes_W=np.empty(0, dtype=np.int64),
    special_N=np.array([2, 2, 2]),
)
