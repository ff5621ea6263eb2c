"""Batch caps: the paper's table, the growth by epochs, and the numbers that are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.errors import ConfigError
from tdbs.train.caps import PAPER_HWCAPS, batch_caps, hardware_caps
from tdbs.train.strategies import Strategy
from tests.reference.algorithm2 import batch_cap

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
    """PAPER_NOTES: by steps of 5 from 0, then 64 seven times (the script's tail of 50 is not inherited)."""
    text = "2525 1250 800 575 450 350 300 250 225 175 150 125 125 125 100 100 75 75 75" + " 64" * 7
    assert [str(cap) for cap in PAPER_HWCAPS] == text.split()
    assert hardware_caps("paper", max_length=128)[:126:5].tolist() == list(PAPER_HWCAPS)


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


def refused(caps: str) -> str:
    with pytest.raises(ConfigError) as caught:
        hardware_caps(caps, max_length=128)
    return str(caught.value)


@pytest.mark.parametrize("caps", ["0", "-3"])
def test_caps_below_1_are_refused(caps):
    assert refused(caps) == f"--caps must be 1 or more, got {caps}. Pass --caps 64 or --caps paper."


@pytest.mark.parametrize("caps", ["abc", "", "6.4", "64 ", "²", "-", "--5", "5-", "Paper"])
def test_caps_that_are_no_number_are_refused(caps):
    assert refused(caps) == f"--caps takes a number or paper, got {caps}. Pass --caps 64 or --caps paper."


def test_a_cap_larger_than_any_dataset_is_no_crash():
    """It means no cap from hardware."""
    caps = batch_caps(hardware_caps(str(10**30), max_length=8), epoch=1, base_batch_size=64, scaling_factor=2)
    assert caps.tolist() == [128] * 9


def test_a_strategy_refuses_bad_caps_when_it_is_made():
    """Before anything is read: the whole text, the same as above."""
    with pytest.raises(ConfigError) as caught:
        Strategy(name="mine", batches="bucket", drop="none", caps="abc")
    assert str(caught.value) == "--caps takes a number or paper, got abc. Pass --caps 64 or --caps paper."
