"""Questions without an answer, from a file to predictions: what is stored, learned, scored, kept and written.

Contexts say who plays in a film, and half of them where it is set; the other half of the questions for a place have no
answer. A tiny model learns that within seconds.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForQuestionAnswering

from tdbs.analysis.conditions.asked import WHOLE, Question
from tdbs.analysis.conditions.evaluate import evaluate_runs
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import DatasetError
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest_file import check_counts, write_manifest
from tdbs.pipeline.prepare import PrepareResult, prepare
from tdbs.pipeline.references import read_references
from tdbs.pipeline.verify import Problem, verify
from tdbs.train.evaluate import evaluate
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.run_folder import read_run
from tdbs.train.scores.answers import MAX_ANSWER_TOKENS
from tdbs.train.trainer import TrainResult, train
from tests.families.folders import save_family
from tests.families.table import FAMILIES
from tests.reference import squad_v2

NAMES, PLACES = ("ann", "bob", "clara", "david"), ("paris", "london", "rome", "berlin")
METRICS = ["f1", "exact_match", "has_ans_f1", "has_ans_exact_match", "no_ans_f1", "no_ans_exact_match"]
THRESHOLDS = ["no_answer_threshold", "best_f1", "best_f1_thresh", "best_exact", "best_exact_thresh"]
Rows = list[dict[str, object]]


def rows_of(count: int, *, seed: int, all_answered: bool = False) -> Rows:
    chance = np.random.default_rng(seed)
    rows: Rows = []
    for number in range(count):
        name, place = str(chance.choice(NAMES)), str(chance.choice(PLACES))
        is_set = all_answered or number % 2 == 0
        facts = [f"{name} plays the painter", f"it is set in {place}" if is_set else "it is a film of great charm"]
        chance.shuffle(facts)
        context = " . ".join([*facts, "and so on " * int(chance.integers(0, 6))]).strip()
        asks_place = chance.random() < 0.7
        answer = place if asks_place else name
        found = is_set or not asks_place
        rows.append(
            {
                "question": "where is it set" if asks_place else "who plays it",
                "context": context,
                "answers": {
                    "text": [answer] if found else [],
                    "answer_start": [context.index(answer)] if found else [],
                },
            }
        )
    return rows


def write_rows(folder: Path, **splits: Rows) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def prepared(place: Path, name: str, **splits: Rows) -> PrepareResult:
    source = write_rows(place / f"{name}-source", **splits)
    return prepare(str(source), tokenizer=str(TOKENIZER_FOLDER), max_length=24, stride=6, out=place / name)


def learned(place: Path, name: str, *, epochs: int = 1) -> TrainResult:
    return train(
        load(place / name),
        out=place / f"{name}-run",
        model="tiny",
        epochs=epochs,
        strategy=replace(STRATEGIES["random"], base_batch_size=16),
        precision="fp32",
        seed=1,
    )


def unanswered(rows: Rows) -> int:
    return sum(not row["answers"]["text"] for row in rows)


TRAIN, VALIDATION = rows_of(320, seed=1), rows_of(100, seed=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A dataset of both kinds of questions, `v2`, and one where each has an answer, `v1`, with a run of each."""
    place = tmp_path_factory.mktemp("unanswered")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        prepared(place, "v2", train=TRAIN, validation=VALIDATION)
        answered = rows_of(60, seed=3, all_answered=True)
        prepared(place, "v1", train=answered, validation=answered[:20])
        learned(place, "v2", epochs=4)
        learned(place, "v1")
    return place


@pytest.fixture(scope="module")
def result(place) -> dict:
    return json.loads((place / "v2-run/result.json").read_text())


# -------------------------------------------------------------------------------------------------- what is kept


def test_what_a_dataset_records(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = load(place / "v2")
    splits = dataset.manifest.splits
    assert {name: info.unanswered for name, info in splits.items()} == {
        "train": unanswered(TRAIN),
        "validation": unanswered(VALIDATION),
    }
    note = (
        f"Questions without an answer: {unanswered(TRAIN)} of 320 in train, {unanswered(VALIDATION)} of 100 in "
        "validation. A model learns to answer them with an empty text."
    )
    assert dataset.manifest.notes == (note,)
    again = prepare(
        str(place / "v2-source"), tokenizer=str(TOKENIZER_FOLDER), max_length=24, stride=6, out=place / "v2"
    )
    assert (again.cached, again.warnings[0]) == (True, note)
    assert load(place / "v1").manifest.notes == ()
    references = read_references(dataset.path, splits["validation"].references)
    assert references.texts == [row["answers"]["text"] for row in VALIDATION]
    assert verify(dataset).problems == ()


def test_every_window_of_such_a_question_points_to_the_first_token(place):
    split = read_split(load(place / "v2"), "train")
    without = np.array([not row["answers"]["text"] for row in TRAIN])[split.source_rows_N]
    assert without.sum() > unanswered(TRAIN)  # several windows
    assert not split.targets.values[without].any()
    placed = set(split.source_rows_N[split.targets.values[:, 1] > 0].tolist())
    assert placed == {row for row in range(len(TRAIN)) if TRAIN[row]["answers"]["text"]}


def test_a_count_that_is_not_that_of_the_references_is_named(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = prepared(tmp_path, "v2", train=TRAIN[:20], validation=VALIDATION[:10]).dataset
    right = dataset.manifest
    wrong = json.loads((dataset.path / "manifest.json").read_text())
    wrong["splits"]["validation"]["unanswered"] = 0
    (dataset.path / "manifest.json").write_text(json.dumps(wrong))
    count = unanswered(VALIDATION[:10])
    assert verify(dataset.path).problems == (
        Problem(file="references/validation.parquet", problem=f"has {count} questions without an answer, not 0"),
    )
    wrong["splits"]["validation"]["unanswered"] = 11
    (dataset.path / "manifest.json").write_text(json.dumps(wrong))
    with pytest.raises(DatasetError) as caught:
        check_counts(dataset.path, load(dataset.path).manifest, "validation")
    assert "splits.validation.unanswered: 11, more than the 10 rows of the source" in caught.value.message
    write_manifest(dataset.path, right)


def test_references_without_their_column_are_named(tmp_path, monkeypatch):
    """Their hash is right, so somebody wrote them so."""
    monkeypatch.chdir(tmp_path)
    dataset = prepared(tmp_path, "v2", train=TRAIN[:20]).dataset
    file = dataset.path / "references/train.parquet"
    pq.write_table(pq.read_table(file).drop_columns("references"), file)
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    manifest["splits"]["train"]["references"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (dataset.path / "manifest.json").write_text(json.dumps(manifest))
    assert verify(dataset.path).problems == (
        Problem(file="references/train.parquet", problem="has no column references"),
    )


# ------------------------------------------------------------------------------------------------------- what is scored


def test_a_run_learns_which_questions_have_no_answer(result):
    """Far better than an empty text for all, which is right as often as questions have none."""
    metrics = result["metrics"]
    assert list(metrics) == METRICS + THRESHOLDS
    assert metrics["f1"] > 0.8 > 2 * unanswered(VALIDATION) / len(VALIDATION)
    assert min(metrics["has_ans_f1"], metrics["no_ans_f1"]) > 0.5
    assert result["score"] == metrics["f1"] == pytest.approx(metrics["best_f1"])
    assert result["no_answer_threshold"] == metrics["no_answer_threshold"]
    assert metrics["best_f1_thresh"] < metrics["no_answer_threshold"]


def test_evaluate_scores_with_the_threshold_of_the_run(place, result):
    """On its own split the numbers are those of the run; on another one its own best threshold is only told."""
    own = evaluate(place / "v2-run").metrics
    assert own == pytest.approx(result["metrics"], abs=1e-4)
    other = evaluate(place / "v2-run", split="train").metrics
    assert other["no_answer_threshold"] == result["no_answer_threshold"]
    assert other["f1"] <= other["best_f1"]
    [row] = evaluate_runs([place / "v2-run"], Question(conditions=[WHOLE], draws=1, seed=0, timed=False)).rows
    assert row.score == own["f1"]


def test_data_where_each_question_has_an_answer_are_scored_as_ever(place):
    """The same keys, and no threshold, though the same code reads them."""
    recorded = read_run(place / "v1-run").result
    assert list(recorded["metrics"]) == ["f1", "exact_match"]
    assert recorded["no_answer_threshold"] is None
    assert evaluate(place / "v1-run").metrics == recorded["metrics"]


def test_a_model_that_answers_every_question_is_scored_so(place):
    """It never saw one without an answer, so `predict` answers all of them."""
    found = evaluate(place / "v1-run", dataset=load(place / "v2")).metrics
    assert list(found) == METRICS + THRESHOLDS
    assert (found["no_ans_f1"], found["no_answer_threshold"]) == (0.0, None)


def test_a_threshold_of_0_where_no_split_chooses_one(place, tmp_path, monkeypatch):
    """Train has questions without an answer; validation is missing, or each of its questions has one."""
    monkeypatch.chdir(tmp_path)
    answered = rows_of(20, seed=3, all_answered=True)
    prepared(tmp_path, "alone", train=TRAIN[:40])
    assert learned(tmp_path, "alone").no_answer_threshold == 0.0
    prepared(tmp_path, "answered", train=TRAIN[:40], validation=answered)
    found = learned(tmp_path, "answered")
    assert (found.no_answer_threshold, list(found.metrics)) == (0.0, ["f1", "exact_match"])
    assert evaluate(tmp_path / "answered-run").metrics == found.metrics
    predicted = written(tmp_path / "answered-run", tmp_path / "answered", tmp_path / "out.jsonl")
    scores = squad_v2.evaluate(
        [row["prediction"] for row in predicted], [row["answers"]["text"] for row in answered], [0.0] * 20, 1.0
    )
    assert (found.metrics["f1"], found.metrics["exact_match"]) == pytest.approx((scores["f1"], scores["exact"]))


# ---------------------------------------------------------------------------------------------------- what is predicted


def written(model: Path, source: Path, out: Path, **options: object) -> Rows:
    predict(model, source, out=out, precision="fp32", **options)
    return [json.loads(line) for line in out.read_text().splitlines()]


def by_transformers_alone(
    folder: Path, rows: Sequence[dict], *, max_length: int = 24, typed: bool = True
) -> list[tuple[str, float, float]]:
    """Return each question's best answer, its score, and the null score minus it: every span of every window."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length, stride=6, strategy="only_second")
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    found = []
    for row in rows:
        first = tokenizer.encode(row["question"], row["context"])
        best, null = ("", -np.inf), np.inf
        for window in (first, *first.overflowing):
            with torch.inference_mode():
                types = {"token_type_ids": torch.tensor([window.type_ids])} if typed else {}
                output = model(torch.tensor([window.ids]), **types)
            starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
            null = min(null, starts[0] + ends[0])
            own = [place for place, segment in enumerate(window.sequence_ids) if segment == 1]
            for i in own:
                for j in range(i, min(i + MAX_ANSWER_TOKENS, own[-1] + 1)):
                    if starts[i] + ends[j] > best[1]:
                        best = (row["context"][window.offsets[i][0] : window.offsets[j][1]], starts[i] + ends[j])
        found.append((*best, null - best[1]))
    return found


def test_predictions_are_those_of_the_rule(place, result, tmp_path):
    """A file, its prepared split, a Parquet file and a Predictor: null score by hand, empty above the threshold."""
    expected = by_transformers_alone(place / "v2-run/model", VALIDATION)
    threshold = result["no_answer_threshold"]
    found = written(place / "v2-run", place / "v2-source/validation.jsonl", tmp_path / "out.jsonl")
    assert [list(row) for row in found] == [["source_row", "prediction", "scores", "no_answer"]] * len(VALIDATION)
    empty = 0
    for row, (text, score, no_answer) in zip(found, expected, strict=True):
        assert row["prediction"] == ("" if no_answer > threshold else text)
        assert row["scores"] == pytest.approx(score, abs=1e-3)
        assert row["no_answer"] == pytest.approx(no_answer, abs=1e-3)
        empty += row["prediction"] == ""
    assert 10 < empty < 90
    split = written(place / "v2-run", place / "v2", tmp_path / "split.jsonl", split="validation")
    one = written(place / "v2-run", place / "v2-source/validation.jsonl", tmp_path / "one.jsonl", batch_size=1)
    predict(place / "v2-run", place / "v2", split="validation", out=tmp_path / "a.parquet", precision="fp32")
    of_parquet = pq.read_table(tmp_path / "a.parquet")
    called = Predictor(place / "v2-run", precision="fp32")([(row["question"], row["context"]) for row in VALIDATION])
    predictions = [row["prediction"] for row in found]
    for others in (split, one, of_parquet.to_pylist(), map(asdict, called)):
        assert [row["prediction"] for row in others] == predictions
    assert of_parquet.schema.names == ["source_row", "prediction", "scores", "no_answer"]
    assert called[0].no_answer == pytest.approx(expected[0][2], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xlnet", "gpt2"])
def test_models_without_a_special_token_in_front(name, place, tmp_path, monkeypatch):
    """XLNet pads on the left and has its <cls> at the end, GPT-2 has none: the question's first token stands for it."""
    monkeypatch.chdir(tmp_path)
    folder = save_family(FAMILIES[name], tmp_path / name, kind="question_answering")
    source = write_rows(tmp_path / "source", train=TRAIN[:60], validation=VALIDATION[:40])
    dataset = prepare(str(source), tokenizer=str(folder), max_length=48, stride=6, out=tmp_path / "d").dataset
    split = read_split(dataset, "train")
    assert not np.isin(split.input_ids_T[split.token_offsets_N1[:-1]], dataset.manifest.tokenizer.special_ids).any()
    threshold = train(dataset, out=tmp_path / "run", model=str(folder), epochs=1, precision="fp32").no_answer_threshold
    found = written(tmp_path / "run", source / "validation.jsonl", tmp_path / "out.jsonl")
    expected = by_transformers_alone(tmp_path / "run/model", VALIDATION[:40], max_length=48, typed=name == "xlnet")
    for row, (text, score, no_answer) in zip(found, expected, strict=True):
        assert row["no_answer"] == pytest.approx(no_answer, abs=1e-3)
        assert row["scores"] == pytest.approx(score, abs=1e-3)
        assert row["prediction"] == ("" if no_answer > threshold else text)


def test_the_run_scores_what_it_predicts(place, result, tmp_path):
    """F1 and exact match of the written file, by the official script, are those of the run."""
    found = written(place / "v2-run", place / "v2", tmp_path / "out.jsonl", split="validation")
    texts = [row["answers"]["text"] for row in VALIDATION]
    given = [row["prediction"] for row in found]
    official = squad_v2.evaluate(given, texts, [0.0] * len(given), 1.0)  # its threshold of 1 changes nothing here
    named = {"f1": "f1", "exact_match": "exact", "has_ans_f1": "HasAns_f1", "no_ans_f1": "NoAns_f1"}
    for ours, theirs in named.items():
        assert result["metrics"][ours] == pytest.approx(official[theirs], abs=1e-9)


def test_a_model_of_answered_questions_predicts_as_ever(place, tmp_path):
    found = written(place / "v1-run", place / "v2-source/validation.jsonl", tmp_path / "out.jsonl")
    assert {tuple(row) for row in found} == {("source_row", "prediction", "scores")}
    assert all(row["prediction"] for row in found)
    assert Predictor(place / "v1-run")(("who plays it", "ann plays")).no_answer is None


def test_the_model_without_its_run_answers_every_question(place, tmp_path):
    """The folder that transformers loads has no threshold."""
    found = written(place / "v2-run/model", place / "v2-source/validation.jsonl", tmp_path / "out.jsonl")
    assert all(row["prediction"] for row in found)


def test_an_empty_file_has_the_same_columns(place, tmp_path):
    (tmp_path / "none.jsonl").write_text(json.dumps({"question": "who " * 40, "context": "ann"}) + "\n")
    predict(place / "v2-run", tmp_path / "none.jsonl", out=tmp_path / "a.parquet", skip_bad_rows=True)
    assert pq.read_table(tmp_path / "a.parquet").schema.names == ["source_row", "prediction", "scores", "no_answer"]
