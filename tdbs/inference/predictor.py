"""A model in memory that predicts texts as they come (real time, paper 3.2): `tdbs.Predictor`.

A call tokenizes, finds and drops words by the code of `prepare`, and runs the model: one text is a batch of its own,
several are batched as `tdbs predict` does it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from tdbs.inference.batches import inference_strategy, predict_block
from tdbs.inference.blocks import BLOCK_ROWS, block_of, text_rows
from tdbs.inference.checkpoints import droppable_pattern, open_checkpoint
from tdbs.inference.texts import Texts, texts_of
from tdbs.pipeline.matches import WordPattern
from tdbs.train.strategies import Strategy

Text = str | tuple[str, str]  # or two texts


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted of a text, and its scores, in the shapes of tdbs/inference/decode.py."""

    prediction: Any
    scores: Any = None


class Predictor:
    """A run's model, or a checkpoint of transformers, that is called with texts.

    `predictor("a text")` returns a Prediction; a list returns a list, in its order. Two texts are a tuple: the pair of
    a model of pairs, question and context of question answering. `drop_rate` of a call is the share of a text's
    droppable words that go, floor(rate x words), 1: all of them; which ones depends on `seed`, the text's place in the
    list and the text alone. Raises ConfigError where the task forbids it, unless `allow_drop`, and where a call gives
    what the model does not take.
    """

    def __init__(
        self,
        model: str | Path,
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
            model, precision=precision, attention=attention, max_length=max_length, alone=True
        )
        self.drop_rate = drop_rate
        self._allow_drop = allow_drop
        self._stopwords = stopwords
        self._batch_size = batch_size
        self._seed = seed
        self._strategies: dict[float | None, Strategy] = {}

    @overload
    def __call__(self, texts: Text, *, drop_rate: float | None = None) -> Prediction: ...

    @overload
    def __call__(self, texts: list[Text], *, drop_rate: float | None = None) -> list[Prediction]: ...

    def __call__(self, texts: Text | list[Text], *, drop_rate: float | None = None) -> Prediction | list[Prediction]:
        """Return the prediction of a text or of each of several; `drop_rate` None: the predictor's own."""
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
                drop_rate=drop_rate,
                batch_size=self._batch_size,
                allow_drop=self._allow_drop,
                in_rows=self.checkpoint.in_rows,
            )
        return self._strategies[drop_rate]

    @cached_property
    def _words(self) -> WordPattern:
        return droppable_pattern(self.checkpoint, self._stopwords)
