"""A model in memory that predicts texts as they arrive (real time, paper 3.2): `tdbs.Predictor`.

A call takes texts, pairs of texts, or queries with texts to rank; anything else raises a ConfigError that says what the
model accepts. It tokenizes, finds and drops words with the code of `prepare`, and runs the model: one text alone,
several batched as in `tdbs predict`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from tdbs.data.tasks import Task, TaskKind
from tdbs.given import Place, checked, text_of
from tdbs.inference.batches import Dropping, inference_strategy, predict_block
from tdbs.inference.blocks import BLOCK_ROWS, block_of, text_rows
from tdbs.inference.checkpoints import Checkpoint, as_ranker, droppable_pattern, open_checkpoint
from tdbs.inference.given_texts import Texts, texts_of
from tdbs.pipeline.words.matches import WordPattern
from tdbs.shown import shown
from tdbs.train.planning.strategies import Strategy

Text = str | tuple[str, str] | tuple[str, list[str]]  # or two texts, or a query and its candidates
TextList = list[str] | list[tuple[str, str]] | list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted of a text: the columns of the output, in the shapes of tdbs/inference/decode.py."""

    prediction: Any = None  # of models that have a head, but rerankers
    scores: Any = None  # of the prediction, or of each candidate
    no_answer: Any = None  # of a run that learned questions without an answer
    embedding: list[float] | None = None  # of a model that embeds texts
    score: float | None = None  # of a reranker's pair
    ranks: list[int] | None = None  # of each candidate; 1 is the best


class Predictor:
    """A model in memory, called with texts: `predictor("a text")` or `predictor(["one", "another"])`.

    Which words are dropped depends only on `seed`, on the text and on its place in the list.

    Args:
        model: Folder of a run, what `train` returned, or folder or hub name of a fine-tuned model.
        drop_rate: Share of a text's droppable words that go, from 0 to 1: floor(rate x words). None: none goes.
        allow_drop: Whether to drop words though the task forbids it.
        stopwords: Words that may be dropped: `paper`, `nltk:<language>` or a file. None: the run's, else `paper`.
        max_length: Most tokens of a text, special ones included. None: the run's, else what the model takes.
        dimensions: First entries of each embedding to keep. None: all.
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
        dimensions: int | None = None,
        batch_size: int | None = None,
        precision: str = "auto",
        attention: str = "auto",
        seed: int = 0,
    ) -> None:
        self.checkpoint = open_checkpoint(
            text_of(model),
            precision=precision,
            attention=attention,
            max_length=max_length,
            dimensions=dimensions,
            alone=True,
        )
        self.drop_rate = drop_rate
        self._allow_drop = allow_drop
        self._stopwords = stopwords
        self._batch_size = batch_size
        self._seed = seed
        self._strategies: dict[tuple[TaskKind, float | None], Strategy] = {}

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
                a tuple; so are a query and the list of texts to rank for it.
            drop_rate: Share of a text's droppable words that go, from 0 to 1. None: the predictor's own.

        Returns:
            A prediction with its scores; for a list, a list of them in its order.

        Raises:
            ConfigError: The texts are not what the model takes, the rate is out of range, or the task forbids dropping.
        """
        known = self.checkpoint
        given = texts_of(texts, known.task, is_run=known.words is not None, ranks=known.ranked_by is not None)
        checkpoint = known if given.candidates is None else as_ranker(known)
        found = self._predict(checkpoint, given, self.drop_rate if drop_rate is None else drop_rate)
        return found[0] if given.is_one else found

    def _predict(self, checkpoint: Checkpoint, texts: Texts, drop_rate: float | None) -> list[Prediction]:
        strategy = self._strategy(checkpoint.task, drop_rate)
        pattern = self._words if drop_rate else None
        found: list[Prediction] = []
        for start in range(0, len(texts.first), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            rows = text_rows(
                texts.first[part],
                None if texts.second is None else texts.second[part],
                candidates=None if texts.candidates is None else texts.candidates[part],
                rows=list(range(len(texts.first)))[part],
            )
            encoded = block_of(rows).encode(checkpoint, pattern)
            decoded = predict_block(checkpoint, encoded, strategy, seed=self._seed).decoded
            columns = [column if isinstance(column, list) else column.tolist() for column in decoded.values()]
            found.extend(Prediction(**dict(zip(decoded, row, strict=True))) for row in zip(*columns, strict=True))
        return found

    def _strategy(self, task: Task, drop_rate: float | None) -> Strategy:
        key = task.kind, drop_rate
        if key not in self._strategies:
            self._strategies[key] = inference_strategy(
                None,
                task,
                dropping=Dropping(drop_rate=drop_rate, allow_drop=self._allow_drop),
                batch_size=self._batch_size,
                in_rows=self.checkpoint.in_rows,
            )
        return self._strategies[key]

    @cached_property
    def _words(self) -> WordPattern:
        return droppable_pattern(self.checkpoint, self._stopwords)
