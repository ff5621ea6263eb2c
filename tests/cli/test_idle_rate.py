"""A run whose updates all have the rate 0 trains nothing, and says so: a warm-up begins at 0."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from tdbs.train.planning.rates import idle_note, rates_of_sizes
from tests.cli.conftest import TOKENIZER, run_command

NOTHING = (
    "the learning rate 0, with which a warm-up begins: the model stays as it is. Pass --warmup-ratio 0, more --epochs "
    "or a smaller --batch-size."
)
NOTE = f"The only update of the run has {NOTHING}"
ONE_UPDATE = ("--model", "tiny", "--epochs", 1, "--batch-size", 64)


@pytest.fixture(scope="module")
def rows_48(tmp_path_factory):
    """Return a dataset of 48 samples."""
    folder = tmp_path_factory.mktemp("rows")
    lines = [f"a text of row {row},{row % 2}" for row in range(48)]
    (folder / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    outcome = run_command("prepare", folder / "rows.csv", "--tokenizer", TOKENIZER, "--out", folder / "data")
    assert outcome.code == 0, outcome.stderr
    return folder / "data"


def weights(run):
    return load_file(run / "model/model.safetensors")


def test_a_run_of_one_update_at_rate_0_says_that_it_trains_nothing(rows_48, tdbs, tmp_path):
    """Whatever the rate is, its weights are those of the start; `plan` says it before."""
    for lr in ("1e-3", "1e-1"):
        outcome = tdbs("train", rows_48, *ONE_UPDATE, "--lr", lr, "--out", tmp_path / lr)
        assert NOTE in outcome.stderr.splitlines()
    one, other = weights(tmp_path / "1e-3"), weights(tmp_path / "1e-1")
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert NOTE in tdbs("plan", rows_48, *ONE_UPDATE).stderr.splitlines()


@pytest.mark.parametrize("advice", [("--warmup-ratio", 0), ("--epochs", 2), ("--batch-size", 32)])
def test_each_advice_works(advice, rows_48, tdbs, tmp_path):
    found = []
    for lr in ("1e-3", "1e-1"):
        outcome = tdbs("train", rows_48, *ONE_UPDATE, *advice, "--lr", lr, "--out", tmp_path / lr)
        assert "learning rate 0" not in outcome.stderr
        found.append(weights(tmp_path / lr))
    assert any(not np.array_equal(found[0][name], found[1][name]) for name in found[0])
    assert "learning rate 0" not in tdbs("plan", rows_48, *ONE_UPDATE, *advice).stderr


def test_several_updates_are_counted():
    assert idle_note(np.zeros(1_200)) == f"All 1,200 updates of the run have {NOTHING}"
    assert idle_note(rates_of_sizes(np.array([64]), base_lr=1.0, warmup=0.06, lrm=False, base_batch_size=64)) == NOTE
    assert idle_note(np.array([0.0, 1e-9])) is None
