"""Whatever a file of ours holds, reading it ends in a TdbsError that names the file: never in KeyError or a hang."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest
import tomli_w

from tdbs.analysis.compare.record import check_comparison, read_prediction, read_rows
from tdbs.analysis.compare.runs import take_run
from tdbs.analysis.conditions.evaluate import kept_rows, newest_over_rates
from tdbs.analysis.sweep.space import read_space
from tdbs.errors import ConfigError, DatasetError, TdbsError
from tdbs.files import last_place
from tdbs.inference.output import begin_parts
from tdbs.pipeline.blocks import read_info
from tdbs.pipeline.dataset import load, read_tokenizer
from tdbs.pipeline.lengths import choose_limits
from tdbs.pipeline.tokens.tokenizer import load_tokenizer
from tdbs.records import MOST_BYTES, Form, read_record
from tdbs.reports.comparison import read_comparison
from tdbs.train.checkpoint import RunState
from tdbs.train.models.part import adapted_model
from tdbs.train.planning.profile_file import read_profile
from tdbs.train.run_folder import holds_run, read_run

GOLDEN = Path(__file__).parent / "golden" / "records"
DEEP = 100_000
FORM = Form(what="a record", error=DatasetError, next_step="Write it again.")


@pytest.fixture
def golden(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN, tmp_path / "g")
    monkeypatch.chdir(tmp_path / "g")
    return tmp_path / "g"


def settings_of(folder):
    return check_comparison(folder, {"strategies": [], "terms": {}}, resume=True)


def part_of(folder):
    parts = folder / ".out.jsonl.parts"
    parts.mkdir(exist_ok=True)
    (parts / "predict.json").write_text("{}")
    return begin_parts(folder / "out.jsonl", {}, resume=True, overwrite=False)


# Each file, and what reads it.
JSON_FILES = {
    "dataset/manifest.json": lambda folder: load(folder / "dataset"),
    "run/result.json": lambda folder: read_run(folder / "run"),
    "run/evaluations/a.json": lambda folder: newest_over_rates(folder / "run"),
    "evaluations/b.json": lambda folder: kept_rows(folder / "evaluations/b.json"),
    "state.json": lambda folder: read_record(folder / "state.json", RunState, FORM),
    "profile.json": lambda folder: read_profile(folder / "profile.json"),
    "settings.json": settings_of,
    "prediction.json": read_prediction,
    "compare.json": read_comparison,
    "pool/key/row.json": lambda folder: take_run(folder / "pool", "key", folder / "copy"),
    ".out.jsonl.parts/part-00000.json": part_of,
    "latest.json": last_place,
}
FOREIGN_FILES = {
    "adapter_config.json": adapted_model,
    "words/tokenizer_config.json": lambda folder: load_tokenizer(str(folder / "words")),
}
OTHER_FILES = {
    "run/config.toml": lambda folder: read_run(folder / "run"),
    "run/steps.jsonl": lambda folder: read_run(folder / "run"),
    "rows.jsonl": read_rows,
    "space.toml": lambda folder: read_space(folder / "space.toml"),
    "dataset/tokenizer.json": lambda folder: read_tokenizer(load(folder / "dataset")),
}
FILES = {**JSON_FILES, **FOREIGN_FILES, **OTHER_FILES}

CONTENTS = {
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "a number of 10,000 digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "invalid UTF-8": b'{"a": "\xff"}',
    "cut off": b'{"a": ',
    "NULs": b"\0" * 100,
}
STRICT_CONTENTS = {  # that other programs may write
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "a key twice": b'{"a": 1, "a": 2}',
}
WRONG_TYPES = {"a list": b"[]", "a number": b"7", "null": b"null", "a text": b'"a"'}


def refused(name, folder):
    with pytest.raises(TdbsError) as caught:
        FILES[name](folder)
    assert name in caught.value.message
    assert len(caught.value.message) < 1_000
    assert caught.value.next_step
    return caught.value.message


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content + b"\n" if name.endswith("jsonl") else content)
    if name == "dataset/tokenizer.json" or "tokenizer_config" in name:
        (folder / "words").mkdir(exist_ok=True)
        shutil.copy(GOLDEN / "dataset/tokenizer.json", folder / "words")


@pytest.mark.parametrize("name", list(FILES))
def test_contents_that_are_not_a_record_are_refused(golden, name):
    contents = CONTENTS | (STRICT_CONTENTS if name in JSON_FILES or name.endswith("jsonl") else {})
    contents |= {} if name.endswith("toml") else WRONG_TYPES
    if name == "prediction.json":  # only its estimates are checked, once they are asked for
        contents = {kind: content for kind, content in contents.items() if kind not in WRONG_TYPES}
    for content in contents.values():
        put(golden, name, content)
        refused(name, golden)


# A tokenizer's folder is looked through for plain files.
@pytest.mark.parametrize("name", [name for name in FILES if "tokenizer_config" not in name])
def test_what_is_not_a_plain_file_is_refused_at_once(golden, name):
    """A folder, a pipe that nobody writes to, 2 GiB of nothing."""
    put(golden, name, b"")
    path = golden / name
    path.unlink()
    path.mkdir()
    assert "Is a directory" in refused(name, golden)
    path.rmdir()
    os.mkfifo(path)
    assert "it is not a regular file" in refused(name, golden)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2 << 30)
    assert "it has more than" in refused(name, golden)


@pytest.mark.parametrize("name", [name for name in JSON_FILES if name != "prediction.json"])
def test_an_empty_file_is_refused(golden, name):
    put(golden, name, b"")
    refused(name, golden)


@pytest.mark.parametrize("name", ["dataset/manifest.json", "run/result.json", "run/config.toml"])
def test_each_field_of_a_wrong_type_is_named_or_not_read(golden, name):
    """Every field in turn becomes a list of NULs: an error names it, or nothing needs it."""
    path = golden / name
    is_toml = name.endswith("toml")
    found = tomllib.loads(path.read_text()) if is_toml else json.loads(path.read_text())
    named = 0
    for keys in fields_of(found):
        changed = json.loads(json.dumps(found))
        inner = changed
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = [["\0"]]
        path.write_text(tomli_w.dumps(changed) if is_toml else json.dumps(changed))
        message = message_of(name, golden)
        if message is not None:
            last = next(key for key in reversed(keys) if isinstance(key, str))
            assert name in message
            assert last.replace("schema_version", "schema version") in message
            named += 1
    assert named >= {"dataset/manifest.json": 40, "run/result.json": 9, "run/config.toml": 7}[name]


def message_of(name, folder):
    try:
        FILES[name](folder)
    except TdbsError as error:
        return error.message
    return None


def fields_of(value, before=()):
    """Yield the path of each field, those of the first entry of a list included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from fields_of(each, (*before, key))


@pytest.mark.parametrize("name", ["dataset/manifest.json", "run/result.json"])
def test_a_later_version_asks_for_a_later_tdbs(golden, name):
    path = golden / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 3}))
    with pytest.raises(TdbsError) as caught:
        FILES[name](golden)
    known = 2 if "manifest" in name else 1
    assert str(caught.value) == (
        f"{path} has schema version 3; this tdbs reads version {known}. Update tdbs: pip install --upgrade tdbs."
    )


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", "a/..", "a//b", ".", "", "a/", "a\\b", "C:x", "a\0b", "a\nb", "a/./b"]
)
def test_paths_that_lead_elsewhere_are_refused(golden, path):
    from tdbs.pipeline.manifest import FileInfo

    (golden / "x.json").write_text(json.dumps({"path": path, "sha256": "0" * 64}))
    with pytest.raises(DatasetError, match=r"path: expected a path that stays in this folder"):
        read_record(golden / "x.json", FileInfo, FORM)


def test_a_nul_in_a_noted_path_is_refused(golden):
    put(golden, "latest.json", b'{"path": "a\\u0000b"}')
    assert refused("latest.json", golden) == (
        f"{golden}/latest.json is not a note of tdbs: path: expected text without NUL, got 'a\\x00b'."
    )


def test_a_line_of_a_log_is_named_and_a_last_one_that_was_cut_off_left_out(golden):
    steps = golden / "run/steps.jsonl"
    whole = steps.read_text()
    steps.write_text(whole + '{"step": 2, "ep')
    assert len(read_run(golden / "run").steps) == 2
    steps.write_text(whole + '{"step": 2}\n')
    assert refused("run/steps.jsonl", golden).startswith(f"Line 3 of {steps}"[: -len(str(steps))])
    steps.write_text(whole + "x" * (2 << 20))
    assert "Line 3 of" in refused("run/steps.jsonl", golden)


def test_a_record_larger_than_any_is_not_read(golden):
    path = golden / "dataset/manifest.json"
    path.write_bytes(b" " * (MOST_BYTES + 1))
    assert refused("dataset/manifest.json", golden) == f"{path} cannot be read: it has more than 64 MiB."


def test_a_folder_whose_configuration_cannot_be_read_is_not_a_run(golden):
    put(golden, "run/config.toml", b"a = " + b"[" * DEEP)
    assert not holds_run(golden / "run")


@pytest.mark.parametrize("told", [None, b"{", b'{"split": "train"}', b"[" * DEEP])
def test_a_block_of_another_making_is_named(tmp_path, told):
    """What is left of a killed `prepare` may be damaged, or of a later tdbs."""
    table = pa.table({"length": [1]})
    if told is not None:
        table = table.replace_schema_metadata({b"tdbs": told})
    path = tmp_path / "train-000000.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        read_info(path)
    path.write_bytes(b"text")
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        read_info(path)


def test_settings_of_other_programs_may_have_what_ours_do_not(tmp_path):
    """transformers writes Infinity, a key may come twice, and some models pad with -1, which is not a token."""
    shutil.copytree(GOLDEN / "run/model", tmp_path / "m")
    (tmp_path / "m/tokenizer_config.json").write_text('{"limit": Infinity, "limit": 1, "model_max_length": 1e30}')
    (tmp_path / "m/config.json").write_text('{"pad_token_id": -1}')
    loaded = load_tokenizer(str(tmp_path / "m"))
    assert (loaded.pad_id, loaded.model_max_length) == (0, None)


def test_a_sweep_names_a_storage_that_is_damaged(tmp_path):
    pytest.importorskip("optuna")
    from tdbs.analysis.sweep.result import SweepTerms
    from tdbs.analysis.sweep.search import sweep

    dataset = load(GOLDEN / "dataset")
    out = tmp_path / "s"
    out.mkdir()
    with pytest.raises(ConfigError, match=re.escape("trials.db cannot be read: ")):
        sweep(
            dataset,
            {"lr": (1e-4,)},
            SweepTerms(seeds=(0,), model="tiny"),
            out=out,
            storage=f"sqlite:///{damaged(tmp_path)}",
        )


def damaged(folder):
    (folder / "trials.db").write_bytes(b"not a database" * 100)
    return folder / "trials.db"


def test_a_length_that_no_manifest_takes_is_refused():
    dataset = load(GOLDEN / "dataset")
    tokenizer = load_tokenizer(str(GOLDEN / "run/model"))
    with pytest.raises(ConfigError) as caught:
        choose_limits(dataset.manifest.task, tokenizer, max_length=2**20 + 1, stride=None, max_target_length=None)
    assert str(caught.value) == "--max-length must be at most 1048576, got 1048577. Pass --max-length 128."


def test_half_of_a_surrogate_pair_in_place_of_a_number_is_refused(golden):
    """JSON can escape it; UTF-8, in which what checks the types compares texts, cannot hold it."""
    path = golden / "dataset/manifest.json"
    fields = json.loads(path.read_text())
    fields["max_length"] = "\ud800"
    path.write_text(json.dumps(fields))
    with pytest.raises(DatasetError) as caught:
        load(golden / "dataset")
    assert caught.value.message.endswith("it has half of a surrogate pair, which is not a character.")
