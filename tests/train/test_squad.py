"""SQuAD, all of it: no answer is ever damaged, and the evaluator gives gold positions full marks."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer

from benchmarks.bench_squad_v2 import with_unanswerable
from tdbs.pipeline.dataset import PreparedDataset, Split, load, read_char_places, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.split_index import index_of
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.evaluate import length_order_plan
from tdbs.train.planning.memory_windows import plan_split
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.planning.tokendrop import dropped_tokens, words_of_split
from tdbs.train.scores.answers import exact_match_and_f1
from tdbs.train.scores.scoring import ScoredSplit, predicted_answers, read_scored_split, score_outputs

pytestmark = pytest.mark.real_data

QUESTIONS = {"train": 87_599, "validation": 10_570}
EPOCHS = 3


@pytest.fixture(scope="module", params=["roberta-base", "bert-base-uncased"])
def squad(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Return the whole of SQuAD, prepared with windows of 384 tokens that share 128."""
    place = tmp_path_factory.mktemp("squad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        tokenizer = str(shared / "tokenizers" / request.param)
        return prepare("squad", mirror=shared / "datasets", tokenizer=tokenizer, out=place / "d").dataset


@pytest.mark.slow
def test_all_rows_prepare(squad):
    manifest = squad.manifest
    assert {name: info.source_rows for name, info in manifest.splits.items()} == QUESTIONS
    assert (manifest.max_length, manifest.stride) == (384, 128)
    assert all(info.rows > info.source_rows for info in manifest.splits.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reach", "tdbs_paper"])
def test_no_answer_is_damaged_in_three_epochs(squad, name):
    """In every batch of a run, start to end are the very tokens of the answer; some words do go."""
    damaged, checked, dropped = count_damaged(squad, name)
    assert damaged == 0
    assert checked >= EPOCHS * QUESTIONS["train"] * 0.99
    assert dropped > 0


def count_damaged(dataset: PreparedDataset, name: str, *, epochs: int = EPOCHS) -> tuple[int, int, int]:
    """Return how many answers do not survive a run, how many there are, and how many tokens go."""
    manifest = dataset.manifest
    split = read_split(dataset, "train")
    strategy = resolve_strategy(name, manifest.task)
    words = words_of_split(split, strategy, manifest.tokenizer)
    damaged = checked = dropped = 0
    for plan in plan_split(index_of(split, manifest.tokenizer.special_ids), manifest, strategy, seed=7, epochs=epochs):
        dropped_T = dropped_tokens(split, words, strategy, plan, manifest.tokenizer, seed=7)
        dropped += int(dropped_T.sum())
        for batch in epoch_batches(split, plan, dropped_T, pad_id=manifest.tokenizer.pad_id):
            for before, after in answers_before_and_after(split, batch):
                checked += 1
                damaged += before != after
    return damaged, checked, dropped


def answers_before_and_after(split: Split, batch: Batch) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the tokens of each answer as prepared and in the batch; a window without its answer says 0 to 0."""
    for row, sample in enumerate(batch.sample_ids_B):
        first, last = split.targets.values[sample]
        start = split.token_offsets_N1[sample]
        if last > 0:
            moved_first, moved_last = batch.labels[row]
            yield (
                split.input_ids_T[start + first : start + last + 1].tolist(),
                batch.input_ids_RW[row, moved_first : moved_last + 1].tolist(),
            )
        else:
            assert batch.labels[row].tolist() == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("split_name", QUESTIONS)
def test_prepared_places_are_those_of_the_text(squad, shared, split_name):
    """By characters, window by window: the answer is in a window exactly if its context holds all of it."""
    split = read_split(squad, split_name)
    char_starts_T, char_ends_T = read_char_places(squad, split_name)
    source = pq.read_table(shared / f"datasets/squad/{split_name}.parquet")
    contexts, answers = source["context"].to_pylist(), source["answers"].to_pylist()
    wrong = 0
    for sample, row in enumerate(split.source_rows_N.tolist()):
        text, start = answers[row]["text"][0], answers[row]["answer_start"][0]
        start += len(text) - len(text.lstrip())
        end = start + len(text.strip())
        tokens = slice(split.token_offsets_N1[sample], split.token_offsets_N1[sample + 1])
        starts, ends = char_starts_T[tokens], char_ends_T[tokens]
        context = np.flatnonzero((np.arange(len(starts)) >= split.segment_starts_N[sample]) & (ends > starts))
        holds = bool(len(context)) and starts[context[0]] <= start and ends[context[-1]] >= end
        first, last = split.targets.values[sample]
        if holds:
            found = contexts[row][starts[first] : ends[last]]
            # the fewest whole tokens that hold the answer
            wrong += not (starts[first] <= start < ends[first] and starts[last] < end <= ends[last])
            wrong += text.strip() not in found
        else:
            wrong += (first, last) != (0, 0)
    assert wrong == 0


@pytest.mark.slow
def test_gold_positions_get_full_marks(squad, shared):
    """Wherever one window holds the answer, its place is known and its ends are ends of tokens; the rest is counted."""
    reasons: Counter[str] = Counter()
    for split_name, questions in QUESTIONS.items():
        held_out = read_scored_split(squad, split_name)
        predicted = predicted_answers(held_out, gold_outputs(held_out.split)).texts
        source = pq.read_table(shared / f"datasets/squad/{split_name}.parquet", columns=["id", "answers"])
        guessed = set(pq.read_table(shared / f"datasets/squad/{split_name}_start_guessed.parquet")["id"].to_pylist())
        in_window = set(held_out.split.source_rows_N[held_out.split.targets.values[:, 1] > 0].tolist())
        places = places_of_answers(held_out)
        fair = []
        for row, (name, answers) in enumerate(zip(*(source[c].to_pylist() for c in ("id", "answers")), strict=True)):
            reason = (
                "no window holds it whole"
                if row not in in_window
                else "its start is guessed"
                if name in guessed
                else "its ends are no ends of tokens"
                if places[row] != stripped_place(answers)
                else ""
            )
            if reason:
                reasons[f"{split_name}: {reason}"] += 1
            else:
                fair.append(row)
        scores = exact_match_and_f1([predicted[row] for row in fair], [held_out.references.texts[row] for row in fair])
        assert scores == {"exact_match": 1.0, "f1": 1.0}
        assert len(fair) > 0.85 * questions
        print(squad.manifest.tokenizer.name, split_name, "fair", len(fair))
    print(squad.manifest.tokenizer.name, dict(reasons))


def places_of_answers(held_out: ScoredSplit) -> dict[int, tuple[int, int]]:
    """Return the characters that the prepared tokens of each question's answer stand for."""
    split, (char_starts_T, char_ends_T) = held_out.split, held_out.char_places_T
    first_T, last_T = (split.token_offsets_N1[:-1] + split.targets.values[:, end] for end in (0, 1))
    rows = zip(split.source_rows_N.tolist(), char_starts_T[first_T].tolist(), char_ends_T[last_T].tolist(), strict=True)
    whole = split.targets.values[:, 1] > 0
    return {row: (start, end) for (row, start, end), holds in zip(rows, whole, strict=True) if holds}


def stripped_place(answers: dict[str, list]) -> tuple[int, int]:
    text, start = answers["text"][0], answers["answer_start"][0]
    start += len(text) - len(text.lstrip())
    return start, start + len(text.strip())


def gold_outputs(split: Split) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield the batches of an evaluation with logits that are sure of the prepared positions."""
    for batch in epoch_batches(split, length_order_plan(split.lengths_N), None, pad_id=0):
        logits = torch.zeros(*batch.input_ids_RW.shape, 2)
        for end in (0, 1):
            whole = batch.labels[:, 1] > 0
            logits[np.flatnonzero(whole), batch.labels[whole, end], end] = 10.0
        yield batch, logits


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 50])
def test_gold_positions_of_questions_with_and_without_an_answer(shared, tmp_path, monkeypatch, every):
    """Every second question has another article's context. Sure of the prepared positions, a model knows which ones."""
    monkeypatch.chdir(tmp_path)
    whole = pq.read_table(shared / "datasets/squad/validation.parquet")
    mixed = with_unanswerable(whole.take(list(range(0, whole.num_rows, every))), seed=1)
    pq.write_table(mixed, tmp_path / "train.parquet")
    dataset = prepare("train.parquet", tokenizer=str(shared / "tokenizers/bert-base-uncased"), out="d").dataset
    info = dataset.manifest.splits["train"]
    without = {row for row, answers in enumerate(mixed["answers"].to_pylist()) if not answers["text"]}
    assert (info.source_rows, info.unanswered) == (mixed.num_rows, len(without))
    assert 0.49 < len(without) / mixed.num_rows <= 0.5
    held_out = read_scored_split(dataset, "train")
    split = held_out.split
    assert not split.targets.values[np.isin(split.source_rows_N, list(without))].any()
    found = score_outputs(held_out, gold_outputs(split))
    assert found["no_ans_f1"] == found["no_ans_exact_match"] == 1.0
    assert found["has_ans_f1"] >= found["has_ans_exact_match"] > 0.97  # the ends of some are no ends of tokens
    assert found["f1"] == pytest.approx(found["best_f1"])
    # logits of 10 at both ends of an answer, else 0: its null score is 20 less, and others' is as much as a span's
    assert (found["best_f1_thresh"], found["no_answer_threshold"]) == (-20.0, -10.0)


def test_the_decoded_answer_of_a_part_is_the_text_of_the_source(shared, tmp_path, monkeypatch):
    """The first 300 questions, in every run of the suite: texts, not ids, before and after TokenDrop."""
    monkeypatch.chdir(tmp_path)
    whole = pq.read_table(shared / "datasets/squad/train.parquet")
    pq.write_table(whole.slice(0, 300), tmp_path / "train.parquet")
    tokenizer_folder = shared / "tokenizers/bert-base-uncased"
    prepare("train.parquet", tokenizer=str(tokenizer_folder), max_length=128, out="d")
    dataset = load("d")
    assert dataset.manifest.task.kind == "question_answering"
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    split = read_split(dataset, "train")
    strategy = resolve_strategy("reach", dataset.manifest.task)
    words = words_of_split(split, strategy, dataset.manifest.tokenizer)
    answers = whole["answers"].slice(0, 300).to_pylist()
    matching = checked = 0
    index = index_of(split, dataset.manifest.tokenizer.special_ids)
    for plan in plan_split(index, dataset.manifest, strategy, seed=1, epochs=2):
        dropped_T = dropped_tokens(split, words, strategy, plan, dataset.manifest.tokenizer, seed=1)
        for batch in epoch_batches(split, plan, dropped_T, pad_id=0):
            for row, sample in enumerate(batch.sample_ids_B):
                first, last = batch.labels[row]
                if last > 0:
                    decoded = tokenizer.decode(batch.input_ids_RW[row, first : last + 1].tolist())
                    gold = answers[split.source_rows_N[sample]]["text"][0]
                    checked += 1
                    matching += bare(gold) in bare(decoded)
    assert (matching, checked > 600) == (checked, True)


def bare(text: str) -> str:
    """Return letters and digits alone: WordPiece lower-cases, strips accents and spaces out punctuation."""
    import unicodedata

    return "".join(c for c in unicodedata.normalize("NFKD", text).lower() if c.isascii() and c.isalnum())
