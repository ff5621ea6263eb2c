"""Whatever the batches, predictions are those of one text at a time, in the order of the input (fp32, 1e-4)."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdbs.inference.batches import Dropping, inference_strategy, predict_block
from tdbs.inference.blocks import block_of, text_rows
from tdbs.inference.checkpoints import open_checkpoint
from tdbs.inference.decode import prediction_schema, prediction_table
from tdbs.inference.inputs import InputOptions, open_input
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tdbs.train.scores.answers import MAX_ANSWER_TOKENS
from tests.examples import examples
from tests.inference.conftest import read_jsonl, write_jsonl
from tests.inference.models import CLASSES, answers_one_by_one, one_by_one, save_checkpoint

STRATEGIES = ("bucket", "unpadded", "random", "random_max", "reach", "packed", "length_grouped", "tdbs_paper", "tdbs")
ODD_SIZES = (1, 7, 64)
OF_REAL = ("bucket", "unpadded", "random", "reach")
REAL = {"sst2": ("sentence", None, 203), "mrpc": ("sentence1", "sentence2", 117)}  # columns and rows
REAL_EVERY_DAY = {("sst2", "bucket"), ("mrpc", "unpadded")}


def scores_of(rows, classes=CLASSES):
    return np.array([[row["scores"][name] for name in classes] for row in rows])


def table_of(predicted, checkpoint):
    return prediction_table(predicted.rows_R, predicted.decoded, prediction_schema(checkpoint)).to_pylist()


def check_against(found, expected, rows):
    """Rows in input order, probabilities within 1e-4, and the likeliest class named."""
    assert [row["source_row"] for row in found] == rows
    assert scores_of(found) == pytest.approx(expected, abs=1e-4)
    for row in found:
        assert row["scores"][row["prediction"]] == max(row["scores"].values())


@pytest.mark.parametrize(
    ("strategy", "batch_size"),
    [
        pytest.param(strategy, size, marks=() if size == 7 or strategy == "bucket" else pytest.mark.slow)
        for strategy in STRATEGIES
        for size in ODD_SIZES
    ],
)
def test_every_strategy_predicts_what_one_by_one_does(strategy, batch_size, checkpoint_of, texts, tmp_path):
    folder = checkpoint_of("classification")
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in texts[-41:]])
    predict(folder, source, out=tmp_path / "out.jsonl", strategy=strategy, batch_size=batch_size, precision="fp32")
    check_against(read_jsonl(tmp_path / "out.jsonl"), one_by_one(folder, texts[-41:]), list(range(41)))


@examples(25)
@given(data=st.data())
def test_random_texts_in_any_batches_and_blocks(data, checkpoint_of):
    """Any texts, any number of them, any batch size."""
    folder = checkpoint_of("classification")
    checkpoint = opened(folder)
    found = data.draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=12))
    strategy = inference_strategy(
        data.draw(st.sampled_from(STRATEGIES)), checkpoint.task, batch_size=data.draw(st.integers(1, 9))
    )
    encoded = block_of(text_rows(found)).encode(checkpoint, None)
    rows = table_of(predict_block(checkpoint, encoded, strategy, seed=0), checkpoint)
    alone = inference_strategy("random", checkpoint.task, batch_size=1)
    expected = table_of(predict_block(checkpoint, encoded, alone, seed=0), checkpoint)
    check_against(rows, scores_of(expected), list(range(len(found))))


_OPENED = {}


def opened(folder):
    if folder not in _OPENED:
        _OPENED[folder] = open_checkpoint(folder, precision="fp32")
    return _OPENED[folder]


@pytest.fixture(scope="module")
def bert_folder(shared, tmp_path_factory):
    return shared / "tokenizers" / "bert-base-uncased"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("task", "strategy"),
    [
        pytest.param(task, strategy, marks=() if (task, strategy) in REAL_EVERY_DAY else pytest.mark.slow)
        for task in REAL
        for strategy in OF_REAL
    ],
)
def test_real_sentences_and_pairs(task, strategy, shared, bert_folder, tmp_path, tmp_path_factory):
    folder = real_checkpoint(tmp_path_factory, "classification", bert_folder)
    text, pair, rows = REAL[task]
    source = shared / f"datasets/glue/{task}/validation.parquet"
    table = pq.read_table(source).slice(0, rows)
    pq.write_table(table, tmp_path / "in.parquet")
    predict(
        folder,
        tmp_path / "in.parquet",
        out=tmp_path / "out.jsonl",
        text=text,
        pair=pair,
        strategy=strategy,
        precision="fp32",
    )
    expected = real_scores(folder, task, table[text].to_pylist(), None if pair is None else table[pair].to_pylist())
    check_against(read_jsonl(tmp_path / "out.jsonl"), expected, list(range(rows)))


_SCORES = {}
_FOLDERS = {}


def real_checkpoint(tmp_path_factory, kind, tokenizer_folder):
    if kind not in _FOLDERS:
        _FOLDERS[kind] = save_checkpoint(tmp_path_factory.mktemp("real") / kind, kind, tokenizer_folder)
    return _FOLDERS[kind]


def real_scores(folder, task, texts, pairs):
    if task not in _SCORES:
        _SCORES[task] = one_by_one(folder, texts, pairs)
    return _SCORES[task]


@pytest.mark.real_data
@pytest.mark.parametrize("strategy", ["bucket", *(pytest.param(name, marks=pytest.mark.slow) for name in OF_REAL[1:])])
def test_real_questions(strategy, shared, bert_folder, tmp_path, tmp_path_factory):
    """Windows of 128 tokens that share 42: each answer is the best span over all windows of its context."""
    folder = real_checkpoint(tmp_path_factory, "question_answering", bert_folder)
    table = pq.read_table(shared / "datasets/squad/validation.parquet").slice(0, 600).take(list(range(0, 600, 19)))
    pq.write_table(table, tmp_path / "in.parquet")
    predict(folder, tmp_path / "in.parquet", out=tmp_path / "out.jsonl", strategy=strategy, precision="fp32")
    questions, contexts = table["question"].to_pylist(), table["context"].to_pylist()
    if "squad" not in _SCORES:
        _SCORES["squad"] = answers_one_by_one(
            folder, questions, contexts, max_length=128, stride=42, longest=MAX_ANSWER_TOKENS
        )
    found = read_jsonl(tmp_path / "out.jsonl")
    assert [row["source_row"] for row in found] == list(range(len(questions)))
    for row, (answer, score) in zip(found, _SCORES["squad"], strict=True):
        assert row["scores"] == pytest.approx(score, abs=1e-4)
        assert row["prediction"] == answer


@pytest.mark.parametrize("drop_rate", [0.3, 1.0])
def test_words_that_go_do_not_depend_on_batches_nor_on_blocks(drop_rate, checkpoint_of, texts):
    """A row alone, or among others, whatever the strategy: the same words go, so the same scores come out."""
    checkpoint = opened(checkpoint_of("classification"))
    from tdbs.inference.checkpoints import droppable_pattern

    pattern = droppable_pattern(checkpoint, None)
    block = block_of(text_rows(texts[:60]))
    expected = None
    for name in ("bucket", "unpadded", "random"):
        strategy = inference_strategy(name, checkpoint.task, dropping=Dropping(drop_rate=drop_rate), batch_size=16)
        whole = predict_block(checkpoint, block.encode(checkpoint, pattern), strategy, seed=4)
        alone = [
            table_of(predict_block(checkpoint, row.encode(checkpoint, pattern), strategy, seed=4), checkpoint)[0]
            for row in block.one_by_one()
        ]
        expected = scores_of(alone) if expected is None else expected
        check_against(table_of(whole, checkpoint), expected, list(range(60)))
        assert scores_of(alone) == pytest.approx(expected, abs=1e-4)
    nothing = inference_strategy("bucket", checkpoint.task)
    undropped = predict_block(checkpoint, block.encode(checkpoint, None), nothing, seed=4)
    assert whole.kept_tokens < undropped.kept_tokens


def test_all_words_go_at_rate_one(checkpoint_of):
    """Rate 1 predicts what the text without its listed words does (WordPiece: no word depends on its neighbours)."""
    folder = checkpoint_of("classification")
    predictor = Predictor(folder, precision="fp32")
    with_words = predictor("the film is a fine one", drop_rate=1.0)
    without = predictor("film fine one")
    assert with_words.scores == pytest.approx(without.scores, abs=1e-5)
    assert predictor("the film is a fine one") != with_words


def test_half_of_the_words_go_at_rate_one_half(checkpoint_of):
    """floor(0.5 x 3) = 1 of `the`, `is`, `a`; which one depends on the seed."""
    folder = checkpoint_of("classification")
    one_less = [
        Predictor(folder, precision="fp32")(text).scores
        for text in ("film is a fine one", "the film a fine one", "the film is fine one")
    ]
    found = [
        Predictor(folder, precision="fp32", seed=seed)("the film is a fine one", drop_rate=0.5).scores
        for seed in range(8)
    ]
    matched = {next(i for i, s in enumerate(one_less) if s == pytest.approx(f, abs=1e-5)) for f in found}
    assert len(matched) > 1


def test_bf16_weights_that_are_rounded_once_change_nothing(checkpoint_of, texts, monkeypatch):
    """Storing linear layers in bf16, and laying them out, is what autocast and oneDNN do in every call."""
    from tdbs.inference import checkpoints

    folder = checkpoint_of("classification")
    rounded_once = Predictor(folder, precision="bf16")(texts[:20])
    monkeypatch.setattr(checkpoints, "store_in_bf16", lambda _model, _device: None)
    rounded_each_time = Predictor(folder, precision="bf16")(texts[:20])
    assert rounded_once == rounded_each_time


def test_a_prepared_split_predicts_what_its_file_does(checkpoint_of, csv_file, workplace, texts):
    from tdbs.data.sample import TOKENIZER_FOLDER
    from tdbs.pipeline.prepare import prepare
    from tests.inference.conftest import write_csv

    rows = [[text, str(i % 2)] for i, text in enumerate(texts[:50])]
    labelled = write_csv(workplace / "labelled.csv", ["text", "label"], rows)
    prepared = prepare(str(labelled), tokenizer=str(TOKENIZER_FOLDER), out=workplace / "prepared").dataset
    folder = checkpoint_of("classification")
    for number, options in enumerate(({}, {"drop_rate": 0.5})):
        predict(folder, labelled, out=workplace / f"a{number}.jsonl", precision="fp32", **options)
        predict(folder, prepared.path, split="train", out=workplace / f"b{number}.jsonl", precision="fp32", **options)
        assert (workplace / f"a{number}.jsonl").read_bytes() == (workplace / f"b{number}.jsonl").read_bytes()
    assert json.loads((workplace / "a0.jsonl").read_text().splitlines()[0])["source_row"] == 0
    opened_again = open_input(str(prepared.path), opened(folder), InputOptions(split="train"))
    assert opened_again.rows == 50
