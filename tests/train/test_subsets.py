"""Training on a part: `--keep` and `--data-diet`, from the plan to the weights."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.speedup import plan_within
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.sample_texts import read_columns
from tdbs.pipeline.split_index import index_of, read_index
from tdbs.settings import TrainSettings
from tdbs.train.planning.kept_samples import kept_samples, subset_of
from tdbs.train.planning.memory_windows import plan_split, replan_epoch
from tdbs.train.planning.model_choice import choose_model
from tdbs.train.planning.plan import plan_digest, plan_epoch
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.planning.subsets import Subset, count_of, hardest, planned_samples
from tdbs.train.planning.tokendrop import words_of_split
from tests.in_process import run_command
from tests.train.test_resume import STEPS_OF_16, assert_same_run, train_stopped_at
from tests.train.test_trainer import make_dataset

ROWS = 200


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("subsets"), train_rows=ROWS)


@pytest.fixture(scope="module")
def split(dataset):
    return read_split(dataset, "train")


def planned(dataset, split, name: str, *, chosen_M=None, epoch: int = 1, **parts):
    strategy = resolve_strategy(name, dataset.manifest.task, parts)
    words = None if strategy.drop == "none" else words_of_split(split, strategy, dataset.manifest.tokenizer)
    terms = {"max_length": dataset.manifest.max_length, "seed": 3, "epoch": epoch}
    return plan_epoch(split.lengths_N, words, strategy, chosen_M=chosen_M, **terms)


# Plans


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_plan_on_a_part_has_each_of_its_samples_once(dataset, split, name):
    chosen = np.flatnonzero(np.random.default_rng(0).random(ROWS) < 0.4)
    plan = planned(dataset, split, name, chosen_M=chosen)
    assert sorted(plan.sample_ids_N) == chosen.tolist()
    assert (plan.kept_N <= split.lengths_N[plan.sample_ids_N]).all()
    assert plan.batch_sizes_B.sum() == len(chosen)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_plan_on_all_samples_is_the_plan_without_a_part(dataset, split, name):
    """To the digest, whatever the strategy."""
    every = planned(dataset, split, name, chosen_M=np.arange(ROWS))
    assert plan_digest([every]) == plan_digest([planned(dataset, split, name)])


@pytest.mark.parametrize("drop", ["rate", "any", "reach"])
def test_a_sample_loses_before_batching_what_it_loses_in_a_whole_run(dataset, split, drop):
    """At a rate, and down to the grid without merged batches."""
    parts = {"drop": drop, "drop_rate": 0.5} if drop != "reach" else {"rbm": False}
    name = "unpadded" if drop != "reach" else "reach"
    chosen = np.arange(0, ROWS, 3)
    whole = planned(dataset, split, name, **parts)
    kept_of = dict(zip(whole.sample_ids_N.tolist(), whole.kept_N.tolist(), strict=True))
    part = planned(dataset, split, name, chosen_M=chosen, **parts)
    assert part.kept_N.tolist() == [kept_of[sample] for sample in part.sample_ids_N.tolist()]


@pytest.mark.parametrize("name", ["unpadded", "reach"])
def test_windows_plan_a_part_each_sample_once(dataset, name):
    """A window whose samples are all left out is left out, too."""
    strategy = resolve_strategy(name, dataset.manifest.task, {"base_batch_size": 8})
    index = read_index(dataset, "train")
    first_shard = np.flatnonzero(index.shards_N == 0)
    for chosen in (np.arange(0, ROWS, 2), first_shard):
        windows = min(3, len(dataset.manifest.splits["train"].shards))
        plan = replan_epoch(index, dataset.manifest, strategy, 1, chosen, seed=3, windows=windows)
        assert sorted(plan.sample_ids_N) == chosen.tolist()
        assert len(plan.windows) <= windows
        assert plan.windows[-1].last_batch == len(plan.padded_lengths_B)


@given(share=st.floats(0.01, 1), seed=st.integers(0, 5), epoch=st.integers(1, 5), kept=st.sets(st.integers(0, 49)))
def test_a_diet_plans_a_random_share_of_what_is_kept(share, seed, epoch, kept):
    kept_M = np.array(sorted(kept)) if kept else None
    subset = Subset(kept_M=kept_M, diet=share)
    found = planned_samples(subset, 50, seed=seed, epoch=epoch)
    assert len(found) == max(round(share * (len(kept) or 50)), 1)
    assert (np.diff(found) > 0).all()
    assert set(found.tolist()) <= (kept or set(range(50)))
    first = planned_samples(subset, 50, seed=seed, epoch=0)
    assert (first is None) if kept_M is None else (first is kept_M)


@given(scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.4]), min_size=1, max_size=20), share=st.floats(0.01, 1))
def test_the_hardest_have_the_highest_scores(scores, share):
    """No sample that is left out has a higher score than one that is chosen."""
    places = hardest(np.array(scores), count_of(share, len(scores)))
    chosen = [scores[place] for place in places]
    others = [score for place, score in enumerate(scores) if place not in places]
    assert len(chosen) == max(round(share * len(scores)), 1)
    assert not others or min(chosen) >= max(others)


# --keep


def test_a_file_lists_source_rows(dataset, split, tmp_path):
    """As text, or as a Parquet file; in any order, and twice."""
    rows = [7, 3, 150, 3]
    (tmp_path / "rows.txt").write_text("\n".join(map(str, rows)))
    pq.write_table(pa.table({"source_row": rows}), tmp_path / "rows.parquet")
    for name in ("rows.txt", "rows.parquet"):
        found = kept_samples(str(tmp_path / name), dataset, "train")
        assert split.source_rows_N[found].tolist() == [3, 7, 150]


SMALL = {"model": "tiny", "precision": "fp32", "seed": 5}


@pytest.fixture(scope="module")
def scored(dataset, tmp_path_factory):
    """Return a run that is scored. Tests do not change it."""
    run = tdbs.train(dataset, out=tmp_path_factory.mktemp("scored") / "run", epochs=2, **SMALL)
    tdbs.score(run)
    return Path(run.run)


def test_a_share_of_a_run_is_its_hardest_by_el2n(dataset, split, scored):
    table = pq.read_table(scored / "scores.parquet").sort_by([("el2n", "descending")])
    expected = sorted(table["source_row"].to_pylist()[: ROWS // 4])
    found = kept_samples(f"{scored}:0.25", dataset, "train")
    assert sorted(split.source_rows_N[found].tolist()) == expected


@pytest.mark.parametrize("strategy", ["unpadded", "reach"])
def test_a_run_trains_on_what_is_kept_alone(dataset, split, scored, tmp_path, strategy):
    """Steps, samples and records of its epochs are those of the part; the plan command sees the same."""
    keep = f"{scored}:0.3"
    run = tdbs.train(dataset, keep_samples=keep, strategy=strategy, epochs=2, out=tmp_path / "run", **SMALL)
    kept = kept_samples(keep, dataset, "train")
    assert run.samples == 2 * len(kept) == 2 * 60
    for epoch in range(2):
        record = pq.read_table(tmp_path / f"run/samples/epoch-{epoch}.parquet")
        assert record["sample_id"].to_pylist() == kept.tolist()
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert config["keep_samples"] == keep
    common = ("--keep", keep, "--strategy", strategy, "--epochs", 2, "--seed", 5, "--model", "tiny", "--json")
    plan = json.loads(run_command("plan", dataset.path, *common, folder=tmp_path).stdout)
    assert plan["plan_digest"] == config["plan_digest"]
    assert sum(epoch["steps"] for epoch in plan["epochs"]) == run.steps


def test_estimates_are_of_what_is_kept(dataset, scored):
    whole, part = (tdbs.estimate_speedup(dataset, "unpadded", keep_samples=keep) for keep in (None, f"{scored}:0.5"))
    assert part[0].tokens < whole[0].tokens
    assert part[0].steps < whole[0].steps


def test_compare_knows_it(dataset, scored, tmp_path):
    result = tdbs.compare(
        dataset, "unpadded", keep_samples=f"{scored}:0.5", epochs=1, model="tiny", precision="fp32", out=tmp_path / "c"
    )
    [found] = [row for row in result["rows"] if row["strategy"] == "unpadded"]
    log = (tmp_path / "c" / found["run"] / "steps.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["batch_size"] for line in log) == ROWS // 2
    assert result["keep_samples"] == f"{scored}:0.5"


def test_settings_without_a_part_are_recorded_as_before(dataset, scored):
    """Runs of older versions have no such keys."""
    config = tomllib.loads((scored / "config.toml").read_text())
    assert not {"keep_samples", "data_diet"} & config.keys()
    asked = TrainSettings()
    fitted = plan_within(dataset, STRATEGIES["unpadded"], asked, choose_model("tiny", dataset.manifest), seed=5)
    index = index_of(read_split(dataset, "train"), dataset.manifest.tokenizer.special_ids)
    plain = plan_split(index, dataset.manifest, STRATEGIES["unpadded"], seed=5, epochs=asked.epochs)
    assert plan_digest(fitted.plans) == plan_digest(plain)


REFUSED = [
    (
        "none.txt",
        "--keep none.txt: there is no such file.",
        "Pass a file of source rows, or RUN:FRACTION, such as runs/first:0.5, of a scored run.",
    ),
    (
        "run",
        "--keep run: it is a folder.",
        "Pass a file of source rows, or RUN:FRACTION, such as runs/first:0.5, of a scored run.",
    ),
    (
        "words.txt",
        "--keep words.txt does not list source rows: 'first' is not a whole number from 0.",
        "Write one number a line, from 0, or a Parquet file with a column source_row.",
    ),
    (
        "empty.txt",
        "--keep empty.txt does not list source rows: it has no whole numbers.",
        "Write one number a line, from 0, or a Parquet file with a column source_row.",
    ),
    (
        "beyond.txt",
        "--keep lists row 5000 of the source, which the train split does not have.",
        "Count rows from 0 in the source; rows that were held out, skipped or dropped are not there.",
    ),
    (
        "run:0",
        "The fraction of --keep must be above 0 and at most 1, got 0.",
        "Pass a fraction such as --keep run:0.5.",
    ),
    ("run:0.5", "The run run is not scored.", "Run: tdbs score run"),
]


@pytest.mark.parametrize(("given_as", "message", "next_step"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_kept_is_refused(dataset, scored, workplace, given_as, message, next_step):
    Path("words.txt").write_text("first\n")
    Path("empty.txt").write_text("")
    Path("beyond.txt").write_text("1\n5000\n")
    Path("run").mkdir()
    for name in ("config.toml", "steps.jsonl", "result.json"):
        (Path("run") / name).write_bytes((scored / name).read_bytes())
    with pytest.raises(ConfigError) as caught:
        kept_samples(given_as, dataset, "train")
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_a_mark_of_utf_8_is_not_part_of_a_list(dataset, tmp_path):
    (tmp_path / "rows.txt").write_text("3\n5\n", encoding="utf-8-sig")
    (tmp_path / "plain.txt").write_text("3\n5\n")
    found = kept_samples(str(tmp_path / "rows.txt"), dataset, "train")
    assert found.tolist() == kept_samples(str(tmp_path / "plain.txt"), dataset, "train").tolist()
    assert len(found) == 2


def test_a_run_on_another_source_is_refused(scored, tmp_path):
    other = make_dataset(tmp_path / "other", train_rows=50)
    with pytest.raises(ConfigError) as caught:
        kept_samples(f"{scored}:0.5", other, "train")
    assert caught.value.message == f"The run {scored} was trained on another source than that of {other.path}."
    assert caught.value.next_step == "Name a run on the same source."


def test_a_run_on_more_rows_of_the_source_ranks_those_that_are_left(workplace):
    """A dataset without its duplicates keeps a share of its own samples, by the scores of a run on all rows."""
    rows = "".join(f"{'good' if row % 2 else 'bad'} film {row % 30},{row % 2}\n" for row in range(60))
    Path("in.csv").write_text("text,label\n" + rows)
    options = ("--validation", 0.1, "--tokenizer", TOKENIZER_FOLDER)
    for name, more in (("all", ()), ("few", ("--drop-duplicates", "exact"))):
        assert run_command("prepare", "in.csv", *options, *more, "--out", name, folder=workplace).code == 0
    assert run_command("train", "all", "--model", "tiny", "--epochs", 1, "--out", "run", folder=workplace).code == 0
    assert run_command("score", "run", folder=workplace).code == 0
    few = load("few")
    kept = kept_samples("run:0.5", few, "train")
    table = pq.read_table("run/scores.parquet")
    scores = dict(zip(table["source_row"].to_pylist(), table["el2n"].to_pylist(), strict=True))
    own = [scores[row] for row in read_columns(few, "train", ("source_row",))["source_row"].tolist()]
    assert len(kept) == count_of(0.5, len(own)) < len(scores) / 2
    assert min(own[sample] for sample in kept) >= max(own[s] for s in range(len(own)) if s not in set(kept.tolist()))


# --data-diet


def expected_of(records: list[dict[int, float]], share: float) -> list[int]:
    """Return the samples of the next epoch: those of the highest EL2N, each as it was last seen."""
    last: dict[int, float] = {}
    for record in records:
        last |= record
    ranked = sorted(last, key=lambda sample: (-last[sample], sample))
    return sorted(ranked[: max(round(share * len(last)), 1)])


def records_of(run: Path, epochs: int) -> list[dict[int, float]]:
    tables = [pq.read_table(run / f"samples/epoch-{epoch}.parquet") for epoch in range(epochs)]
    return [dict(zip(table["sample_id"].to_pylist(), table["el2n"].to_pylist(), strict=True)) for table in tables]


DIET = STEPS_OF_16 | {"data_diet": 0.4}


@pytest.fixture(scope="module")
def on_diet(dataset, tmp_path_factory):
    """Return the folder of an undisturbed run on a diet. Tests do not change it."""
    return Path(tdbs.train(dataset, out=tmp_path_factory.mktemp("diet") / "run", **DIET).run)


def test_each_later_epoch_trains_on_the_hardest_as_last_seen(on_diet):
    records = records_of(on_diet, 3)
    assert sorted(records[0]) == list(range(ROWS))
    for epoch in (1, 2):
        assert sorted(records[epoch]) == expected_of(records[:epoch], 0.4)
    assert len(records[1]) == len(records[2]) == 80


def test_a_result_counts_what_was_trained(on_diet):
    result = json.loads((on_diet / "result.json").read_text())
    log = [json.loads(line) for line in (on_diet / "steps.jsonl").read_text().splitlines()]
    assert result["samples"] == ROWS + 2 * 80
    assert result["steps"] == len(log)
    assert result["tokens"] == sum(step["tokens"] for step in log)


def test_rates_follow_the_samples_seen(on_diet):
    """By hand: up over 6 % of all samples, then down to 0, times the root of the step's share of a base batch."""
    log = [json.loads(line) for line in (on_diet / "steps.jsonl").read_text().splitlines()]
    base = tomllib.loads((on_diet / "config.toml").read_text())["lr"]
    seen, total = 0, ROWS + 2 * 80
    for step in log:
        progress = seen / total
        rate = base * min(progress / 0.06, (1 - progress) / 0.94) * (step["batch_size"] / 16) ** 0.5
        assert step["lr"] == pytest.approx(rate)
        seen += step["batch_size"]
    assert seen == total


def test_a_diet_resumes_bit_by_bit(dataset, on_diet, tmp_path):
    """Stopped in the full epoch, at its end, and in each later one."""
    stopped = train_stopped_at(dataset, tmp_path / "run", [5, 13, 16, 21], **DIET)
    assert_same_run(on_diet, stopped)
    assert records_of(stopped, 3) == records_of(on_diet, 3)


def test_a_diet_of_what_is_kept(dataset, scored, tmp_path):
    options = STEPS_OF_16 | {"data_diet": 0.5, "keep_samples": f"{scored}:0.5"}
    run = Path(tdbs.train(dataset, out=tmp_path / "run", **options).run)
    records = records_of(run, 3)
    assert sorted(records[0]) == kept_samples(f"{scored}:0.5", dataset, "train").tolist()
    assert sorted(records[2]) == expected_of(records[:2], 0.5)
    found = tdbs.score(run)
    assert found.rows == ROWS // 2


def test_plans_and_estimates_have_its_number_of_samples(dataset, tmp_path):
    """And say that the choice is not known."""
    options = ("--data-diet", 0.25, "--epochs", 3, "--model", "tiny", "--json")
    done = run_command("plan", dataset.path, *options, folder=tmp_path)
    assert [epoch["samples"] for epoch in json.loads(done.stdout)["epochs"]] == [ROWS, ROWS // 4, ROWS // 4]
    assert "--data-diet: training chooses the samples of later epochs." in done.stderr
    [found] = tdbs.estimate_speedup(dataset, "unpadded", data_diet=0.25, epochs=3)
    [whole] = tdbs.estimate_speedup(dataset, "unpadded", epochs=3)
    assert found.tokens < 0.6 * whole.tokens


@pytest.mark.parametrize("kind", ["regression", "multi label"])
def test_a_diet_without_one_class_a_sample_is_refused(kind, workplace):
    """Several labels are classes, but a sample does not have one of them."""
    label = {"regression": lambda n: n / 7, "multi label": lambda n: ["ab"[n % 2], "c"]}[kind]
    rows = [{"text": f"film {number} was fine", "label": label(number)} for number in range(60)]
    dataset = tdbs.prepare(rows, tokenizer=str(TOKENIZER_FOLDER), out="numbers", progress=False).dataset
    with pytest.raises(ConfigError) as caught:
        subset_of(TrainSettings(data_diet=0.5), dataset, "train")
    assert caught.value.message == (
        f"--data-diet ranks samples by EL2N, which needs one class for each sample; this task is {kind}."
    )
    assert caught.value.next_step == "Leave --data-diet out, or list the samples to train on with --keep."


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_a_diet_out_of_range_is_refused(share):
    with pytest.raises(ConfigError) as caught:
        replace(TrainSettings(), data_diet=share)
    assert caught.value.message == f"--data-diet must be above 0 and at most 1, got {share}."
    assert caught.value.next_step == "Pass a share such as --data-diet 0.5."
