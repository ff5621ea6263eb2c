"""Bad input ends with exit code 1, cause and next step in full, nothing written and no traceback."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertForSequenceClassification

from tdbs.errors import TdbsError
from tests import in_process
from tests.cli.conftest import TOKENIZER, run_command, tree

ROWS = "text,label\n" + "".join(f"text {i},{'good' if i % 2 else 'bad'}\n" for i in range(20))
SOURCES = [
    (
        {"d/train.csv": ROWS.replace("text,", "body,", 1)},
        ("d",),
        "train.csv has no column 'text'; it has: 'body', 'label'.",
        "Name the column with --text.",
    ),
    (
        {"a.csv": ROWS},
        ("a.csv", "--label", "stars"),
        "a.csv has no column 'stars'; it has: 'text', 'label'.",
        "Name the column with --label.",
    ),
    (
        {"a.csv": ROWS.replace("text 3,", ",")},
        ("a.csv",),
        "Row 4 of a.csv has no 'text'.",
        "Fill the row or delete it; or pass --skip-bad-rows.",
    ),
    (
        {"a.jsonl": '{"text": "x", "label": "a"}\n{"text": null, "label": "b"}\n'},
        ("a.jsonl",),
        "Row 2 of a.jsonl has no 'text'.",
        "Fill the row or delete it; or pass --skip-bad-rows.",
    ),
    ({"a.csv": ""}, ("a.csv",), "a.csv is empty.", "Add a header and rows."),
    ({"a.csv": "text,label\n"}, ("a.csv",), "a.csv has no rows.", "Add rows, or leave it out."),
    ({"a.jsonl": ""}, ("a.jsonl",), "a.jsonl is empty.", "Write one JSON object per line."),
    (
        {"d/train.csv": ROWS, "d/validation.csv": "text,label\nx,good\ny,fine\n"},
        ("d",),
        "Row 2 of validation.csv has the label 'fine', which train lacks; its classes are: bad, good.",
        "Fix the row, or add rows of this class to train; or pass --skip-bad-rows.",
    ),
    (
        {"a.csv": "text,label\nx,1\ny,good\nz,2\n"},
        ("a.csv",),
        "Some labels of a.csv are numbers (row 1 has '1') and some are not (row 2 has 'good').",
        "Fix them, or pass --label-type class.",
    ),
    (
        {"a.csv": b"text,label\nfine,1\ncaf\xe9,0\n"},
        ("a.csv",),
        "Line 3 of a.csv is not UTF-8: byte 4 of the line is 0xe9.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
    (
        {"a.tsv": b"text\tlabel\nfine\t1\ncaf\xe9\t0\n"},
        ("a.tsv",),
        "Line 3 of a.tsv is not UTF-8: byte 4 of the line is 0xe9.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    ),
    (
        {"a.jsonl": b'{"text": "fine", "label": 1}\n{"text": "caf\xe9", "label": 0}\n'},
        ("a.jsonl",),
        "Line 2 of a.jsonl is not UTF-8: byte 14 of the line is 0xe9.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16; or pass --skip-bad-rows.",
    ),
    (
        {"a.xlsx": "x"},
        ("a.xlsx",),
        "a.xlsx has an extension that tdbs does not support.",
        "Use one of .csv, .tsv, .tab, .txt, .jsonl, .json, .ndjson, .parquet, .arrow, .conll, .conllu, .iob, .bio.",
    ),
    (
        {"a.csv": ROWS},
        ("a.csv", "--label-type", "nope"),
        "Unknown value 'nope' for --label-type.",
        "Pass --label-type with one of: auto, class, regression.",
    ),
    (
        {"a.csv": ROWS},
        ("a.csv", "--max-length", "0"),
        "--max-length must be 1 or more, got 0.",
        "Pass --max-length 1 or more.",
    ),
    (
        {"a.csv": ROWS},
        ("a.csv", "--max-length", "2"),
        "--max-length 2 leaves no room for text: sample_tokenizer adds 2 special tokens.",
        "Pass --max-length 3 or more.",
    ),
    (
        {},
        ("glue/nope",),
        "Unknown task 'glue/nope', and no file or folder glue/nope exists.",
        "Pass a path, sample, squad, xsum, cnn_dailymail, or glue/cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli.",
    ),
    (
        {},
        ("--work", "s3://bucket/work"),
        "--work s3://bucket/work is not a folder of this machine.",
        "Pass a local folder, or leave it out.",
    ),
    (
        {},
        ("glue/sst2", "--mirror", "m"),
        "The mirror has no file m/glue/sst2/train.parquet.",
        "Put it there, or pass --mirror (or set TDBS_MIRROR) with the folder that contains glue/sst2.",
    ),
]


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """No test here may ask the hub for anything."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def write_files(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(("files", "arguments", "cause", "next_step"), SOURCES, ids=[row[2][:40] for row in SOURCES])
def test_what_prepare_refuses(refused, untouched, workplace, files, arguments, cause, next_step):
    write_files(workplace, files)
    with untouched(workplace):
        assert refused("prepare", *arguments, "--tokenizer", TOKENIZER) == (cause, next_step)


def test_mixed_labels_are_classes_if_the_user_says_so(tdbs, workplace):
    write_files(workplace, {"a.csv": "text,label\nx,1\ny,good\nz,1\n"})
    tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--label-type", "class", "--out", "d")
    assert json.loads((workplace / "d/manifest.json").read_text())["task"]["classes"] == ["1", "good"]


def test_only_an_empty_field_is_missing_and_none_and_na_are_text(tdbs, workplace):
    write_files(workplace, {"a.csv": "text,label\nNone,NA\nNA,null\nnan,NA\n"})
    found = tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "d", "--json").json
    assert found["splits"]["train"]["rows"] == 3
    assert json.loads((workplace / "d/manifest.json").read_text())["task"]["classes"] == ["NA", "null"]


def test_without_network_and_mirror_the_mirror_is_the_next_step(tmp_path):
    """The suite is offline, and the hub's folder is its own (tests/conftest.py)."""
    place = tmp_path / "place"
    place.mkdir()
    run = in_process.run_command("prepare", "glue/sst2", folder=place, env={"TDBS_MIRROR": None})
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr.strip().splitlines()[-2:] == [
        "Error: Cannot load glue/sst2 from the hub: Couldn't reach 'nyu-mll/glue' on the Hub (OfflineModeIsEnabled).",
        "Next:  Without a network, pass --mirror DIR (or set TDBS_MIRROR) "
        "with the files DIR/glue/sst2/<split>.parquet.",
    ]
    assert tree(place) == {}


# Tokenizers


def test_a_tokenizer_that_is_nowhere(refused, workplace):
    write_files(workplace, {"a.csv": ROWS})
    assert refused("prepare", "a.csv", "--tokenizer", "./gone") == (
        "Tokenizer folder ./gone does not exist.",
        "Pass --tokenizer with a folder or a hub name.",
    )
    assert refused("prepare", "a.csv", "--tokenizer", "no-such-tokenizer") == (
        "The tokenizer no-such-tokenizer is not on this machine, and the hub cannot be reached.",
        "Pass --tokenizer with a local folder, or run once with a network.",
    )
    assert tree(workplace).keys() == {"a.csv"}


def test_a_name_that_the_hub_does_not_allow_is_the_users_problem(refused, workplace):
    write_files(workplace, {"a.csv": ROWS})
    cause, _ = refused("prepare", "a.csv", "--tokenizer", "my tokenizer")
    assert "my tokenizer" in cause
    assert "failed where it should not" not in cause


def test_a_slow_only_tokenizer(refused, untouched, workplace):
    """CANINE has characters for tokens; transformers has no fast implementation of it."""
    write_files(workplace, {"a.csv": ROWS, "canine/tokenizer_config.json": '{"tokenizer_class": "CanineTokenizer"}'})
    with untouched(workplace):
        assert refused("prepare", "a.csv", "--tokenizer", "canine") == (
            "The tokenizer canine has no fast implementation, so it does not report which characters a token covers.",
            "Convert it to a tokenizer.json, or pass --tokenizer with a fast one.",
        )


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"t/tokenizer_config.json": '{"tokenizer_class": "BertTokenizer"}'},
        {"t/config.json": '{"model_type": "t5"}'},
    ],
    ids=["empty", "class alone", "model type alone"],
)
def test_a_folder_without_a_vocabulary_is_no_tokenizer(refused, untouched, workplace, files):
    """transformers 5 makes a tokenizer of special tokens alone from such a folder; every word would be unknown."""
    write_files(workplace, {"a.csv": ROWS, **files})
    (workplace / "t").mkdir(exist_ok=True)
    with untouched(workplace):
        cause, next_step = refused("prepare", "a.csv", "--tokenizer", "t")
    assert cause.startswith("transformers cannot load a tokenizer from t: ")
    assert not cause.endswith((": ", ":", "of"))  # the reason is there, not the head of a list
    assert next_step == "Pass --tokenizer with a folder or hub name that has a tokenizer.json."


def test_a_damaged_tokenizer_json(refused, workplace):
    write_files(workplace, {"a.csv": ROWS, "t/tokenizer.json": "{"})
    assert refused("prepare", "a.csv", "--tokenizer", "t") == (
        "t/tokenizer.json is not a tokenizer that the tokenizers library can read: "
        "EOF while parsing an object at line 1 column 1.",
        "Save it again with tokenizer.save_pretrained(...).",
    )


def test_damaged_settings_of_a_tokenizer_are_the_users_problem(refused, workplace):
    shutil.copytree(TOKENIZER, workplace / "t")
    write_files(workplace, {"a.csv": ROWS, "t/tokenizer_config.json": "{"})
    cause, _ = refused("prepare", "a.csv", "--tokenizer", "t")
    assert "t/tokenizer_config.json" in cause
    assert "failed where it should not" not in cause


def test_a_max_length_beyond_the_tokenizer(refused, untouched, workplace):
    shutil.copytree(TOKENIZER, workplace / "t")
    write_files(workplace, {"a.csv": ROWS, "t/tokenizer_config.json": '{"model_max_length": 64}'})
    with untouched(workplace):
        assert refused("prepare", "a.csv", "--tokenizer", "t") == (
            "--max-length 128 is beyond t, which takes at most 64 tokens.",
            "Pass --max-length 64 or less.",
        )


# Places


def test_prepare_does_not_write_into_what_is_not_its_own(refused, untouched, tdbs, workplace):
    write_files(workplace, {"a.csv": ROWS, "out/thesis.txt": "years of work", "file": "x"})
    with untouched(workplace):
        assert refused("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out") == (
            "out contains something other than a prepared dataset.",
            "Pass another --out, or --overwrite to prepare into it; files that tdbs did not write stay.",
        )
        assert refused("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "file", "--overwrite") == (
            "file is a file.",
            "Pass another --out.",
        )
    tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out", "--overwrite")
    assert (workplace / "out/thesis.txt").read_text() == "years of work"


def test_another_dataset_in_the_place_is_kept_without_overwrite(refused, untouched, tdbs, workplace):
    write_files(workplace, {"a.csv": ROWS, "b.csv": ROWS + "more,good\n"})
    tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out")
    with untouched(workplace):
        assert refused("prepare", "b.csv", "--tokenizer", TOKENIZER, "--max-length", "64", "--out", "out") == (
            "out contains a dataset prepared with other settings (source, task, max length changed).",
            "Pass another --out, or --overwrite.",
        )
    replaced = ("prepare", "b.csv", "--tokenizer", TOKENIZER, "--out", "out", "--overwrite", "--json")
    assert tdbs(*replaced).json["splits"]["train"]["rows"] == 21
    listed = json.loads((workplace / "out/manifest.json").read_text())["splits"]["train"]["shards"]
    on_disk = {path.relative_to(workplace / "out").as_posix() for path in (workplace / "out").rglob("*.parquet")}
    assert on_disk == {shard["path"] for shard in listed}


@pytest.mark.parametrize("content", ["{", '{"schema_version": 0}'], ids=["damaged", "other version"])
def test_overwrite_helps_where_the_manifest_cannot_be_read(tdbs, refused, workplace, content):
    """The error's next step is --overwrite; with it the dataset is prepared anew."""
    write_files(workplace, {"a.csv": ROWS})
    tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out")
    (workplace / "out/manifest.json").write_text(content)
    refused("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out")
    tdbs("prepare", "a.csv", "--tokenizer", TOKENIZER, "--out", "out", "--overwrite")
    tdbs("inspect", "out")


def test_train_does_not_write_into_what_is_not_its_own(refused, untouched, small, workplace):
    write_files(workplace, {"out/thesis.txt": "years of work", "run/config.toml": 'plan_digest = "0"'})
    with untouched(workplace):
        for folder, held, resumed in (
            ("out", "other files", ""),
            ("run", "a run", "--resume to continue it, "),
        ):
            assert refused("train", small, "--model", "tiny", "--out", folder) == (
                f"{folder} contains {held}.",
                f"Pass {resumed}another --out, or --overwrite to replace what tdbs wrote there.",
            )


def test_overwrite_of_a_run_replaces_only_what_tdbs_wrote(small, workplace):
    """A folder that is no run may have a `model` of its own: refused or left alone, never deleted."""
    own = {"out/thesis.txt": "years of work", "out/model/weights.bin": "a week of GPU time"}
    write_files(workplace, own)
    options = ("--model", "tiny", "--epochs", 1, "--base-batch-size", 100, "--out", "out", "--overwrite")
    run_command("train", small, *options)
    kept = {name: (workplace / name).read_text() if (workplace / name).exists() else None for name in own}
    assert kept == own


def test_train_into_a_file(refused, untouched, small, workplace):
    write_files(workplace, {"out": "x"})
    with untouched(workplace):
        cause, _ = refused("train", small, "--model", "tiny", "--out", "out", "--overwrite")
    assert cause == "out is a file."


# Datasets


@pytest.mark.parametrize("command", ["inspect", "plan", "estimate-speedup", "train"])
def test_a_folder_that_is_no_prepared_dataset(refused, untouched, workplace, command):
    (workplace / "d").mkdir()
    with untouched(workplace):
        next_step = "Run tdbs prepare, or pass the folder that it printed."
        assert refused(command, "d") == ("d is not a prepared dataset: it has no manifest.json.", next_step)
        assert refused(command, "gone") == ("gone does not exist.", next_step)
        assert refused(command) == ("No dataset was given and none was prepared here.", "Run tdbs prepare first.")


@pytest.mark.parametrize("command", ["verify", "inspect", "audit", "plan", "train"])
def test_a_run_in_place_of_a_dataset(refused, untouched, small, workplace, command):
    """The error names the run's own dataset, and the commands that take a run."""
    write_files(workplace, {"r/config.toml": f'plan_digest = "1"\n[dataset]\npath = "{small}"\n'})
    write_files(workplace, {"other/config.toml": "x = 1\n"})
    with untouched(workplace):
        assert refused(command, "r") == (
            "r is a run, not a prepared dataset.",
            f"Pass its dataset, {small}; or run tdbs report, evaluate, score or predict on the run.",
        )
        assert refused(command, "other")[0] == "other is not a prepared dataset: it has no manifest.json."


@pytest.mark.parametrize("command", ["score", "evaluate", "report"])
def test_a_dataset_in_place_of_a_run(refused, small, command):
    next_step = "Run tdbs train, or name the folder that it printed."
    assert refused(command, small) == (f"{small} is a prepared dataset, not a run.", next_step)


def test_arguments_of_predict_in_the_wrong_order(refused, small, workplace):
    """The texts in place of the model, or a run in place of the texts."""
    write_files(workplace, {"r/config.toml": f'plan_digest = "1"\n[dataset]\npath = "{small}"\n'})
    write_files(workplace, {"a.csv": "text\nx\n"})
    next_step = "Name the run or the model first, then the texts: tdbs predict RUN INPUT."
    assert refused("predict", "a.csv", "r") == ("a.csv is a file, neither a tdbs run nor a model.", next_step)
    assert refused("predict", small, "r") == (
        f"{small} is a prepared dataset, neither a tdbs run nor a model.",
        next_step,
    )


def test_a_damaged_shard_stops_every_command_that_reads_it(refused, untouched, small, workplace):
    shutil.copytree(small, workplace / "d")
    shard = max((workplace / "d/train").rglob("*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    damaged = (
        f"The shard {shard.relative_to(workplace)} is damaged: its contents differ from what prepare wrote.",
        "Prepare the dataset again with --overwrite.",
    )
    with untouched(workplace):
        for command in (("inspect",), ("train", "--model", "tiny")):
            assert refused(command[0], "d", *command[1:]) == damaged
        shard.rename(shard.with_suffix(".gone"))
        assert refused("plan", "d") == (
            f"The shard {shard.relative_to(workplace)} cannot be read: No such file or directory.",
            "Prepare the dataset again with --overwrite.",
        )
        shard.with_suffix(".gone").rename(shard)


def test_a_damaged_shard_of_validation_stops_training_before_it_starts(refused, untouched, small, workplace):
    shutil.copytree(small, workplace / "d")
    shard = max((workplace / "d/validation").rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with untouched(workplace):
        cause, _ = refused("train", "d", "--model", "tiny", "--out", "run")
    assert cause == f"The shard {shard.relative_to(workplace)} is damaged: its contents differ from what prepare wrote."


def test_a_split_that_is_not_there(refused, small, finished_run):
    there = (f"{small} has no split nope.", "Choose one of: train, validation.")
    assert refused("inspect", small, "--split", "nope") == there
    assert refused("evaluate", finished_run, "--split", "nope") == there


def test_a_single_row_of_validation_scores_has_no_score(tdbs, workplace):
    """A correlation of one sample is not defined: null, and the trained model is kept."""
    rows = "text,label\n" + "".join(f"text {i},{i / 10}\n" for i in range(1, 20))
    write_files(workplace, {"d/train.csv": rows, "d/validation.csv": "text,label\nx,0.5\n"})
    tdbs("prepare", "d", "--tokenizer", TOKENIZER, "--out", "p")
    found = tdbs("train", "p", "--model", "tiny", "--epochs", 1, "--out", "run", "--json").json
    assert found["score"] is None


def test_a_score_that_is_not_defined_is_null_and_json_stays_json(tdbs, workplace):
    """All labels of validation are equal: the correlation does not exist."""
    rows = "text,label\n" + "".join(f"text {i},{i / 10}\n" for i in range(1, 20))
    write_files(workplace, {"d/train.csv": rows, "d/validation.csv": "text,label\nx,0.5\ny,0.5\nz,0.5\n"})
    tdbs("prepare", "d", "--tokenizer", TOKENIZER, "--out", "p")
    found = tdbs("train", "p", "--model", "tiny", "--epochs", 1, "--out", "run", "--json").json
    assert found["score"] is None


# Models


def save_model(folder: Path, **overrides: int) -> None:
    fields = {
        "vocab_size": 2000,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
    }
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**(fields | overrides))).save_pretrained(folder)


def test_a_model_with_another_tokenizer_than_the_prepared_one(refused, untouched, small, workplace):
    save_model(workplace / "m")
    unknown = "[UNK]"
    other = Tokenizer(models.WordLevel({unknown: 0, "film": 1}, unk_token=unknown))
    other.save(str(workplace / "m/tokenizer.json"))
    with untouched(workplace):
        assert refused("train", small, "--model", "m", "--out", "run") == (
            "The model m has another tokenizer than the dataset, which was prepared with sample_tokenizer.",
            "Prepare the dataset with --tokenizer m, or pass the model it was prepared for.",
        )


def test_a_model_without_tokenizer_files_is_taken_if_its_vocabulary_is_large_enough(tdbs, small, workplace):
    save_model(workplace / "m")
    tdbs("train", small, "--model", "m", "--epochs", 1, "--base-batch-size", 100, "--out", "run")


def test_a_model_that_knows_fewer_tokens(refused, untouched, small, workplace):
    save_model(workplace / "m", vocab_size=10)
    size = json.loads((small / "manifest.json").read_text())["tokenizer"]["vocabulary_size"]
    with untouched(workplace):
        assert refused("train", small, "--model", "m", "--out", "run") == (
            f"The model m knows 10 tokens, but the dataset was prepared with sample_tokenizer, which has {size}.",
            "Prepare the dataset with --tokenizer m, or pass the model it was prepared for.",
        )


def test_a_model_that_takes_fewer_tokens_than_the_dataset_has(refused, untouched, small, workplace):
    save_model(workplace / "m", max_position_embeddings=64)
    shutil.copy(Path(TOKENIZER) / "tokenizer.json", workplace / "m")
    with untouched(workplace):
        assert refused("train", small, "--model", "m", "--out", "run") == (
            "The model m takes at most 64 tokens; the dataset was prepared with --max-length 128.",
            "Prepare the dataset with --max-length 64 or less.",
        )


def test_a_model_that_is_nowhere_or_is_none(refused, untouched, small, workplace):
    (workplace / "m").mkdir()
    next_step = "Pass --model with a folder with config.json and model.safetensors, or a hub name."
    with untouched(workplace):
        assert refused("train", small, "--model", "no-such-model") == (
            "The model no-such-model cannot be loaded: "
            "it is not a folder, and the hub cannot be reached or does not have it.",
            next_step,
        )
        cause, found = refused("train", small, "--model", "m")
        assert found == next_step
        assert cause.startswith("The model m cannot be loaded: ")
        assert not cause.endswith("..")


def test_weights_that_are_not_there_or_damaged(refused, untouched, small, workplace):
    save_model(workplace / "m")
    shutil.copy(Path(TOKENIZER) / "tokenizer.json", workplace / "m")
    (workplace / "m/model.safetensors").write_bytes(b"not weights")
    with untouched(workplace):
        cause, next_step = refused("train", small, "--model", "m")
    assert cause.startswith("The model m cannot be loaded: ")
    assert next_step == "Pass --model with a folder with config.json and model.safetensors, or a hub name."
    (workplace / "m/model.safetensors").unlink()
    cause, _ = refused("train", small, "--model", "m")
    assert cause.startswith("The model m cannot be loaded: ")


# Values out of range

NUMBERS = "Pass --caps 64, --caps paper, or --caps FILE with a profile."
STRATEGIES = (
    "Choose one of: random_max, random, length_grouped, batch_rebalance, sorted, packed, unpadded, stratified, "
    "tf_bucket, bucket, tdbs_paper, reach, tdbs."
)
OPTIONS = [
    (("--caps", "0"), "--caps must be 1 or more, got 0.", NUMBERS),
    (("--caps", "-3"), "--caps must be 1 or more, got -3.", NUMBERS),
    (("--caps", "many"), "--caps takes a number, paper, memory, knee or a file, got many.", NUMBERS),
    (("--caps=--5",), "--caps takes a number, paper, memory, knee or a file, got --5.", NUMBERS),
    (("--strategy", "nope"), "There is no strategy nope.", STRATEGIES),
    (
        ("--batches", "nope"),
        "Unknown value 'nope' for --batches.",
        "Pass --batches with one of: random, stratified, length_grouped, batch_rebalance, packs, bucket, reach.",
    ),
    (
        ("--drop", "nope"),
        "Unknown value 'nope' for --drop.",
        "Pass --drop with one of: none, rate, any, all, batch_min, reach.",
    ),
    (
        ("--execution", "nope"),
        "Unknown value 'nope' for --execution.",
        "Pass --execution with one of: padded_max, padded, sorted, packed, unpadded.",
    ),
    (("--max-tokens", "0"), "--max-tokens must be 1 or more, got 0.", "Pass --max-tokens 1 or more."),
    (
        ("--max-pairs", "3000000000"),
        "--max-pairs must be a whole number up to 2,147,483,647, got 3000000000.",
        "Pass another --max-pairs.",
    ),
    (
        ("--strategy", "packed", "--max-tokens", "512"),
        "--max-tokens and --max-pairs have no effect with --execution packed: all its rows have one width.",
        "Leave them out, or pass --strategy unpadded.",
    ),
    (
        ("--drop-rate", "0.5"),
        "--drop-rate has no effect with --drop none.",
        "Pass --drop rate or --drop any with it.",
    ),
    (
        ("--drop", "rate", "--drop-rate", "1.5"),
        "--drop-rate must be from 0 to 1, got 1.5.",
        "Pass a share such as --drop-rate 0.3.",
    ),
    (("--bucket-width", "0"), "--bucket-width must be 1 or more, got 0.", "Pass --bucket-width 1 or more."),
    (("--base-batch-size", "0"), "--base-batch-size must be 1 or more, got 0.", "Pass --base-batch-size 1 or more."),
    (("--scaling-factor", "0"), "--scaling-factor must be 1 or more, got 0.", "Pass --scaling-factor 1 or more."),
    (("--seed", "-1"), "--seed must be from 0 to 4294967295, got -1.", "Pass another --seed."),
]
TRAIN_OPTIONS = [
    (("--epochs", "0"), "--epochs must be 1 or more, got 0.", "Pass another --epochs."),
    (("--lr", "0"), "--learning-rate must be above 0 and at most 1, got 0.0.", "Pass another --learning-rate."),
    (("--lr", "-1e-5"), "--learning-rate must be above 0 and at most 1, got -1e-05.", "Pass another --learning-rate."),
    (("--lr", "nan"), "--learning-rate must be above 0 and at most 1, got nan.", "Pass another --learning-rate."),
    (("--lr", "inf"), "--learning-rate must be above 0 and at most 1, got inf.", "Pass another --learning-rate."),
    (("--dropout", "1"), "--dropout must be from 0 to less than 1, got 1.0.", "Pass another --dropout."),
    (("--dropout", "-0.1"), "--dropout must be from 0 to less than 1, got -0.1.", "Pass another --dropout."),
    (("--warmup", "1"), "--warmup-ratio must be from 0 to less than 1, got 1.0.", "Pass another --warmup-ratio."),
    (
        ("--precision", "nope"),
        "Unknown value 'nope' for --precision.",
        "Pass --precision with one of: auto, fp32, bf16.",
    ),
    (
        ("--attention", "nope"),
        "Unknown value 'nope' for --attention.",
        "Pass --attention with one of: auto, eager, sdpa, flash_attention_2.",
    ),
]


@pytest.mark.parametrize(("options", "cause", "next_step"), OPTIONS, ids=[" ".join(row[0]) for row in OPTIONS])
@pytest.mark.parametrize("command", [("plan",), ("train", "--model", "tiny")], ids=["plan", "train"])
def test_strategy_options_out_of_range(refused, untouched, small, workplace, command, options, cause, next_step):
    with untouched(workplace):
        assert refused(command[0], small, *command[1:], *options) == (cause, next_step)


@pytest.mark.parametrize(
    ("options", "cause", "next_step"), TRAIN_OPTIONS, ids=[" ".join(row[0]) for row in TRAIN_OPTIONS]
)
def test_train_options_out_of_range(refused, untouched, small, workplace, options, cause, next_step):
    with untouched(workplace):
        assert refused("train", small, "--model", "tiny", *options) == (cause, next_step)


@pytest.mark.parametrize(
    "options",
    [("--epochs", "0"), ("--lr", "0"), ("--lr", "-1"), ("--lr", "nan"), ("--warmup", "3"), ("--warmup", "-1")],
    ids=" ".join,
)
def test_plan_refuses_what_train_refuses(refused, small, workplace, options):
    planned, trained = refused("plan", small, *options), refused("train", small, "--model", "tiny", *options)
    assert planned[0] == trained[0]


def test_other_options_out_of_range(refused, untouched, small, workplace):
    with untouched(workplace):
        assert refused("estimate-speedup", small, "--baseline", "nope") == ("There is no strategy nope.", STRATEGIES)
        assert refused("estimate-speedup", small, "--strategy", "nope") == ("There is no strategy nope.", STRATEGIES)
        assert refused("inspect", small, "--samples", "-1") == (
            "--samples must be 0 or more, got -1.",
            "Pass --samples 0 or more.",
        )
        assert refused("inspect", small, "--percent", "0") == (
            "--percent must be above 0 and at most 100, got 0.0.",
            "Pass --percent 87.5.",
        )
        (workplace / "plan.parquet").touch()
        assert refused("plan", small, "--out", "plan.parquet") == (
            "plan.parquet already exists.",
            "Pass another --out, or --overwrite.",
        )
        (workplace / "plan.parquet").unlink()


@pytest.mark.parametrize("options", [("--epochs", "x"), ("--no-such-option",), ("--lr", "fast")], ids=" ".join)
def test_what_the_parser_cannot_parse_ends_with_2(small, workplace, untouched, options):
    with untouched(workplace):
        outcome = run_command("train", small, *options)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "Traceback" not in outcome.stderr


# Runs


def test_a_folder_that_is_no_run(refused, untouched, workplace):
    (workplace / "r").mkdir()
    with untouched(workplace):
        for command in ("evaluate", "report"):
            assert refused(command, "r") == (
                "r is not a run of tdbs: it has no config.toml.",
                "Run tdbs train, or name the folder that it printed.",
            )
            assert refused(command) == ("No run was given and none was made here.", "Run tdbs train first.")


def test_an_unfinished_run_has_no_score_but_a_report(refused, untouched, tdbs, finished_run, workplace):
    shutil.copytree(finished_run, workplace / "r")
    (workplace / "r/result.json").unlink()
    shutil.rmtree(workplace / "r/model")
    with untouched(workplace):
        assert refused("evaluate", "r") == ("The run r has no trained model: it did not finish.", "Train again.")
    tdbs("report", "r", "--out", "r.html")
    assert (workplace / "r.html").stat().st_size > 10_000
    assert refused("report", "r", "--out", "r.html") == (
        "r.html already exists.",
        "Pass another --out, or --overwrite.",
    )


def test_a_damaged_run(refused, workplace):
    write_files(workplace, {"r/config.toml": "seed = "})
    for command in ("evaluate", "report"):
        cause, next_step = refused(command, "r")
        assert cause == "r/config.toml cannot be read: Invalid value (at end of document)."
        assert next_step == "Train again."


def test_a_run_is_not_scored_on_a_dataset_of_another_kind(refused, tdbs, finished_run, workplace):
    """Two classes were trained; three classes, or numbers, are another task."""
    rows = "text,label\n" + "".join(f"text {i},{'abc'[i % 3]}\n" for i in range(12))
    write_files(workplace, {"d/train.csv": rows, "d/validation.csv": rows})
    tdbs("prepare", "d", "--tokenizer", TOKENIZER, "--out", "p")
    cause, _ = refused("evaluate", finished_run, "--dataset", "p")
    assert "failed where it should not" not in cause


def test_a_run_is_not_scored_on_samples_longer_than_its_model_takes(refused, tdbs, finished_run, workplace):
    rows = ROWS.replace("good", "1").replace("bad", "0")  # the classes of the run
    write_files(workplace, {"d/train.csv": rows, "d/validation.csv": f"text,label\n{'film ' * 200},1\n"})
    tdbs("prepare", "d", "--tokenizer", TOKENIZER, "--max-length", "200", "--out", "p")
    cause, _ = refused("evaluate", finished_run, "--dataset", "p")
    assert "takes at most 128 tokens" in cause


def test_debug_shows_the_traceback(workplace):
    """Only --debug does; the error itself then comes through."""
    with pytest.raises(TdbsError, match=r"gone does not exist\."):
        run_command("inspect", "gone", "--debug")


def test_options_are_checked_before_a_bar_is_drawn(small, workplace):
    outcome = run_command("train", small, "--model", "tiny", "--epochs", "0")
    assert outcome.stderr.splitlines() == [
        "Error: --epochs must be 1 or more, got 0.",
        "Next:  Pass another --epochs.",
    ]
