"""Push to a hub on loopback by the hub's own library: what arrives, what is refused, and what stays offline."""

import json
import os
import shutil
import subprocess
import sys
from getpass import getuser
from pathlib import Path
from socket import gethostname

import pyarrow.parquet as pq
import pytest
import tomli_w
from huggingface_hub import DatasetCard, ModelCard

from tdbs.errors import ConfigError, DatasetError, HubError, TdbsError, TrainingError
from tdbs.hub.push import push
from tdbs.pipeline.verify import verify
from tdbs.train.run_folder import read_run
from tests.hub.server import TOKEN, hub_server

DATASET_FILES = {
    "README.md",
    "manifest.json",
    "tokenizer.json",
    "train/bucket=005-010/part-00000.parquet",
    "train/bucket=010-015/part-00000.parquet",
    "validation/bucket=005-010/part-00000.parquet",
    "validation/bucket=010-015/part-00000.parquet",
}
MODEL_FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
SECRET = "hf_secret_of_the_user"  # noqa: S105  (of no account)


def refused(*arguments, **options):
    with pytest.raises(TdbsError) as caught:
        push(*arguments, **options)
    return type(caught.value), caught.value.message, caught.value.next_step


def test_a_dataset_arrives_as_it_is_with_a_card(hub, dataset):
    result = push(dataset, "you/texts", license_id="cc-by-4.0")
    repo = hub.repos["dataset", "you/texts"]
    assert set(result.files) == set(repo.files) - {".gitattributes"} == DATASET_FILES
    assert (result.url, result.folder, repo.private) == (f"{hub.url}/datasets/you/texts", None, False)
    for name in DATASET_FILES - {"README.md", "manifest.json"}:
        assert repo.files[name] == (dataset / name).read_bytes(), name
    data = DatasetCard(repo.files["README.md"].decode()).data.to_dict()
    assert (data["license"], data["task_categories"], data["size_categories"]) == (
        "cc-by-4.0",
        ["text-classification"],
        ["n<1K"],
    )
    assert [each["split"] for each in data["configs"][0]["data_files"]] == ["train", "validation"]


def test_a_model_arrives_with_its_scores_and_without_its_log(hub, run):
    result = push(run, "you/model")
    repo = hub.repos["model", "you/model"]
    assert set(result.files) == set(repo.files) - {".gitattributes"} == MODEL_FILES
    assert repo.files["model.safetensors"] == (run / "model/model.safetensors").read_bytes()
    scores = {
        found.metric_type: found.metric_value for found in ModelCard(repo.files["README.md"].decode()).data.eval_results
    }
    assert scores == read_run(run).result["metrics"]


def with_places(dataset: Path, run: Path) -> Path:
    """Write places of this machine, a name and a secret wherever a dataset and a run can hold them."""
    home = Path.home() / getuser() / gethostname() / "work"
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["tokenizer"]["source"] = str(home / "encoder")
    manifest["origin"] = {"source": str(home / "texts.csv"), "mirror": str(home), "label_names": str(home / "names")}
    manifest["notes"] = [f"Rows of {home}/texts.csv."]
    (dataset / "skipped.jsonl").write_text(json.dumps({"split": "train", "row": 3, "reason": str(home)}) + "\n")
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    (dataset / "notes.txt").write_text(SECRET)
    config = dict(read_run(run).config)
    config |= {"model": str(home / "encoder"), "dataset": config["dataset"] | {"path": str(home / "data")}}
    (run / "config.toml").write_text(tomli_w.dumps(config))
    settings = json.loads((run / "model/config.json").read_text())
    (run / "model/config.json").write_text(json.dumps(settings | {"_name_or_path": str(home / "encoder")}))
    adapters = {"base_model_name_or_path": str(home / "encoder")}
    (run / "model/adapter_config.json").write_text(json.dumps(adapters))
    (run / "model/README.md").write_text(f"base_model: {home}")
    (run / "model/.env").write_text(SECRET)
    for folder in ("checkpoints/step-00000001", "tensorboard", "last_good"):
        (run / folder).mkdir(parents=True)
        (run / folder / "optimizer.safetensors").write_text(SECRET)
    return home


def test_nothing_of_this_machine_is_pushed(hub, dataset, run, tmp_path, monkeypatch, caplog):
    """No place, user, host or secret is in a file or in a request; only files of known names travel."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    home = with_places(dataset, run)
    push(dataset, "you/texts", license_id="mit")
    result = push(run, "you/model")
    assert set(result.files) == MODEL_FILES | {"adapter_config.json"}
    assert (
        "The base model of these adapters is a folder of this machine: others need it to use them." in caplog.messages
    )
    assert set(hub.repos["dataset", "you/texts"].files) == {*DATASET_FILES, ".gitattributes"}
    hidden = [
        str(home),
        str(Path.home()),
        str(tmp_path),
        str(Path.cwd()),
        f"/{getuser()}/",
        gethostname() + "/work",
        SECRET,
    ]
    sent = [data for repo in hub.repos.values() for data in repo.files.values()] + hub.received
    for data in sent:
        for text in hidden:
            assert text.encode() not in data, text
    for name, data in hub.repos["dataset", "you/texts"].files.items():
        if name.endswith(".parquet"):
            assert pq.read_schema(dataset / name).metadata is None or b"pandas" not in data
    assert json.loads(hub.repos["model", "you/model"].files["adapter_config.json"]) == {
        "base_model_name_or_path": "encoder"
    }


def test_a_second_push_replaces_only_when_told_and_leaves_other_files(hub, dataset):
    """A user's edited card stays unless --overwrite; shards that the dataset no longer has go, other files stay."""
    files = {"README.md": b"mine", "notes.md": b"mine", "train/bucket=000-005/part-00000.parquet": b"old"}
    repo = hub.add("dataset", "you/texts", files)
    before = repo.head
    assert refused(dataset, "you/texts", license_id="mit") == (
        HubError,
        "you/texts contains README.md already.",
        "Pass another name, or --overwrite to replace what tdbs pushes; its other files stay.",
    )
    assert repo.head == before
    push(dataset, "you/texts", license_id="mit", overwrite=True)
    assert set(repo.files) == {*DATASET_FILES, ".gitattributes", "notes.md"}
    assert repo.files["README.md"] != b"mine"


def test_private_is_private_or_nothing_is_uploaded(hub, dataset):
    push(dataset, "you/new", license_id="mit", private=True)
    assert hub.repos["dataset", "you/new"].private
    public = hub.add("dataset", "you/public", {})
    before = public.head
    assert refused(dataset, "you/public", license_id="mit", private=True) == (
        HubError,
        "you/public is public already, so nothing was uploaded.",
        "Make it private in its settings on the hub, pass another name, or leave out --private.",
    )
    assert public.head == before


def test_what_the_hub_refuses_is_said(hub, dataset, monkeypatch):
    kind, message, next_step = refused(dataset, "you/texts", license_id="no-such-license")
    assert kind is HubError
    assert message.startswith("The hub refuses the card of you/texts: Invalid metadata in README.md.")
    assert next_step == "Check --license against the hub's list."
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert refused(dataset, "you/texts", license_id="mit") == (
        HubError,
        "The hub refuses you/texts (401): Invalid username or password.",
        "Log in with a token that may write: hf auth login, or set HF_TOKEN.",
    )


def test_what_cannot_be_pushed_is_refused_before_the_hub_is_asked(hub, dataset, run, tmp_path):
    licenses = "Pass --license with it: cc-by-4.0, mit, other, unknown (huggingface.co/docs/hub/repositories-licenses)."
    names = "Pass USER/NAME: letters, digits, -, _ and ., at most 96 characters each."
    no_license = "A dataset on the hub needs the license of its texts, as the hub writes it."
    assert refused(dataset, "you/texts") == (ConfigError, no_license, licenses)
    unknown = "'MIT License' is not a license as the hub writes it."
    assert refused(dataset, "you/texts", license_id="MIT License") == (ConfigError, unknown, licenses)
    for name in ("texts", "you/a/b", "you/a--b", "", "you/", "../texts"):
        message = f"'{name}' is not the name of a repository on the hub."
        assert refused(dataset, name, license_id="mit") == (ConfigError, message, names)
    assert refused(tmp_path, "you/texts") == (
        ConfigError,
        f"{tmp_path} is neither a prepared dataset nor a run.",
        "Pass the folder that tdbs prepare or tdbs train printed.",
    )
    (run / "result.json").unlink()
    assert refused(run, "you/model") == (
        TrainingError,
        f"The run in {run} did not finish.",
        "Resume it with --resume, then push it.",
    )
    assert hub.asked == []


def test_a_damaged_or_linked_file_is_not_pushed(hub, dataset, run, tmp_path):
    """A link in someone else's folder could lead to any file of the user's."""
    for folder, file, options in (
        (dataset, dataset / "tokenizer.json", {"license_id": "mit"}),
        (run, run / "model/tokenizer.json", {}),
    ):
        kept = Path(shutil.copy(file, tmp_path / "kept"))
        file.unlink()
        file.symlink_to(kept)
        _, message, _ = refused(folder, "you/texts", **options)
        assert message == f"{file} is a link, and tdbs neither writes nor removes through links."
    (dataset / "tokenizer.json").unlink()
    (dataset / "tokenizer.json").write_text("{}")
    assert refused(dataset, "you/texts", license_id="mit") == (
        DatasetError,
        f"tokenizer.json of {dataset} is not what was written.",
        "Prepare the dataset again with --overwrite.",
    )
    assert hub.asked == []


@pytest.mark.parametrize("how", ["offline", "down", "no server"])
def test_without_the_hub_the_folder_is_written_and_the_upload_told(how, hub, dataset, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.chdir(tmp_path)
    hub.is_down = how == "down"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "offline")
    if how == "no server":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    kind, message, next_step = refused(dataset, "you/texts", license_id="mit", private=True)
    assert kind is HubError
    assert message.startswith("Nothing was uploaded: the hub does not answer (")
    assert how != "offline" or message.endswith("(HF_HUB_OFFLINE is set).")
    command = "hf upload you/texts hub/you/texts . --repo-type dataset --private"
    assert next_step == f"The files are in hub/you/texts; upload them later: {command}"
    folder = tmp_path / "hub/you/texts"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == DATASET_FILES
    assert verify(folder).problems == ()
    assert hub.repos == {}


def test_the_folder_is_never_written_over_what_is_the_users(dataset, tmp_path):
    out, options = tmp_path / "out", {"license_id": "mit", "online": False}
    push(dataset, "you/texts", out=out, **options)
    (out / "README.md").write_text("mine")
    old = out / "train/bucket=000-005/part-00000.parquet"
    old.parent.mkdir()
    old.write_bytes(b"old")
    (out / "notes.md").write_text("mine")
    assert refused(dataset, "you/texts", out=out, **options) == (
        ConfigError,
        f"{out} contains other files.",
        "Pass another --out, or --overwrite to replace what tdbs wrote there.",
    )
    push(dataset, "you/texts", out=out, overwrite=True, **options)
    assert (out / "README.md").read_text() != "mine"
    assert not old.exists()
    assert (out / "notes.md").read_text() == "mine"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "tokenizer.json").write_text("mine")
    assert refused(dataset, "you/texts", out=foreign, overwrite=True, **options) == (
        ConfigError,
        f"{foreign} is not a folder that tdbs push wrote.",
        "Pass another --out.",
    )
    (tmp_path / "link").symlink_to(out)
    kind, message, _ = refused(dataset, "you/texts", out=tmp_path / "link", overwrite=True, **options)
    assert (kind, message.split(" is ")[1]) == (
        ConfigError,
        "a link, and tdbs neither writes nor removes through links.",
    )


def test_commands_push_and_fetch_in_processes_of_their_own(dataset, tmp_path):
    """As a user does it, with HF_ENDPOINT alone: the dataset comes back, and its shards are those that were pushed."""
    program = Path(sys.executable).with_name("tdbs")
    with hub_server() as hub:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN}
        env["HF_HOME"] = str(tmp_path / "home")
        for *command, printed in (
            ("push", dataset, "you/texts", "--license", "mit", f"7 files of a dataset: {hub.url}/datasets/you/texts"),
            ("prepare", "hub:you/texts", "--out", "back", "back"),
        ):
            done = subprocess.run(
                [program, *map(str, command)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert printed in done.stdout + done.stderr
    for file in (tmp_path / "back").rglob("*.parquet"):
        assert file.read_bytes() == (dataset / file.relative_to(tmp_path / "back")).read_bytes()
    assert verify(tmp_path / "back").problems == ()
