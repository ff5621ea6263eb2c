"""The accuracy study: its records, its rule, its tables, and one run of it through `compare` on the real MRPC."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from benchmarks.accuracy import RECORDS, rates_of, runs_of
from benchmarks.accuracy_runs import RunKey, RunRecord, append_record, read_records, run_key, train_run
from benchmarks.accuracy_studies import RANDOM, RANDOM_0, REACH, STUDIES, Study
from benchmarks.accuracy_tables import difference_table, mean_over_tasks, passes, rate_page, score_table, study_page
from tdbs.errors import ConfigError

STUDY = Study(title="A study", variants=(RANDOM, REACH), seeds=(1, 2, 3), tasks=("stsb", "mrpc"))


def record_of(task: str = "stsb", *, seed: int = 1, score: float = 0.8, rate: float = 1e-4, **strategy) -> RunRecord:
    key = RunKey(
        task=task,
        model="m/minilm",
        strategy=strategy or {"batches": "reach"},
        dropout=0.1,
        rate=rate,
        epochs=3,
        seed=seed,
    )
    return RunRecord(
        key=key, score=score, seconds=9.5, steps=270, tokens=1_000, padding_fraction=0.1, device="a processor",
        threads=1, date="2026-11-22", commit="abc1234",
    )  # fmt: skip


def scores_of(ours: dict[str, list[float]], base: dict[str, list[float]]):
    return {
        name: {task: dict(enumerate(values, 1)) for task, values in of_tasks.items()}
        for name, of_tasks in ((RANDOM.name, base), (REACH.name, ours))
    }


BASE = {"stsb": [0.80, 0.82, 0.84], "mrpc": [0.70, 0.70, 0.76]}


def test_records_are_read_as_they_were_written_and_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    records = [record_of(seed=1), record_of(seed=2), record_of("mrpc")]
    for record in records:
        append_record(path, record)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"task": "stsb", "mod')
    assert list(read_records(path).values()) == records
    assert read_records(tmp_path / "none.jsonl") == {}


def test_equal_runs_have_equal_keys_whatever_the_order_of_their_parts():
    one, two = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert record_of(**one).key.text == record_of(**two).key.text
    assert record_of(seed=1).key.text != record_of(seed=2).key.text


@pytest.mark.parametrize(
    ("ours", "good", "line"),
    [
        # the same everywhere
        (BASE, True, "lower end of the mean over tasks +0.00 points over 3 seeds (at least -0.5): holds"),
        # one point worse, seed by seed: the mean over tasks is below -0.5
        (
            {"stsb": [0.79, 0.81, 0.83], "mrpc": [0.69, 0.69, 0.75]},
            False,
            "lower end of the mean over tasks -1.00 points over 3 seeds (at least -0.5): fails",
        ),
        # as good on average, but STS-B loses 3 points where the base's deviation is 2
        (
            {"stsb": [0.77, 0.79, 0.81], "mrpc": [0.73, 0.73, 0.79]},
            False,
            "stsb -3.00 points (at least -2.00, a deviation of random, dropout 0.1): fails",
        ),
    ],
)
def test_the_rule(ours, good, line):
    found, lines = passes(STUDY, scores_of(ours, BASE), REACH.name, RANDOM.name)
    assert found is good
    assert line in lines


def test_the_rule_needs_two_seeds():
    one = {"stsb": [0.8], "mrpc": [0.7]}
    assert passes(STUDY, scores_of(one, one), REACH.name, RANDOM.name) == (False, ["Too few seeds."])


def test_tables_say_means_deviations_and_differences():
    scores = scores_of({"stsb": [0.81, 0.83, 0.85], "mrpc": [0.70, 0.70]}, BASE)
    updates = {RANDOM.name: {"stsb": 270}, REACH.name: {"stsb": 261}}
    assert score_table(STUDY, scores, updates).splitlines() == [
        "| score x 100 | stsb | mrpc | updates, stsb |",
        "|---|---|---|---|",
        "| random, dropout 0.1 | 82.0 ± 2.0 | 72.0 ± 3.5 | 270 |",
        "| reach | 83.0 ± 2.0 | 70.0 ± 0.0 (n = 2) | 261 |",
    ]
    assert difference_table(STUDY, scores, RANDOM.name).splitlines() == [
        "| difference to random, dropout 0.1 | stsb | mrpc | mean over tasks |",
        "|---|---|---|---|",
        "| reach | +1.0 | +0.0 | +0.50 (+0.50 to +0.50), n = 2 |",
    ]


def test_a_page_is_made_of_what_there_is():
    found = [(RANDOM.name, record_of(seed=1)), (RANDOM.name, record_of(seed=2)), (REACH.name, record_of(seed=1))]
    page = study_page(STUDY, found)
    assert page.startswith("# A study\n\n3 runs: m/minilm (22 M parameters), 3 epochs, bf16, base batch 64")
    assert "| reach | 80.0 (n = 1) |  | 270 |" in page


def test_the_best_rate_is_marked():
    study = replace(STUDIES["rates"], tasks=("stsb",))
    page = rate_page(study, {"stsb": {1e-4: [0.8, 0.82], 2e-4: [0.9]}})
    assert page.splitlines()[-1] == "| stsb | 81.0 ± 1.4 | **90.0 (n = 1)** |"


@pytest.mark.real_data
def test_a_study_without_a_rate_asks_for_it(prepared_real):
    with pytest.raises(ConfigError) as caught:
        rates_of(STUDY, {"mrpc": prepared_real("mrpc", "bert-base-uncased")}, {}, model="tiny")
    assert caught.value.message == "No rate of mrpc is known."
    assert caught.value.next_step == "Run the study rates with --tasks mrpc."


def test_screening_and_confirmation_share_no_seed():
    used = set(STUDIES["rates"].seeds) | set(STUDIES["screening"].seeds)
    assert len(STUDIES["screening"].seeds) >= 5
    if "confirmation" in STUDIES:
        assert len(STUDIES["confirmation"].seeds) >= 20
        assert not used & set(STUDIES["confirmation"].seeds)


def test_the_records_that_are_kept_can_be_read_and_have_one_line_a_run():
    lines = RECORDS.read_text(encoding="utf-8").splitlines()
    assert len(read_records(RECORDS)) == len(lines) > 0
    assert all(0 < json.loads(line)["score"] < 1 for line in lines)


@pytest.mark.slow
@pytest.mark.real_data
def test_a_run_is_trained_through_compare_and_found_again(prepared_real, tmp_path):
    """The tiny model, one epoch of MRPC: the record has the key of the run, and CoLA drops nothing."""
    dataset, cola = prepared_real("mrpc", "bert-base-uncased"), prepared_real("cola", "bert-base-uncased")
    key = run_key(dataset, "mrpc", REACH, model="tiny", rate=1e-3, epochs=1, seed=3)
    assert key.strategy == {"batches": "reach", "drop": "reach"}
    assert (key.dropout, key.seed) == (0.0, 3)
    record = train_run(dataset, key, REACH, model="tiny")
    append_record(tmp_path / "runs.jsonl", record)
    assert read_records(tmp_path / "runs.jsonl") == {key.text: record}
    assert 0.3 < record.score < 1
    assert record.steps == 58
    dropping = next(variant for variant in STUDIES["causes"].variants if variant.name == "random, drop 0.3")
    of_cola = run_key(cola, "cola", dropping, model="tiny", rate=1e-3, epochs=1, seed=3)
    assert of_cola == run_key(cola, "cola", RANDOM_0, model="tiny", rate=1e-3, epochs=1, seed=3)


@pytest.mark.real_data
def test_runs_go_seed_by_seed(prepared_real):
    datasets = {"mrpc": prepared_real("mrpc", "bert-base-uncased")}
    study = replace(STUDY, tasks=("mrpc",), seeds=(1, 2))
    runs = [(run.variant.name, run.key.seed) for run in runs_of(study, datasets, {"mrpc": (1e-4,)}, model="tiny")]
    assert runs == [(RANDOM.name, 1), (REACH.name, 1), (RANDOM.name, 2), (REACH.name, 2)]


def test_a_mirror_of_thefirst_rows(tmp_path, shared):
    from benchmarks.accuracy_runs import SST2_ROWS, first_rows

    mirror = first_rows(shared / "datasets/glue/sst2", tmp_path)
    assert pq.read_metadata(mirror / "glue/sst2/train.parquet").num_rows == SST2_ROWS
    assert pq.read_metadata(mirror / "glue/sst2/validation.parquet").num_rows == 872


def test_a_seed_counts_where_all_tasks_have_it():
    assert mean_over_tasks({"a": {1: 0.2, 2: 0.4}, "b": {2: 0.8, 3: 1.0}}) == {2: pytest.approx(0.6)}
    assert mean_over_tasks({}) == {}
