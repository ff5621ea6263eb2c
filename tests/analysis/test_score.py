"""`tdbs score`: what epochs tell of each sample, against a loop over samples; label errors; runs without records."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdbs
from tdbs.analysis.samples.label_errors import likeliest_label_errors, train_fit
from tdbs.analysis.samples.score import score
from tdbs.analysis.samples.summary import summarize
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError, TrainingError
from tdbs.pipeline.dataset import read_split
from tdbs.train.sample_records import EpochRecord
from tests.in_process import run_command
from tests.train.test_trainer import make_dataset

NAMES = ("loss", "el2n", "margin", "predicted")
OF_EPOCHS = ["aum", "forgetting", "correct", "epochs"]


def record_of(margins: dict[int, float]) -> EpochRecord:
    """Return an epoch in which samples have margins; the other scores follow from them."""
    ids = sorted(margins)
    values = [[-margins[i], abs(margins[i]), margins[i], i % 2] for i in ids]
    return EpochRecord(sample_ids_S=np.array(ids), values_SK=np.array(values, dtype=np.float32), names=NAMES)


MARGINS = st.dictionaries(st.integers(0, 5), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 3.0]), min_size=1)


@given(epochs=st.lists(MARGINS, min_size=1, max_size=6))
def test_a_summary_is_that_of_a_loop_over_samples(epochs):
    """Whatever samples an epoch lacks: last scores, mean margin, and how often a right one becomes wrong."""
    found = summarize(map(record_of, epochs), rows=6)
    samples = sorted({sample for epoch in epochs for sample in epoch})
    assert found.sample_ids_M.tolist() == samples
    assert found.ends_whole == (sorted(epochs[-1]) == samples)
    for place, sample in enumerate(samples):
        margins = [epoch[sample] for epoch in epochs if sample in epoch]
        right = [margin > 0 for margin in margins]
        assert found.last["margin"][place] == margins[-1]
        assert found.last["loss"][place] == -margins[-1]
        assert found.epochs_M[place] == len(margins)
        assert found.aum_M[place] == pytest.approx(sum(margins) / len(margins))
        assert found.correct_M[place] == sum(right)
        assert found.forgetting_M[place] == sum(was and not now for was, now in pairwise(right))


def test_likely_label_errors_are_those_with_the_lowest_margin():
    """A sample that is learned is not suspected; one that is predicted otherwise at the end is."""
    margins, labels, predicted = np.array([2.0, -1.0, 0.5, -3.0]), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    assert likeliest_label_errors(margins, labels, predicted).tolist() == [3, 1, 2]


# The command


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("scores"), train_rows=200)


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Return a run of three epochs. Tests score copies of it."""
    terms = {"model": "tiny", "epochs": 3, "precision": "fp32", "seed": 2, "lr": 5e-3}
    return Path(tdbs.train(dataset, out=tmp_path_factory.mktemp("trained") / "run", **terms).run)


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_scores_are_written_beside_the_run_with_their_source_rows(dataset, run):
    found = score(run)
    table = pq.read_table(run / "scores.parquet")
    assert found.scores == str(run / "scores.parquet")
    assert (found.source, found.epochs, found.rows, found.ranked_by) == ("epochs", 3, 200, "aum")
    assert table.column_names == found.columns
    assert found.columns == ["sample_id", "source_row", "label", *NAMES, *OF_EPOCHS]
    split = read_split(dataset, "train")
    assert table["source_row"].to_numpy().tolist() == split.source_rows_N.tolist()
    assert table["label"].to_numpy().tolist() == split.targets.values.tolist()
    last = pq.read_table(run / "samples/epoch-2.parquet")
    assert all(table[name].equals(last[name]) for name in NAMES)


def test_how_well_a_run_knows_its_labels():
    """Near chance: it avoids less than a fifth of the errors of always answering the largest class, here 60 %."""
    labels = np.array([0] * 60 + [1] * 40)
    for right, near_chance in ((50, True), (67, True), (68, False), (100, False)):
        found = train_fit(labels, right / 100)
        assert (found.accuracy, found.largest_class, found.near_chance) == (right / 100, 0.6, near_chance)


def test_a_run_near_chance_says_that_its_suspicions_mean_little(dataset, tmp_path):
    """It does not move, so it suspects about half of the labels; an audit says so, too."""
    tdbs.train(dataset, model="tiny", epochs=1, precision="fp32", lr=1e-30, out=tmp_path / "run")
    done = run_command("score", tmp_path / "run", "--label-errors", 0, "--json", folder=tmp_path)
    fit = json.loads(done.stdout)["train_fit"]
    assert fit["near_chance"]
    sentence = (
        f"The run predicts {fit['accuracy']:.1%} of its train labels, and the largest class has "
        f"{fit['largest_class']:.1%}: near chance, its suspicions mean little."
    )
    assert f"Warning: {sentence} Train longer, or with another learning rate.\n" in done.stderr
    audited = run_command("audit", dataset.path, "--scores", tmp_path / "run", "--json", folder=tmp_path)
    [found] = [each for each in json.loads(audited.stdout)["findings"] if each["kind"] == "likely_label_errors"]
    assert (found["severity"], found["what"].endswith(f". {sentence}")) == ("note", True)


def test_the_fit_is_that_of_the_last_epoch(run):
    found = score(run)
    rows = pq.read_table(found.scores).to_pylist()
    assert found.train_fit.accuracy == pytest.approx(sum(row["label"] == row["predicted"] for row in rows) / 200)
    assert found.train_fit.largest_class == max(sum(row["label"] == label for row in rows) for label in (0, 1)) / 200


DIET = {"model": "tiny", "data_diet": 0.8, "epochs": 5, "precision": "fp32", "dropout": 0.0}


@pytest.mark.parametrize(("rate", "near_chance"), [(1e-30, True), (5e-3, False)], ids=["chance", "learned"])
def test_the_fit_of_a_data_diet_is_that_of_the_trained_model(rate, near_chance, dataset, tmp_path):
    """Later epochs lack the samples that were right by chance, and the scores of these are of the first epoch."""
    run = Path(tdbs.train(dataset, out=tmp_path / "run", lr=rate, seed=2, **DIET).run)
    found = score(run)
    assert (found.source, found.train_fit.near_chance) == ("epochs", near_chance)
    severity = [
        each.severity for each in tdbs.audit(dataset, scores=run).findings if each.kind == "likely_label_errors"
    ]
    assert severity == ["note" if near_chance else "warning"]
    shutil.rmtree(run / "samples")
    of_model = pq.read_table(score(run).scores)
    right = of_model["label"].to_numpy() == of_model["predicted"].to_numpy()
    assert found.train_fit.accuracy == right.mean()


def test_an_audit_refuses_scores_of_a_data_diet_without_its_fit(dataset, tmp_path):
    """As an older version wrote them: what they predict is of several epochs."""
    run = Path(tdbs.train(dataset, out=tmp_path / "run", lr=5e-3, **DIET).run)
    place = score(run).scores
    table = pq.read_table(place)
    metadata = {name: value for name, value in table.schema.metadata.items() if name != b"tdbs_train_accuracy"}
    pq.write_table(table.replace_schema_metadata(metadata), place)
    with pytest.raises(ConfigError) as caught:
        tdbs.audit(dataset, scores=run)
    assert caught.value.message == (
        f"{place} cannot be read: an older version wrote it, which did not know how well a data diet ends."
    )
    assert caught.value.next_step == f"Run: tdbs score {run}"


def test_an_audit_says_what_scores_of_several_labels_lack(tmp_path):
    """They are classes, but a sample does not have one of them, so there is no margin."""
    rows = [{"text": f"film {number}", "label": ["ab"[number % 2], "c"]} for number in range(40)]
    dataset = tdbs.prepare(rows, tokenizer=str(TOKENIZER_FOLDER), out=tmp_path / "d", progress=False).dataset
    tdbs.train(dataset, model="tiny", epochs=1, out=tmp_path / "run", progress=False)
    score(tmp_path / "run")
    with pytest.raises(ConfigError) as caught:
        tdbs.audit(dataset, scores=tmp_path / "run")
    assert caught.value.message == (
        f"The scores of {tmp_path / 'run'} have no margins, which need one class for each sample; "
        "its task is multi label."
    )
    assert caught.value.next_step == "Leave --scores out, or name a run of classification."


def test_label_errors_have_text_and_classes(dataset, run):
    found = score(run, label_errors=3)
    table = pq.read_table(run / "scores.parquet").sort_by("aum").slice(0, 3).to_pylist()
    assert [error.source_row for error in found.label_errors] == [row["source_row"] for row in table]
    assert [error.score for error in found.label_errors] == [row["aum"] for row in table]
    assert [error.label for error in found.label_errors] == [dataset.classes[row["label"]] for row in table]
    texts = (dataset.path.parent / "files/train.csv").read_text(encoding="utf-8")
    assert all(error.text.split()[0] in texts for error in found.label_errors)


def test_a_run_without_records_is_scored_by_its_model(run):
    shutil.rmtree(run / "samples")
    found = score(run)
    assert (found.source, found.epochs, found.ranked_by) == ("model", 0, "margin")
    assert found.columns == ["sample_id", "source_row", "label", *NAMES]


def test_a_model_that_does_not_move_has_the_same_scores_from_its_epochs(dataset, tmp_path):
    """Without dropout, and with a rate that changes no weight: the two ways meet."""
    terms = {"model": "tiny", "epochs": 1, "precision": "fp32", "dropout": 0.0, "lr": 1e-30}
    run = Path(tdbs.train(dataset, out=tmp_path / "run", **terms).run)
    of_epochs = pq.read_table(score(run).scores)
    shutil.rmtree(run / "samples")
    of_model = pq.read_table(score(run).scores)
    for name in ("loss", "el2n", "margin"):
        np.testing.assert_allclose(of_epochs[name].to_numpy(), of_model[name].to_numpy(), atol=1e-5)


def test_a_regression_has_the_squared_error_alone(workplace):
    rows = "\n".join(f"film {number} was fine,{number / 7:.3f}" for number in range(60))
    Path("numbers.csv").write_text(f"text,label\n{rows}\n")
    dataset = tdbs.prepare("numbers.csv", tokenizer=str(TOKENIZER_FOLDER), out="numbers").dataset
    run = tdbs.train(dataset, model="tiny", epochs=2, precision="fp32", out="run")
    found = score(run)
    assert found.columns == ["sample_id", "source_row", "loss", "epochs"]
    assert (found.label_errors, found.ranked_by, found.suspected) == ([], None, 0)


def test_a_task_without_scores_is_refused(run):
    config = (run / "config.toml").read_text().replace('kind = "classification"', 'kind = "question_answering"')
    (run / "config.toml").write_text(config)
    with pytest.raises(ConfigError) as caught:
        score(run)
    assert caught.value.message == "Samples of question answering have no scores."
    assert caught.value.next_step == "Score a run of classification, regression or several labels."


def test_an_unfinished_run_is_refused(run):
    (run / "result.json").unlink()
    with pytest.raises(TrainingError) as caught:
        score(run)
    assert caught.value.message == f"The run {run} did not finish."
    assert caught.value.next_step == "Continue it with tdbs train --resume."


def test_another_dataset_is_refused(run, tmp_path):
    other = make_dataset(tmp_path / "other", train_rows=50)
    with pytest.raises(DatasetError) as caught:
        score(run, dataset=other)
    assert caught.value.message == f"{other.path} is not the dataset that the run {run} was trained on."
    assert caught.value.next_step == "Name that one with --dataset, or prepare it again as it was."


def test_training_again_removes_the_scores(dataset, run):
    """They were of other weights."""
    score(run)
    tdbs.train(dataset, model="tiny", epochs=1, precision="fp32", out=run, overwrite=True)
    assert not (run / "scores.parquet").exists()
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["epoch-0.parquet"]


def test_the_command_prints_label_errors_and_the_file(run, tmp_path):
    done = run_command("score", run, "--label-errors", 2, folder=tmp_path)
    assert done.code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Likeliest label errors, by aum (row of the source, from 1):"
    assert lines[1].split() == ["row", "score", "label", "predicted", "text"]
    assert (len(lines), lines[-1]) == (5, str(run / "scores.parquet"))
    assert "200 samples, " in done.stderr
    told = json.loads(run_command("score", run, "--label-errors", 2, "--json", folder=tmp_path).stdout)
    assert (told["rows"], told["source"], len(told["label_errors"])) == (200, "epochs", 2)
    printed = [int(line.split()[0]) for line in lines[2:4]]
    assert printed == [error["source_row"] + 1 for error in told["label_errors"]]  # as in errors and audits


def test_the_command_says_what_a_run_without_records_lacks(run, tmp_path):
    shutil.rmtree(run / "samples")
    done = run_command("score", run, folder=tmp_path)
    assert done.stderr.splitlines()[0] == (
        "The run has no scores of its epochs: these are of its trained model, without AUM and forgetting events. "
        "To have them, train again."
    )


def test_the_command_names_the_epochs_that_are_missing(run, tmp_path):
    """The run has scores of other epochs, so it is not one without records."""
    (run / "samples/epoch-1.parquet").unlink()
    done = run_command("score", run, "--json", folder=tmp_path)
    told = json.loads(done.stdout)
    assert (told["source"], told["epochs"], told["missing_epochs"]) == ("model", 0, [1])
    assert done.stderr.splitlines()[0] == (
        "The run lacks the scores of epoch 1: these are of its trained model, without AUM and forgetting events. "
        "To have them, train again."
    )
