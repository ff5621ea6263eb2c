"""Embeddings of texts: those of transformers and of sentence-transformers one text at a time, whatever the batches."""

import io
import json
import shutil
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from tdbs.errors import TdbsError
from tdbs.hub.push import push
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tests.inference.conftest import read_jsonl, write_jsonl
from tests.inference.models import save_checkpoint

POOLINGS = [("mean", False), ("cls", True), ("last", False)]
LONG = "a film of great charm and " * 60  # beyond the maximum length


def embeddings_of(path) -> np.ndarray:
    table = pq.read_table(path)
    assert table["source_row"].to_pylist() == list(range(table.num_rows))
    return np.array(table["embedding"].to_pylist(), dtype=np.float64)


def one_by_one(folder, texts, pooling: str, *, normalize: bool) -> np.ndarray:
    """Return the embedding of each text, alone in its batch, by transformers: the reference."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    for text in texts:
        given = tokenizer(text, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            states = model(**given).last_hidden_state[0]
        pooled = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1]}[pooling]
        found.append((functional.normalize(pooled, dim=0) if normalize else pooled).numpy())
    return np.array(found)


@pytest.fixture
def some_texts(texts):
    return [text for text in texts[::4] if text.strip()] + [LONG]


@pytest.fixture
def source(tmp_path, some_texts):
    return write_jsonl(tmp_path / "in.jsonl", [{"query": text} for text in some_texts])


@pytest.mark.parametrize(("pooling", "normalize"), POOLINGS)
def test_a_run_embeds_as_it_pools(pooling, normalize, grouped_run, source, some_texts, tmp_path):
    """Against transformers one by one, and against sentence-transformers, which opens the run's model."""
    place = grouped_run("embedding", pooling=pooling, normalize=normalize)
    predict(place / "run", source, out=tmp_path / "out.parquet", precision="fp32")
    found = embeddings_of(tmp_path / "out.parquet")
    expected = one_by_one(place / "run/model", some_texts, pooling, normalize=normalize)
    assert found == pytest.approx(expected, abs=1e-5)
    theirs = pytest.importorskip("sentence_transformers").SentenceTransformer(str(place / "run/model"), device="cpu")
    assert found == pytest.approx(theirs.encode(some_texts), abs=1e-5)


@pytest.mark.parametrize("options", [{"strategy": "unpadded"}, {"strategy": "random"}, {"batch_size": 1}])
def test_batches_do_not_change_embeddings(options, grouped_run, source, some_texts, tmp_path):
    place = grouped_run("embedding", pooling="mean", normalize=False)
    result = predict(place / "run", source, out=tmp_path / "out.parquet", precision="fp32", **options)
    expected = one_by_one(place / "run/model", some_texts, "mean", normalize=False)
    assert embeddings_of(tmp_path / "out.parquet") == pytest.approx(expected, abs=1e-5)
    assert (result.padding_fraction < 0.02) == (options != {"strategy": "random"})


def test_blocks_and_resuming_do_not_change_a_byte(grouped_run, source, tmp_path, monkeypatch):
    """A part is what a stopped run keeps; the joined file is that of a run that was never stopped."""
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 16)
    run, whole, stopped = grouped_run("embedding") / "run", tmp_path / "whole.parquet", tmp_path / "stopped.parquet"
    predict(run, source, out=whole, precision="fp32")

    def stop(done, _total):
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(run, source, out=stopped, precision="fp32", progress=stop)
    predict(run, source, out=stopped, precision="fp32", resume=True)
    assert stopped.read_bytes() == whole.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        predict(run, source, out=stopped, precision="fp32", overwrite=True, progress=stop)
    with pytest.raises(TdbsError) as error:
        predict(run, source, out=stopped, precision="fp32", dimensions=8, resume=True)
    assert error.value.message == f"{stopped} was started with other settings: dimensions was None, is now 8."


@pytest.mark.parametrize("normalize", [False, True])
def test_first_entries_have_the_length_of_whole_embeddings(normalize, grouped_run, source, some_texts, tmp_path):
    """Cut; where the model gives embeddings the length 1, so have cut ones."""
    place = grouped_run("embedding", pooling="cls" if normalize else "mean", normalize=normalize)
    predict(place / "run", source, out=tmp_path / "out.parquet", precision="fp32", dimensions=16)
    whole = one_by_one(place / "run/model", some_texts, "cls" if normalize else "mean", normalize=False)[:, :16]
    lengths = np.linalg.norm(whole, axis=1, keepdims=True)
    found = embeddings_of(tmp_path / "out.parquet")
    assert found == pytest.approx(whole / lengths if normalize else whole, abs=1e-5)


def test_the_types_of_a_column(grouped_run, source, tmp_path):
    run = grouped_run("embedding") / "run"
    predict(run, source, out=tmp_path / "a.parquet", precision="fp32")
    predict(run, source, out=tmp_path / "b.parquet", precision="fp32", float16=True)
    predict(run, source, out=tmp_path / "c.jsonl", precision="fp32")
    full, half = (pq.read_table(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert full.schema == pa.schema([("source_row", pa.int64()), ("embedding", pa.list_(pa.float32()))])
    assert half.schema.field("embedding").type == pa.list_(pa.float16())
    expected = full["embedding"].combine_chunks().flatten().to_numpy()
    assert half["embedding"].combine_chunks().flatten().to_numpy() == pytest.approx(expected, abs=2e-3)
    rows = read_jsonl(tmp_path / "c.jsonl")
    assert np.concatenate([row["embedding"] for row in rows]) == pytest.approx(expected, abs=1e-6)


def test_lines_of_stdin_and_texts_in_memory(grouped_run, monkeypatch, tmp_path):
    place = grouped_run("embedding", pooling="mean", normalize=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a fine film\nit is what it is\n")))
    predict(place / "run", "-", out=tmp_path / "out.parquet", batch_size=1, precision="fp32")
    predictor = Predictor(place / "run", precision="fp32")
    expected = embeddings_of(tmp_path / "out.parquet")
    found = [each.embedding for each in predictor(["a fine film", "it is what it is"])]
    assert found == pytest.approx(expected, abs=1e-5)
    assert predictor("a fine film").embedding == pytest.approx(expected[0], abs=1e-5)
    assert len(Predictor(place / "run", dimensions=4)("a fine film").embedding) == 4
    assert predictor([]) == []


@pytest.mark.real_data
def test_a_folder_of_sentence_transformers_embeds_as_it_says(minilm, shared, tmp_path):
    """Not a run: pooling, length 1 and the limit of tokens are as its files say. Sentences of STS-B, and a long one."""
    peers = pytest.importorskip("sentence_transformers")
    sentences = pq.read_table(shared / "datasets/glue/stsb/validation.parquet")["sentence1"].to_pylist()[:60]
    sentences.append("the cat sat on the mat and " * 80)  # 560 tokens; the folder says 256
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in sentences])
    predict(minilm, source, out=tmp_path / "out.parquet", precision="fp32")
    expected = peers.SentenceTransformer(str(minilm), device="cpu").encode(sentences)
    assert embeddings_of(tmp_path / "out.parquet") == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def saved(tmp_path):
    """Return a BERT of random weights without a pooler, saved by hand as sentence-transformers would."""
    folder = save_checkpoint(tmp_path / "saved", "headless", add_pooling_layer=False)
    write_json(folder / "modules.json", [module("Transformer", ""), module("Pooling", "1_Pooling")])
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling/config.json", {"embedding_dimension": 16, "pooling_mode": "mean"})
    return folder


def module(kind: str, path: str) -> dict:
    return {"path": path, "type": f"sentence_transformers.models.{kind}"}


def write_json(path, content) -> None:
    path.write_text(json.dumps(content))


def test_a_folder_without_a_pooler_embeds(saved, source, some_texts, tmp_path):
    """The layer behind the first token is not used; the limit of a text is the folder's own."""
    write_json(saved / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    predict(saved, source, text="query", out=tmp_path / "out.parquet", precision="fp32")
    tokenizer = AutoTokenizer.from_pretrained(saved, model_max_length=12)
    tokenizer.save_pretrained(tmp_path / "short")
    shutil.copytree(saved, tmp_path / "short", dirs_exist_ok=True, ignore=shutil.ignore_patterns("tokenizer*"))
    expected = one_by_one(tmp_path / "short", some_texts, "mean", normalize=False)
    assert embeddings_of(tmp_path / "out.parquet") == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def in_cache():
    """Return a function that puts a folder into the hub's cache, as a download does, under a name."""
    places = []

    def put(folder, name: str) -> None:
        place = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
        places.append(place)
        revision = "0123456789abcdef0123456789abcdef01234567"
        shutil.copytree(folder, place / "snapshots" / revision)
        (place / "refs").mkdir()
        (place / "refs/main").write_text(revision)

    yield put
    for place in places:
        shutil.rmtree(place)


def test_a_model_of_the_hub_embeds_as_its_folder_does(saved, in_cache, source, tmp_path):
    """By its name on the hub, from the cache: pooling, length 1 and most tokens are those of its own files."""
    write_json(saved / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    in_cache(saved, "some/embedder")
    for name, out in ((saved, "folder.parquet"), ("some/embedder", "hub.parquet")):
        predict(name, source, text="query", out=tmp_path / out, precision="fp32")
    assert (embeddings_of(tmp_path / "hub.parquet") == embeddings_of(tmp_path / "folder.parquet")).all()
    with pytest.raises(TdbsError) as caught:
        predict("some/other", source, text="query", out=tmp_path / "other.parquet")
    assert caught.value.message == (
        "some/other is neither a tdbs run nor a model: it is not a folder, and the hub cannot be reached or does not "
        "have it."
    )


def test_what_a_folder_asks_of_texts_is_told_or_refused(saved, source, tmp_path):
    """A prompt, or fewer entries, would be taken by default; lower case would change the tokens."""
    notes = []
    write_json(saved / "config_sentence_transformers.json", {"prompts": {"q": "query: "}, "default_prompt_name": "q"})
    predict(saved, source, text="query", out=tmp_path / "a.parquet", note=notes.append)
    write_json(saved / "config_sentence_transformers.json", {"default_prompt_name": None, "truncate_dim": 8})
    predict(saved, source, text="query", out=tmp_path / "b.parquet", note=notes.append)
    assert notes == [
        f"{saved} has a default prompt, 'q': texts are embedded without it.",
        f"{saved} has truncate_dim 8: embeddings are whole without --dimensions 8.",
    ]
    both = {"prompts": {"q": "query: "}, "default_prompt_name": "q", "truncate_dim": 8}
    write_json(saved / "config_sentence_transformers.json", both)
    predict(saved, source, text="query", out=tmp_path / "c.parquet", note=notes.append)
    assert notes[2] == " ".join(notes[:2])
    write_json(saved / "sentence_bert_config.json", {"do_lower_case": True})
    assert refused(saved, source) == (
        f"The model {saved} wants its texts in lower case (do_lower_case), which tdbs does not do.",
        "Pass a model whose tokenizer.json changes the case.",
    )
    write_json(saved / "sentence_bert_config.json", [1])
    assert refused(saved, source)[0] == (
        f"{saved / 'sentence_bert_config.json'} is not a file of sentence-transformers: it is not an object."
    )


def refused(*arguments, **options) -> tuple[str, str]:
    with pytest.raises(TdbsError) as found:
        predict(*arguments, **options)
    return found.value.message, found.value.next_step


def test_what_is_refused(grouped_run, checkpoint_of, source, tmp_path):
    run, out = grouped_run("embedding") / "run", tmp_path / "out.jsonl"
    other = checkpoint_of("classification")
    cases = {
        (run, ("float16", True), ("out", out)): (
            "--float16 needs a Parquet file: JSON has no such numbers.",
            "Pass --out NAME.parquet.",
        ),
        (other, ("float16", True), ("text", "query")): ("--float16 only applies to embeddings.", "Leave it out."),
        (other, ("dimensions", 8), ("text", "query")): (
            "--dimensions only applies to models that embed texts.",
            "Leave it out.",
        ),
        (run, ("dimensions", 0)): ("--dimensions must be 1 or more, got 0.", "Pass --dimensions 1 or more."),
        (run, ("dimensions", 4096)): (
            f"--dimensions 4096 is beyond {run}, whose embeddings have 128 entries.",
            "Pass --dimensions 128 or less.",
        ),
        (run, ("pair", "query")): ("--pair does not apply: this model takes one text.", "Leave it out."),
    }
    for (model, *options), expected in cases.items():
        assert refused(model, source, **dict(options)) == expected
    assert list(tmp_path.iterdir()) == [source]


def test_a_pushed_run_embeds_as_before(grouped_run, tmp_path):
    """The files that travel are all that sentence-transformers needs."""
    peers = pytest.importorskip("sentence_transformers")
    place = grouped_run("embedding", pooling="cls", normalize=True)
    push(place / "run", "you/search", online=False, out=tmp_path / "hub")
    sentences = ["a fine film", LONG]
    expected = Predictor(place / "run", precision="fp32")(sentences)
    found = peers.SentenceTransformer(str(tmp_path / "hub"), device="cpu").encode(sentences)
    assert found == pytest.approx(np.array([each.embedding for each in expected]), abs=1e-5)
