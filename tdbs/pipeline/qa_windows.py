"""Question answering: question and context as overlapping windows, with the answer's position in each (SQuAD v1.1).

A window without the whole answer is labelled 0 to 0, the first token, as is usual. Tokens that touch any part of any
answer are protected in every window, so TokenDrop can never damage an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.data.columns import row_message
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Task
from tdbs.errors import RowError
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.samples import Samples
from tdbs.pipeline.schema import ANSWER_END, ANSWER_START
from tdbs.pipeline.tokens.block import PAIR_SEGMENT, TokenBlock, first_true, flat_block, joined_blocks, last_true
from tdbs.pipeline.tokens.tokenize import encode_in_parts
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer

# Shapes: R rows of the block, S windows, S1 = S + 1, T their tokens, A answers of all rows.


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPlaces:
    """Answers of all rows of a block, as characters of their contexts, white space at their ends aside."""

    offsets_R1: IntArray  # row i has answers [i] to [i + 1], the first one is learned
    starts_A: IntArray
    ends_A: IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedAnswers:
    """The answers as tokens: first and last position of the one to learn, and all tokens that touch an answer."""

    starts_S: IntArray
    ends_S: IntArray
    answer_T: BoolArray


def qa_window_samples(block: RowBlock, _task: Task, tokenizer: LoadedTokenizer, limits: Limits) -> Samples:
    """Return every row's windows."""
    questions = [question.lstrip() for question in block.texts.to_pylist()]  # SQuAD has some with a page of spaces
    contexts = [] if block.pairs is None else block.pairs.to_pylist()
    _refuse_long_questions(questions, block, tokenizer, limits)
    parts = encode_in_parts(
        tokenizer.backend,
        list(zip(questions, contexts, strict=True)),
        truncate=lambda backend: backend.enable_truncation(
            limits.max_length, stride=limits.stride or 0, strategy="only_second"
        ),
        make=_windows,
    )
    tokens = joined_blocks([block for block, _ in parts])
    windows_R = [windows for _, of_rows in parts for windows in of_rows]
    rows_S = np.repeat(np.arange(len(questions)), windows_R)
    columns: dict[str, pa.Array] = {}
    protected_T = None
    if block.targets is not None:
        found = place_answers(tokens, rows_S, _answer_places(block.targets), stride=limits.stride or 0)
        columns = {ANSWER_START: pa.array(found.starts_S), ANSWER_END: pa.array(found.ends_S)}
        protected_T = found.answer_T
    return Samples(
        tokens=tokens,
        texts=pa.array(questions, pa.string()),
        pairs=block.pairs,
        rows_S=rows_S,
        columns=columns,
        protected_T=protected_T,
    )


def place_answers(tokens: TokenBlock, rows_S: IntArray, places: AnswerPlaces, *, stride: int) -> PlacedAnswers:
    """Return where each window has its row's answers; a window holds an answer whole if it has all of its tokens."""
    offsets_S1 = tokens.token_offsets_N1
    rows_T = np.repeat(rows_S, np.diff(offsets_S1))
    context_T = tokens.segments_T == PAIR_SEGMENT
    has_text_T = context_T & (tokens.ends_T > tokens.starts_T)
    counts_R = np.diff(places.offsets_R1)
    answer_T = np.zeros(len(rows_T), dtype=np.bool_)
    learned_T = answer_T
    for rank in range(int(counts_R.max(initial=0))):  # SQuAD's validation rows have up to six answers
        has_one_T = rank < counts_R[rows_T]
        answer = np.minimum(places.offsets_R1[rows_T] + rank, len(places.starts_A) - 1)
        touched_T = (
            has_one_T
            & has_text_T
            & (tokens.starts_T < places.ends_A[answer])
            & (tokens.ends_T > places.starts_A[answer])
        )
        answer_T = answer_T | touched_T
        if rank == 0:
            learned_T = touched_T
    starts_S, ends_S = first_true(learned_T, offsets_S1), last_true(learned_T, offsets_S1)
    has_any = np.flatnonzero(ends_S >= 0)
    shift_S = _shift_to_context(context_T, offsets_S1, rows_S, stride)
    first_R = np.full(len(counts_R), np.iinfo(np.int64).max)  # of the whole answer, numbered in the whole context
    last_R = np.full(len(counts_R), -1)
    np.minimum.at(first_R, rows_S[has_any], (starts_S + shift_S)[has_any])
    np.maximum.at(last_R, rows_S[has_any], (ends_S + shift_S)[has_any])
    whole_S = (starts_S + shift_S == first_R[rows_S]) & (ends_S + shift_S == last_R[rows_S])
    return PlacedAnswers(
        starts_S=np.where(whole_S, starts_S, 0), ends_S=np.where(whole_S, ends_S, 0), answer_T=answer_T
    )


def long_questions(questions: Sequence[str], tokenizer: LoadedTokenizer, limits: Limits) -> dict[int, str]:
    """Return which questions leave too little room, and why: windows could not advance (the library panics there)."""
    special = tokenizer.backend.num_special_tokens_to_add(is_pair=True)
    most = limits.max_length - special - (limits.stride or 0) - 1
    parts = encode_in_parts(
        tokenizer.backend,
        questions,
        truncate=Tokenizer.no_truncation,
        make=lambda encodings: list(map(len, encodings)),
        special_tokens=False,
    )
    return {
        row: f"has a question of {tokens} tokens; windows of {limits.max_length} tokens that share {limits.stride} "
        f"allow at most {most}"
        for row, tokens in enumerate(chain.from_iterable(parts))
        if tokens > most
    }


def _windows(encodings: Sequence[Encoding]) -> tuple[TokenBlock, list[int]]:
    """Return all windows of some rows, and how many each row has."""
    block = flat_block([window for first in encodings for window in (first, *first.overflowing)], is_pair=True)
    return block, [1 + len(first.overflowing) for first in encodings]


def _shift_to_context(context_T: BoolArray, offsets_S1: IntArray, rows_S: IntArray, stride: int) -> IntArray:
    """Return, for each window, what makes a position in it the number of its token in the row's whole context."""
    before_T1 = offsets_of(context_T)
    new_S = np.diff(before_T1[offsets_S1]) - stride  # tokens until the next window begins
    before_S = np.cumsum(new_S) - new_S
    first_window_S = np.searchsorted(rows_S, rows_S)
    return before_S - before_S[first_window_S] - first_true(context_T, offsets_S1)


def _answer_places(answers: pa.StructArray) -> AnswerPlaces:
    texts = answers.field("text")
    characters = texts.flatten().to_pylist()
    starts_A = answers.field("answer_start").flatten().to_numpy().astype(np.int64)
    leading_A = np.array([len(text) - len(text.lstrip()) for text in characters], dtype=np.int64)
    stripped_A = np.array([len(text.strip()) for text in characters], dtype=np.int64)
    return AnswerPlaces(
        offsets_R1=offsets_of(texts.value_lengths().to_numpy()),
        starts_A=starts_A + leading_A,
        ends_A=starts_A + leading_A + stripped_A,
    )


def _refuse_long_questions(questions: list[str], block: RowBlock, tokenizer: LoadedTokenizer, limits: Limits) -> None:
    long = long_questions(questions, tokenizer, limits)
    if long:
        row, reason = next(iter(long.items()))
        raise RowError(
            row_message(block.row_name(row), reason),
            next_step="Shorten the question, or pass a larger --max-length or a smaller --stride.",
            reasons={int(block.rows_N[row]): reason for row, reason in long.items()},
        )
