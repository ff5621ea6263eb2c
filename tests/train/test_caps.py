"""Batch caps: the paper's table, the growth by epochs, and the numbers that are refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.data.sample import SAMPLE_TASK
from tdbs.errors import ConfigError
from tdbs.train.planning.caps import PAPER_PROFILE, batch_caps, chosen_caps
from tdbs.train.planning.caps import hardware_caps as caps_of_table
from tdbs.train.planning.profile_file import named_profile, read_profile
from tdbs.train.planning.strategies import Strategy, resolve_strategy
from tests.reference.algorithm2 import batch_cap


def hardware_caps(caps: str, *, max_length: int) -> np.ndarray:
    """Return the caps that an option chooses."""
    return caps_of_table(chosen_caps(caps), max_length=max_length)


TABLE_ENDS = [  # Table 6 of the paper: (min_seq_len, max_seq_len, HWCap)
    (0, 5, 2525),
    (5, 10, 1250),
    (10, 15, 800),
    (120, 125, 64),
    (125, 128, 64),
]


@pytest.mark.parametrize(("low", "high", "cap"), TABLE_ENDS)
def test_the_ends_of_the_table_stand_in_the_paper(low, high, cap):
    """Every length of the bucket, the maximum length in the last one."""
    caps = hardware_caps("paper", max_length=128)
    last = 128 if high == 128 else high - 1
    assert set(caps[low : last + 1].tolist()) == {cap}


def test_the_middle_of_the_table_is_the_authors_script():
    """By steps of 5 from 0, then 64 seven times (the script's tail of 50 is not inherited)."""
    text = "2525 1250 800 575 450 350 300 250 225 175 150 125 125 125 100 100 75 75 75" + " 64" * 7
    assert [str(cap) for cap in named_profile(PAPER_PROFILE).memory_caps.caps] == text.split()
    assert hardware_caps("paper", max_length=128)[:126:5].tolist() == [int(cap) for cap in text.split()]


def test_above_the_table_its_last_cap_holds():
    caps = hardware_caps("paper", max_length=512)
    assert caps.shape == (513,)
    assert set(caps[125:].tolist()) == {64}


def test_a_number_is_the_cap_of_every_length():
    assert hardware_caps("48", max_length=3).tolist() == [48] * 4


@pytest.mark.parametrize(("epoch", "cap"), [(0, 64), (1, 128), (2, 256)])
def test_epoch_cap_doubles(epoch, cap):
    """scaling_factor^epoch x base_batch_size, epoch from 0 (section 2.2)."""
    caps = batch_caps(np.array([10_000]), epoch=epoch, base_batch_size=64, scaling_factor=2)
    assert caps.tolist() == [cap]


def test_the_smaller_of_both_caps_holds():
    """In epoch 2 short batches stop at EpochCap 256, long ones at HWCap."""
    caps = batch_caps(hardware_caps("paper", max_length=128), epoch=2, base_batch_size=64, scaling_factor=2)
    assert caps[[0, 34, 35, 40, 128]].tolist() == [256, 256, 250, 225, 64]


@given(st.integers(1, 5000), st.integers(0, 400), st.integers(1, 4), st.integers(1, 512))
def test_caps_equal_the_oracle_up_to_any_epoch(hw_cap, epoch, scaling_factor, base):
    """Also where scaling_factor^epoch is larger than 64 bits hold."""
    caps = batch_caps(np.array([hw_cap]), epoch=epoch, base_batch_size=base, scaling_factor=scaling_factor)
    assert caps.tolist() == [batch_cap(hw_cap, epoch, scaling_factor, base)]


CHOICES = "Pass --caps 64, --caps paper, or --caps FILE with a profile."


def refused(caps: str) -> str:
    with pytest.raises(ConfigError) as caught:
        hardware_caps(caps, max_length=128)
    return str(caught.value)


@pytest.mark.parametrize("caps", ["0", "-3"])
def test_caps_below_1_are_refused(caps):
    assert refused(caps) == f"--caps must be 1 or more, got {caps}. {CHOICES}"


@pytest.mark.parametrize("caps", ["abc", "", "6.4", "64 ", "²", "-", "--5", "5-", "Paper"])
def test_caps_that_are_no_number_are_refused(caps):
    assert refused(caps) == f"--caps takes a number, paper, memory, knee or a file, got {caps}. {CHOICES}"


def test_a_cap_larger_than_any_dataset_is_no_crash():
    """It means no cap from hardware."""
    caps = batch_caps(hardware_caps(str(10**30), max_length=8), epoch=1, base_batch_size=64, scaling_factor=2)
    assert caps.tolist() == [128] * 9


def test_a_strategy_refuses_bad_caps_when_it_is_made():
    """Before anything is read: the whole text, the same as above."""
    with pytest.raises(ConfigError) as caught:
        Strategy(name="mine", batches="bucket", drop="none", caps="abc")
    assert str(caught.value) == f"--caps takes a number, paper, memory, knee or a file, got abc. {CHOICES}"


# ------------------------------------------------------------------------------------------------------------ profiles

MEASURED = {
    "tdbs_profile": 1,
    "model": {"name": "m"},
    "device": {"name": "d"},
    "max_length": 16,
    "caps": {"lengths": [4, 8, 16], "memory": [100, 50, 25], "knee": [32, 16, 8]},
}
NOT_ONE = "The profile {path} is not a profile of tdbs: "
NO_TABLE = NOT_ONE + "caps: expected rising lengths, and a cap of 1 or more for each."
NEXT = "Run tdbs profile --out FILE."


def profile_of(folder, **changes):
    path = folder / "profile.json"
    path.write_text(json.dumps(MEASURED | changes))
    return path


def test_caps_of_a_profile_hold_up_to_their_lengths(tmp_path):
    """Entry i holds up to lengths[i]; above the last length the last cap holds."""
    path = profile_of(tmp_path)
    profile = read_profile(path)
    assert caps_of_table(chosen_caps("memory", profile), max_length=20).tolist() == [100] * 5 + [50] * 4 + [25] * 12
    assert caps_of_table(chosen_caps("knee", profile), max_length=9).tolist() == [32] * 5 + [16] * 4 + [8]
    assert chosen_caps(str(path)) == profile.memory_caps


def test_a_strategy_carries_the_caps_that_were_measured(tmp_path):
    profile = read_profile(profile_of(tmp_path))
    found = resolve_strategy("reach", SAMPLE_TASK, {"caps": "knee"}, profile=profile)
    assert (found.caps, found.hw_caps) == ("knee", profile.knee_caps)
    by_file = resolve_strategy("reach", SAMPLE_TASK, {"caps": str(tmp_path / "profile.json")})
    assert by_file.hw_caps == profile.memory_caps


@pytest.mark.parametrize("caps", ["memory", "knee"])
def test_measured_caps_ask_for_a_profile(caps):
    assert refused(caps) == f"--caps {caps} is measured on a device. Pass --profile FILE; tdbs profile writes one."


def test_the_papers_profile_has_no_knee():
    with pytest.raises(ConfigError) as caught:
        chosen_caps("knee", named_profile(PAPER_PROFILE))
    assert str(caught.value) == (
        "The profile has no knee caps. "
        "Pass --caps with the other of memory and knee, or measure with tdbs profile (on a CPU with --memory)."
    )


def test_a_profile_of_before_says_nothing_of_overhead(tmp_path):
    """Its version is that of today: the key only came in addition."""
    (tmp_path / "old.json").write_text(json.dumps(MEASURED))
    assert read_profile(tmp_path / "old.json").overhead == ()
    entry = {"batch_size": 64, "length": 16, "share": 0.25}
    (tmp_path / "new.json").write_text(json.dumps(MEASURED | {"overhead": [entry]}))
    assert read_profile(tmp_path / "new.json").overhead == (entry,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps(MEASURED | {"overhead": [{"batch_size": 64, "length": 16}]}),
            NOT_ONE + "overhead[0].share is missing.",
        ),
        (
            "{",
            "The profile {path} cannot be read: "
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1).",
        ),
        ("[]", NOT_ONE + "tdbs_profile is missing."),
        ("{}", NOT_ONE + "tdbs_profile is missing."),
        ('{"tdbs_profile": 0}', "The profile {path} has schema version 0; this tdbs reads version 1."),
        ('{"tdbs_profile": 1, "model": {}, "device": {}, "max_length": 8}', NOT_ONE + "caps is missing."),
        (
            json.dumps(MEASURED | {"caps": {"lengths": [4, 4], "memory": [2, 1]}}),
            NO_TABLE,
        ),
        (
            json.dumps(MEASURED | {"caps": {"lengths": [4], "memory": [0]}}),
            NO_TABLE,
        ),
    ],
)
def test_files_that_are_no_profile_are_refused(tmp_path, text, message):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_profile(path)
    assert str(caught.value) == f"{message.format(path=path)} {NEXT}"


def test_a_later_profile_asks_for_a_later_tdbs(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_profile(profile_of(tmp_path, tdbs_profile=9))
    assert str(caught.value) == (
        f"The profile {tmp_path / 'profile.json'} has schema version 9; this tdbs reads version 1. "
        "Update tdbs: pip install --upgrade tdbs."
    )


def test_a_profile_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_profile(tmp_path / "none.json")
    assert caught.value.message == f"The profile {tmp_path / 'none.json'} cannot be read: No such file or directory."


def test_a_cap_of_thousands_of_digits_is_as_good_as_none():
    """Python refuses to read such a number, with a ValueError of its own."""
    assert chosen_caps("9" * 5_000) == chosen_caps("2147483647")
    assert chosen_caps("0" * 5_000 + "7") == chosen_caps("7")
    with pytest.raises(ConfigError) as caught:
        chosen_caps("-" + "9" * 5_000)
    assert caught.value.message == "--caps must be 1 or more, got -9999999999999999999."
