"""The built-in corpus is the same everywhere, looks like SST-2 to a sampler, and ships the tokenizer made from it."""

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from tdbs.data.sample import TOKENIZER_FOLDER, sample_tables
from tdbs.digests import table_sha256
from tests.data.conftest import read_source
from tests.data.sample_wordpiece import train_sample_tokenizer

NEGATIONS = {"not", "never", "hardly"}


@pytest.fixture(scope="module")
def tables():
    return sample_tables()


def test_the_corpus_is_pinned(tables):
    """A change here changes every number of the documentation that comes from the sample."""
    assert {split: table_sha256(table) for split, table in tables.items()} == {
        "train": "650f88ad27ec88ef8bb837697b4eb3d70c5ede24f7f4e226509569ac6b4e11c9",
        "validation": "85df826e8b76c51613a127e8ef75bbfa152699eae29b0d2c5b56d3abde60e554",
    }


def test_no_phrase_occurs_twice_and_classes_are_even(tables):
    texts = [text for table in tables.values() for text in table["text"].to_pylist()]
    assert {split: table.num_rows for split, table in tables.items()} == {"train": 20_000, "validation": 2_000}
    assert len(set(texts)) == len(texts) == 22_000
    for table in tables.values():
        assert 0.48 < np.mean(table["label"].to_numpy()) < 0.52


def test_lengths_are_those_of_sst2(tables):
    """SST-2 with bert-base-uncased: L_avg 13.3, L_87.5 25, median 10, 64 for the longest but few."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json"))
    encodings = tokenizer.encode_batch(tables["train"]["text"].to_pylist())
    lengths = np.array([len(encoding.ids) for encoding in encodings])
    assert abs(lengths.mean() - 13.3) < 1
    assert abs(np.percentile(lengths, 87.5) - 25) <= 1
    assert abs(np.median(lengths) - 10) <= 1
    assert 45 < lengths.max() < 70
    assert not any(tokenizer.token_to_id("[UNK]") in encoding.ids for encoding in encodings)
    assert 0.05 < np.mean([not NEGATIONS.isdisjoint(encoding.tokens) for encoding in encodings]) < 0.15


def test_the_shipped_tokenizer_is_the_one_made_from_the_corpus(tables):
    texts = [text for table in tables.values() for text in table["text"].to_pylist()]
    made = train_sample_tokenizer(reversed(texts))
    assert made.to_str(pretty=True) + "\n" == (TOKENIZER_FOLDER / "tokenizer.json").read_text()
    assert made.get_vocab_size() < 3000


def test_the_shipped_tokenizer_reads_pairs_and_unknown_words():
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json"))
    encoding = tokenizer.encode("Never dull!", "it's xyz")
    assert encoding.tokens == [
        "[CLS]", "never", "dull", "!", "[SEP]", "it", "'", "s", "x", "##y", "##z", "[SEP]",
    ]  # fmt: skip
    assert encoding.type_ids == [0] * 5 + [1] * 7


def test_transformers_loads_the_shipped_tokenizer():
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(TOKENIZER_FOLDER))
    shipped = Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json"))
    assert (tokenizer.pad_token, tokenizer.model_max_length) == ("[PAD]", 512)
    assert tokenizer("Never dull!", "it's xyz")["input_ids"] == shipped.encode("Never dull!", "it's xyz").ids


def test_the_sample_opens_as_a_source(opened):
    source = opened("sample")
    task, splits = read_source(source)
    assert (source.name, source.default_tokenizer) == ("sample", str(TOKENIZER_FOLDER))
    assert (task.classes, list(splits)) == (("negative", "positive"), ["train", "validation"])
    assert splits["train"].targets.type == pa.int64()
