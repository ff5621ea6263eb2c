"""A comparison: rows are the runs' own results, the prediction comes first, and what is finished is not made again."""

import json
import shutil
import statistics
from dataclasses import replace

import pytest
from rich.console import Console
from scipy import stats

from tdbs.analysis.compare.compare import compare
from tdbs.analysis.compare.record import Row, prediction_errors, read_rows, summaries, with_speedups
from tdbs.analysis.speedup import estimate_speedup
from tdbs.errors import ConfigError
from tdbs.reports.terminal_times import compare_notes, compare_table
from tdbs.train.planning.profile_file import CapTable, Profile
from tdbs.train.planning.strategies import STRATEGIES, resolve_strategy
from tdbs.train.run_folder import read_run
from tests.analysis.test_cost import points_of
from tests.analysis.tiny import tiny_dataset

SMALL = {"model": "tiny", "epochs": 1, "lr": 1e-3, "precision": "fp32"}
NAMES = ("random", "reach")
PROFILE = Profile(
    model={"name": "made up"},
    device={"name": "made up"},
    settings={"kind": "classification", "attention": "eager"},
    max_length=128,
    memory_caps=CapTable(lengths=(128,), caps=(64,)),
    knee_caps=None,
    points=points_of(),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("compare"))


@pytest.fixture(scope="module")
def compared(dataset, tmp_path_factory):
    """Two strategies, two seeds, predicted by a profile: the folder and what was returned. Tests do not change it."""
    folder = tmp_path_factory.mktemp("compared") / "c"
    return folder, compare(dataset, NAMES, out=folder, seeds=(1, 2), profile=PROFILE, **SMALL)


@pytest.fixture
def copied(compared, tmp_path):
    """A comparison of one's own to break."""
    folder = tmp_path / "c"
    shutil.copytree(compared[0], folder)  # with the times of its files
    return folder


def returned(compared, folder):
    """Return what a comparison returned, as of its copy in another folder."""
    return {**json.loads(json.dumps(compared[1])), "comparison": str(folder)}


def rows_of(result):
    return {(row["strategy"], row["seed"]): row for row in result["rows"]}


# -------------------------------------------------------------------------------------------------------- whole runs


def test_rows_are_what_the_runs_say_of_themselves(compared):
    """Seconds with planning; steps, tokens, padding and score; same model, rate, epochs and precision for all."""
    folder, result = compared
    rows = rows_of(result)
    assert list(rows) == [(name, seed) for seed in (1, 2) for name in NAMES]
    for (strategy, seed), row in rows.items():
        run = read_run(folder / row["run"])
        assert row["run"] == f"{strategy}-seed{seed}"
        assert row["seconds"] == run.result["seconds"]["train"] + run.result["seconds"]["plan"]
        assert row["plan_seconds"] == run.result["seconds"]["plan"]
        assert row["evaluate_seconds"] == run.result["seconds"]["evaluate"]
        same = ("steps", "tokens", "padding_fraction", "score", "strategy", "seed")
        assert {name: row[name] for name in same} == {name: run.result[name] for name in same}
        terms = ("model", "lr", "epochs")
        assert {name: run.config[name] for name in terms} == {name: SMALL[name] for name in terms}
        assert run.config["execution"]["attention"] == "eager"  # the profile's
        assert run.config["dropout"] == (0.1 if strategy == "random" else 0.0)  # the paper's rule
        assert not (folder / row["run"] / "model").exists()


def test_speedups_are_over_the_baseline_of_the_same_seed(compared):
    rows = rows_of(compared[1])
    for (_, seed), row in rows.items():
        assert row["speedup"] == rows["random", seed]["seconds"] / row["seconds"]
    assert rows["random", 1]["speedup"] == rows["random", 2]["speedup"] == 1


def test_the_summary_is_means_over_seeds(compared):
    _, result = compared
    for summary in result["summary"]:
        own = [row for row in result["rows"] if row["strategy"] == summary["strategy"]]
        assert summary["seeds"] == len(own) == 2
        for name in ("seconds", "tokens", "padding_fraction", "predicted_seconds"):
            assert summary[name] == pytest.approx(statistics.mean(row[name] for row in own))
        scores = [row["score"] for row in own]
        assert summary["score_mean"] == pytest.approx(statistics.mean(scores))
        assert summary["score_std"] == pytest.approx(statistics.stdev(scores))
        of_base = [row["score"] for row in result["rows"] if row["strategy"] == "random"]
        if summary["strategy"] == "random":
            assert summary["score_difference"] is None
        else:
            interval = stats.ttest_rel(scores, of_base).confidence_interval(0.95)
            assert summary["score_difference"] == pytest.approx(statistics.mean(scores) - statistics.mean(of_base))
            assert summary["score_difference_low"] == pytest.approx(interval.low)
            assert summary["score_difference_high"] == pytest.approx(interval.high)
    errors = [abs(s["predicted_seconds"] / s["seconds"] - 1) for s in result["summary"]]
    assert (result["median_error"], result["worst_error"]) == (statistics.median(errors), max(errors))


def test_what_is_returned_is_what_is_stored(compared):
    folder, result = compared
    stored = json.loads((folder / "compare.json").read_text())
    assert {"comparison": str(folder), **stored} == json.loads(json.dumps(result))
    stored = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert [row | {"speedup": None} for row in result["rows"]] == stored


def test_the_prediction_was_stored_before_the_first_step(compared):
    """It is older than every run, and its numbers are those of the rows."""
    folder, result = compared
    prediction = json.loads((folder / "prediction.json").read_text())
    written = (folder / "prediction.json").stat().st_mtime_ns
    assert all(written <= (folder / row["run"] / "config.toml").stat().st_mtime_ns for row in result["rows"])
    predicted = {(row["strategy"], int(seed)): row for seed, rows in prediction["seeds"].items() for row in rows}
    for key, row in rows_of(result).items():
        assert row["predicted_seconds"] == predicted[key]["seconds"]
        assert row["predicted_speedup"] == predicted[key]["speedup"]
        assert row["steps"] == predicted[key]["steps"]
    assert result["prediction"]["strategies"] == prediction["seeds"]["1"]
    assert result["prediction"]["pace"] == prediction["pace"] > 0


def test_a_seed_that_is_named_twice_is_refused(dataset, workplace):
    """It would count as two in the mean."""
    with pytest.raises(ConfigError) as caught:
        compare(dataset, ["reach"], out="c", seeds=(1, 2, 1), **SMALL)
    assert str(caught.value) == "Seed 1 is named twice. Name each seed once."
    assert not (workplace / "c").exists()


def test_the_table_shows_differences_with_their_intervals(compared):
    _, result = compared
    console = Console(width=200)
    with console.capture() as captured:
        console.print(compare_table(result))
    lines = captured.get().splitlines()
    assert "to random," in lines[0]
    assert "per seed" in lines[1]
    reach = next(summary for summary in result["summary"] if summary["strategy"] == "reach")
    shown = f"{100 * reach['score_difference']:+.1f} ({100 * reach['score_difference_low']:+.1f} to "
    assert shown in next(line for line in lines if line.startswith("reach"))


def test_without_a_profile_no_seconds_are_predicted(dataset, workplace):
    """The baseline is added where it is not named, and another can be chosen."""
    result = compare(dataset, ["bucket"], out="c", baseline="tdbs", **SMALL)
    assert [row["strategy"] for row in result["rows"]] == ["unpadded", "bucket"]
    assert result["baseline"] == "unpadded"
    assert {row["predicted_seconds"] for row in result["rows"]} == {None}
    assert result["prediction"]["pace"] is None
    assert (result["median_error"], result["worst_error"]) == (None, None)
    assert [row["score_std"] for row in result["summary"]] == [None, None]


# ------------------------------------------------------------------------------------------------------------ resume


def resumed(dataset, folder, **changes):
    return compare(dataset, NAMES, out=folder, resume=True, **({"seeds": (1, 2), "profile": PROFILE} | SMALL | changes))


def test_what_a_profile_says_of_overhead_is_no_term(dataset, compared, copied):
    """It predicts nothing: a comparison begun before tdbs measured it goes on with a profile that has it."""
    with_it = replace(PROFILE, overhead=({"batch_size": 64, "length": 16, "share": 0.25},))
    assert resumed(dataset, copied, profile=with_it) == returned(compared, copied)


def test_a_finished_comparison_is_read_again(dataset, compared, copied):
    """Nothing is trained: not even the files' times change."""
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    assert resumed(dataset, copied) == returned(compared, copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()} == before


def test_a_comparison_goes_on_where_it_was_cut_off(dataset, compared, copied):
    """One run was finished, the next one cut off: the first is kept as it is, the others give the same rows."""
    (copied / "compare.json").unlink()
    first, *_ = (copied / "rows.jsonl").read_text().splitlines(keepends=True)
    (copied / "rows.jsonl").write_text(first + '{"strategy": "rea')  # half a line, as a full disk leaves it
    (copied / "reach-seed1/result.json").unlink()
    for name in ("random-seed2", "reach-seed2"):
        shutil.rmtree(copied / name)
    kept = {path: path.stat().st_mtime_ns for path in (copied / "random-seed1").iterdir()}
    prediction = (copied / "prediction.json").read_bytes()
    messages = []
    result = resumed(dataset, copied, progress=messages.append)
    assert {path: path.stat().st_mtime_ns for path in (copied / "random-seed1").iterdir()} == kept
    assert (copied / "prediction.json").read_bytes() == prediction
    assert not any(message.startswith("random, seed 1") for message in messages)
    timed = ("seconds", "speedup", "evaluate_seconds", "plan_seconds", "peak_memory_bytes")
    for key, row in rows_of(result).items():
        before = rows_of(compared[1])[key]
        assert {name: v for name, v in row.items() if name not in timed} == {
            name: v for name, v in before.items() if name not in timed
        }
    assert result["rows"][0]["seconds"] == compared[1]["rows"][0]["seconds"]
    assert result["prediction"] == compared[1]["prediction"]


def test_a_run_that_was_finished_but_not_noted_is_made_again(dataset, copied):
    """Killed between the run's result and its row: no error about a folder that holds a run."""
    (copied / "compare.json").unlink()
    lines = (copied / "rows.jsonl").read_text().splitlines(keepends=True)
    (copied / "rows.jsonl").write_text("".join(lines[:3]))
    assert len(resumed(dataset, copied)["rows"]) == 4


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seeds": (1, 2, 3)}, "seeds"),
        ({"epochs": 2, "lr": 1e-4}, "epochs, lr"),
        ({"profile": replace(PROFILE, points=points_of()[1:])}, "profile"),
        ({"profile": None}, "profile"),
        ({"baseline": "reach"}, "baseline"),
        ({"part_steps": 3}, "part_steps"),
    ],
)
def test_other_terms_are_refused_by_name(dataset, compared, changes, names):
    """A row measured on other terms is no row of the same table."""
    folder, _ = compared
    with pytest.raises(ConfigError) as caught:
        resumed(dataset, folder, **changes)
    assert caught.value.message == f"The comparison in {folder} was started with other settings: {names}."
    assert caught.value.next_step == "Repeat the command that started it, or pass another --out."


def test_other_strategies_are_refused(dataset, compared):
    """Also where a strategy of the same name has another part."""
    folder, _ = compared
    other = resolve_strategy("reach", dataset.manifest.task, {"bucket_width": 1})
    with pytest.raises(ConfigError) as caught:
        compare(dataset, ["random", other], out=folder, seeds=(1, 2), profile=PROFILE, resume=True, **SMALL)
    assert caught.value.message == f"The comparison in {folder} was started with other settings: strategies."


def test_a_folder_that_is_taken_is_refused(dataset, compared, workplace):
    folder, _ = compared
    with pytest.raises(ConfigError) as caught:
        compare(dataset, NAMES, out=folder, **SMALL)
    assert str(caught.value) == f"{folder} contains a comparison. Pass --resume to continue, or another --out."
    (workplace / "mine").mkdir()
    (workplace / "mine/thesis.txt").write_text("years")
    (workplace / "file").write_text("x")
    for place in ("mine", "file"):
        for resume in (False, True):
            with pytest.raises(ConfigError) as caught:
                compare(dataset, NAMES, out=place, resume=resume, **SMALL)
            assert str(caught.value) == f"{place} contains other files. Pass another --out."
    assert (workplace / "mine/thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs must be 1 or more, got 0. Pass another --epochs."),
        ({"lora": 4}, "tiny has random weights: there is nothing to adapt. Pass a pretrained --model."),
        ({"seeds": (1, -2)}, "--seed must be from 0 to 4294967295, got -2. Pass another --seed."),
        ({"baseline": "nope"}, f"There is no strategy nope. Choose one of: {', '.join([*STRATEGIES, 'tdbs'])}."),
        (
            {"profile": replace(PROFILE, settings={"kind": "seq2seq", "attention": "eager"})},
            "The profile is for an encoder-decoder; this dataset trains an encoder. Run tdbs profile on this dataset.",
        ),
    ],
)
def test_what_is_refused_leaves_no_folder(dataset, workplace, changes, message):
    """So the corrected command needs no other --out."""
    with pytest.raises(ConfigError) as caught:
        compare(dataset, NAMES, out="c", **(SMALL | changes))
    assert str(caught.value) == message
    assert not (workplace / "c").exists()


def test_two_strategies_of_one_name_are_refused(dataset, workplace):
    """Their runs would share a folder; `tdbs` is another name of `unpadded`."""
    with pytest.raises(ConfigError) as caught:
        compare(dataset, ["unpadded", "tdbs"], out="c", **SMALL)
    assert str(caught.value) == "Two strategies are named unpadded. Give each its own name."


# --------------------------------------------------------------------------------------------------------------- parts


PARTS = {"four strategies": ("random", "packed", "sorted", "reach"), "every strategy": tuple(STRATEGIES)}


@pytest.fixture(scope="module", params=["four strategies", pytest.param("every strategy", marks=pytest.mark.slow)])
def parts(request, dataset, tmp_path_factory):
    """Two steps of strategies, two seeds, with a profile: the folder, the strategies and what was returned."""
    folder, names = tmp_path_factory.mktemp("parts") / "c", PARTS[request.param]
    return folder, names, compare(dataset, names, out=folder, seeds=(1, 2), profile=PROFILE, part_steps=2, **SMALL)


def test_parts_time_every_strategy_and_train_none(parts, dataset):
    """Scores are null, and the folder holds no run; steps, tokens and padding are those of whole runs."""
    folder, names, result = parts
    assert [(row["strategy"], row["seed"]) for row in result["rows"]] == [
        (name, seed) for seed in (1, 2) for name in names
    ]
    assert {path.name for path in folder.iterdir()} == {
        "settings.json",
        "prediction.json",
        "rows.jsonl",
        "compare.json",
    }
    for row in result["rows"]:
        absent = ("score", "evaluate_seconds", "plan_seconds", "peak_memory_bytes", "run")
        assert [row[name] for name in absent] == [None] * 5
        assert row["seconds"] > 0
        (whole,) = estimate_speedup(dataset, [row["strategy"]], seed=row["seed"], epochs=1)
        assert (row["steps"], row["tokens"]) == (whole.steps, whole.tokens)
    assert {summary["score_mean"] for summary in result["summary"]} == {None}


def test_speedups_of_parts_are_over_the_same_seed(parts):
    rows = rows_of(parts[2])
    for (_, seed), row in rows.items():
        assert row["speedup"] == pytest.approx(rows["random", seed]["seconds"] / row["seconds"])


def test_parts_go_on_with_the_seeds_that_are_missing(parts, dataset, tmp_path):
    """The first seed is finished: its rows are kept, and nothing of it is timed."""
    folder = tmp_path / "c"
    before, names, first = parts
    shutil.copytree(before, folder)
    (folder / "compare.json").unlink()
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(lines[: len(names)]))
    result = compare(dataset, names, out=folder, seeds=(1, 2), profile=PROFILE, part_steps=2, resume=True, **SMALL)
    kept, again = ([row["seconds"] for row in found["rows"]][: len(names)] for found in (first, result))
    assert again == kept
    assert len(result["rows"]) == 2 * len(names)


# --------------------------------------------------------------------------------------------------------- pure parts


def row(strategy: str, seed: int, seconds: float, *, predicted: float | None = None, score: float | None = None) -> Row:
    measured = {"strategy": strategy, "seed": seed, "seconds": seconds, "score": score}
    nothing = ("speedup", "predicted_speedup", "evaluate_seconds", "plan_seconds", "peak_memory_bytes", "run")
    counts = {"padding_fraction": 0.5, "tokens": 100, "steps": 3}
    return Row(**measured, **counts, predicted_seconds=predicted, **dict.fromkeys(nothing))


def test_speedups_of_a_summary_are_ratios_of_its_seconds():
    """Seed 2 ran on a busy machine: each seed has its own speedup, the summary that of the mean seconds it shows."""
    rows = [row("random", 1, 8), row("reach", 1, 2), row("random", 2, 16), row("reach", 2, 8)]
    found = with_speedups(rows, "random")
    assert [each.speedup for each in found] == [1, 4, 1, 2]
    assert [(summary.seconds, summary.speedup) for summary in summaries(found, "random")] == [(12, 1), (5, 2.4)]


def test_prediction_errors_are_of_strategies_not_of_seeds():
    """Means of 10 and 20 s against 11 and 16 predicted: off by 10 % and 20 %; one without a prediction is left out."""
    rows = [row("a", 1, 8, predicted=11), row("a", 2, 12, predicted=11), row("b", 1, 20, predicted=16), row("c", 1, 5)]
    found = prediction_errors(summaries(rows, "a"))
    assert found == {"median_error": pytest.approx(0.15), "worst_error": pytest.approx(0.2)}
    assert prediction_errors(summaries([row("c", 1, 5)], "c")) == {"median_error": None, "worst_error": None}


def test_rows_of_a_new_comparison_are_none(tmp_path):
    assert read_rows(tmp_path) == []


# ------------------------------------------------------------------------------------------------------ a pool of runs


def test_a_run_of_the_pool_is_not_trained_again(dataset, tmp_path):
    """Same strategy under another name, same terms: row and log are the first one's; another seed is another run."""
    pool = tmp_path / "pool"
    first = compare(dataset, ["random"], out=tmp_path / "a", seeds=(1,), pool=pool, **SMALL)
    renamed = replace(resolve_strategy("random", dataset.manifest.task), name="again")
    second = compare(dataset, [renamed], out=tmp_path / "b", seeds=(1, 2), baseline="again", pool=pool, **SMALL)
    (old,), (taken, new) = first["rows"], second["rows"]
    assert (taken["strategy"], taken["run"]) == ("again", "again-seed1")
    same = ("seconds", "score", "tokens", "steps", "plan_seconds", "peak_memory_bytes")
    assert {name: taken[name] for name in same} == {name: old[name] for name in same}
    logs = [
        (tmp_path / run / "steps.jsonl").read_text() for run in ("a/random-seed1", "b/again-seed1", "b/again-seed2")
    ]
    assert logs[0] == logs[1] != logs[2]
    assert new["seconds"] != old["seconds"]
    assert len(list(pool.iterdir())) == 2
    third = compare(dataset, ["random"], out=tmp_path / "c", seeds=(1,), pool=pool, **{**SMALL, "lr": 2e-3})
    assert third["rows"][0]["seconds"] != old["seconds"]  # on other terms it is another run
    fourth = compare(dataset, ["random"], out=tmp_path / "d", seeds=(1,), pool=pool, dropout=0.1, **SMALL)
    assert fourth["rows"][0]["seconds"] == old["seconds"]  # the paper's rule gives the same


def test_a_device_that_has_changed_its_pace_is_told_of():
    result = {
        "part_steps": None,
        "median_error": 0.2,
        "worst_error": 0.25,
        "prediction": {"pace": 1.254, "strategies": []},
    }
    assert compare_notes(result) == [
        "Predicted times are off by 20.0% (median), 25.0% (worst).",
        "Just before the runs, a step took 1.25 times as long as in the profile; predictions assume the speed of the "
        "profile.",
    ]
    assert len(compare_notes({**result, "prediction": {"pace": 1.05, "strategies": []}})) == 1
    assert len(compare_notes({**result, "prediction": {"pace": None, "strategies": []}})) == 1


# ------------------------------------------------------------------------------------------------------------ energy


@pytest.mark.slow
def test_rows_and_summary_have_the_energy_of_the_runs(dataset, tmp_path):
    """Means over the seeds; the country is a term of the comparison."""
    folder = tmp_path / "c"
    result = compare(dataset, NAMES, out=folder, seeds=(1, 2), energy="FRA", **SMALL)
    assert result["energy"] == "FRA"
    for row in result["rows"]:
        used = read_run(folder / row["run"]).result["energy"]
        assert (row["energy_kwh"], row["co2e_kg"], row["power"]) == (used["kwh"], used["co2e_kg"], used["power"])
        assert row["energy_kwh"] > 0
    for summary in result["summary"]:
        rows = [row for row in result["rows"] if row["strategy"] == summary["strategy"]]
        assert summary["energy_kwh"] == statistics.mean(row["energy_kwh"] for row in rows)
        assert summary["co2e_kg"] == statistics.mean(row["co2e_kg"] for row in rows)
    with pytest.raises(ConfigError) as caught:
        compare(dataset, NAMES, out=folder, seeds=(1, 2), resume=True, **SMALL)
    assert caught.value.message == f"The comparison in {folder} was started with other settings: energy."


def test_a_comparison_from_before_energy_is_resumed(dataset, compared, copied):
    """Its terms do not name it."""
    place = copied / "settings.json"
    settings = json.loads(place.read_text())
    del settings["terms"]["energy"]
    place.write_text(json.dumps(settings))
    assert resumed(dataset, copied) == returned(compared, copied)


def test_a_pool_serves_runs_that_were_measured_alike(dataset, tmp_path):
    """A run without energy is none for a comparison that asks for it."""
    pool, options = tmp_path / "pool", {"baseline": "reach", **SMALL}
    plain = compare(dataset, ["reach"], out=tmp_path / "a", pool=pool, **options)
    measured = compare(dataset, ["reach"], out=tmp_path / "b", pool=pool, energy="world", **options)
    again = compare(dataset, ["reach"], out=tmp_path / "c", pool=pool, energy="world", **options)
    assert plain["rows"][0]["energy_kwh"] is None
    assert measured["rows"][0]["energy_kwh"] > 0
    assert again["rows"] == measured["rows"]


def test_energy_of_parts_is_refused(dataset, tmp_path):
    with pytest.raises(ConfigError) as caught:
        compare(dataset, NAMES, out=tmp_path / "c", part_steps=2, energy="world", **SMALL)
    assert caught.value.message == "--energy measures whole runs, and --steps makes none."
    assert caught.value.next_step == "Leave out --energy or --steps."
    assert not (tmp_path / "c").exists()
