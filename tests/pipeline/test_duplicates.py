"""Which rows are the same and which are near: against plain Python over the texts, on random input and on GLUE."""

import random
from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.arrays import offsets_of, ragged_positions
from tdbs.pipeline.duplicates.compared import compared, row_texts
from tdbs.pipeline.duplicates.near import THRESHOLD, jaccard, near_pairs
from tdbs.pipeline.duplicates.normal import TextWords, normal_texts, same_texts, text_offsets, text_words
from tdbs.pipeline.duplicates.pieces import pieces_of, unknown_id
from tdbs.pipeline.duplicates.rows import first_with_same, row_digests, same_rows, verify, wide_row_digests
from tdbs.pipeline.duplicates.shingles import shingles_of
from tests.conftest import SHARED
from tests.examples import examples
from tests.pipeline.real_tokenizers import NAMES, tokenizer_of
from tests.reference import duplicates as reference

ROWS = st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=30)


def flat(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([value for row in rows for value in row], dtype=np.int32), offsets_of([len(row) for row in rows])


@examples(100)
@given(rows=ROWS)
def test_the_first_equal_row_is_that_of_a_dict(rows: list[list[int]]):
    """Rows are the same if all their values are, in order; empty rows equal each other."""
    assert same_rows(*flat(rows)).tolist() == reference.first_equal([tuple(row) for row in rows])


@examples(100)
@given(rows=ROWS, digests=st.integers(1, 3))
def test_rows_that_differ_are_told_apart_though_their_digests_are_the_same(rows: list[list[int]], digests: int):
    """A digest decides nothing alone: with one, two or three digests for all rows, the result is the same."""
    values_V, offsets_N1 = flat(rows)
    first_N = first_with_same(row_digests(values_V, offsets_N1) % np.uint64(digests))

    def values_of(rows_R):
        sizes_R = np.diff(offsets_N1)[rows_R]
        return values_V[ragged_positions(offsets_N1[rows_R], sizes_R)], sizes_R

    verify(first_N, np.diff(offsets_N1), values_of)
    assert first_N.tolist() == reference.first_equal([tuple(row) for row in rows])


def test_a_digest_knows_the_places_of_values():
    """The same values in another order, or with a zero more, have other digests."""
    digests = row_digests(*flat([[1, 2], [2, 1], [1, 2, 0], [0, 1, 2], [], [0]])).tolist()
    assert len(set(digests)) == 6


@examples(100)
@given(rows=st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1))
def test_both_halves_of_a_wide_digest_tell_rows_apart(rows: list[list[int]]):
    """The first half is `row_digests`; each half knows all values and their places."""
    first_N, second_N = wide_row_digests(*flat(rows)).T
    assert first_N.tolist() == row_digests(*flat(rows)).tolist()
    for digests_N in (first_N, second_N):
        assert len(set(digests_N.tolist())) == len(set(map(tuple, rows)))


def normal_of(texts: list[str], name: str, pairs: list[str] | None = None) -> tuple[TextWords, list[int]]:
    """Return the words of texts, and the first row with the same normal form of each, from ids of a real tokenizer."""
    tokenizer = tokenizer_of(name)
    inputs = texts if pairs is None else list(zip(texts, pairs, strict=True))
    tokenizer.backend.no_truncation()  # other tests share it, and cut texts
    encodings = tokenizer.backend.encode_batch(inputs)
    ids_T, offsets_N1 = flat([encoding.ids for encoding in encodings])
    starts_N = None if pairs is None else np.array([encoding.sequence_ids.index(1) for encoding in encodings])
    pieces = pieces_of(tokenizer.backend, ids_T, special_ids=tokenizer.special_ids)
    offsets_P1 = text_offsets(offsets_N1, starts_N)
    normal = normal_texts(ids_T, offsets_P1, pieces)
    rows = row_texts(np.full(len(texts), 1 if pairs is None else 2))
    first_N = same_texts(ids_T, offsets_P1, pieces, normal, firsts_N=rows.firsts_N, counts_N=rows.counts_N)
    return text_words(ids_T, offsets_P1, pieces), first_N.tolist()


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
@examples(60)
@given(seed=st.integers(0, 10_000))
def test_words_and_normal_forms_are_those_of_the_text(name: str, seed: int):
    """Token ids give the words that characters give, and equal normal forms are found, with every tokenizer."""
    stream = random.Random(seed)  # noqa: S311
    parts = ["The", "the", "fox", "don't", "U.S.", "e-mail", "3.5", "35", "naïve", "A", "...", "-", "unbelievably", "!"]
    texts = [" ".join(stream.choices(parts, k=stream.randint(1, 4))) for _ in range(60)]
    if name in ("bert-base-uncased", "t5-small"):  # one takes accents off, the other does not know ï
        texts = [text.replace("ï", "i") for text in texts]
    check_words_of(texts, name)


# Spelled by several tokens: quotes, dashes, letters beyond ASCII, marks, emoji with joiners.
SPELLED = (
    "it’s",
    "It's",
    "“yes”",
    "yes",
    "—",
    "…",
    "CAFÉ",
    "café",
    "ПРИВЕТ",
    "привет",
    "МИР,",
    "мир",
    "ᏣᎳᎩ",
    "e\u0301",
    "😀",
    "👩‍🚀",
)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["gpt2", "roberta-base"])
@examples(60)
@given(seed=st.integers(0, 10_000))
def test_characters_that_several_tokens_spell_are_those_of_the_text(name: str, seed: int):
    stream = random.Random(seed)  # noqa: S311
    check_words_of(
        [stream.choice(("", " ")).join(stream.choices(SPELLED, k=stream.randint(1, 5))) for _ in range(40)], name
    )


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["gpt2", "roberta-base"])
def test_letters_of_scripts_without_spaces_are_words(name: str):
    """Several tokens spell each of them, and some spell parts of two."""
    found, first = normal_of(["東京は雨。", "東京 は 雨", "東京は雪", "東京"], name)
    assert np.diff(found.word_offsets_P1).tolist() == [4, 4, 4, 2]
    assert first == [0, 0, 2, 3]


def check_words_of(texts: list[str], name: str) -> None:
    """Compare words and normal forms with those of the characters."""
    found, first = normal_of(texts, name)
    assert np.diff(found.word_offsets_P1).tolist() == [len(reference.words(text)) for text in texts]
    hashes = found.word_hashes_W.tolist()
    words = [word for text in texts for word in reference.words(text)]
    assert reference.first_equal(hashes) == reference.first_equal(words)
    forms = [reference.normal_form(text) or place for place, text in enumerate(texts)]
    assert first == reference.first_equal(forms)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_the_same_if_both_texts_are(name: str):
    """A text that moves from one side to the other makes another row."""
    texts = ["The cat", "the cat!", "The", "cat", "?!", "..."]
    pairs = ["sat.", "Sat", "cat sat", "the sat", "!", "?"]
    assert normal_of(texts, name, pairs)[1] == [0, 0, 2, 3, 4, 5]


@pytest.mark.real_data
def test_a_rare_letter_equals_itself_alone():
    """A byte-level tokenizer cuts it: the same one is the same text, another one is not."""
    texts = ["x \U00013000", "x \U00013000", "x \U00013001", "x"]
    assert normal_of(texts, "gpt2")[1] == [0, 0, 2, 3]


@pytest.mark.real_data
def test_what_a_cut_leaves_of_a_character_equals_itself_alone():
    """The last token of the first two texts is gone: the same parts are left, which are no letter."""
    tokenizer = tokenizer_of("gpt2")
    ids = [tokenizer.backend.encode(text).ids for text in ("x \U00013000", "x \U00013001", "x", "x \U00010c00")]
    ids_T, offsets_N1 = flat([ids[0][:-1], ids[1][:-1], ids[2], ids[3][:-1]])
    pieces = pieces_of(tokenizer.backend, ids_T)
    normal = normal_texts(ids_T, offsets_N1, pieces)
    rows = row_texts(np.ones(4, dtype=np.int64))
    found = same_texts(ids_T, offsets_N1, pieces, normal, firsts_N=rows.firsts_N, counts_N=rows.counts_N)
    assert ids[0][:-1] == ids[1][:-1]
    assert found.tolist() == [0, 0, 2, 3]


@pytest.mark.real_data
def test_the_unknown_token_is_found_by_name_or_by_a_letter():
    """WordPiece names it; SentencePiece has it without a name; byte-level tokenizers know all."""
    assert {name: unknown_id(tokenizer_of(name).backend) for name in NAMES} == {
        "roberta-base": None,
        "bert-base-uncased": 100,  # [UNK]
        "t5-small": 2,  # <unk>
        "gpt2": None,
    }


@pytest.mark.real_data
def test_an_unknown_letter_is_a_word_that_equals_itself():
    """T5 calls its unknown token special, but a text with one is not the text without it."""
    assert normal_of(["nave", "na\u3402ve", "na ve"], "t5-small")[1] == [0, 1, 0]


@pytest.mark.real_data
def test_each_letter_of_a_script_without_spaces_is_a_word():
    """Han letters are words of their own, beside words of Latin letters."""
    found, _ = normal_of(["我爱 you", "the end"], "bert-base-uncased")
    assert np.diff(found.word_offsets_P1).tolist() == [3, 2]


def rows_of_words(stream: random.Random, *, texts: Sequence[int]) -> list[list[list[int]]]:
    """Return rows of so many texts of words, each second one a slightly changed earlier one; some have common texts."""
    rows: list[list[list[int]]] = []
    shared = [stream.randrange(40) for _ in range(20)]
    for _ in range(120):
        row = [[stream.randrange(40) for _ in range(stream.randint(0, 30))] for _ in range(stream.choice(texts))]
        if rows and stream.random() < 0.6:
            row = [list(text) for text in stream.choice(rows)]
            for text in row:
                for _ in range(stream.randint(0, 2)):
                    text.insert(stream.randint(0, len(text)), stream.randrange(40))
        if len(row) > 1 and stream.random() < 0.3:
            row[stream.randrange(len(row))] = shared
        rows.append(row)
    return rows


def hashes_of(words: list[int]) -> np.ndarray:
    return np.array([hash((word, 1)) & (2**64 - 1) for word in words], dtype=np.uint64)


def near_pairs_twice(texts: tuple[int, ...], seed: int) -> tuple[dict[tuple[int, int], float], ...]:
    """Return the pairs of random rows with their indices: those found, and those of a brute force."""
    rows = rows_of_words(random.Random(seed), texts=texts)  # noqa: S311
    flat_texts = [text for row in rows for text in row]
    words = [word for text in flat_texts for word in text]
    sets = shingles_of(hashes_of(words), offsets_of([len(text) for text in flat_texts]))
    found = near_pairs(sets, np.arange(len(rows)), row_texts(np.array([len(row) for row in rows])))
    pairs = zip(found.first_C.tolist(), found.second_C.tolist(), strict=True)
    expected = reference.near_pairs([[reference.shingles(text) for text in row] for row in rows], THRESHOLD)
    return dict(zip(pairs, found.jaccard_C.tolist(), strict=True)), expected


TEXTS_A_ROW = [(1,), (2,), (2, 3, 4)]


@pytest.mark.parametrize("texts", TEXTS_A_ROW)
@examples(40)
@given(seed=st.integers(0, 10_000))
def test_near_pairs_have_the_index_of_sets(texts: tuple[int, ...], seed: int):
    """Each pair that is found is one of the brute force's, with its index."""
    found, expected = near_pairs_twice(texts, seed)
    assert found == {pair: pytest.approx(expected[pair]) for pair in found}


@pytest.mark.parametrize("texts", TEXTS_A_ROW)
def test_the_bands_miss_less_than_one_pair_in_a_hundred(texts: tuple[int, ...]):
    """Of all sets of rows together: copies of one text are missed or found together."""
    counts = [(len(found), len(expected)) for found, expected in (near_pairs_twice(texts, seed) for seed in range(60))]
    assert sum(found for found, _ in counts) > 0.99 * sum(expected for _, expected in counts)


def test_near_questions_about_one_passage_are_found_among_many():
    """300 questions have one passage, and two of them, far apart, are nearly the same: the question finds them."""
    stream = random.Random(4)  # noqa: S311
    passage = [stream.randrange(1000) for _ in range(150)]
    questions = [[stream.randrange(1000) for _ in range(12)] for _ in range(300)]
    questions[280] = [*questions[5], 7]
    texts = [text for question in questions for text in (question, passage)]
    sets = shingles_of(hashes_of([word for text in texts for word in text]), offsets_of([len(text) for text in texts]))
    found = near_pairs(sets, np.arange(300), row_texts(np.full(300, 2)))
    assert (found.first_C.tolist(), found.second_C.tolist()) == ([5], [280])


@pytest.mark.real_data
@examples(60)
@given(rows=st.lists(st.lists(st.sampled_from(["a b", "A b", "a, b", "c", "!"]), min_size=2, max_size=4), min_size=1))
def test_rows_of_several_texts_are_the_same_if_each_text_is(rows: list[list[str]]):
    """By token ids and by letters and digits; all texts, or the first two of each row."""
    tokenizer = tokenizer_of("gpt2")
    ids_T, offsets_P1 = flat([tokenizer.backend.encode(text).ids for row in rows for text in row])
    pieces = pieces_of(tokenizer.backend, ids_T)
    normal = normal_texts(ids_T, offsets_P1, pieces)
    every = row_texts(np.array([len(row) for row in rows]))
    for texts, kept in ((every, rows), (every.heads, [row[:2] for row in rows])):
        found = compared(ids_T, offsets_P1, pieces, normal, texts)
        assert found.exact_N.tolist() == reference.first_equal([tuple(row) for row in kept])
        forms = [tuple(map(reference.normal_form, row)) for row in kept]
        assert found.normal_N.tolist() == reference.first_equal(
            [form if any(form) else tuple(row) for form, row in zip(forms, kept, strict=True)]
        )


def test_recall_by_index_is_that_of_the_bands(capsys: pytest.CaptureFixture[str]):
    """Of 4,000 seeded pairs, those at 0.7 to 0.75 are found as often as the formula says, and nearer ones oftener."""
    stream = random.Random(11)  # noqa: S311
    texts = []
    for _ in range(4000):
        text = [stream.randrange(100_000) for _ in range(stream.randint(8, 40))]
        more = [stream.randrange(100_000) for _ in range(stream.randint(0, len(text) // 2))]
        texts += [text, text + more]
    sets = shingles_of(hashes_of([word for text in texts for word in text]), offsets_of([len(text) for text in texts]))
    found = near_pairs(sets, np.arange(len(texts)))
    pairs = set(zip(found.first_C.tolist(), found.second_C.tolist(), strict=True))
    told = []
    for low, high, least in ((0.7, 0.75, 0.98), (0.75, 0.8, 0.99), (0.8, 1.01, 0.999)):
        indices = (
            reference.jaccard(reference.shingles(texts[row]), reference.shingles(texts[row + 1]))
            for row in range(0, len(texts), 2)
        )
        expected = {(2 * place, 2 * place + 1) for place, index in enumerate(indices) if low <= index < high}
        told.append(f"{len(expected & pairs)} of {len(expected)} from {low:g} to {min(high, 1):g}")
        assert len(expected & pairs) >= least * len(expected)
    with capsys.disabled():
        print(f"\nseeded pairs found: {', '.join(told)}")


def test_many_equal_rows_make_few_pairs():
    """A bucket of ten thousand rows costs 32 pairs a row, and each row still finds one."""
    words = np.tile(hashes_of([1, 2, 3, 4, 5]), 10_000)
    sets = shingles_of(words, np.arange(10_001) * 5)
    found = near_pairs(sets, np.arange(10_000))
    assert len(found.first_C) < 32 * 10_000
    assert np.union1d(found.first_C, found.second_C).tolist() == list(range(10_000))


def test_two_empty_sets_are_the_same_set():
    """Of a pair with an empty second text, the first one decides."""
    sets = shingles_of(hashes_of([1, 2, 3]), np.array([0, 3, 3, 3]))
    assert jaccard(sets, np.array([1, 0]), np.array([2, 1])).tolist() == [1.0, 0.0]


@pytest.mark.real_data
@pytest.mark.parametrize(("task", "rows", "columns"), [("mrpc", 3000, 2), ("rte", 2000, 2), ("sst2", 6000, 1)])
def test_recall_and_precision_on_glue(task: str, rows: int, columns: int, capsys: pytest.CaptureFixture[str]):
    """Of the pairs that a brute force finds at the threshold, at least 98 % are found, and no other pair is."""
    table = pq.read_table(SHARED / f"datasets/glue/{task}/train.parquet")
    names = [name for name in table.schema.names if name not in ("label", "idx")][:columns]
    texts = [[text.strip() for text in table[name].to_pylist()[:rows]] for name in names]
    sides = [normal_of(side, "bert-base-uncased")[0] for side in texts]
    offsets_P1 = offsets_of(np.stack([np.diff(side.word_offsets_P1) for side in sides], axis=1).ravel())
    words = [hashes for row in range(rows) for side in sides for hashes in _words(side, row)]
    sets = shingles_of(np.array(words, dtype=np.uint64), offsets_P1)
    found = near_pairs(sets, np.arange(rows), row_texts(np.full(rows, columns)))
    expected = reference.near_pairs(
        [[reference.shingles(_words(side, row)) for side in sides] for row in range(rows)], THRESHOLD
    )
    measured = set(zip(found.first_C.tolist(), found.second_C.tolist(), strict=True))
    with capsys.disabled():
        print(f"\n{task}: {len(measured)} of {len(expected)} pairs at a Jaccard index of {THRESHOLD}")
    assert measured <= set(expected)
    assert len(measured) >= 0.98 * len(expected)


def _words(side: TextWords, row: int) -> list[int]:
    return side.word_hashes_W[side.word_offsets_P1[row] : side.word_offsets_P1[row + 1]].tolist()
