"""`estimate-speedup` says in one sentence what the default saves over random batches, or that it saves little."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from transformers import SqueezeBertConfig

from tdbs.analysis.worth import LEAST_SAVING, MAP
from tests.cli.conftest import TOKENIZER, Command

REAL_PROFILE = Path(__file__).parents[2] / "benchmarks/results/profile_minilm_cpu_2026-11-21.json"
END = "plain batches do as well."
EQUAL = f"Batches of random have no padding here: {{}}, the default, would save nothing; {END}"
SPREAD = np.random.default_rng(3).lognormal(2.5, 0.8, 640).astype(int).clip(1, 100)

Prepared = Callable[..., Path]


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def prepared(tdbs: Command, tmp_path, monkeypatch) -> Prepared:
    """Return a function that prepares texts of these numbers of words."""
    monkeypatch.chdir(tmp_path)

    def prepare(lengths: Sequence[int], tokenizer: object = TOKENIZER) -> Path:
        rows = [{"text": "the " * length, "label": place % 2} for place, length in enumerate(lengths)]
        return prepare_rows(tdbs, rows, "--tokenizer", tokenizer)

    return prepare


def prepare_rows(tdbs: Command, rows: Sequence[dict[str, object]], *options: object) -> Path:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tdbs("prepare", "rows.jsonl", "--validation", 0.1, *options, "--out", "d", "--overwrite")
    return Path("d")


@pytest.fixture
def said(tdbs: Command) -> Callable[..., str]:
    """Return a function that gives the sentence under the table; `--json` has the same one."""

    def sentence(*arguments: object) -> str:
        found = tdbs("estimate-speedup", *arguments, "--json").json["saving"]["sentence"]
        assert found in tdbs("estimate-speedup", *arguments).stdout.splitlines()
        return found

    return sentence


def shares(tdbs: Command, *arguments: object) -> tuple[float, float, float]:
    """Return by the table: random's padding, the share of tokens that `unpadded` saves, random's tokens an update."""
    options = ("--strategy", "random", "--strategy", "unpadded", "--json")
    random, unpadded = tdbs("estimate-speedup", *arguments, *options).json["strategies"]
    return random["padding_fraction"], 1 - unpadded["tokens"] / random["tokens"], random["tokens"] / random["steps"]


def slow_profile(dataset: Path) -> str:
    """Write MiniLM's profile of a machine a hundred times as slow: planning, whose time is real, is nothing then."""
    profile = json.loads(REAL_PROFILE.read_text(encoding="utf-8"))
    for point in profile["points"]:
        point["seconds"] *= 100
    path = dataset.with_suffix(".profile.json")
    path.write_text(json.dumps(profile), encoding="utf-8")
    return str(path)


def test_texts_of_one_length(prepared, said):
    """With a profile and without, whichever strategies are listed."""
    data = prepared([20] * 200)
    for options in ((), ("--profile", slow_profile(data)), ("--strategy", "packed"), ("--model", "tiny")):
        assert said(data, *options) == EQUAL.format("unpadded")


def test_one_sample_an_update(prepared, said):
    data = prepared(SPREAD)
    assert said(data, "--base-batch-size", 1) == EQUAL.format("unpadded")


def test_a_little_padding(prepared, said, tdbs):
    data = prepared([30, 31] * 200)
    padding, _, _ = shares(tdbs, data)
    assert 0.01 < padding < 0.03
    start = f"Padding is {padding:.1%} of random's tokens: "
    assert said(data) == f"{start}unpadded, the default, would save little here; {END}"
    assert said(data, "--profile", slow_profile(data)) == (
        f"{start}by this profile unpadded, the default, saves no time; {END}"
    )


def test_few_tokens_an_update(prepared, said, tdbs):
    """Much of them is padding, but an update costs more than its tokens."""
    data, options = prepared([5, 60] * 160), ("--model", "tiny", "--base-batch-size", 4)
    padding, saved, update = shares(tdbs, data, *options)
    assert saved > LEAST_SAVING
    start = f"Padding is {padding:.1%} of random's tokens, but an update has only {update:,.0f}: "
    assert said(data, *options) == f"{start}unpadded, the default, would save little time; {END}"


@pytest.mark.parametrize("listed", [(), ("--strategy", "reach"), ("--strategy", "packed", "--baseline", "random_max")])
def test_much_padding(prepared, said, tdbs, listed):
    """By the map, and by a profile, whichever strategies are listed and whatever speedups are over."""
    data = prepared(SPREAD)
    padding, saved, update = shares(tdbs, data)
    own = (1 - saved) * update
    costs = MAP["unpadded"][768]
    low, high = sorted((update - (1 + c.rate) * own - c.more) / (update + c.fixed) for c in costs)
    start = f"Padding is {padding:.1%} of random's tokens: "
    by_map = f"on a CPU unpadded, the default, saves about {low:.0%} to {high:.0%} of the time."
    assert said(data, *listed) == start + by_map
    profile, both = ("--profile", slow_profile(data)), ("--strategy", "random", "--strategy", "unpadded")
    random, unpadded = tdbs("estimate-speedup", data, *profile, *both, "--json").json["strategies"]
    saved = 1 - unpadded["seconds"] / random["seconds"]
    assert saved > LEAST_SAVING
    by_profile = f"by this profile unpadded, the default, saves {saved:.0%} of the time."
    assert said(data, *profile, *listed) == start + by_profile


def test_a_model_whose_rows_hold_one_sample(prepared, said, tdbs, tmp_path):
    """Its default is `sorted`."""
    shutil.copytree(TOKENIZER, tmp_path / "squeezebert")
    SqueezeBertConfig(hidden_size=384, num_attention_heads=1).save_pretrained(tmp_path / "squeezebert")
    data = prepared(SPREAD, tmp_path / "squeezebert")
    found = tdbs("estimate-speedup", data, "--json").json
    random, ordered = ({row["strategy"]: row for row in found["strategies"]}[name] for name in ("random", "sorted"))
    assert (found["saving"]["strategy"], found["saving"]["seconds"]) == ("sorted", None)
    assert found["saving"]["tokens"] == pytest.approx(1 - ordered["tokens"] / random["tokens"])
    assert said(data).startswith(
        f"Padding is {random['padding_fraction']:.1%} of random's tokens: on a CPU sorted, the default, saves about "
    )
    assert said(prepared([20] * 200, tmp_path / "squeezebert"), "--strategy", "random") == EQUAL.format("sorted")


def test_questions(prepared, said, tdbs):
    contexts = ["the " * int(length) + "film" for length in SPREAD]
    answers = [{"text": ["film"], "answer_start": [len(context) - 4]} for context in contexts]
    rows = [{"question": "which", "context": c, "answers": a} for c, a in zip(contexts, answers, strict=True)]
    data = prepare_rows(tdbs, rows, "--tokenizer", TOKENIZER, "--max-length", 64)
    padding, _, _ = shares(tdbs, data)
    assert said(data, "--strategy", "packed").startswith(
        f"Padding is {padding:.1%} of random's tokens: on a CPU unpadded, the default, saves about "
    )


def test_sequence_to_sequence_has_no_map(prepared, said, tdbs):
    """Padding and tokens are those of sources and targets together."""
    rows = [{"article": "the " * int(n), "headline": "the " * (1 + int(n) % 7)} for n in SPREAD]
    data = prepare_rows(tdbs, rows, "--tokenizer", TOKENIZER, "--text", "article", "--target", "headline")
    found = {row["strategy"]: row for row in tdbs("estimate-speedup", data, "--json").json["strategies"]}
    tokens = {name: row["tokens"] + row["target_tokens"] for name, row in found.items()}
    random = found["random"]
    pads = random["padding_fraction"] * random["tokens"]
    pads += random["target_padding_fraction"] * random["target_tokens"]
    assert said(data) == (
        f"Padding is {pads / tokens['random']:.1%} of random's tokens: sorted, the default, saves "
        f"{1 - tokens['sorted'] / tokens['random']:.1%} of them; tdbs profile says how much time that is."
    )
