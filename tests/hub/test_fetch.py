"""Fetch prepared datasets from a hub on loopback: what comes back is what was pushed, and nothing else is taken."""

import json
from dataclasses import replace

import pytest

from tdbs.errors import ConfigError, DatasetError, SourceError, TdbsError
from tdbs.hub.push import push
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.shared import public_manifest


def refused(source, **options):
    with pytest.raises(TdbsError) as caught:
        prepare(source, **options)
    return type(caught.value), caught.value.message, caught.value.next_step


@pytest.fixture
def pushed(hub, dataset, workplace):
    """Return the repository of a dataset that was pushed."""
    push(dataset, "you/texts", license_id="mit")
    return hub.repos["dataset", "you/texts"]


def test_a_fetched_dataset_is_the_pushed_one_in_a_folder_of_its_repository(pushed, dataset):
    result = prepare("hub:you/texts")
    assert (str(result.dataset.path), result.cached) == ("data/hub/you/texts/words-16-209b8599", False)
    ours, theirs = load(dataset), load(result.dataset.path)
    assert (theirs.manifest.key, theirs.manifest.splits) == (ours.manifest.key, ours.manifest.splits)
    for name in ours.manifest.splits:
        assert (read_split(theirs, name).input_ids_T == read_split(ours, name).input_ids_T).all()
    assert result.source["classes"] == ["0", "1"]


def test_a_second_call_has_nothing_to_do_even_offline(pushed, hub, monkeypatch):
    from huggingface_hub import constants

    place = prepare("hub:you/texts").dataset.path
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    del hub.asked[:]
    assert prepare("hub:you/texts").cached
    assert [request for request in hub.asked if "parquet" in request] == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert prepare("hub:you/texts").cached
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert not prepare("hub:you/texts", out="again").cached  # from the hub's cache


def test_a_revision_is_an_older_state(pushed, hub):
    first = pushed.head
    pushed.commit({".gitattributes": b""})
    assert not prepare(f"hub:you/texts@{first}", out="old").cached
    assert refused("hub:you/texts@no-such", out="other") == (
        SourceError,
        "you/texts has no revision no-such.",
        "Pass a branch, a tag or a commit behind the @, or leave it out.",
    )


def test_a_repository_that_changed_replaces_only_when_told(pushed):
    """The same key with other files: another state, or a manifest that claims it."""
    place = prepare("hub:you/texts").dataset.path
    manifest = json.loads(pushed.files["manifest.json"])
    manifest["splits"]["validation"]["labelled"] = False
    pushed.commit(pushed.files | {"manifest.json": json.dumps(manifest).encode()})
    assert refused("hub:you/texts") == (
        DatasetError,
        f"{place} contains another dataset.",
        "Pass another --out, or --overwrite.",
    )


def test_the_origin_of_a_named_source_stays_and_a_path_goes(dataset):
    """Also if a user's folder has the name of a task."""
    manifest = load(dataset).manifest
    places = {"mirror": "/home/me/data", "label_names": "/home/me/names.txt", "prefix": None}
    named = replace(manifest, origin={"source": "glue/sst2", **places})
    assert public_manifest(named).origin == {"source": "glue/sst2", "mirror": None, "prefix": None}
    assert public_manifest(replace(named, source="squad", origin={"source": "/home/me/squad", **places})).origin is None


def test_a_damaged_dataset_is_refused_and_leaves_nothing(pushed, workplace):
    """Every file is checked against the manifest before the dataset is in its place."""
    name = "train/bucket=005-010/part-00000.parquet"
    damaged = "Ask its owner to push it again, or fetch an older state: hub:USER/NAME@REVISION."
    pushed.commit(pushed.files | {name: b"other bytes"})
    kind, message, next_step = refused("hub:you/texts")
    assert (kind, next_step) == (DatasetError, damaged)
    assert message.startswith(f"The dataset you/texts on the hub is damaged: {name} ")
    pushed.commit({path: data for path, data in pushed.files.items() if path != name})
    assert refused("hub:you/texts") == (
        DatasetError,
        f"The dataset you/texts on the hub is damaged: {name} is missing.",
        damaged,
    )
    assert [path for path in workplace.glob("data/**/*") if path.is_file()] == []


@pytest.mark.parametrize(
    "name", ["../../outside.parquet", "train/*.parquet", "notes/bucket=000-005/part-00000.parquet", "README.md"]
)
def test_a_manifest_cannot_name_other_files(pushed, workplace, name):
    """Neither outside of the folder nor in it: a foreign manifest decides nothing but its own shards."""
    manifest = json.loads(pushed.files["manifest.json"])
    manifest["splits"]["train"]["shards"][0]["path"] = name
    pushed.commit(pushed.files | {"manifest.json": json.dumps(manifest).encode()})
    kind, message, _ = refused("hub:you/texts")
    assert kind is DatasetError
    assert name in message
    assert {path.name for path in workplace.iterdir()} == {"dataset", "hub-cache"}


def test_what_is_no_dataset_of_ours_is_said(hub, workplace, monkeypatch):
    hub.add("dataset", "you/texts", {"train.parquet": b""})
    assert refused("hub:you/texts") == (
        SourceError,
        "you/texts is not a dataset that tdbs pushed: it has no manifest.json.",
        "Prepare its rows in Python: tdbs.prepare(datasets.load_dataset('you/texts')).",
    )
    assert refused("hub:you/other") == (
        SourceError,
        "The hub has no dataset you/other that you may read.",
        "Check its name; if it is private, log in first: hf auth login.",
    )
    assert refused("hub:texts")[:2] == (ConfigError, "'texts' is not the name of a repository on the hub.")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    kind, message, next_step = refused("hub:you/third")
    assert (kind, message.startswith("Cannot fetch you/third from the hub: ")) == (SourceError, True)
    assert next_step == "Check the network and HF_HUB_OFFLINE; what was fetched before is taken from the hub's cache."


def test_options_that_decide_how_to_prepare_are_refused(hub, workplace):
    for options in ({"tokenizer": "roberta-base"}, {"max_length": 64}, {"keep": ["pronouns"]}):
        (name,) = options
        assert refused("hub:you/texts", **options) == (
            ConfigError,
            f"--{name.replace('_', '-')} has no effect on you/texts, which was prepared before it was pushed.",
            "Leave the option out, or prepare the texts themselves.",
        )
    assert hub.asked == []


def test_another_dataset_in_its_place_stays(pushed, workplace):
    place = workplace / "mine"
    place.mkdir()
    (place / "notes.md").write_text("mine")
    kind, message, _ = refused("hub:you/texts", out="mine")
    assert (kind, message) == (DatasetError, "mine contains something other than a prepared dataset.")
    assert [path.name for path in place.iterdir()] == ["notes.md"]
