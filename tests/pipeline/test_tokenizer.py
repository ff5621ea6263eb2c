"""Tokenizers load without padding or truncation of their own; a block is what the library says, row by row."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors

from tdbs.errors import ConfigError, TokenizerError
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, check_max_length, load_tokenizer
from tests.conftest import SHARED
from tests.examples import examples
from tests.pipeline.trap_texts import trap_texts

VOCABULARY = {piece: i for i, piece in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "of"))}


def write_tokenizer(folder, *, padding=None, truncation=None, **config):
    """Write a BERT-like tokenizer of four words into a folder; returns the folder."""
    folder.mkdir(exist_ok=True)
    backend = tokenizers.Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    if padding is not None:
        backend.enable_padding(length=padding)
    if truncation is not None:
        backend.enable_truncation(truncation)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"} | config))
    return folder


def refused(error, function, *args, **kwargs):
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    return caught.value.message, caught.value.next_step


def block_of(tokenizer, texts, pairs=None, *, max_length=512):
    second = None if pairs is None else pa.array(pairs, pa.string())
    return tokenize_block(tokenizer, pa.array(texts, pa.string()), second, max_length=max_length)


def ids_of(tokenizer, texts, pairs=None, *, max_length=512):
    block = block_of(tokenizer, texts, pairs, max_length=max_length)
    bounds = block.token_offsets_N1
    return [block.input_ids_T[a:b].tolist() for a, b in itertools.pairwise(bounds)]


def test_padding_and_truncation_of_the_file_are_switched_off(tmp_path):
    """all-MiniLM's tokenizer.json pads everything to 128; ours has each text in its own length, cut where we say."""
    loaded = load_tokenizer(str(write_tokenizer(tmp_path / "t", padding=128, truncation=3)))
    assert ids_of(loaded, ["a b c a b", ""]) == [[2, 4, 5, 6, 4, 5, 3], [2, 3]]
    assert ids_of(loaded, ["a b c a b", "a"], max_length=6) == [[2, 4, 5, 6, 4, 3], [2, 4, 3]]


def test_padding_and_truncation_do_not_change_what_a_dataset_records(tmp_path):
    """Two files that differ in these alone are one tokenizer: one hash, so no needless preparing."""
    plain = load_tokenizer(str(write_tokenizer(tmp_path / "plain")))
    padded = load_tokenizer(str(write_tokenizer(tmp_path / "padded", padding=128, truncation=9)))
    assert plain.sha256 == padded.sha256
    assert plain.vocabulary_sha256 == padded.vocabulary_sha256
    assert json.loads(plain.backend_json)["padding"] is None
    assert json.loads(padded.backend_json)["truncation"] is None


def test_what_is_recorded_of_a_tokenizer(tmp_path):
    loaded = load_tokenizer(str(write_tokenizer(tmp_path / "mine", model_max_length=512)))
    assert (loaded.name, loaded.source, loaded.pad_id) == ("mine", str(tmp_path / "mine"), 0)
    assert (loaded.special_ids, loaded.vocabulary_size, loaded.model_max_length) == ((0, 2, 3), 8, 512)  # [UNK] is text


def test_no_limit_is_what_transformers_writes_as_1e30(tmp_path):
    assert load_tokenizer(str(write_tokenizer(tmp_path / "t", model_max_length=int(1e30)))).model_max_length is None
    assert load_tokenizer(str(write_tokenizer(tmp_path / "t"))).model_max_length is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pad_token": "[PAD]"}, 0),
        ({"pad_token": {"content": "[SEP]"}}, 3),  # as an AddedToken is written
        ({"pad_token": None, "eos_token": "c"}, 6),  # no pad token: the end token
        ({"pad_token": "no such token", "eos_token": None}, 0),
    ],
)
def test_pad_id(tmp_path, config, expected):
    """The pad token, else the end token, else 0."""
    assert load_tokenizer(str(write_tokenizer(tmp_path / "t", **config))).pad_id == expected


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "pad", "specials"),
    [("gpt2", 50256, 0), ("roberta-base", 1, 2), ("bert-base-uncased", 0, 2), ("t5-small", 0, 1)],
)
def test_pad_ids_of_real_tokenizers(shared, name, pad, specials):
    """GPT-2 has no pad token: <|endoftext|>, its last id, fills rows up."""
    loaded = load_tokenizer(str(shared / "tokenizers" / name))
    assert (loaded.pad_id, loaded.backend.num_special_tokens_to_add(False)) == (pad, specials)


# ------------------------------------------------------------------------------------------------------------- errors


def test_max_length_0_is_refused(workplace):
    """Before anything is read."""
    assert refused(ConfigError, prepare, "sample", max_length=0) == (
        "--max-length must be 1 or more, got 0.",
        "Pass --max-length 1 or more.",
    )
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(("length", "pair", "special"), [(2, False, 2), (1, False, 2), (3, True, 3)])
def test_max_length_without_room_for_text_is_refused(tmp_path, length, pair, special):
    loaded = load_tokenizer(str(write_tokenizer(tmp_path / "t")))
    assert refused(ConfigError, check_max_length, loaded, length, pair=pair) == (
        f"--max-length {length} leaves no room for text: t adds {special} special tokens.",
        f"Pass --max-length {special + 1} or more.",
    )
    check_max_length(loaded, special + 1, pair=pair)  # what the message advises is taken


def test_max_length_beyond_the_model_is_refused(tmp_path):
    loaded = load_tokenizer(str(write_tokenizer(tmp_path / "t", model_max_length=16)))
    assert refused(ConfigError, check_max_length, loaded, 17, pair=False) == (
        "--max-length 17 is beyond t, which takes at most 16 tokens.",
        "Pass --max-length 16 or less.",
    )
    check_max_length(loaded, 16, pair=False)


@pytest.mark.parametrize("source", ["/no/such/folder", "./missing", "../missing", "a/b/c"])
def test_a_missing_folder_is_refused(workplace, source):
    """Nothing is asked of the hub where the name cannot be a hub name."""
    assert refused(TokenizerError, load_tokenizer, source) == (
        f"Tokenizer folder {source} does not exist.",
        "Pass --tokenizer with a folder or a hub name.",
    )


def test_a_tokenizer_json_that_is_none_is_refused(tmp_path):
    folder = write_tokenizer(tmp_path / "t")
    (folder / "tokenizer.json").write_text("{}")
    message, next_step = refused(TokenizerError, load_tokenizer, str(folder))
    assert message.startswith(f"{folder}/tokenizer.json is not a tokenizer that the tokenizers library can read: ")
    assert next_step == "Save it again with tokenizer.save_pretrained(...)."


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "\u00ff"])
def test_settings_that_are_no_json_object_are_refused(tmp_path, name, content):
    """A broken file beside the tokenizer is the user's problem too: a TokenizerError that names it, no traceback."""
    folder = write_tokenizer(tmp_path / "t")
    (folder / name).write_bytes(content.encode("latin-1"))
    message, _ = refused(TokenizerError, load_tokenizer, str(folder))
    assert name in message


# -------------------------------------------------------------------------------------------------------------- pairs


def naive_segment_start(encoding, *, by_type_ids: bool) -> int:
    """Return how many tokens stand before the second text: as segment ids count it, else as the tokens do."""
    flags = [t == 1 for t in encoding.type_ids] if by_type_ids else [s == 1 for s in encoding.sequence_ids]
    return flags.index(True) if True in flags else len(flags)


def check_pairs(loaded: LoadedTokenizer, rows, *, by_type_ids: bool, max_length: int) -> None:
    texts, pairs = (list(part) for part in zip(*rows, strict=True))
    block = block_of(loaded, texts, pairs, max_length=max_length)
    loaded.backend.enable_truncation(max_length, strategy="longest_first")
    encodings = [loaded.backend.encode(text, pair) for text, pair in rows]
    assert ids_of(loaded, texts, pairs, max_length=max_length) == [encoding.ids for encoding in encodings]
    assert block.segment_starts_N.tolist() == [naive_segment_start(e, by_type_ids=by_type_ids) for e in encodings]
    expected = [(-1 if s is None else s) for e in encodings for s in e.sequence_ids]
    assert block.segments_T.tolist() == expected
    assert list(zip(block.starts_T.tolist(), block.ends_T.tolist(), strict=True)) == [
        o for e in encodings for o in e.offsets
    ]


def test_segment_starts_by_hand(tmp_path):
    """[CLS] a b [SEP] c [SEP]: BERT's segment ids turn 1 at c; with an empty second text, at the last [SEP]."""
    loaded = load_tokenizer(str(write_tokenizer(tmp_path / "t")))
    block = block_of(loaded, ["a b", "a", ""], ["c", "", "c c"])
    assert block.segment_starts_N.tolist() == [4, 3, 2]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "by_type_ids"),
    [("bert-base-uncased", True), ("roberta-base", False), ("t5-small", False), ("gpt2", False)],
)
@given(rows=st.lists(st.tuples(trap_texts, trap_texts), min_size=1, max_size=5), max_length=st.integers(5, 30))
@examples(60)
def test_pairs_equal_the_library_row_by_row(shared, name, by_type_ids, rows, max_length):
    """Ids, characters, segments and the place where the second text starts; empty texts and cuts included."""
    loaded = load_tokenizer_once(name)
    check_pairs(loaded, rows, by_type_ids=by_type_ids, max_length=max_length)


_LOADED: dict[str, LoadedTokenizer] = {}


def load_tokenizer_once(name: str) -> LoadedTokenizer:
    if name not in _LOADED:
        _LOADED[name] = load_tokenizer(str(SHARED / "tokenizers" / name))
    return _LOADED[name]


@pytest.mark.real_data
def test_of_a_pair_the_longer_text_is_cut_first(shared):
    """Longest first: the short text keeps its tokens."""
    loaded = load_tokenizer_once("bert-base-uncased")
    block = block_of(loaded, ["good", "good film " * 20], ["bad film " * 20, "bad"], max_length=10)
    assert np.diff(block.token_offsets_N1).tolist() == [10, 10]
    assert block.segment_starts_N.tolist() == [3, 8]  # [CLS] good [SEP] + 6 + [SEP]; [CLS] + 6 + [SEP] bad [SEP]
