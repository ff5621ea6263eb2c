"""`--config`: options from TOML and YAML files, and a run's own config.toml; lists and names that mean the same."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import run_command

PROFILE = Path(__file__).parents[2] / "benchmarks/results/profile_minilm_cpu_2026-11-21.json"
RUN = (
    *("--model", "tiny", "--epochs", 1, "--seed", 3, "--strategy", "bucket", "--drop", "rate", "--drop-rate", 0.2),
    *("--batch-size", 16, "--learning-rate", 1e-3, "--warmup-ratio", 0.1, "--lr-scheduler", "cosine"),
    *("--weight-decay", 0.01, "--no-lrm", "--precision", "fp32"),
)


def config_of(run: Path) -> dict[str, object]:
    return tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))


def weights_of(run: Path) -> bytes:
    return (run / "model/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """Return a run with options of every kind."""
    out = tmp_path_factory.mktemp("made") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out.parent)
        outcome = run_command("train", small, *RUN, "--out", out)
    assert outcome.code == 0, outcome.stderr
    return out


def test_a_run_records_scheduler_and_decay_and_its_rates_follow(made, small, tdbs, workplace):
    config = config_of(made)
    assert (config["lr"], config["warmup"], config["lr_scheduler"]) == (1e-3, 0.1, "cosine")
    assert (config["weight_decay"], config["strategy"]["base_batch_size"]) == (0.01, 16)
    planned = tdbs("plan", small, "--config", made / "config.toml", "--out", "p.parquet", "--json").json
    assert planned["plan_digest"] == config["plan_digest"]
    import pyarrow.parquet as pq

    steps = [json.loads(line) for line in (made / "steps.jsonl").read_text().splitlines()]
    assert pq.read_table("p.parquet")["lr"].to_pylist() == [step["lr"] for step in steps]


def test_the_config_of_a_run_makes_the_same_run(made, tdbs, workplace):
    tdbs("train", "--config", made / "config.toml", "--out", "again")
    assert config_of(workplace / "again") == config_of(made)
    assert weights_of(workplace / "again") == weights_of(made)


def test_the_command_line_goes_before_the_file(made, tdbs, workplace):
    tdbs("train", "--config", made / "config.toml", "--weight-decay", 0.5, "--out", "other")
    assert config_of(workplace / "other") == config_of(made) | {"weight_decay": 0.5}
    assert weights_of(workplace / "other") != weights_of(made)


@pytest.mark.parametrize(
    ("call_tokens", "options"),
    [(3, ("--strategy", "sorted")), (5000, ("--strategy", "bucket", "--bucket-width", "auto", "--no-rbm"))],
    ids=["sorted", "auto"],
)
def test_a_run_made_with_a_profile_has_its_plan_again_without_it(small, tdbs, workplace, call_tokens, options):
    """Costs of the profile decide how updates are cut, or where buckets end: the run's record has them."""
    profile = json.loads(PROFILE.read_text(encoding="utf-8")) | {"call_tokens": call_tokens, "points": []}
    Path("p.json").write_text(json.dumps(profile), encoding="utf-8")
    common = ("--model", "tiny", "--epochs", 1, "--precision", "fp32", *options)
    tdbs("train", small, *common, "--profile", "p.json", "--out", "run")
    digest = config_of(Path("run"))["plan_digest"]
    assert tdbs("plan", small, *common, "--json").json["plan_digest"] != digest
    Path("p.json").unlink()
    assert tdbs("plan", small, "--config", "run/config.toml", "--json").json["plan_digest"] == digest
    tdbs("train", "--config", "run/config.toml", "--out", "again")
    assert config_of(Path("again")) == config_of(Path("run"))


def test_a_run_resumes_with_the_same_decay_alone_and_older_runs_had_none(made, refused, workplace):
    options = ("--config", made / "config.toml", "--resume", "--out", made)
    assert refused("train", *options, "--weight-decay", 0.0) == (
        f"The run in {made} was started with other settings: weight_decay was 0.01, is now 0.0.",
        "Repeat the command that started it with --resume, or pass another --out.",
    )
    assert run_command("train", *options).code == 0


def test_a_run_of_before_has_no_scheduler_in_its_record(small, finished_run, tdbs, workplace):
    import shutil

    shutil.copytree(finished_run, "old")
    place = workplace / "old/config.toml"
    lines = place.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("lr_scheduler", "weight_decay"))]
    assert len(kept) == len(lines) - 2
    place.write_text("\n".join(kept), encoding="utf-8")
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--out", "old", "--resume")


def test_files_name_options_as_the_command_line_or_python_does(small, tdbs, workplace):
    Path("a.toml").write_text('model = "tiny"\nseed = 2\n[plan]\nbase-batch-size = 16\n[train]\nlrm = false\n')
    Path("b.yaml").write_text("model: tiny\nseed: 2\nplan: {batch_size: 16}\n")
    given = tdbs("plan", small, "--model", "tiny", "--seed", 2, "--batch-size", 16, "--json").json
    assert tdbs("plan", small, "--config", "a.toml", "--json").json == given
    assert tdbs("plan", "--config", "b.yaml", small, "--json").json == given
    assert tdbs("plan", small, "--config", "b.yaml", "--seed", 3, "--json").json["seed"] == 3


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        (
            "a.toml",
            "epoch = 3",
            (
                "a.toml has epoch, which is not an option of tdbs plan.",
                "Look at tdbs plan --help; options of another command go into its table, as [prepare].",
            ),
        ),
        (
            "a.toml",
            "plan = 3",
            (
                "a.toml has plan, which is not an option of tdbs plan.",
                "Look at tdbs plan --help; options of another command go into its table, as [prepare].",
            ),
        ),
        (
            "a.toml",
            "plan_digest = 'x'",
            ("a.toml is not a record of a run: dataset is missing.", "Train again."),
        ),
        (
            "a.yaml",
            "- 3",
            ("a.yaml cannot be read: it has no options by name.", "Write options as epochs = 3 (TOML) or epochs: 3."),
        ),
        (
            "a.toml",
            "lr = 1e-4\nlearning-rate = 2e-4",
            ("a.toml has one option twice: lr and learning-rate.", "Write it once."),
        ),
        (
            "a.yaml",
            "lora: yes",
            (
                "a.yaml has true for --lora, which takes a value.",
                "Write the value as tdbs plan --help shows it; in YAML, quote yes, no, on and off.",
            ),
        ),
        (
            "a.toml",
            "[strategy]\nname = 'reach'",
            (
                "a.toml has a table for --strategy, which takes a value.",
                "Write the value as tdbs plan --help shows it; in YAML, quote yes, no, on and off.",
            ),
        ),
        (
            "a.toml",
            "config = 'b.toml'",
            (
                "a.toml has config, which is not an option of tdbs plan.",
                "Look at tdbs plan --help; options of another command go into its table, as [prepare].",
            ),
        ),
        (
            "a.yaml",
            "out: 2026-13-40",
            (
                "a.yaml cannot be read: month must be in 1..12.",
                "Write options as epochs = 3 (TOML) or epochs: 3.",
            ),
        ),
        (
            "a.txt",
            "epochs = 3",
            ("--config takes a TOML or YAML file, got a.txt.", "Name it .toml or .yaml."),
        ),
    ],
)
def test_files_that_are_none_are_refused(refused, workplace, name, text, error):
    Path(name).write_text(text)
    assert refused("plan", "--config", name) == error


def test_a_file_that_does_not_exist_is_refused_before_it_is_read(refused, workplace):
    assert refused("plan", "--config", "nowhere.yaml") == (
        "File nowhere.yaml does not exist.",
        "Check the path after --config.",
    )


def test_a_value_of_another_type_names_its_file(workplace):
    Path("a.toml").write_text('epochs = "three"\n')
    for options, ending in ((("--config", "a.toml"), " (in a.toml)"), (("--epochs", "three"), "")):
        outcome = run_command("plan", *options)
        assert outcome.code == 2
        message = "Error: Invalid value for '--epochs': Input should be a valid integer, unable to parse string as an"
        assert outcome.stderr.splitlines()[-1] == f"{message} integer{ending}"


@pytest.mark.parametrize("name", ["a.toml", "a.yaml"])
def test_a_mark_of_utf_8_is_not_part_of_a_file(small, tdbs, workplace, name):
    sign = "=" if name == "a.toml" else ":"
    Path(name).write_text(f"seed {sign} 3\nmodel {sign} 'tiny'\n", encoding="utf-8-sig")
    assert tdbs("plan", small, "--config", name, "--json").json["seed"] == 3


def test_a_table_of_the_command_goes_before_the_rest_by_any_name(small, tdbs, workplace):
    Path("a.toml").write_text('model = "tiny"\nbatch-size = 8\n[plan]\nbase_batch_size = 16\n')
    given = tdbs("plan", small, "--model", "tiny", "--batch-size", 16, "--json").json
    assert tdbs("plan", small, "--config", "a.toml", "--json").json == given


def test_a_run_is_not_the_configuration_of_a_command_that_trains_nothing(made, refused, workplace):
    shutil.copy(made / "config.toml", "run.toml")
    assert refused("env", "--config", "run.toml") == (
        "run.toml is the configuration of a run, which tdbs env does not take.",
        "Pass it to tdbs train, plan, estimate-speedup, compare or sweep.",
    )


def test_lists_are_separated_by_commas_or_repeated(small, tdbs, workplace):
    options = ("--model", "tiny", "--epochs", 1, "--json")
    once = tdbs("estimate-speedup", small, "--strategy", "random,reach", *options).json
    twice = tdbs("estimate-speedup", small, "--strategy", "random", "--strategy", "reach", *options).json
    Path("c.yaml").write_text("strategy: [random, reach]\n")
    of_file = tdbs("estimate-speedup", small, "--config", "c.yaml", *options).json
    assert [row["strategy"] for row in once["strategies"]] == ["random", "reach"]
    assert once == twice == of_file


def test_seeds_mean_the_same_in_compare_and_sweep(small, tdbs, workplace):
    terms = ("--model", "tiny", "--epochs", 1, "--json")
    compared = tdbs("compare", small, "--strategy", "random", "--seeds", "3,5", *terms, "--out", "c").json
    assert [row["seed"] for row in compared["rows"]] == [3, 5]
    swept = tdbs("sweep", small, "--learning-rate", "1e-3", "--seeds", 5, *terms, "--out", "s")
    assert [list(trial["scores"]) for trial in swept.json["trials"]] == [["5"]]
    assert "Each trial is trained once, with seed 5. For several, pass --seeds 0,1,2." in swept.stderr.splitlines()


def test_a_sweep_searches_schedulers_and_decays(small, tdbs, workplace):
    Path("space.toml").write_text('[lr_scheduler]\nvalues = ["linear", "constant"]\n[learning_rate]\nvalues = [1e-3]\n')
    terms = ("--model", "tiny", "--epochs", 1, "--weight-decay", 0.1, "--json")
    found = tdbs("sweep", small, "--space", "space.toml", *terms, "--out", "s").json
    assert sorted(trial["params"]["lr_scheduler"] for trial in found["trials"]) == ["constant", "linear"]
    configs = [tomllib.loads(path.read_text()) for path in Path("s/runs").glob("*/config.toml")]
    assert {(config["lr_scheduler"], config["weight_decay"]) for config in configs} == {
        ("linear", 0.1),
        ("constant", 0.1),
    }
