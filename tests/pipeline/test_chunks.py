"""Texts are cut only where no token reaches over; what a tokenizer allows is read from its parts, never assumed."""

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors

from tdbs.pipeline.tokens.block import flat_block
from tdbs.pipeline.tokens.chunks import chunks_of_rows, cut_texts, rows_of_chunks
from tdbs.pipeline.tokens.rules import layout_of
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tests.examples import examples
from tests.pipeline.real_tokenizers import NAMES, tokenizer_of
from tests.pipeline.trap_texts import any_texts, trap_texts


def chunks_of(texts: list[str], *, at_spaces: bool = True) -> list[list[str]]:
    """Return the chunks of each text."""
    cut = cut_texts(pa.array(texts, pa.string()), at_spaces=at_spaces)
    distinct = cut.distinct.to_pylist()
    chunks = [distinct[which] for which in cut.which_C.tolist()]
    bounds = cut.offsets_P1.tolist()
    return [chunks[first:last] for first, last in pairwise(bounds)]


def naive_chunks(text: str) -> list[str]:
    """Cut before each space that stands between two characters that count, character by character."""
    cuts = [
        i
        for i in range(1, len(text) - 1)
        if text[i] == " "
        and unicodedata.category(text[i - 1])[0] in "LNPSM"
        and unicodedata.category(text[i + 1])[0] in "LNPS"
    ]
    bounds = [0, *cuts, len(text)]
    return [text[first:last] for first, last in pairwise(bounds) if first < last]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fine film", ["a", " fine", " film"]),
        ("two  spaces", ["two  spaces"]),  # what stands between is a run, which tokenizers treat as one
        (" lead and trail ", [" lead", " and", " trail "]),
        ("tab\tand line\nbreak", ["tab\tand", " line\nbreak"]),
        ("é ü 中 文", ["é", " ü", " 中", " 文"]),
        ("a \u0301b", ["a \u0301b"]),  # a combining mark joins the space before it
        ("e\u0301 b", ["e\u0301", " b"]),
        ("a \u200bb", ["a \u200bb"]),  # a character that may vanish
        ("", []),
        (" ", [" "]),
    ],
)
def test_cuts_by_hand(text, expected):
    assert chunks_of([text]) == [expected]


@given(st.lists(st.one_of(trap_texts, any_texts), max_size=6))
@examples(300)
def test_chunks_tile_their_texts_and_are_cut_where_a_plain_loop_cuts(texts):
    """No text sees its neighbour, empty ones and spaces at the edges included; places are characters."""
    assert chunks_of(texts) == [naive_chunks(text) for text in texts]
    assert [len(row) for row in chunks_of(texts, at_spaces=False)] == [int(text != "") for text in texts]
    cut = cut_texts(pa.array(texts, pa.string()), at_spaces=True)
    starts = [start for text in texts for start in np.cumsum([0, *map(len, naive_chunks(text))])[:-1].tolist()]
    assert cut.starts_C.tolist() == starts
    assert len(set(cut.distinct.to_pylist())) == len(cut.distinct)


@given(st.lists(st.one_of(trap_texts, any_texts), max_size=6))
@examples(300)
def test_rows_are_cut_where_their_chunks_meet(texts):
    """A plain loop cuts the rows into the distinct chunks, each of them once; without safe cuts each is a row."""
    distinct = cut_texts(pa.array(texts, pa.string()), at_spaces=True).distinct
    rows = rows_of_chunks(distinct, at_spaces=True)
    in_rows = [chunk for row in rows.texts.to_pylist() for chunk in naive_chunks(row)]
    assert in_rows == [distinct[i].as_py() for i in rows.order_D.tolist()]
    assert sorted(rows.order_D.tolist()) == list(range(len(distinct)))
    assert np.diff(rows.bounds_D1).tolist() == list(map(len, in_rows))
    assert rows_of_chunks(distinct, at_spaces=False).texts.to_pylist() == distinct.to_pylist()


def test_rows_have_about_a_thousand_bytes():
    distinct = cut_texts(pa.array([" ".join(f"e{number}" for number in range(1000))]), at_spaces=True).distinct
    texts = rows_of_chunks(distinct, at_spaces=True).texts.to_pylist()
    assert {len(text) // 100 for text in texts[:-2]} == {10}
    assert texts[-1] == "e0"  # no space before it


def test_only_plain_chunks_share_a_row():
    """A library's places behind characters that it removes or replaces may be off."""
    chunks = pa.array([" a", " é", " b", "c", " d\u0001", " ", " f  g", " h"])
    assert rows_of_chunks(chunks, at_spaces=True).texts.to_pylist() == [
        " a b h",
        *chunks.to_pylist()[1:2],
        *chunks.to_pylist()[3:7],
    ]


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.one_of(trap_texts, any_texts), min_size=1, max_size=4))
@examples(200)
def test_chunks_in_rows_have_the_tokens_of_chunks_alone(shared, name, texts):
    """Token ids, and the characters that they stand for."""
    distinct = cut_texts(pa.array(texts, pa.string()), at_spaces=True).distinct
    rows = rows_of_chunks(distinct, at_spaces=True)
    backend = tokenizer_of(name).backend
    backend.no_truncation()
    in_rows = flat_block(backend.encode_batch(rows.texts.to_pylist(), add_special_tokens=False), is_pair=False)
    alone = flat_block(backend.encode_batch(distinct.to_pylist(), add_special_tokens=False), is_pair=False)
    found = chunks_of_rows(rows, in_rows)
    for field in ("input_ids_T", "token_offsets_N1", "segments_T", "starts_T", "ends_T"):
        assert getattr(found, field).tolist() == getattr(alone, field).tolist()


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_the_common_tokenizers_are_cut_at_spaces(shared, name):
    layout = tokenizer_of(name).layout
    assert layout.cuts_at_spaces
    assert (layout.single is None, layout.pair is None) == (False, False)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.one_of(trap_texts, any_texts), min_size=1, max_size=4), max_length=st.integers(4, 40))
@examples(200)
def test_samples_from_chunks_are_the_librarys(shared, name, texts, max_length):
    """Ids of single texts, cut anywhere; pairs and places of tokens are compared in test_tokenizer.py."""
    loaded = tokenizer_of(name)
    block = tokenize_block(loaded, pa.array(texts, pa.string()), None, max_length=max_length)
    loaded.backend.enable_truncation(max_length)
    expected = [loaded.backend.encode(text) for text in texts]
    assert block.chunks is not None
    assert block.input_ids_T.tolist() == [i for encoding in expected for i in encoding.ids]
    assert np.diff(block.token_offsets_N1).tolist() == [len(encoding) for encoding in expected]
    assert block.segments_T.tolist() == [-flag for encoding in expected for flag in encoding.special_tokens_mask]


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("task", "columns"), [("sst2", ("sentence",)), ("mrpc", ("sentence1", "sentence2"))])
def test_all_rows_of_real_data_have_the_librarys_tokens(shared, name, task, columns):
    table = pq.read_table(shared / "datasets" / "glue" / task / "train.parquet", columns=list(columns))
    texts = [table[column].combine_chunks() for column in columns]
    loaded = tokenizer_of(name)
    block = tokenize_block(loaded, texts[0], texts[1] if len(texts) > 1 else None, max_length=48)
    loaded.backend.enable_truncation(48)
    rows = [text.to_pylist() for text in texts]
    encodings = loaded.backend.encode_batch(rows[0] if len(rows) == 1 else list(zip(*rows, strict=True)))
    assert block.input_ids_T.tolist() == [i for encoding in encodings for i in encoding.ids]


# ------------------------------------------------------------------------------------------- parts of a tokenizer


def backend_of(**parts) -> tokenizers.Tokenizer:
    """Return a tokenizer of three words that splits at white space, with some part put in its place."""
    backend = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for name, part in parts.items():
        setattr(backend, name, part)
    return backend


SAFE = {
    "none": {},
    "sequence": {"normalizer": normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])},
    "runs of spaces": {"normalizer": normalizers.Replace(tokenizers.Regex(" {2,}"), "▁")},
    "metaspace": {"pre_tokenizer": pre_tokenizers.Metaspace()},
    "bytes": {"pre_tokenizer": pre_tokenizers.ByteLevel()},
    "digits": {"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])},
}
UNSAFE = {
    "no pre-tokenizer": {"pre_tokenizer": None},
    "words over spaces": {"pre_tokenizer": pre_tokenizers.Metaspace(split=False)},
    "bytes over spaces": {"pre_tokenizer": pre_tokenizers.ByteLevel(use_regex=False)},
    "digits first": {"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.Whitespace()])},
    "an unknown split": {"pre_tokenizer": pre_tokenizers.Split("x", "isolated")},
    "strips texts": {"normalizer": normalizers.Strip()},
    "replaces anything": {"normalizer": normalizers.Replace("a b", "c")},
    "prepends": {"normalizer": normalizers.Prepend("▁")},
    "random merges": {"model": models.BPE(dropout=0.1)},
}


@pytest.mark.parametrize("name", list(SAFE))
def test_parts_that_leave_lone_spaces_alone(name):
    assert layout_of(backend_of(**SAFE[name])).cuts_at_spaces


@pytest.mark.parametrize("name", list(UNSAFE))
def test_parts_that_promise_nothing(name):
    assert not layout_of(backend_of(**UNSAFE[name])).cuts_at_spaces


@pytest.mark.parametrize(
    ("token", "safe"),
    [
        (tokenizers.AddedToken("<x>"), True),
        (tokenizers.AddedToken("<x>", lstrip=True), True),  # the space before a chunk is the chunk's
        (tokenizers.AddedToken("<x>", rstrip=True), False),
        (tokenizers.AddedToken("New York"), False),
        (tokenizers.AddedToken("  "), True),  # a run of spaces is never cut
        (tokenizers.AddedToken(" "), False),
    ],
)
def test_added_tokens_that_reach_over_a_space(token, safe):
    backend = backend_of()
    backend.add_tokens([token])
    assert layout_of(backend).cuts_at_spaces is safe


def test_templates_that_do_more_than_put_tokens_around_texts():
    """A text that is written twice, or pairs turned round, are left to the library."""
    twice = processors.TemplateProcessing(single="$A $A", pair="$A $B", special_tokens=[])
    turned = processors.TemplateProcessing(single="a $A", pair="$B $A", special_tokens=[("a", 1)])
    assert layout_of(backend_of(post_processor=twice)).single is None
    assert layout_of(backend_of(post_processor=turned)).pair is None
    assert layout_of(backend_of(post_processor=turned)).single.special_ids == ((1,), ())


def test_a_pair_that_the_library_must_put_together_is_the_same(tmp_path):
    """With a template that turns texts round, tokens are still the library's."""
    turned = processors.TemplateProcessing(single="$A", pair="$B:1 a:0 $A:0", special_tokens=[("a", 1)])
    backend = backend_of(post_processor=turned)
    loaded = LoadedTokenizer(
        name="t", source="t", backend=backend, backend_json="", sha256="", vocabulary_sha256="", vocabulary_size=3,
        pad_id=0, special_ids=(1,), model_max_length=None, layout=layout_of(backend),
    )  # fmt: skip
    block = tokenize_block(loaded, pa.array(["b b"]), pa.array(["b"]), max_length=9)
    assert (block.chunks, block.input_ids_T.tolist()) == (None, backend.encode("b b", "b").ids)
