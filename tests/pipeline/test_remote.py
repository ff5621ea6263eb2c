"""Sources and datasets on object stores: a real S3 server on loopback, and fsspec's own store in memory."""

import csv
import json
import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError, SourceError
from tdbs.files import to_path
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.verify import verify
from tests.built_in import sample_tables
from tests.data.test_compressed import PACK
from tests.pipeline.contents import contents

BUCKET = "s3://datasets"
ROWS = 800


@pytest.fixture(scope="module")
def s3():
    """An empty bucket of a server that speaks S3, named to all clients by their usual variables."""
    pytest.importorskip("moto", reason="moto is not installed")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="datasets")
        yield server
    server.stop()


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, table in sample_tables().items():
        pq.write_table(table.slice(0, ROWS), folder / f"{name}.parquet")
    return folder


def upload(tables: Path, place: str) -> None:
    for path in tables.iterdir():
        (to_path(place) / path.name).write_bytes(path.read_bytes())


def invoke(*arguments: str) -> dict:
    found = CliRunner().invoke(app, [*arguments, "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_everything_works_from_s3_alone(s3, tables, workplace):
    """Prepare from s3:// to s3://, verify, plan and train there; the files are those of a local prepare."""
    upload(tables, f"{BUCKET}/source")
    out = f"{BUCKET}/prepared/sample"
    tokenizer = str(TOKENIZER_FOLDER)
    found = invoke("prepare", f"{BUCKET}/source", "--tokenizer", tokenizer, "--out", out)
    assert (found["path"], found["cached"]) == (out, False)
    local = prepare(str(tables), tokenizer=tokenizer, out=workplace / "local").dataset
    there = load(out)
    assert there.manifest.splits == local.manifest.splits  # all else but times and the source's name is in the files
    assert there.manifest.splits["train"].rows == ROWS
    remote, expected = contents(there.path), contents(local.path)
    assert {**remote, "manifest.json": ""} == {**expected, "manifest.json": ""}
    assert list(there.to_datasets()["validation"]) == list(local.to_datasets()["validation"])
    assert there.to_pandas()["length"].tolist() == local.to_pandas()["length"].tolist()
    if find_spec("polars"):
        assert there.to_polars().collect().equals(local.to_polars().collect())
    assert invoke("prepare", f"{BUCKET}/source", "--tokenizer", tokenizer, "--out", out)["cached"]
    assert invoke("verify", out)["problems"] == []
    planned = invoke("plan", out, "--epochs", "1")
    assert planned["plan_digest"] == invoke("plan", str(local.path), "--epochs", "1")["plan_digest"]
    trained = invoke("train", out, "--model", "tiny", "--epochs", "1", "--out", "run", "--precision", "fp32")
    assert trained["steps"] == planned["epochs"][0]["steps"]
    assert invoke("evaluate", "run", "--dataset", out)["score"] == trained["score"]
    assert [path.name for path in workplace.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_shard_on_s3_is_named(s3, tables):
    upload(tables, f"{BUCKET}/damaged/source")
    dataset = prepare(f"{BUCKET}/damaged/source", tokenizer=str(TOKENIZER_FOLDER), out=f"{BUCKET}/damaged/d").dataset
    shard = dataset.manifest.splits["train"].shards[1].path
    path = dataset.path / shard
    path.write_bytes(path.read_bytes()[:-1])
    assert [problem.file for problem in verify(dataset).problems] == [shard]
    with pytest.raises(DatasetError) as caught:
        read_split(dataset, "train")
    assert caught.value.message == f"The shard {path} is damaged: its contents differ from what prepare wrote."
    path.unlink()
    assert [problem.file for problem in verify(dataset).problems] == [shard]


def test_overwrite_on_s3_replaces_what_tdbs_wrote(s3, tables):
    place = to_path(f"{BUCKET}/over")
    upload(tables, f"{BUCKET}/over-source")
    options = {"source": f"{BUCKET}/over-source", "tokenizer": str(TOKENIZER_FOLDER), "out": str(place)}
    prepare(**options, max_length=32)
    (place / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError) as caught:
        prepare(**options, max_length=16)
    assert caught.value.message == f"{place} contains a dataset prepared with other settings (max length changed)."
    prepare(**options, max_length=16, overwrite=True)
    assert load(str(place)).manifest.max_length == 16
    assert verify(str(place)).problems == ()
    assert (place / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("packed", ["csv.gz", "jsonl.zst", "csv.zip"])
def test_a_compressed_file_on_s3_is_prepared_as_the_plain_one_here(s3, workplace, packed):
    ending, kind = packed.split(".")
    rows = [{"text": f"the film number {i} of it, really", "label": f"{i % 2}"} for i in range(300)]
    plain = workplace / f"reviews.{ending}"
    if ending == "csv":
        with plain.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        plain.write_text("".join(json.dumps(row) + "\n" for row in rows))
    there = to_path(f"{BUCKET}/packed/reviews.{packed}")
    there.write_bytes(PACK[kind](plain.read_bytes()))
    options = {"tokenizer": str(TOKENIZER_FOLDER), "validation": "0.1"}
    remote = prepare(str(there), out=workplace / "remote", **options).dataset
    local = prepare(str(plain), out=workplace / "local", **options).dataset
    assert remote.manifest.splits == local.manifest.splits
    assert {**contents(remote.path), "manifest.json": ""} == {**contents(local.path), "manifest.json": ""}
    there.write_bytes(there.read_bytes()[:-30])
    with pytest.raises(SourceError, match=f"^reviews.{packed} is not a readable"):
        prepare(str(there), out=workplace / "cut", **options)
    assert not (workplace / "cut").exists()


def test_other_stores_of_fsspec_serve_too(workplace):
    """memory:// stands for every store that fsspec knows."""
    rows = "text,label\n" + "".join(f"the film number {i} of it,{i % 2}\n" for i in range(200))
    to_path("memory://here/reviews.csv").write_text(rows)
    result = prepare(
        "memory://here/reviews.csv", tokenizer=str(TOKENIZER_FOLDER), out="memory://here/dataset", validation="0.1"
    )
    assert result.dataset.manifest.splits["train"].rows == 180
    assert verify("memory://here/dataset").problems == ()


def test_what_is_not_there_is_named(s3, workplace):
    with pytest.raises(SourceError) as caught:
        prepare(f"{BUCKET}/nowhere.csv", tokenizer=str(TOKENIZER_FOLDER))
    assert (
        caught.value.message
        == f"Unknown task '{BUCKET}/nowhere.csv', and no file or folder {BUCKET}/nowhere.csv exists."
    )
    with pytest.raises(DatasetError) as caught:
        load(f"{BUCKET}/nowhere")
    assert caught.value.message == f"{BUCKET}/nowhere does not exist."


def test_a_store_that_does_not_answer_is_told(workplace, monkeypatch):
    """Its client's errors are not the system's; they are not faults of tdbs either."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    s3fs.S3FileSystem.clear_instance_cache()  # clients of the other tests
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{taken.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        found = CliRunner().invoke(app, ["verify", "s3://nowhere/dataset"])
    s3fs.S3FileSystem.clear_instance_cache()
    assert found.exit_code == 1
    error, next_step = found.stderr.splitlines()[-2:]
    assert error.startswith("Error: Object store error: EndpointConnectionError: Could not connect")
    assert next_step == "Next:  Check the URL, your credentials and the network."


def test_a_store_without_its_package_is_refused_with_the_way_out():
    with pytest.raises(ConfigError) as caught:
        to_path("abfs://somewhere/file.csv")
    assert caught.value.message.startswith("abfs:// needs a package that is not here: ")
    assert caught.value.next_step == "Run: pip install 'tdbs[remote]', or the fsspec package of this kind of storage."
    assert "abfs" not in os.listdir()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ConfigError) as caught:
        to_path("nothing://somewhere")
    assert caught.value.message.startswith("nothing:// needs a package that is not here: ")
