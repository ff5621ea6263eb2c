"""Folders of sentence-transformers of several families, not runs: its embeddings, and the scores of rerankers."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tests.families.folders import family_config, family_tokenizer, save_family
from tests.families.table import FAMILIES, WORDS
from tests.inference.conftest import write_jsonl

NAMES = ("bert", "roberta", "distilbert", "modernbert", "mpnet", "qwen2")
EVERY_DAY = ("roberta", "qwen2")
MODES = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}
TEXTS = [" ".join(WORDS[3 * size : 4 * size + 1]) for size in (1, 40, 7, 2, 23, 11, 30)]


def families(names=NAMES):
    return [pytest.param(name, marks=() if name in EVERY_DAY else pytest.mark.slow) for name in names]


def save_embedder(folder, name: str, mode: str):
    """Save a model of random weights with the files that sentence-transformers 2 to 5 write."""
    family = FAMILIES[name]
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(family_config(family, "embedding"))
    model.save_pretrained(folder)
    save_padding_tokenizer(folder, family)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    types = "sentence_transformers.models."
    listed = [{"name": kind, "path": path, "type": types + kind} for kind, path in modules]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    flags = {f"pooling_mode_{name}": name == MODES[mode] for name in MODES.values()}
    pools = {"word_embedding_dimension": model.config.hidden_size, **flags}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pools))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32, "do_lower_case": False}))
    return folder


def save_padding_tokenizer(folder, family) -> None:
    """Save the family's tokenizer with a pad token, which sentence-transformers asks of every one."""
    tokenizer = family_tokenizer(family)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.unk_token
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("name", families())
@pytest.mark.parametrize("mode", MODES)
def test_embeddings_of_a_family(name, mode, tmp_path):
    """Cut at 32 tokens, pooled and normalized by both; each in batches of its own."""
    peers = pytest.importorskip("sentence_transformers")
    folder = save_embedder(tmp_path / "model", name, mode)
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS])
    predict(folder, source, out=tmp_path / "out.parquet", precision="fp32")
    found = np.array(pq.read_table(tmp_path / "out.parquet")["embedding"].to_pylist())
    assert found == pytest.approx(peers.SentenceTransformer(str(folder), device="cpu").encode(TEXTS), abs=1e-5)


@pytest.mark.parametrize("name", families())
def test_scores_of_a_family(name, tmp_path):
    """One output and Sigmoid in its config.json: a reranker."""
    peers = pytest.importorskip("sentence_transformers")
    named = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
    labels = {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    folder = save_family(FAMILIES[name], tmp_path / "model", kind="regression", sentence_transformers=named)
    save_padding_tokenizer(folder, FAMILIES[name])
    place = folder / "config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | labels))
    query, texts = TEXTS[1], TEXTS[2:]
    found = Predictor(folder, precision="fp32")((query, texts))
    theirs = peers.CrossEncoder(str(folder), device="cpu")
    # one by one: the head of a decoder without a pad token takes no batches
    scores = [float(theirs.predict([(query, text)], batch_size=1)[0]) for text in texts]
    assert found.scores == pytest.approx(scores, abs=1e-5)
    assert np.argmax(scores) == found.ranks.index(1)
