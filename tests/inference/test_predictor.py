"""A model in memory: one text, several, pairs, and runs of tdbs."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from transformers import pipeline

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.inference.checkpoints import droppable_pattern
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tdbs.pipeline.manifest import WordsInfo
from tdbs.pipeline.prepare import prepare
from tdbs.train.evaluate import evaluate
from tdbs.train.trainer import train
from tests.built_in import sample_tables
from tests.inference.conftest import read_jsonl, write_csv
from tests.inference.models import CLASSES, one_by_one


def test_one_text_several_and_pairs(checkpoint_of):
    folder = checkpoint_of("classification")
    predictor = Predictor(folder, precision="fp32")
    found = [predictor("a fine film"), *predictor(["a fine film", "no"]), *predictor([("a fine film", "is it")])]
    expected = [
        *one_by_one(folder, ["a fine film", "a fine film", "no"]),
        *one_by_one(folder, ["a fine film"], ["is it"]),
    ]
    assert np.array([[row.scores[name] for name in CLASSES] for row in found]) == pytest.approx(
        np.array(expected), abs=1e-4
    )
    assert predictor(("a fine film", "is it")) == found[-1]
    assert predictor([]) == []


def test_texts_alone_take_sdpa_unless_told_otherwise(checkpoint_of):
    """It is faster for one text, and says the same."""
    folder = checkpoint_of("classification")
    alone, told = Predictor(folder, precision="fp32"), Predictor(folder, precision="fp32", attention="eager")
    assert (alone.checkpoint.execution["attention"], told.checkpoint.execution["attention"]) == ("sdpa", "eager")
    of_text = "a film of some length"
    assert alone(of_text).scores == pytest.approx(told(of_text).scores, abs=1e-5)


def test_a_mix_of_texts_and_pairs_is_refused(checkpoint_of):
    with pytest.raises(ConfigError) as error:
        Predictor(checkpoint_of("classification"))(["a", ("b", "c")])
    assert error.value.message == "The texts are neither all strings nor all pairs of strings."


EITHER = ("one text or a pair of texts", 'Pass "a", ["a", "b"] or [("a", "b")].')
TAKEN = {
    "classification": EITHER,
    "regression": EITHER,
    "multi_label": EITHER,
    "question_answering": ("a question and its context", 'Pass ("question", "context"), or a list of such tuples.'),
    "token_classification": (
        "one text with spaces between its words",
        'Pass "Ann is here", or a list of such texts.',
    ),
    "seq2seq": ("one text", 'Pass "a text", or a list of texts.'),
}
NO_TEXTS = {
    "The text is None": None,
    "The text is of type int": 3,
    "The text is of type float": float("nan"),
    "The text is of type dict": {"question": "a", "context": "b"},
    "The text is of type set": {"a"},
    "The text is of type bytes": b"a",
    "The text is a tuple of 0": (),
    "The text is a tuple of 3": ("a", "b", "c"),
    "The text is a tuple of str and NoneType": ("a", None),
    "Text 1 of the list is None": [None],
    "Text 1 of the list is of type int": np.array([1, 2]),
    "Text 1 of the list is of type bytes": [b"a"],
    "Text 1 of the list is a tuple of 1": [("a",)],
    "Text 1 of the list is of type list": [["Ann", "is"], ["here"]],  # words that are split already
    "Text 1 of the list is of type dict": [{"text": "a"}],
}
OF_THE_OTHER_KIND = {
    "question_answering": {
        "The text is one string": "a",
        "Text 1 of the list is one string": np.array(["a", "b"]),
    },
    "token_classification": {"The text is a pair of strings": ("a", "b")},
    "seq2seq": {"Text 1 of the list is a pair of strings": [("a", "b")]},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_a_model_does_not_take_is_refused_with_what_it_takes(kind, checkpoint_of):
    predictor = Predictor(checkpoint_of(kind), precision="fp32")
    takes, passed = TAKEN[kind]
    for described, given in (NO_TEXTS | OF_THE_OTHER_KIND.get(kind, {})).items():
        with pytest.raises(ConfigError) as error:
            predictor(given)
        assert error.value.message == f"{described}; this model takes {takes}."
        assert error.value.next_step == passed
    with pytest.raises(ConfigError) as error:
        predictor([("a", "b\ud800")] if kind == "question_answering" else ["\ud800"])
    assert "half of a surrogate pair" in error.value.message
    assert error.value.next_step == 'Read it with errors="replace".'
    assert predictor([]) == []


def test_a_bad_text_in_a_list_is_named_by_its_place(checkpoint_of):
    with pytest.raises(ConfigError) as error:
        Predictor(checkpoint_of("classification"))(["a", "b", None])
    assert error.value.message == "Text 3 of the list is None; this model takes one text or a pair of texts."


def test_strings_of_numpy_and_other_sequences_are_texts(checkpoint_of):
    predictor = Predictor(checkpoint_of("classification"), precision="fp32")
    one, both = predictor("a fine film"), predictor(["a fine film", "no"])
    assert predictor(np.str_("a fine film")) == one
    for texts in (
        np.array(["a fine film", "no"]),
        np.array(["a fine film", "no"], dtype=object),
        iter(["a fine film", "no"]),
    ):
        assert predictor(texts) == both


def test_a_run_on_single_texts_takes_no_pairs(run):
    """Of a checkpoint it is not known; a run knows what it was trained on."""
    with pytest.raises(ConfigError) as error:
        Predictor(run / "run")(("a fine film", "is it"))
    assert error.value.message == "The text is a pair of strings; this model takes one text."
    assert error.value.next_step == 'Pass "a text", or a list of texts.'


def test_a_second_column_for_a_run_on_single_texts_is_refused_before_anything_is_written(run, tmp_path):
    source = write_csv(tmp_path / "in.csv", ["text", "more"], [["a fine film", "is it"]])
    with pytest.raises(ConfigError) as error:
        predict(run / "run", source, pair="more", out=tmp_path / "out.jsonl")
    assert (error.value.message, error.value.next_step) == (
        "--pair does not apply: this model takes one text.",
        "Leave it out.",
    )
    assert list(tmp_path.iterdir()) == [source]
    assert predict(run / "run/model", source, pair="more", out=tmp_path / "out.jsonl").rows == 1  # nobody knows of it


def test_an_answer_is_a_part_of_its_context(checkpoint_of):
    found = Predictor(checkpoint_of("question_answering"))(("what is it?", "it is a film of some length"))
    assert found.prediction in "it is a film of some length"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 200 rows of the sample, on a task that forbids dropping."""
    place = tmp_path_factory.mktemp("run")
    table = sample_tables()["train"].slice(0, 260).to_pydict()
    rows = list(zip(table["text"], table["label"], strict=True))
    for name, part in (("train", rows[:200]), ("validation", rows[200:])):
        with (place / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *part])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        prepared = prepare(
            str(place), tokenizer=str(TOKENIZER_FOLDER), forbid_drop="is brittle", out=place / "prepared"
        ).dataset
        train(prepared, out=place / "run", model="tiny", epochs=1, precision="fp32")
    return place


def test_a_run_predicts_what_evaluate_scores(run, tmp_path):
    predict(run / "run", run / "prepared", out=tmp_path / "out.jsonl")
    with (run / "validation.csv").open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    right = [row["prediction"] == label for row, label in zip(read_jsonl(tmp_path / "out.jsonl"), labels, strict=True)]
    assert np.mean(right) == pytest.approx(evaluate(run / "run").score)
    predict(run / "run", run / "validation.csv", out=tmp_path / "of_file.jsonl")
    assert (tmp_path / "of_file.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_a_task_that_forbids_dropping_is_obeyed(run):
    predictor = Predictor(run / "run")
    with pytest.raises(ConfigError) as error:
        predictor("a fine film", drop_rate=0.5)
    assert error.value.message == "Task '" + run.name + "' is brittle."
    assert error.value.next_step == "Leave --drop out, or pass --allow-drop."
    assert Predictor(run / "run", allow_drop=True)("the film is a fine one", drop_rate=1.0) != predictor(
        "the film is a fine one"
    )


def test_a_run_whose_dataset_is_gone_says_what_else_to_pass(run, tmp_path):
    (run / "prepared").rename(tmp_path / "moved")
    try:
        with pytest.raises(DatasetError) as error:
            Predictor(run / "run")
    finally:
        (tmp_path / "moved").rename(run / "prepared")
    assert error.value.message.startswith(f"The run {run / 'run'} was trained on a dataset that is missing: ")
    assert error.value.next_step == f"Put it back, or pass {run / 'run/model'} for the model alone."
    with_run = Predictor(run / "run", precision="fp32")("a fine film")
    alone = Predictor(run / "run/model", precision="fp32")("a fine film")
    assert alone.scores == pytest.approx(with_run.scores, abs=1e-5)


def test_a_list_of_words_that_was_a_file_has_to_be_named_again(run, tmp_path):
    checkpoint = Predictor(run / "run").checkpoint
    known = WordsInfo(source="words.txt", kept=(), count=1, sha256="0")
    with pytest.raises(ConfigError) as error:
        droppable_pattern(replace(checkpoint, words=known), None)
    assert error.value.message == ("The droppable words were read from words.txt when the dataset was prepared.")
    assert error.value.next_step == "Pass --stopwords with the path of that file."
    (tmp_path / "words.txt").write_text("film\n")
    assert droppable_pattern(replace(checkpoint, words=known), str(tmp_path / "words.txt")).words.search("a film")


def test_a_prepared_dataset_of_another_kind_is_refused(run, checkpoint_of, tmp_path):
    with pytest.raises(DatasetError) as error:
        predict(checkpoint_of("question_answering"), run / "prepared", out=tmp_path / "out.jsonl")
    assert error.value.message == (
        f"{run / 'prepared'} was prepared for classification; the model does question answering."
    )
    assert error.value.next_step == "Pass the texts themselves, or another model."
    assert list(tmp_path.iterdir()) == []


def test_transformers_own_pipeline_predicts_pairs_as_a_run_does(tmp_path):
    """Segment ids are part of it: the saved tokenizer makes them where the model takes them."""
    texts = sample_tables()["train"]["text"].to_pylist()[:120]
    rows = [
        [first, second, str(place % 2)]
        for place, (first, second) in enumerate(zip(texts[:60], texts[60:], strict=True))
    ]
    write_csv(tmp_path / "pairs.csv", ["first", "second", "label"], rows)
    dataset = prepare(
        str(tmp_path / "pairs.csv"),
        tokenizer=str(TOKENIZER_FOLDER),
        text="first",
        pair="second",
        out=tmp_path / "prepared",
    ).dataset
    train(dataset, model="tiny", epochs=1, lr=5e-3, precision="fp32", out=tmp_path / "run")
    predictor = Predictor(tmp_path / "run")
    with pytest.raises(ConfigError) as error:
        predictor(["a fine film"])
    assert error.value.message == "Text 1 of the list is one string; this model takes two texts."
    assert error.value.next_step == 'Pass ("first", "second"), or a list of such tuples.'
    ours = predictor([(first, second) for first, second, _ in rows])
    theirs = pipeline("text-classification", model=str(tmp_path / "run/model"), top_k=None)
    found = theirs([{"text": first, "text_pair": second} for first, second, _ in rows])
    scores = [{one["label"]: one["score"] for one in each} for each in found]
    assert [each.scores for each in ours] == [pytest.approx(each, abs=1e-5) for each in scores]
