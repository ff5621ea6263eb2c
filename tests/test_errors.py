"""Refusals that many options share have one text each."""

import pytest

from tdbs.errors import ConfigError, at_least, choose, require


def text_of(refuse, *arguments) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        refuse(*arguments)
    return caught.value.message, caught.value.next_step


def test_an_unknown_choice_is_named_with_the_choices():
    assert text_of(choose, "--engine", "spark", ("local", "ray")) == (
        "Unknown value 'spark' for --engine.",
        "Pass --engine with one of: local, ray.",
    )
    assert text_of(choose, "--engine", "s" * 300, ("local",))[0] == f"Unknown value '{'s' * 82}…' for --engine."
    choose("--engine", "ray", ("local", "ray"))


def test_a_number_below_the_least_is_named_with_it():
    assert text_of(at_least, "--runs", 0, 1) == ("--runs must be 1 or more, got 0.", "Pass --runs 1 or more.")
    at_least("--runs", 1, 1)


def test_a_missing_package_is_named_with_its_installation():
    needs = "--track nowhere needs nowhere, which is not installed."
    assert text_of(require, "nowhere", "--track nowhere", "nowhere") == (needs, "Run pip install nowhere.")
    assert text_of(require, "nowhere", "--track nowhere", "tdbs[x]") == (needs, 'Run pip install "tdbs[x]".')
    require("json", "--json", "json")
