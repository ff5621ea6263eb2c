"""A score is over every sample once, nothing dropped, whatever the batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import DatasetError, ModelError
from tdbs.files import to_path
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.train.device import keep_head_in_fp32
from tdbs.train.evaluate import evaluate, evaluate_split, length_order_plan, load_trained
from tdbs.train.run_folder import read_run
from tdbs.train.scores.scoring import ScoredSplit, read_scored_split
from tdbs.train.trainer import train
from tests.cli.conftest import run_command
from tests.train.opened import opened_to_train
from tests.train.rules import TYPED
from tests.train.test_trainer import fp32_accelerator, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("evaluate"), train_rows=60, validation_rows=70)


@pytest.mark.parametrize("rows", [1, 3, 64, 65, 200])
def test_batches_go_from_short_to_long_and_hold_every_sample_once(rows):
    lengths = np.random.default_rng(0).integers(1, 30, rows)
    plan = length_order_plan(lengths, batch_size=16)
    assert sorted(plan.sample_ids_N.tolist()) == list(range(rows))
    assert (np.diff(plan.kept_N) >= 0).all()
    assert plan.kept_N.tolist() == lengths[plan.sample_ids_N].tolist()
    assert (plan.batch_sizes_B[:-1] == 16).all()
    for first, last, width in zip(
        plan.batch_offsets_B1[:-1], plan.batch_offsets_B1[1:], plan.padded_lengths_B, strict=True
    ):
        assert plan.kept_N[first:last].max() == width


def test_a_url_that_a_record_names_is_not_opened_unless_it_is_given(dataset, workplace):
    """The run may be another's. A store in memory stands for a host; nobody has written to it."""
    train(dataset, model="tiny", epochs=1, precision="fp32", out=workplace / "a run")
    here, url = str(dataset.path), f"memory://host/{workplace.name}"
    expected = run_command("evaluate", "a run", "--json").json
    config = workplace / "a run/config.toml"
    config.write_text(config.read_text().replace(f'path = "{here}"', f'path = "{url}"'))
    for options in ((), ("--drop-rate", "0,1"), ("--flips",)):
        outcome = run_command("evaluate", "a run", *options)
        assert (outcome.code, outcome.stdout, outcome.error) == (
            1,
            "",
            (
                f"The run a run names its dataset by a URL, {url}, which is opened only if you name it yourself.",
                f"Run: tdbs evaluate 'a run' --dataset {url}",
            ),
        )
    for path in dataset.path.rglob("*"):
        if path.is_file():
            (to_path(url) / path.relative_to(dataset.path)).write_bytes(path.read_bytes())
    found = run_command("evaluate", "a run", "--dataset", url, "--json").json
    assert (found["dataset"], found["score"]) == (url, expected["score"])
    (workplace / "in.csv").write_text("text\na fine film\n")
    said = f"dataset {url}, a URL from the record\n"
    assert run_command("predict", "a run", "in.csv").stderr.startswith(said)
    assert run_command("report", "a run", "--out", "a.html").stderr.startswith(said)
    config.write_text(config.read_text().replace(url, here))
    assert "URL" not in run_command("predict", "a run", "in.csv").stderr


def test_the_score_is_that_of_a_plain_loop_over_samples(dataset):
    split = read_split(dataset, "validation")
    model = opened_to_train("tiny", dataset, seed=3, dropout=0.1)
    held_out = read_scored_split(dataset, "validation")
    found = evaluate_split(fp32_accelerator(), model, held_out, pad_id=0, rules=TYPED)
    assert model.training  # the trainer goes on with it
    model.eval()
    right = 0
    for sample, label in enumerate(split.targets.values):
        ids = split.input_ids_T[split.token_offsets_N1[sample] : split.token_offsets_N1[sample + 1]]
        with torch.inference_mode():
            right += int(model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits.argmax()) == label
    assert found["accuracy"] == pytest.approx(right / 70)


def test_bf16_does_not_round_predicted_numbers_away(dataset):
    """Labels are what the same model predicts in fp32, all near 2.5, where bf16 tells 0.016 apart."""
    regression = replace(dataset.manifest, task=HUB_TASKS["glue/stsb"].task)
    model = opened_to_train("tiny", replace(dataset, manifest=regression)).eval()
    model.classifier.bias.data[:] = 2.5
    split = read_split(dataset, "validation")
    in_fp32 = []
    for first, last in zip(split.token_offsets_N1[:-1], split.token_offsets_N1[1:], strict=True):
        ids = torch.from_numpy(split.input_ids_T[first:last].astype(np.int64))[None]
        with torch.inference_mode():
            in_fp32.append(float(model(input_ids=ids).logits))
    targets = replace(split.targets, kind="regression", outputs=1, values=np.array(in_fp32))
    held_out = ScoredSplit(split=replace(split, targets=targets), task=regression.task)
    keep_head_in_fp32(model)
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    found = evaluate_split(accelerator, model, held_out, pad_id=0, rules=TYPED)
    AcceleratorState._reset_state()
    assert found["pearson"] > 0.9


def test_a_split_without_labels_has_no_score(workplace):
    folder = workplace / "d"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\na b,x\nb,y\n")
    (folder / "test.csv").write_text("text\na\n")
    prepared = prepare("d", tokenizer=str(TOKENIZER_FOLDER)).dataset
    with pytest.raises(DatasetError) as caught:
        read_scored_split(prepared, "test")
    assert caught.value.message == "The split test has no labels."
    assert caught.value.next_step == "Evaluate on a labelled split."


def test_a_run_is_scored_as_it_was_when_trained(dataset, workplace):
    trained = train(dataset, model="tiny", epochs=1, precision="fp32", out=workplace / "run")
    scored = evaluate(trained.run)
    assert (scored.split, scored.rows, scored.score, scored.metrics) == (
        "validation",
        70,
        trained.score,
        trained.metrics,
    )
    assert evaluate(trained.run, split="train").rows == 60
    other = make_dataset(workplace / "other", train_rows=10, validation_rows=20)
    assert evaluate(trained.run, dataset=other).rows == 20


def test_a_dataset_of_another_task_is_refused_before_the_weights_are_opened():
    golden = Path(__file__).parents[1] / "golden/records"
    dataset = load(golden / "dataset")
    of_numbers = replace(dataset, manifest=replace(dataset.manifest, task=HUB_TASKS["glue/stsb"].task))
    with pytest.raises(ModelError) as caught:
        load_trained(read_run(golden / "run"), of_numbers)
    assert (caught.value.message, caught.value.next_step) == (
        f"The run {golden / 'run'} learned classification (0, 1); the dataset asks for regression (no classes).",
        "Evaluate on a dataset of the run's own task.",
    )
