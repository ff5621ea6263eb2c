"""Lengths and seeds that are not whole numbers are refused where they come in, through Python too."""

import pytest

from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER
from tdbs.errors import ConfigError
from tdbs.pipeline.lengths import choose_limits
from tdbs.pipeline.tokens.tokenizer import load_tokenizer
from tdbs.rng import RandomPurpose, stream


@pytest.mark.parametrize("value", [128.0, float("nan")])
def test_a_length_that_is_not_whole_is_refused(value):
    tokenizer = load_tokenizer(str(TOKENIZER_FOLDER))
    with pytest.raises(ConfigError) as caught:
        choose_limits(SAMPLE_TASK, tokenizer, max_length=value, stride=None, max_target_length=None)
    assert caught.value.message == f"--max-length must be a whole number, got {value}."
    assert caught.value.next_step == "Pass another --max-length."


def test_a_seed_that_is_not_whole_is_refused():
    with pytest.raises(ConfigError) as caught:
        stream(RandomPurpose.SHUFFLE_SAMPLES, seed=1.0)
    assert caught.value.message == "--seed must be a whole number, got 1.0."
