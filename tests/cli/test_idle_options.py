"""Options without a value, or without an effect: the first are refused, the others are noted."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, run_command

DIET_1 = "--data-diet 1 has no effect: each epoch trains on all samples."
ONE_EPOCH = "--data-diet has no effect with --epochs 1: the first epoch trains on all samples."


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("prepare", "sample"), "--keep-out"),
        (("prepare", "sample"), "--keep"),
        (("prepare", "rows.csv"), "--label"),
        (("compare", "{small}", "--model", "tiny"), "--strategy"),
        (("estimate-speedup", "{small}"), "--strategy"),
        (("evaluate",), "--drop-rate"),
    ],
)
@pytest.mark.parametrize("value", ["", " , "])
def test_a_list_of_nothing_is_refused(small: Path, workplace: Path, command: tuple[str, ...], option: str, value: str):
    """It would mean all, or be ignored."""
    words = [word.format(small=small) for word in command]
    outcome = run_command(*words, option, value)
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.error == (f"{option} is empty.", f"Leave {option} out, or give it a value.")


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (("--data-diet", 1), DIET_1),
        (("--data-diet", 0.5, "--epochs", 1), ONE_EPOCH),
    ],
    ids=["1", "one epoch"],
)
@pytest.mark.parametrize("command", ["plan", "estimate-speedup"])
def test_a_diet_that_leaves_nothing_out_is_noted(
    small: Path, tdbs: Command, workplace: Path, command: str, options: tuple[object, ...], note: str
):
    """Nothing is chosen in later epochs, so nothing is random."""
    said = tdbs(command, small, "--model", "tiny", *options).stderr
    assert note in said.splitlines()
    assert "training chooses the samples of later epochs" not in said


def test_training_notes_it_too_and_a_diet_that_works_has_no_such_note(small: Path, tdbs: Command, workplace: Path):
    common = ("train", small, "--model", "tiny", "--precision", "fp32", "--data-diet", 0.5)
    assert ONE_EPOCH in tdbs(*common, "--epochs", 1, "--out", "one").stderr.splitlines()
    assert "has no effect" not in tdbs(*common, "--epochs", 2, "--out", "two").stderr
