"""Windows of question answering: they cover the context, each answer stands where it says, and no answer is damaged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers, processors

from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Columns, Task
from tdbs.errors import SourceError
from tdbs.pipeline.annotate import annotated_table
from tdbs.pipeline.dataset import Split, Targets
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.words.matches import compile_words
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tdbs.train.batches import epoch_batches
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tests.conftest import SHARED
from tests.examples import examples
from tests.pipeline.test_spans import make_tokenizer
from tests.train.ragged import strategy_of, tokenizer_info

TASK = Task(
    name="questions", kind="question_answering", columns=Columns(text="question", pair="context", labels=("answers",))
)
PATTERN = compile_words(PAPER_STOPWORDS)
SMALL, REAL = "small", ("roberta-base", "bert-base-uncased")
PIECES = (
    *("[PAD]", "[CLS]", "[SEP]", "the", "of", "it", "and", "in", "a", "my", "##self", "will", "paris", "river"),
    *("##s", "king", "tower", "19", "##89", "old", "who", "where", "what", ".", ",", "(", ")", "-", ";", "'"),
)
_LOADED: dict[str, LoadedTokenizer] = {}


def tokenizer_of(name: str) -> LoadedTokenizer:
    if name not in _LOADED:
        _LOADED[name] = small_tokenizer() if name == SMALL else load_tokenizer(str(SHARED / "tokenizers" / name))
    return _LOADED[name]


def small_tokenizer() -> LoadedTokenizer:
    """Return a WordPiece tokenizer of the pieces above, with BERT's special tokens."""
    made = make_tokenizer(*PIECES)
    special = {piece: made.backend.token_to_id(piece) for piece in ("[PAD]", "[CLS]", "[SEP]")}
    made.backend.post_processor = processors.BertProcessing(("[SEP]", special["[SEP]"]), ("[CLS]", special["[CLS]"]))
    made.backend.add_special_tokens(list(special))
    return replace(made, pad_id=special["[PAD]"], special_ids=tuple(special.values()))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A row of the source: answers are (first character, text)."""

    question: str
    context: str
    answers: tuple[tuple[int, str], ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sample as its shard holds it."""

    row: int
    ids: list[int]
    starts: list[int]  # characters of each token in its text
    ends: list[int]
    context: list[int]  # positions of the tokens of the context
    words: list[tuple[int, int]]  # droppable: first position, tokens
    answer: tuple[int, int]


def table_of(name: str, rows: Sequence[Question], limits: Limits, **overrides) -> pa.Table:
    """Return the shard columns of some rows, as prepare makes them."""
    answers = [
        {"text": [text for _, text in row.answers], "answer_start": [start for start, _ in row.answers]} for row in rows
    ]
    kind = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])
    fields = {
        "where": "questions.jsonl",
        "rows_N": np.arange(len(rows)),
        "texts": pa.array([row.question for row in rows], pa.string()),
        "pairs": pa.array([row.context for row in rows], pa.string()),
        "targets": pa.array(answers, kind),
    }
    return annotated_table(RowBlock(**(fields | overrides)), TASK, tokenizer_of(name), PATTERN, limits, seconds={})


def windows_of(name: str, rows: Sequence[Question], limits: Limits) -> list[Window]:
    """Return every window; which tokens are the context's is asked of the library anew, window by window."""
    backend = tokenizer_of(name).backend
    backend.enable_truncation(limits.max_length, stride=limits.stride, strategy="only_second")
    encodings = []
    for row in rows:
        first = backend.encode(row.question.lstrip(), row.context)
        encodings += [first, *first.overflowing]
    found = []
    for sample, encoding in zip(table_of(name, rows, limits).to_pylist(), encodings, strict=True):
        assert sample["input_ids"] == encoding.ids
        found.append(
            Window(
                row=sample["source_row"],
                ids=sample["input_ids"],
                starts=sample["char_starts"],
                ends=sample["char_ends"],
                context=[i for i, segment in enumerate(encoding.sequence_ids) if segment == 1],
                words=[(word["start"], word["length"]) for word in sample["droppable"]],
                answer=(sample["answer_start"], sample["answer_end"]),
            )
        )
    return found


def split_of_table(table: pa.Table) -> Split:
    """Return the table as a split in memory, read here by plain lists."""

    def flat(column):
        return [value for row in table[column].to_pylist() for value in row]

    def offsets(column):
        return np.concatenate([[0], np.cumsum([len(row) for row in table[column].to_pylist()])]).astype(np.int64)

    words = flat("droppable")
    places = np.stack([table[name].to_numpy() for name in ("answer_start", "answer_end")], axis=1).astype(np.int64)
    return Split(
        name="train",
        input_ids_T=np.array(flat("input_ids"), dtype=np.int32),
        token_offsets_N1=offsets("input_ids"),
        word_starts_W=np.array([word["start"] for word in words], dtype=np.int64),
        word_sizes_W=np.array([word["length"] for word in words], dtype=np.int64),
        word_offsets_N1=offsets("droppable"),
        segment_starts_N=table["segment_start"].to_numpy().astype(np.int64),
        source_rows_N=table["source_row"].to_numpy(),
        targets=Targets(kind="question_answering", outputs=2, values=places, offsets_N1=None),
    )


# ---------------------------------------------------------------------------------------------- random rows of a source

WORDS = (
    *("the", "of", "it", "and", "in", "a", "The", "OF", "will", "myself", "its"),
    *("Paris", "river", "rivers", "king", "tower", "1989", "old", "x-ray", "king's", "zebra"),
)
BETWEEN = (" ", " ", " ", " ", "  ", ", ", ". ", " (", ") ", " - ", "; ", "\n", "-", ".", "\u00a0")
ODD = ("é", "中文", "\U0001f600", "\u200b", "\u0301", "\ufeff", "ß")  # several tokens of one character, or none at all


@st.composite
def questions(draw, *, odd: bool = False) -> Question:
    """Return a row with a context of up to 60 words, and one to three answers that may overlap, or seldom none."""
    word = st.sampled_from(WORDS + ODD if odd else WORDS)
    between = st.sampled_from(BETWEEN + ODD if odd else BETWEEN)
    words = draw(st.lists(word, min_size=1, max_size=60))
    gaps = draw(st.lists(between, min_size=len(words), max_size=len(words)))
    context, places = draw(st.sampled_from(["", "", " ", "("])), []
    for text, gap in zip(words, gaps, strict=True):
        places.append((len(context), len(context) + len(text)))
        context += text + gap
    answers = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(words) - 1) | st.sampled_from([0, len(words) - 1]))
        last = min(first + draw(st.integers(0, 6)), len(words) - 1)
        start, end = places[first][0], places[last][1]
        start -= draw(st.sampled_from([0, 0, 0, 1, 2]))  # spaces or marks before it, as SQuAD has some
        end += draw(st.sampled_from([0, 0, 0, 1, 2]))
        if odd:
            start += draw(st.integers(0, 2))  # inside a word
        start, end = max(start, 0), min(end, len(context))
        if context[start:end].strip():
            answers.append((start, context[start:end]))
    if not answers:
        answers.append((places[0][0], words[0]))
    if draw(st.integers(0, 5)) == 5:
        answers = []
    question = draw(st.sampled_from(["", " ", "   \n "])) + draw(
        st.sampled_from(["who", "where", "the king", "what of it", ""])
    )
    return Question(question=question, context=context, answers=tuple(answers))


@st.composite
def cases(draw, *, odd: bool = False) -> tuple[list[Question], Limits]:
    rows = draw(st.lists(questions(odd=odd), min_size=1, max_size=3))
    max_length = draw(st.integers(12, 40))
    return rows, Limits(max_length=max_length, stride=draw(st.integers(0, max_length - 9)))


def answer_characters(start: int, text: str) -> tuple[int, int]:
    """Return first character and the one behind the last, white space at the ends aside."""
    start += len(text) - len(text.lstrip())
    return start, start + len(text.strip())


# ------------------------------------------------------------------------------------------------------------- checkers


def check_covering(name: str, rows: Sequence[Question], limits: Limits) -> list[Window]:
    """(a) The windows of a row are its context cut in runs that share exactly `stride` tokens; returns them."""
    windows = windows_of(name, rows, limits)
    assert [window.row for window in windows] == sorted(window.row for window in windows)
    backend = tokenizer_of(name).backend
    backend.no_truncation()
    for number, row in enumerate(rows):
        own = [window for window in windows if window.row == number]
        whole = backend.encode(row.question.lstrip(), row.context)
        tokens = [
            (token, *offsets)
            for token, offsets, segment in zip(whole.ids, whole.offsets, whole.sequence_ids, strict=True)
            if segment == 1
        ]
        runs = [[(w.ids[i], w.starts[i], w.ends[i]) for i in w.context] for w in own]
        assert all(len(window.ids) <= limits.max_length for window in own)
        assert all(len(window.ids) == limits.max_length for window in own[:-1])
        together = list(runs[0])
        for before, after in pairwise(runs):
            assert len(before) > limits.stride
            assert after[: limits.stride] == before[len(before) - limits.stride :]
            assert len(after) > limits.stride  # each window brings something new
            together += after[limits.stride :]
        assert together == tokens
    return windows


def touching(window: Window, start: int, end: int) -> list[int]:
    """Return the tokens of a window's context that stand for a character of [start, end)."""
    return [
        i
        for i in window.context
        if any(start <= character < end for character in range(window.starts[i], window.ends[i]))
    ]


def fewest_tokens(window: Window, start: int, end: int) -> tuple[int, int]:
    """Return the shortest run of the context's tokens that covers the characters, by trying all."""
    runs = [
        (last - first, first, last)
        for first in window.context
        for last in window.context
        if first <= last and window.starts[first] <= start and window.ends[last] >= end
    ]
    _, first, last = min(runs)
    return first, last


def check_places(rows: Sequence[Question], windows: Sequence[Window], stride: int, *, odd: bool) -> int:
    """(b) A window with every token of the first answer says where; the others 0, 0. Returns how many say where.

    With odd characters, some share a token or have none: there the answer is its first to its last token.
    """
    placed = 0
    for number, row in enumerate(rows):
        own = [window for window in windows if window.row == number]
        if not row.answers:
            assert {window.answer for window in own} == {(0, 0)}
            continue
        start, end = answer_characters(*row.answers[0])
        before, found = 0, []  # context tokens before each window; the answer's, numbered in the whole context
        for window in own:
            found.append([before + window.context.index(i) for i in touching(window, start, end)])
            before += len(window.context) - stride
        wanted = sorted({token for tokens in found for token in tokens})
        for window, tokens in zip(own, found, strict=True):
            if not tokens or tokens != wanted:
                assert window.answer == (0, 0)
                continue
            inside = touching(window, start, end)
            assert window.answer == (inside[0], inside[-1])
            assert odd or window.answer == fewest_tokens(window, start, end)
            placed += 1
    return placed


def check_protected(rows: Sequence[Question], windows: Sequence[Window]) -> int:
    """(c) No droppable word holds a character of any answer, in any window; returns how many words there are."""
    for window in windows:
        for start, text in rows[window.row].answers:
            first, end = answer_characters(start, text)
            for word, size in window.words:
                for i in range(word, word + size):
                    if i in window.context:
                        assert window.ends[i] <= first or window.starts[i] >= end
    return sum(len(window.words) for window in windows)


def check_drops(name: str, table: pa.Table, strategy, *, seed: int, epoch: int) -> int:
    """(d) In every batch of an epoch, start to end are the tokens of the answer as before; returns what goes."""
    split = split_of_table(table)
    loaded = tokenizer_of(name)
    info = tokenizer_info(special_ids=loaded.special_ids, pad_id=loaded.pad_id)
    words = words_of_split(split, strategy, info)
    plan = plan_epoch(split.lengths_N, words, strategy, max_length=64, seed=seed, epoch=epoch)
    dropped_T = dropped_tokens(split, words, strategy, plan, info, seed=seed)
    rows = table.to_pylist()
    seen = []
    for batch in epoch_batches(split, plan, dropped_T, pad_id=loaded.pad_id):
        for ids, sample, (first, last) in zip(batch.input_ids_RW, batch.sample_ids_B, batch.labels, strict=True):
            row = rows[sample]
            seen.append(int(sample))
            before = row["input_ids"][row["answer_start"] : row["answer_end"] + 1]
            assert ids[first : last + 1].tolist() == before
            decoded = [loaded.backend.decode(tokens) for tokens in (ids[first : last + 1].tolist(), before)]
            assert decoded[0] == decoded[1]
            assert (last == 0) == (row["answer_end"] == 0)
    assert sorted(seen) == list(range(table.num_rows))
    return int(dropped_T.sum())


STRATEGIES = {
    "reach": strategy_of("reach", base_batch_size=2),
    "tdbs_paper": strategy_of("tdbs_paper", base_batch_size=2),
    "rate 1.0": strategy_of("random", base_batch_size=2, drop="rate", drop_rate=1.0),
}
NAMES = [SMALL, *(pytest.param(name, marks=pytest.mark.real_data) for name in REAL)]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return a tokenizer's name; a real one is skipped where it is not there."""
    if request.param != SMALL:
        request.getfixturevalue("shared")
    return request.param


tokenizers = pytest.mark.parametrize("name", NAMES, indirect=True)


@tokenizers
@pytest.mark.parametrize("odd", [False, True], ids=["plain", "odd"])
def test_windows_of_any_context_hold_what_they_should(name, odd):
    """Every token is in a window, neighbours share `stride`, answers stand where they say, none is droppable."""
    placed = words = 0

    @given(cases(odd=odd))
    @examples(150)
    def check(case):
        nonlocal placed, words
        rows, limits = case
        windows = check_covering(name, rows, limits)
        placed += check_places(rows, windows, limits.stride, odd=odd)
        words += check_protected(rows, windows)

    check()
    assert placed > 0
    assert words > 0


@tokenizers
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_answer_changes_whatever_is_dropped_around_it(name, strategy):
    """Any seed, any epoch: the tokens from start to end are those of the answer."""
    gone = 0

    @given(cases(), st.integers(0, 9), st.integers(0, 3))
    @examples(60)
    def check(case, seed, epoch):
        nonlocal gone
        gone += check_drops(name, table_of(name, *case), STRATEGIES[strategy], seed=seed, epoch=epoch)

    check()
    assert gone > 0


# ------------------------------------------------------------------------------------------------------ cases by hand


def text_of(window: Window, context: str) -> str:
    first, last = window.answer
    return context[window.starts[first] : window.ends[last]]


CONTEXT = "the old king of Paris will ( see ) the tower"


@pytest.mark.parametrize(
    ("start", "text", "expected"),
    [
        (0, "the old king", "the old king"),  # at the very start, with a stopword
        (CONTEXT.index("the tower"), "the tower", "the tower"),  # at the very end
        (CONTEXT.index("king"), "king of Paris", "king of Paris"),  # a stopword inside
        (CONTEXT.index("("), "( see )", "( see )"),  # marks, which are droppable too
        (CONTEXT.index("see"), "see", "see"),
        (CONTEXT.index(" Paris"), " Paris ", "Paris"),  # spaces at its ends do not count
        (CONTEXT.index("aris"), "ari", "Paris"),  # the fewest whole tokens that hold it
    ],
)
def test_answers_by_hand(start, text, expected):
    [window] = windows_of(
        SMALL, [Question(question="who", context=CONTEXT, answers=((start, text),))], Limits(max_length=40, stride=4)
    )
    assert text_of(window, CONTEXT) == expected
    check_protected([Question(question="who", context=CONTEXT, answers=((start, text),))], [window])


def test_all_answers_are_protected_and_the_first_is_learned():
    """Annotators differ: words of every answer stay; "of" outside of them may go."""
    row = Question(question="old", context="the king of the river and the tower of it", answers=((0, "the king"),))
    several = replace(row, answers=(*row.answers, (row.context.index("the tower"), "the tower")))
    limits = Limits(max_length=40, stride=4)
    [one], [two] = windows_of(SMALL, [row], limits), windows_of(SMALL, [several], limits)
    assert one.answer == two.answer == (3, 4)  # [CLS] old [SEP] the king

    def droppable(window):
        return [row.context[window.starts[first] : window.ends[first]] for first, _ in window.words]

    assert droppable(one) == ["of", "the", "and", "the", "of", "it"]
    assert droppable(two) == ["of", "the", "and", "of", "it"]


def test_an_answer_that_no_window_holds_whole_is_nowhere_and_still_protected():
    """Four context tokens a window, one shared, an answer of five: 0, 0 everywhere, and none of its words may go."""
    row = Question(question="old", context="king the of it and a king of", answers=((5, "the of it and a"),))
    windows = windows_of(SMALL, [row], Limits(max_length=8, stride=1))
    assert [window.answer for window in windows] == [(0, 0)] * 3
    assert [len(window.words) for window in windows] == [0, 0, 1]  # only the last "of"


def test_characters_without_a_token_at_an_end_of_the_context_do_not_hide_an_answer():
    """BERT has no token for a zero-width space; the answer's tokens are all there."""
    _LOADED["cleaning"] = small_tokenizer()
    _LOADED["cleaning"].backend.normalizer = normalizers.BertNormalizer()
    row = Question(question="who", context="\u200bking of\u200b", answers=((0, "\u200bking of\u200b"),))
    [window] = windows_of("cleaning", [row], Limits(max_length=12, stride=1))
    assert window.answer == (3, 4)


def test_all_windows_of_a_question_without_an_answer_point_to_the_first_token():
    """Beside a question with one, and in a block where no question has one; nothing of it is protected."""
    answered = Question(question="who", context="the king of it", answers=((0, "the king"),))
    without = replace(answered, context="the king of it " * 4, answers=())
    limits = Limits(max_length=12, stride=4)
    alone = windows_of(SMALL, [without], limits)
    assert len(alone) > 1
    assert {window.answer for window in alone} == {(0, 0)}
    first, *others = windows_of(SMALL, [answered, without], limits)
    assert first.answer == (3, 4)  # [CLS] who [SEP] the king
    assert [window.answer for window in others] == [(0, 0)] * len(alone)
    assert [window.words for window in others] == [window.words for window in alone]
    assert sum(len(window.words) for window in alone) > 4


def test_a_split_without_answers_has_windows_without_places():
    rows = [Question(question="who", context=CONTEXT, answers=())]
    table = table_of(SMALL, rows, Limits(max_length=12, stride=4), targets=None)
    assert table.num_rows > 1
    assert not {"answer_start", "answer_end"} & set(table.column_names)
    assert {"char_starts", "char_ends"} <= set(table.column_names)


# ------------------------------------------------------------------------------------------------------- long questions


def refused(rows: Sequence[Question], limits: Limits, **overrides) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        table_of(SMALL, rows, limits, **overrides)
    return caught.value.message, caught.value.next_step


def question_of(tokens: int) -> Question:
    return Question(question=" ".join(["who"] * tokens), context="the king", answers=((4, "king"),))


def test_a_question_that_leaves_no_room_is_refused_by_its_row():
    """12 tokens, 3 special ones, 4 shared: a window must bring one new token, so 4 are left for the question."""
    limits = Limits(max_length=12, stride=4)
    assert len(windows_of(SMALL, [question_of(4)], limits)) == 1
    message = "Row 2 of questions.jsonl has a question of 5 tokens; windows of 12 tokens that share 4 allow at most 4."
    next_step = "Shorten the question, or pass a larger --max-length or a smaller --stride."
    assert refused([question_of(1), question_of(5)], limits) == (message, next_step)


def test_a_row_keeps_the_number_that_it_has_in_its_file():
    """Where rows were held out for validation."""
    message, _ = refused([question_of(1), question_of(9)], Limits(max_length=12, stride=4), rows_N=np.array([3, 6]))
    assert message.startswith("Row 7 of questions.jsonl has a question of 9 tokens; ")


@tokenizers
def test_leading_spaces_of_a_question_do_not_count(name):
    """SQuAD has questions after a page of spaces; byte-level tokenizers would spend a token on each."""
    row = question_of(2)
    spaced = replace(row, question=" \n" * 50 + row.question)
    limits = Limits(max_length=12, stride=4)
    assert windows_of(name, [spaced], limits) == windows_of(name, [row], limits)
