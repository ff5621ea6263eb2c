"""Every command plans for the model that trains: one strategy, one set of rates, and nothing that it cannot run."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, SqueezeBertConfig
from transformers import SqueezeBertForSequenceClassification as SqueezeBert

import tdbs as api
from tdbs.analysis.label_length import LabelLength
from tdbs.integrations.loops import PreparedSteps
from tdbs.reports.terminal import label_lines
from tdbs.train.planning.strategies import STRATEGIES
from tests.cli.conftest import TOKENIZER, run_command

ONE_EPOCH = ("--epochs", "1", "--base-batch-size", "16")
SIZES = {
    "bert": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8},
    "squeezebert": {
        "hidden_size": 8,
        "embedding_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        **dict.fromkeys((f"{part}_groups" for part in ("q", "k", "v", "post_attention", "intermediate", "output")), 1),
    },
}
STRATEGY = {"tiny": "unpadded", "bert": "unpadded", "squeezebert": "sorted"}
RATE = {"tiny": 1e-3, "bert": 5e-5, "squeezebert": 5e-5}
LEFT_OUT = "packed, unpadded and stratified are left out: {}/squeezebert (squeezebert) takes one sample a row."
REFUSED = (
    "The strategy packed puts several samples in a row, which this model cannot run.",
    "Choose another strategy, such as sorted.",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    """Return the names of a BERT and a SqueezeBERT of random weights, with the sample's tokenizer, and of `tiny`."""
    place = tmp_path_factory.mktemp("models")
    vocabulary = len(json.loads((Path(TOKENIZER) / "tokenizer.json").read_text())["model"]["vocab"])
    torch.manual_seed(0)
    for name, kind, config in (
        ("bert", BertForSequenceClassification, BertConfig),
        ("squeezebert", SqueezeBert, SqueezeBertConfig),
    ):
        shutil.copytree(TOKENIZER, place / name)
        kind(config(vocab_size=vocabulary, **SIZES[name])).save_pretrained(place / name)
    return {"tiny": "tiny", **{name: str(place / name) for name in ("bert", "squeezebert")}}


@pytest.fixture(scope="module")
def of_squeezebert(small_files, models, tmp_path_factory) -> Path:
    """Return a dataset that was prepared for the SqueezeBERT: its default model."""
    place = tmp_path_factory.mktemp("of_squeezebert")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        outcome = run_command("prepare", small_files, "--tokenizer", models["squeezebert"], "--out", place / "d")
    assert outcome.code == 0, outcome.stderr
    return place / "d"


# ------------------------------------------------------------------------------------------------------ one resolution


@pytest.mark.parametrize(
    ("name", "batching"),
    [
        ("tiny", ()),
        ("squeezebert", ()),
        pytest.param("bert", (), marks=pytest.mark.slow),
        pytest.param("squeezebert", ("--strategy", "reach"), marks=pytest.mark.slow),
    ],
)
def test_plan_estimate_and_compare_tell_what_train_does(tdbs, small, models, workplace, name, batching):
    of_model = ("--model", models[name], *ONE_EPOCH)
    strategy = batching[1] if batching else STRATEGY[name]
    named = batching or ("--strategy", "tdbs")
    plan = tdbs("plan", small, *of_model, *batching, "--out", "plan.parquet", "--json").json
    run = tdbs("train", small, *of_model, *batching, "--out", "run", "--json").json
    estimate = tdbs("estimate-speedup", small, *of_model, *named, "--json").json
    compared = tdbs("compare", small, *of_model, *named, "--out", "c", "--json").json
    [estimated] = estimate["strategies"]
    row = {row["strategy"]: row for row in compared["rows"]}[strategy]
    predicted = {row["strategy"]: row for row in compared["prediction"]["strategies"]}[strategy]
    assert {plan["strategy"], run["strategy"], estimated["strategy"]} == {strategy}
    [epoch] = plan["epochs"]
    for told in (epoch, estimated, row, predicted):
        for key in ("tokens", "steps", "padding_fraction"):
            assert told[key] == run[key]
    assert plan["model_type"] == estimate["model_type"] == ("bert" if name == "tiny" else name)
    assert plan["model"] == estimate["model"] == compared["model"]
    table = pq.read_table("plan.parquet").to_pylist()
    steps = [json.loads(line) for line in Path("run/steps.jsonl").read_text().splitlines()]
    tokens = Counter({each["step"]: 0 for each in table})
    for call in table:
        tokens[call["step"]] += call["tokens"]
    assert tokens == {each["step"]: each["tokens"] for each in steps}
    assert {each["step"]: each["lr"] for each in table} == {each["step"]: each["lr"] for each in steps}
    assert compared["lr"] == RATE[name]


@pytest.mark.parametrize("name", STRATEGY)
def test_a_loop_of_ones_own_walks_the_plan_of_its_model(tdbs, small, models, name):
    steps = PreparedSteps(small, model=loaded(models[name], small), seed=2, epochs=2)
    plan = tdbs("plan", small, "--model", models[name], "--seed", 2, "--epochs", 2, "--json").json
    assert steps.state_dict()["plan_digest"] == plan["plan_digest"]


def loaded(name: str, dataset: Path):
    """Return a model as a user would load it."""
    from tests.train.opened import opened_to_train

    return opened_to_train(name, api.load(dataset))


def test_the_default_model_is_asked_for_too(tdbs, of_squeezebert, workplace):
    """A dataset that was prepared for a SqueezeBERT is planned for it by every command, unless told otherwise."""
    plan = tdbs("plan", of_squeezebert, *ONE_EPOCH, "--json").json
    run = tdbs("train", of_squeezebert, *ONE_EPOCH, "--out", "run", "--json").json
    assert (plan["strategy"], plan["epochs"][0]["tokens"]) == ("sorted", run["tokens"])
    assert plan["model_type"] == "squeezebert"
    inspected = tdbs("inspect", of_squeezebert, "--samples", 0, "--json").json
    assert inspected["label_length"]["strategy"] == "sorted"
    assert tdbs("plan", of_squeezebert, "--model", "tiny", "--json").json["strategy"] == "unpadded"
    names = {each.strategy for each in api.estimate_speedup(api.load(of_squeezebert), epochs=1)}
    assert not names & {"packed", "unpadded", "stratified"}
    assert "unpadded" in {each.strategy for each in api.estimate_speedup(api.load(of_squeezebert), model="tiny")}


def test_the_report_of_a_run_estimates_for_its_own_model(tdbs, small, models, workplace):
    from tdbs.reports.report import report_on_run

    tdbs("train", small, "--model", models["squeezebert"], *ONE_EPOCH, "--out", "run")
    assert "unpadded" not in {estimate.strategy for estimate in report_on_run(Path("run")).estimates}


@pytest.mark.parametrize("command", ["plan", "estimate-speedup", "inspect"])
def test_what_is_assumed_of_a_model_that_is_not_there_is_said(tdbs, small, workplace, command):
    """The small corpus was prepared with a tokenizer alone."""
    outcome = tdbs(command, small, "--json")
    assert outcome.stderr.splitlines() == [
        "No configuration of the model data/sample_tokenizer was found. tdbs assumes that its rows can hold several "
        "samples, as BERT's can. Pass --model with the model to train."
    ]
    assert tdbs(command, small, "--model", "tiny", "--json").stderr == ""


def test_commands_that_train_nothing_load_nothing_heavy(of_squeezebert, tmp_path):
    """One process for all four."""
    strategies = ["--strategy", "reach"]  # the peers' own samplers load transformers
    calls = [
        ["prepare", "--out", "data/built-in"],
        *([name, str(of_squeezebert), *strategies, "--json"] for name in ("plan", "estimate-speedup", "inspect")),
    ]
    heavy = {"torch", "transformers", "huggingface_hub", "datasets", "polars", "scipy", "matplotlib"}
    code = (
        "import sys\nfrom tdbs.cli import main\n"
        f"for words in {calls!r}:\n"
        "    sys.argv = ['tdbs', *words]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code\n"
        f"    assert not {heavy!r} & set(sys.modules), words"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------- what a model cannot run


def test_compare_leaves_out_what_the_model_cannot_run_and_says_so_first(tdbs, of_squeezebert, models, workplace):
    outcome = tdbs("compare", of_squeezebert, *ONE_EPOCH, "--steps", 1, "--out", "c", "--json")
    place = Path(models["squeezebert"]).parent.name
    assert outcome.stderr.splitlines()[0] == LEFT_OUT.format(place)
    assert outcome.json["left_out"] == ["packed", "unpadded", "stratified"]
    assert json.loads(Path("c/compare.json").read_text())["left_out"] == ["packed", "unpadded", "stratified"]
    assert not {"packed", "unpadded", "stratified"} & {row["strategy"] for row in outcome.json["rows"]}
    assert len(outcome.json["rows"]) == 9


def test_estimates_leave_out_what_the_model_cannot_run(tdbs, of_squeezebert, models, workplace):
    outcome = tdbs("estimate-speedup", of_squeezebert, "--epochs", 1, "--json")
    assert outcome.stderr.splitlines() == [LEFT_OUT.format(Path(models["squeezebert"]).parent.name)]
    assert outcome.json["left_out"] == ["packed", "unpadded", "stratified"]
    assert len(outcome.json["strategies"]) == 9
    assert tdbs("estimate-speedup", of_squeezebert, "--model", "tiny", "--json").json["left_out"] == []


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "--strategy", "packed", "--out", "plan.parquet"),
        ("inspect", "--strategy", "packed"),
        ("estimate-speedup", "--strategy", "packed"),
        ("estimate-speedup", "--baseline", "packed"),
        ("train", "--strategy", "packed", "--out", "run"),
        ("compare", "--strategy", "packed", "--out", "c"),
        ("compare", "--strategy", "random", "--baseline", "packed", "--out", "c"),
        ("sweep", "--lr", "1e-3", "--strategy", "packed", "--out", "s"),
        ("sweep", "--space", "space.toml", "--out", "s"),
    ],
    ids=" ".join,
)
def test_a_strategy_that_is_asked_for_by_name_is_refused_before_anything_is_written(
    refused, untouched, of_squeezebert, workplace, command
):
    (workplace / "space.toml").write_text('[strategy]\nvalues = ["random", "packed"]\n')
    name, *options = command
    with untouched(workplace):
        assert refused(name, of_squeezebert, *options) == REFUSED


def test_the_advice_is_taken(tdbs, of_squeezebert, workplace):
    for command in ("plan", "estimate-speedup", "inspect"):
        tdbs(command, of_squeezebert, "--strategy", "random")
    tdbs("compare", of_squeezebert, "--strategy", "random", *ONE_EPOCH, "--steps", 1)


def test_compare_from_python_refuses_before_it_makes_a_folder(of_squeezebert, workplace):
    with pytest.raises(api.TdbsError) as caught:
        api.compare(api.load(of_squeezebert), ["random", "packed"], out="c", epochs=1)
    assert (caught.value.message, caught.value.next_step) == REFUSED
    assert not (workplace / "c").exists()


def test_a_loop_of_ones_own_is_told_too(small, models):
    with pytest.raises(api.TdbsError) as caught:
        PreparedSteps(small, model=loaded(models["squeezebert"], small), strategy="packed")
    assert (caught.value.message, caught.value.next_step) == REFUSED


def test_a_profile_of_another_family_is_told_of(tdbs, of_squeezebert, workplace):
    from tests.analysis.test_cost import points_of

    found = {
        "tdbs_profile": 1,
        "model": {"name": "tiny", "type": "bert"},
        "device": {"name": "made up"},
        "settings": {"kind": "classification", "attention": "eager"},
        "max_length": 128,
        "caps": {"lengths": [128], "memory": [64], "knee": [64]},
        "overhead": [],
        "points": points_of(),
    }
    Path("p.json").write_text(json.dumps(found))
    note = (
        "The profile was measured with a bert, but the model to train is a squeezebert: seconds may differ. "
        "Measure the model with tdbs profile."
    )
    told = ("estimate-speedup", of_squeezebert, "--profile", "p.json", "--strategy", "random")
    assert note in tdbs(*told).stderr.splitlines()
    own = (*told, "--model", "tiny")
    untimed = "Predicted seconds are those of whole steps: the profile was measured without --freeze-layers."
    assert not {note, untimed} & set(tdbs(*own).stderr.splitlines())
    assert untimed in tdbs(*own, "--freeze-layers", 1).stderr.splitlines()


# ------------------------------------------------------------------------------------------------ labels and lengths


def skewed(place: Path) -> Path:
    """Prepare rows whose label is whether they are long."""
    rows = [f"{'film ' * (3 + i % 20)},{'long' if i % 20 > 9 else 'short'}" for i in range(400)]
    (place / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return place / "rows.csv"


def test_inspect_speaks_of_the_strategy_that_would_train(tdbs, workplace):
    """Random batches have nothing to be warned of; those of like lengths are tested, and the error rate is said."""
    tdbs("prepare", skewed(workplace), "--tokenizer", TOKENIZER, "--out", "d")
    default = tdbs("inspect", "d", "--model", "tiny", "--samples", 0)
    assert (
        "unpadded draws its batches at random: updates see a random label mix, even if labels depend on "
        "length. To examine batches of similar length, pass --strategy bucket."
    ) in default.stdout.splitlines()
    assert "Labels depend on lengths" not in default.stdout
    found = tdbs("inspect", "d", "--model", "tiny", "--samples", 0, "--json").json["label_length"]
    assert (found["strategy"], found["at_random"], found["p_value"], found["is_risky"]) == (
        "unpadded",
        True,
        None,
        False,
    )
    of_lengths = tdbs("inspect", "d", "--strategy", "bucket", "--samples", 0)
    assert (
        "Labels depend on lengths here (tested at an error rate of 1%): bucket's updates see a skewed label mix. "
        "Compare its scores with the default strategy's, or mix lengths with --micro-batches 4."
    ) in of_lengths.stdout.splitlines()
    found = tdbs("inspect", "d", "--strategy", "tf_bucket", "--samples", 0, "--json").json["label_length"]
    assert (found["strategy"], found["p_value"], found["is_risky"]) == ("tf_bucket", 0.001, True)


def test_micro_batches_are_advised_to_strategies_that_take_them():
    labels = LabelLength(correlation=None, stray=2.0, p_value=0.001)
    [_, warning] = label_lines(labels, STRATEGIES["length_grouped"])
    assert warning.endswith("updates see a skewed label mix. Compare its scores with the default strategy's.")
    [_, told] = label_lines(LabelLength(correlation=None, stray=1.2, p_value=0.001), STRATEGIES["bucket"])
    assert told == (
        "bucket's updates see a label mix more skewed than by chance, but too little to matter (tested at an error "
        "rate of 1%)."
    )


def test_inspect_shows_drops_of_reach_where_no_strategy_is_named(tdbs, small):
    """The default drops nothing, so it would have nothing to show; what is said of labels is of the default."""
    shown = tdbs("inspect", small, "--drop", "--samples", 3, "--json").json
    named = tdbs("inspect", small, "--drop", "--samples", 3, "--strategy", "reach", "--json").json
    assert shown["drops"] == named["drops"]
    assert (shown["label_length"]["strategy"], named["label_length"]["strategy"]) == ("unpadded", "reach")


def test_labels_that_do_not_go_with_lengths_are_said_to_be_as_by_chance(tdbs, small):
    lines = tdbs("inspect", small, "--strategy", "bucket", "--samples", 0).stdout.splitlines()
    assert "bucket's updates see a label mix as by chance (tested at an error rate of 1%)." in lines


# ------------------------------------------------------------------------------------------------------------- notices


def test_a_notice_is_one_line_however_often_a_command_opens_the_model(tdbs, small, models, workplace):
    shutil.copytree(models["bert"], "m")
    place = Path("m/tokenizer_config.json")
    place.write_text(json.dumps(json.loads(place.read_text()) | {"padding_side": "left"}))
    named = ("--strategy", "random", "--strategy", "bucket")
    compared = tdbs("compare", small, "--model", "m", *ONE_EPOCH, *named, "--out", "c")
    assert [line for line in compared.stderr.splitlines() if "pads on the" in line] == [
        "The tokenizer of m pads on the left, but tdbs pads on the right or not at all. A text then has the same "
        "result alone and in a batch; batches padded on the left may give others."
    ]


# ------------------------------------------------------------------------------------------------ what runs in calls


def test_a_default_that_pads_and_samples_above_a_cap_are_said(tdbs, of_squeezebert, models, workplace):
    plan = tdbs("plan", of_squeezebert, "--max-tokens", 20, "--out", "p.parquet", "--json")
    table = pq.read_table("p.parquet").to_pylist()
    above = [call for call in table if call["tokens"] > 20 and call["epoch"] == 0]
    assert above
    assert {len(call["sample_ids"]) for call in above} == {1}
    assert plan.stderr.splitlines()[:2] == [
        "The default here is sorted: an update runs as a few padded calls, sorted by length.",
        f"{len(above)} samples are above --max-tokens or --max-pairs even alone: such a sample is a call of its own.",
    ]
    run = tdbs("train", of_squeezebert, "--max-tokens", 20, *ONE_EPOCH, "--out", "run", "--json")
    assert run.stderr.splitlines()[:2] == plan.stderr.splitlines()[:2]
    assert run.json["strategy"] == "sorted"


# ------------------------------------------------------------------------------------------- what training would refuse


UNFIT = {
    "funnel": (
        {"model_type": "funnel"},
        "Padding changes the outputs of {} (funnel), so no batch would be exact.",
        "Choose a model whose attention ignores padding, such as BERT or RoBERTa.",
    ),
    "pre_norm": (
        {"model_type": "flaubert", "pre_norm": True},
        "transformers cannot run {}: it is a flaubert with pre_norm.",
        "Choose another model.",
    ),
    "short": (
        {"model_type": "bert", "max_position_embeddings": 100},
        "The model {} takes at most 100 tokens; the dataset was prepared with --max-length 128.",
        "Prepare the dataset with --max-length 100 or less.",
    ),
    "few tokens": (
        {"model_type": "bert", "vocab_size": 50},
        "The model {} knows 50 tokens, but the dataset was prepared with sample_tokenizer, which has {words}.",
        "Prepare the dataset with --tokenizer {}, or pass the model it was prepared for.",
    ),
    "another tokenizer": (
        {"model_type": "bert"},
        "The model {} has another tokenizer than the dataset, which was prepared with sample_tokenizer.",
        "Prepare the dataset with --tokenizer {}, or pass the model it was prepared for.",
    ),
}
DRY_AND_REAL = (("plan",), ("estimate-speedup",), ("train", "--out", "run"))


@pytest.mark.parametrize("name", UNFIT)
def test_plan_and_estimate_refuse_a_model_with_the_error_of_train(refused, small, workplace, name):
    config, cause, next_step = UNFIT[name]
    place = workplace / "m"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((Path(TOKENIZER) / "tokenizer.json").read_text())
    words = len(tokenizer["model"]["vocab"])
    if name == "another tokenizer":
        tokenizer["model"]["vocab"]["unheard"] = words
        (place / "tokenizer.json").write_text(json.dumps(tokenizer))
    text = cause.format(place, words=words), next_step.format(place)
    for command in DRY_AND_REAL:
        assert refused(*command, small, "--model", place) == text, command
    assert not Path("run").exists()


def test_a_model_that_reads_alone_is_refused_where_texts_are_written(tdbs, refused, models, workplace):
    rows = [f"the film was good {number},the film" for number in range(40)]
    Path("rows.csv").write_text("\n".join(["text,summary", *rows]) + "\n")
    tdbs("prepare", "rows.csv", "--target", "summary", "--tokenizer", TOKENIZER, "--out", "d")
    text = (
        f"The model {models['bert']} cannot write texts: it is a bert.",
        "Pass --model with an encoder-decoder, such as t5-small.",
    )
    for command in DRY_AND_REAL:
        assert refused(*command, "d", "--model", models["bert"]) == text, command


def test_the_table_says_which_types_write_as_transformers_does():
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

    from tdbs.model_families import FAMILIES

    writers = {name for name, family in FAMILIES.items() if family.writes}
    assert writers == FAMILIES.keys() & MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.keys()
