"""Inputs of predicting: files, lines of stdin, columns and options; and what a Predictor is called and made with."""

import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

from tdbs.inference.batches import Dropping, inference_strategy, predict_block
from tdbs.inference.blocks import Input
from tdbs.inference.checkpoints import Checkpoint, droppable_pattern, open_checkpoint
from tdbs.inference.decode import prediction_schema, prediction_table
from tdbs.inference.inputs import STDIN, InputOptions, open_input
from tdbs.inference.output import json_lines
from tdbs.inference.predictor import Prediction, Predictor
from tests.fuzz.mutations import ODD_BYTES, ODD_VALUES, odd_values
from tests.fuzz.test_readers import delimited_files, json_files, lines_of, parquet_files
from tests.inference.models import CLASSES, save_checkpoint

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
texts = st.one_of(ANY, st.sampled_from(("a fine film", "it is what it is", "", " ", "no", "the of a")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A small model in memory."""

    folder: str
    checkpoint: Checkpoint
    predictor: Predictor


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Opened]:
    """Return a model of each kind that reads texts in a way of its own."""
    place = tmp_path_factory.mktemp("models")
    found = {}
    for kind in ("classification", "token_classification", "question_answering"):
        folder = save_checkpoint(place / kind, kind)
        found[kind] = Opened(
            folder=str(folder),
            checkpoint=open_checkpoint(folder, precision="fp32", max_length=40),
            predictor=Predictor(folder, precision="fp32", max_length=40),
        )
    return found


def predict_all(checkpoint: Checkpoint, opened: Input, *, drop_rate: float | None, skip: bool) -> tuple[list, dict]:
    """Predict an input as `tdbs predict` does; return the rows of the output, and the bad ones."""
    strategy = inference_strategy(
        None, checkpoint.task, dropping=Dropping(drop_rate=drop_rate), in_rows=checkpoint.in_rows
    )
    pattern = None if strategy.drop == "none" else droppable_pattern(checkpoint, None)
    bad = {} if skip else None
    rows = []
    for block in opened.blocks(bad):
        predicted = predict_block(checkpoint, block.encode(checkpoint, pattern), strategy, seed=0)
        lines = json_lines(prediction_table(predicted.rows_R, predicted.decoded, prediction_schema(checkpoint)))
        rows += [json.loads(line) for line in lines.splitlines()]
    return rows, bad or {}


def check_rows(rows: list[dict], kind: str) -> None:
    """Rows come in their order, once, each with a prediction of its kind."""
    numbers = [row["source_row"] for row in rows]
    assert numbers == sorted(set(numbers))
    for row in rows:
        if kind == "classification":
            assert row["prediction"] in CLASSES
            assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-4)
        elif kind == "token_classification":
            assert len(row["prediction"]) == len(row["scores"])
        else:
            assert isinstance(row["prediction"], str)


COLUMNS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(("text", "body", "", "label", "\0row", "tokens", "question", "stars")),
        "pair": st.sampled_from(("pair", "text", "", "context")),
        "split": st.just("train"),
    },
)
RATES = st.none() | st.none() | st.sampled_from((0.0, 0.5, 1.0, -1.0, float("nan")))


@st.composite
def valid_rows(draw: st.DrawFn) -> bytes:
    """Return rows of JSON with texts of any Unicode."""
    both = draw(st.booleans())
    rows = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
    return lines_of([{"text": first, **({"pair": second} if both else {})} for first, second in rows])


@pytest.mark.parametrize(
    ("suffix", "inputs", "files"),
    [
        (".jsonl", 1_000, st.one_of(json_files, valid_rows())),
        (".csv", 600, delimited_files(",")),
        (".parquet", 400, parquet_files),
    ],
)
def test_a_file_is_predicted_row_by_row_or_refused(fuzz, place, models, suffix, inputs, files):
    path = place / f"data{suffix}"

    def check(example: tuple) -> None:
        kind, data, columns, rate, skip = example
        path.write_bytes(data)
        checkpoint = models[kind].checkpoint
        opened = open_input(str(path), checkpoint, InputOptions(skip_bad_rows=skip, **columns))
        rows, bad = predict_all(checkpoint, opened, drop_rate=rate, skip=skip)
        check_rows(rows, kind)
        assert opened.rows in (None, len(rows) + len(bad))

    kinds = st.sampled_from(("classification", "classification", "token_classification", "question_answering"))
    fuzz(f"predict{suffix}", inputs=inputs, of=st.tuples(kinds, files, COLUMNS, RATES, st.booleans()), check=check)


def test_lines_of_stdin_are_predicted_or_refused(fuzz, models):
    """A line is a text, whatever its bytes; one that is empty or not UTF-8 is named, or skipped."""

    def check(example: tuple) -> None:
        kind, data, rate, skip = example
        checkpoint = models[kind].checkpoint
        opened = open_input(STDIN, checkpoint, InputOptions(skip_bad_rows=skip), stdin=io.BytesIO(data))
        rows, bad = predict_all(checkpoint, opened, drop_rate=rate, skip=skip)
        lines = data.split(b"\n")
        lines = lines if lines[-1] else lines[:-1]
        assert sorted([*bad, *(row["source_row"] for row in rows)]) == list(range(len(lines)))
        for number in bad:
            if lines[number].rstrip(b"\r"):
                with pytest.raises(UnicodeDecodeError):
                    lines[number].decode()
        check_rows(rows, kind)
        if kind == "token_classification":
            words = [len(lines[row["source_row"]].decode().split()) for row in rows]
            assert [len(row["prediction"]) for row in rows] == words

    lines = st.lists(texts.map(str.encode) | st.binary(max_size=8) | st.sampled_from(ODD_BYTES[:-3]), max_size=6)
    data = st.builds(lambda parts, end: end.join(parts), lines, st.sampled_from((b"\n", b"\r\n", b"\r", b"\n\n")))
    kinds = st.sampled_from(("classification", "token_classification"))
    fuzz("predict, stdin", inputs=1_000, of=st.tuples(kinds, data, RATES, st.booleans()), check=check)


def arrays(values: list) -> object:
    try:
        return np.array(values)
    except (ValueError, OverflowError, UnicodeEncodeError):
        return values


def test_a_predictor_takes_texts_or_says_what_it_takes(fuzz, models):
    """What is no text is refused; each text of a list is predicted as it is alone."""
    one = st.one_of(texts, texts, st.tuples(texts, texts), odd_values, st.tuples(texts), st.text(max_size=4))
    several = st.lists(one, max_size=3) | st.lists(texts, max_size=5) | st.lists(st.tuples(texts, texts), max_size=3)
    given = st.one_of(one, several, several, several.map(arrays), several.map(tuple), several.map(iter))

    def check(example: tuple) -> None:
        kind, value, rate = example
        predictor = models[kind].predictor
        found = predictor(value, drop_rate=rate)
        alone = isinstance(value, str | tuple)
        assert isinstance(found, Prediction if alone else list)
        for row in [found] if alone else found:
            if kind == "classification":
                assert row.prediction in CLASSES
                assert sum(row.scores.values()) == pytest.approx(1, abs=1e-4)
        if isinstance(value, list | np.ndarray):
            assert len(found) == len(value)
            if kind == "classification" and len(found) and rate is None and isinstance(value, list):
                last = predictor(value[-1])
                assert last.scores == pytest.approx(found[-1].scores, abs=1e-4)

    kinds = st.sampled_from(("classification", "classification", "token_classification", "question_answering"))
    rates = st.one_of(RATES, RATES, odd_values.filter(lambda value: isinstance(value, int | float | None)))
    fuzz("Predictor, texts", inputs=2_500, of=st.tuples(kinds, given, rates), check=check)


def test_a_predictor_is_made_or_refused(fuzz, models):
    numbers = st.sampled_from([value for value in ODD_VALUES if isinstance(value, int | float)])
    options = st.fixed_dictionaries(
        {},
        optional={
            "drop_rate": numbers | st.floats(0, 1),
            "allow_drop": st.booleans(),
            "stopwords": st.sampled_from(("paper", "none", "nope", "", "nltk:nope")),
            "max_length": numbers | st.integers(3, 130),
            "batch_size": numbers | st.integers(1, 9),
            "precision": st.sampled_from(("auto", "fp32", "nope", "")),
            "attention": st.sampled_from(("auto", "eager", "sdpa", "nope")),
            "seed": numbers | st.integers(0, 9),
        },
    )

    def check(example: dict) -> None:
        predictor = Predictor(models["classification"].folder, **example)
        found = predictor(["the film is a fine one", ""])
        assert [row.prediction in CLASSES for row in found] == [True, True]

    fuzz("Predictor, options", inputs=300, of=options, check=check)
