"""A model in memory that predicts texts as they arrive (real time, paper 3.2): `tdbs.Predictor`.

A call takes texts or pairs of texts; anything else raises a ConfigError that says what the model accepts. It tokenizes,
finds and drops words with the code of `prepare`, and runs the model: one text alone, several batched as in `tdbs
predict`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.given import Place, checked, text_of
from tdbs.inference.batches import Dropping, inference_strategy, predict_block
from tdbs.inference.blocks import BLOCK_ROWS, block_of, text_rows
from tdbs.inference.checkpoints import droppable_pattern, open_checkpoint
from tdbs.pipeline.words.matches import WordPattern
from tdbs.shown import shown
from tdbs.train.planning.strategies import Strategy

Text = str | tuple[str, str]  # or two texts
TextList = list[str] | list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The texts of a call; `second` are those of pairs."""

    first: list[str]
    second: list[str] | None
    is_one: bool  # not in a list: its prediction is not in one either


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted of a text, and its scores, in the shapes of tdbs/inference/decode.py."""

    prediction: Any
    scores: Any = None
    no_answer: Any = None  # of a run that learned questions without an answer


class Predictor:
    """A model in memory, called with texts: `predictor("a text")` or `predictor(["one", "another"])`.

    Which words are dropped depends only on `seed`, on the text and on its place in the list.

    Args:
        model: Folder of a run, what `train` returned, or folder or hub name of a fine-tuned model.
        drop_rate: Share of a text's droppable words that go, from 0 to 1: floor(rate x words). None: none goes.
        allow_drop: Whether to drop words though the task forbids it.
        stopwords: Words that may be dropped: `paper`, `nltk:<language>` or a file. None: the run's, else `paper`.
        max_length: Most tokens of a text, special ones included. None: the run's, else what the model takes.
        batch_size: Samples of a batch, where a call gives several texts. None: 64.
        precision: `auto`, `bf16` or `fp32`.
        attention: `auto`, `eager`, `sdpa` or `flash_attention_2`.
        seed: Seed of the dropped words.

    Raises:
        ConfigError: An option is out of range or does not fit the model.
        DatasetError: The dataset that the run was trained on is missing or damaged.
        ModelError: The model cannot be loaded.
        TokenizerError: The tokenizer is missing or has no fast implementation.
        TrainingError: The run did not finish.
    """

    @checked
    def __init__(
        self,
        model: Place,
        *,
        drop_rate: float | None = None,
        allow_drop: bool = False,
        stopwords: str | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
        precision: str = "auto",
        attention: str = "auto",
        seed: int = 0,
    ) -> None:
        self.checkpoint = open_checkpoint(
            text_of(model), precision=precision, attention=attention, max_length=max_length, alone=True
        )
        self.drop_rate = drop_rate
        self._allow_drop = allow_drop
        self._stopwords = stopwords
        self._batch_size = batch_size
        self._seed = seed
        self._strategies: dict[float | None, Strategy] = {}

    def __repr__(self) -> str:
        return shown(f"<Predictor {self.checkpoint.name}, {self.checkpoint.task.kind.replace('_', ' ')}>")

    @overload
    def __call__(self, texts: Text, *, drop_rate: float | None = None) -> Prediction: ...

    @overload
    def __call__(self, texts: TextList, *, drop_rate: float | None = None) -> list[Prediction]: ...

    def __call__(self, texts: Text | TextList, *, drop_rate: float | None = None) -> Prediction | list[Prediction]:
        """Predict a text, or each text of a list.

        Args:
            texts: A text, or a list of texts. Two texts that belong together, such as a question and its context, are
                a tuple.
            drop_rate: Share of a text's droppable words that go, from 0 to 1. None: the predictor's own.

        Returns:
            A prediction with its scores; for a list, a list of them in its order.

        Raises:
            ConfigError: The texts are not what the model takes, the rate is out of range, or the task forbids dropping.
        """
        given = texts_of(texts, self.checkpoint.task, is_run=self.checkpoint.words is not None)
        found = self._predict(given, self.drop_rate if drop_rate is None else drop_rate)
        return found[0] if given.is_one else found

    def _predict(self, texts: Texts, drop_rate: float | None) -> list[Prediction]:
        strategy = self._strategy(drop_rate)
        pattern = self._words if drop_rate else None
        found: list[Prediction] = []
        for start in range(0, len(texts.first), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            rows = text_rows(
                texts.first[part],
                None if texts.second is None else texts.second[part],
                rows=list(range(len(texts.first)))[part],
            )
            encoded = block_of(rows).encode(self.checkpoint, pattern)
            decoded = predict_block(self.checkpoint, encoded, strategy, seed=self._seed).decoded
            found.extend(Prediction(*values) for values in zip(*decoded, strict=True))
        return found

    def _strategy(self, drop_rate: float | None) -> Strategy:
        if drop_rate not in self._strategies:
            self._strategies[drop_rate] = inference_strategy(
                None,
                self.checkpoint.task,
                dropping=Dropping(drop_rate=drop_rate, allow_drop=self._allow_drop),
                batch_size=self._batch_size,
                in_rows=self.checkpoint.in_rows,
            )
        return self._strategies[drop_rate]

    @cached_property
    def _words(self) -> WordPattern:
        return droppable_pattern(self.checkpoint, self._stopwords)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """The inputs that a model accepts, and how to pass them."""

    strings: bool
    pairs: bool
    name: str
    passed: str


_WORDS = _Taken(
    strings=True,
    pairs=False,
    name="one text with spaces between its words",
    passed='Pass "Ann is here", or a list of such texts.',
)
_ONE = _Taken(strings=True, pairs=False, name="one text", passed='Pass "a text", or a list of texts.')
_QUESTION = _Taken(
    strings=False,
    pairs=True,
    name="a question and its context",
    passed='Pass ("question", "context"), or a list of such tuples.',
)
_TWO = _Taken(strings=False, pairs=True, name="two texts", passed='Pass ("first", "second"), or a list of such tuples.')
_EITHER = _Taken(
    strings=True, pairs=True, name="one text or a pair of texts", passed='Pass "a", ["a", "b"] or [("a", "b")].'
)


def texts_of(given: Any, task: Task, *, is_run: bool) -> Texts:
    """Return the texts that a model is called with.

    Args:
        given: A string, a tuple of two strings, or several of one kind: a list, another sequence, an iterator.
        task: What the model does.
        is_run: Whether the model is a run, of which it is known whether it was trained on pairs.

    Raises:
        ConfigError: What is given is none of these, or not what the model takes.
    """
    taken = _taken(task, is_run=is_run)
    plain = given.tolist() if hasattr(given, "tolist") else given  # of numpy, pandas, pyarrow
    is_one = isinstance(plain, str | tuple)
    if not is_one and (isinstance(plain, bytes | bytearray | memoryview) or not isinstance(plain, Sequence | Iterator)):
        raise _refused("The text", plain, taken)
    texts = [plain] if is_one else list(plain)
    for number, text in enumerate(texts, 1):
        place = "The text" if is_one else f"Text {number} of the list"
        if not (isinstance(text, str) or _is_pair(text)):
            raise _refused(place, text, taken)
        _check_characters(place, text)
    kinds = {isinstance(text, str) for text in texts}
    if len(kinds) > 1:
        raise ConfigError("The texts are neither all strings nor all pairs of strings.", next_step=taken.passed)
    if (True in kinds and not taken.strings) or (False in kinds and not taken.pairs):
        raise _refused("The text" if is_one else "Text 1 of the list", texts[0], taken)
    if kinds == {False}:
        return Texts(first=[text for text, _ in texts], second=[pair for _, pair in texts], is_one=is_one)
    return Texts(first=texts, second=None, is_one=is_one)


def _taken(task: Task, *, is_run: bool) -> _Taken:
    if task.kind == "question_answering":
        return _QUESTION
    if task.kind == "token_classification":
        return _WORDS
    if task.kind == "seq2seq":
        return _ONE
    if not is_run:
        return _EITHER
    return _TWO if task.is_pair else _ONE


def _is_pair(text: Any) -> bool:
    return isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) for part in text)


def _refused(place: str, value: Any, taken: _Taken) -> ConfigError:
    return ConfigError(f"{place} is {_described(value)}; this model takes {taken.name}.", next_step=taken.passed)


def _described(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return "one string"
    if _is_pair(value):
        return "a pair of strings"
    if isinstance(value, tuple) and len(value) == 2:
        return f"a tuple of {' and '.join(type(part).__name__ for part in value)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"of type {type(value).__name__}"


def _check_characters(place: str, text: str | tuple[str, str]) -> None:
    try:
        "".join(text).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{place} has half of a surrogate pair at character {error.start + 1}, which is not a character.",
            next_step='Read it with errors="replace".',
        ) from error
