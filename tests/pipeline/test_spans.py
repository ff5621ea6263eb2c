"""Which tokens are droppable words: as the slow oracle says, with real tokenizers on real and on nasty text."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors

from tdbs.pipeline.tokens.block import TokenBlock
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer
from tdbs.pipeline.words.matches import compile_words
from tdbs.pipeline.words.spans import find_spans
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tests.examples import examples
from tests.pipeline.real_tokenizers import NAMES, tokenizer_of
from tests.pipeline.trap_texts import any_texts, trap_texts
from tests.reference.spans import PAPER_STOPWORDS as REFERENCE_STOPWORDS
from tests.reference.spans import droppable_spans
from tests.reference.test_references import SPAN_CASES

EVERY_DAY = ("roberta-base", "t5-small")  # of bytes, and of pieces with a mark for the space
PATTERN = compile_words(PAPER_STOPWORDS)


def found_spans(tokenizer: LoadedTokenizer, texts, pairs=None, *, max_length=128) -> list[list[tuple[int, int]]]:
    """Return the product's spans of every row, as (first token, tokens)."""
    first, second = pa.array(texts, pa.string()), None if pairs is None else pa.array(pairs, pa.string())
    block = tokenize_block(tokenizer, first, second, max_length=max_length)
    spans = find_spans(
        block,
        first,
        second,
        PATTERN,
        lone_space_id=tokenizer.backend.token_to_id("▁"),
        special_ids=tokenizer.special_ids,
    )
    flat = list(zip(spans.starts_W.tolist(), spans.sizes_W.tolist(), strict=True))
    bounds = spans.span_offsets_N1.tolist()
    return [flat[first:last] for first, last in pairwise(bounds)]


def oracle_spans(tokenizer: LoadedTokenizer, texts, pairs=None, *, max_length) -> list[list[tuple[int, int]]]:
    """Return the oracle's spans, row by row: words of whole texts of which the library's truncation left every token.

    What is left alone cannot tell: byte-level BPE may be cut inside a character, whose first token then stands for it.
    """
    rows = [(text,) for text in texts] if pairs is None else list(zip(texts, pairs, strict=True))
    tokenizer.backend.enable_truncation(max_length, strategy="longest_first")
    cut = [tokenizer.backend.encode(*row).sequence_ids for row in rows]
    tokenizer.backend.no_truncation()
    expected = []
    for row, sequence_ids in zip(rows, cut, strict=True):
        spans = []
        for segment, text in enumerate(row):
            places = [i for i, of in enumerate(sequence_ids) if of == segment]
            whole = tokenizer.backend.encode(text, add_special_tokens=False)
            for first, size in droppable_spans(text, whole.offsets, whole.tokens, REFERENCE_STOPWORDS):
                if first + size <= len(places):
                    spans.append((places[first], size))
        expected.append(spans)
    return expected


def assert_equal_spans(name: str, texts, pairs=None, *, max_length=128) -> int:
    """Compare row by row; the first difference is shown with its text and tokens. Returns how many spans there are."""
    tokenizer = tokenizer_of(name)
    found = found_spans(tokenizer, texts, pairs, max_length=max_length)
    expected = oracle_spans(tokenizer, texts, pairs, max_length=max_length)
    for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if ours != theirs:
            inputs = (texts[row],) if pairs is None else (texts[row], pairs[row])
            encoding = tokenizer.backend.encode(*inputs)
            tokens = list(zip(encoding.tokens, encoding.offsets, strict=True))
            raise AssertionError(f"{name}, row {row}, {inputs!r}: found {ours}, oracle {theirs}, tokens {tokens}")
    return sum(map(len, found))


def column(shared: Path, task: str, name: str, rows: int | None = None) -> list[str]:
    values = pq.read_table(shared / "datasets" / "glue" / task / "train.parquet", columns=[name])[name]
    return values.slice(0, rows).to_pylist()


# ------------------------------------------------------------------------------------------- a tokenizer made by hand


def make_tokenizer(*words: str) -> LoadedTokenizer:
    """Return a WordPiece tokenizer of these pieces, without special tokens."""
    vocabulary = {piece: i for i, piece in enumerate(("[UNK]", *words))}
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return LoadedTokenizer(
        name="pieces",
        source="pieces",
        backend=backend,
        backend_json="",
        sha256="",
        vocabulary_sha256="",
        vocabulary_size=len(vocabulary),
        pad_id=0,
        special_ids=(0,),
        model_max_length=None,
    )


@pytest.mark.parametrize(
    ("text", "max_length", "expected"),
    [
        ("the end of it", 9, [(0, 1), (2, 1), (3, 1)]),
        ("myself", 9, [(0, 2)]),  # a word of two tokens is one span
        ("of myself", 2, [(0, 1)]),  # truncation cut "myself": what is left of it is no word
        ("3.5", 9, []),
        ("you're", 9, [(0, 3)]),  # you ' re: one match, three tokens
        ("end end", 9, []),
        ("", 9, []),
    ],
)
def test_spans_by_hand(text, max_length, expected):
    """Tokens that cover a match exactly; the whole match or none of it."""
    tokenizer = make_tokenizer("the", "end", "of", "it", "my", "##self", "you", "'", "re", "3", ".", "5")
    assert found_spans(tokenizer, [text], max_length=max_length) == [expected]


def test_a_token_that_reaches_over_the_edge_of_a_match_is_kept():
    """ "it!" as one token holds more than the word."""
    backend = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "it!": 1, "of": 2}, unk_token="[UNK]"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = make_tokenizer()
    block = tokenize_block(
        LoadedTokenizer(**{field: getattr(tokenizer, field) for field in tokenizer.__slots__} | {"backend": backend}),
        pa.array(["it! of"]),
        None,
        max_length=9,
    )
    spans = find_spans(block, pa.array(["it! of"]), None, PATTERN, lone_space_id=None, special_ids=())
    assert (spans.starts_W.tolist(), spans.sizes_W.tolist()) == ([1], [1])


def test_both_texts_of_a_pair_have_spans_and_special_tokens_none():
    """Positions count the special tokens; nothing matches over the seam ("it" + "self" are two words of two texts)."""
    tokenizer = make_tokenizer("it", "##self", "self", "of", "[CLS]", "[SEP]")
    tokenizer.backend.post_processor = processors.BertProcessing(("[SEP]", 6), ("[CLS]", 5))
    assert found_spans(tokenizer, ["self it", "of"], ["self of", "it"]) == [[(2, 1), (5, 1)], [(1, 1), (3, 1)]]


def test_a_block_of_empty_texts_has_no_spans():
    assert found_spans(make_tokenizer("of"), ["", ""]) == [[], []]


# ------------------------------------------------------------------------------------ tokens that are given, not made

LONE = 5


def spans_of_tokens(text: str, offsets: list[tuple[int, int]], lone: list[bool]) -> list[tuple[int, int]]:
    """Return the product's spans of one text whose tokens are given by their characters."""
    block = TokenBlock(
        input_ids_T=np.array([LONE if flag else 0 for flag in lone], dtype=np.int32),
        token_offsets_N1=np.array([0, len(offsets)]),
        segments_T=np.zeros(len(offsets), dtype=np.int64),
        starts_T=np.array([start for start, _ in offsets], dtype=np.int64),
        ends_T=np.array([end for _, end in offsets], dtype=np.int64),
        segment_starts_N=None,
    )
    spans = find_spans(block, pa.array([text], pa.string()), None, PATTERN, lone_space_id=LONE, special_ids=())
    return list(zip(spans.starts_W.tolist(), spans.sizes_W.tolist(), strict=True))


@pytest.mark.parametrize("name", list(SPAN_CASES))
def test_the_oracles_hand_cases_hold_for_the_product(name):
    """Lone prefixes with either kind of offsets, several tokens of one character, cuts: worked out by hand there."""
    text, tokens, expected = SPAN_CASES[name]
    offsets = [(start, end) for _, start, end in tokens]
    assert spans_of_tokens(text, offsets, [string == "▁" for string, _, _ in tokens]) == expected


@st.composite
def byte_tokens(draw):
    """Return a text and tokens that are any runs of its bytes, cut off anywhere: byte-level BPE of any vocabulary.

    Tokens that share a character overlap, and one may hold the end of one word and the start of the next.
    """
    text = draw(
        st.lists(st.sampled_from(["the", "of", "oﬀ", "ſo", "you’re", " ", " ", "’", "…", "é", ".", "(", "\n"])).map(
            "".join
        )
    )
    characters = [i for i, character in enumerate(text) for _ in character.encode()]
    cuts = draw(st.sets(st.integers(1, max(len(characters) - 1, 1)))) | draw(st.sampled_from([set(), {0}]))
    bounds = sorted({0, len(characters), *(cut for cut in cuts if cut < len(characters))})
    offsets = [(characters[a], characters[b - 1] + 1) for a, b in pairwise(bounds)]
    return text, offsets[: draw(st.integers(0, len(offsets)))]


@pytest.mark.parametrize("text", ["(ſo", "oﬀ("])
def test_a_token_that_shares_a_character_with_a_match_reaches_over_its_edge(text):
    """One token holds the bracket and a byte of ſ or ﬀ, the other the rest of the word: neither word nor mark goes."""
    assert spans_of_tokens(text, [(0, 2), (1, 3)], [False, False]) == []


@given(byte_tokens())
@examples(1500)
def test_tokens_that_overlap_have_the_oracles_spans(case):
    """A token that shares a character with a match's neighbour reaches over its edge."""
    text, offsets = case
    expected = droppable_spans(text, offsets, ["x"] * len(offsets), REFERENCE_STOPWORDS)
    assert spans_of_tokens(text, offsets, [False] * len(offsets)) == expected


# ---------------------------------------------------------------------------------------------------------- real data


@pytest.mark.real_data
@pytest.mark.parametrize(("text", "max_length", "expected"), [("i i", 5, [(0, 2), (2, 2)]), ("i i", 4, [(0, 2)])])
def test_a_lone_prefix_whose_word_was_cut_is_no_word(shared, text, max_length, expected):
    """T5 writes "i" as "▁", "i", both with the offsets of "i"; where truncation cuts "i" off, "▁" alone is not "i"."""
    assert found_spans(tokenizer_of("t5-small"), [text], max_length=max_length) == [expected]


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_sst2_rows_have_the_oracles_spans(shared, name):
    """5,000 rows of SST-2, cut at 128 tokens: span for span."""
    assert assert_equal_spans(name, column(shared, "sst2", "sentence", 5_000)) > 10_000


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:3])
def test_all_sst2_rows_have_the_oracles_spans(shared, name):
    """All 67,349 rows."""
    texts = column(shared, "sst2", "sentence")
    assert len(texts) == 67_349
    assert assert_equal_spans(name, texts) > 150_000


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
@pytest.mark.parametrize("task", ["mrpc", pytest.param("rte", marks=pytest.mark.slow)])
def test_pairs_that_are_cut_have_the_oracles_spans(shared, name, task):
    """Both segments, cut at 48 tokens so that words at both ends are lost."""
    texts, pairs = (column(shared, task, f"sentence{i}", 700) for i in (1, 2))
    tokenizer = tokenizer_of(name)
    tokenizer.backend.enable_truncation(48)
    assert sum(len(e) == 48 for e in tokenizer.backend.encode_batch(list(zip(texts, pairs, strict=True)))) > 100
    assert assert_equal_spans(name, texts, pairs, max_length=48) > 3_000


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
@given(text=st.one_of(trap_texts, any_texts), max_length=st.integers(4, 40))
@examples(300)
def test_texts_full_of_traps_have_the_oracles_spans(shared, name, text, max_length):
    """Odd white space, ligatures, apostrophes, emoji, through the real tokenizers, cut anywhere."""
    assert_equal_spans(name, [text], max_length=max_length)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
@given(rows=st.lists(st.tuples(trap_texts, trap_texts), min_size=1, max_size=4), max_length=st.integers(5, 30))
@examples(120)
def test_blocks_of_pairs_full_of_traps_have_the_oracles_spans(shared, name, rows, max_length):
    """Several rows at once: no text sees its neighbour in the block."""
    texts, pairs = (list(part) for part in zip(*rows, strict=True))
    assert_equal_spans(name, texts, pairs, max_length=max_length)
