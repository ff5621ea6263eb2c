"""Scores of pairs, and ranks of texts that were given for a query, by rerankers and by embeddings."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tdbs.errors import TdbsError
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tdbs.inference.rankings import ranks_of
from tdbs.pipeline.prepare import prepare
from tdbs.train.trainer import train
from tests.examples import examples
from tests.inference.conftest import read_jsonl, write_csv, write_jsonl

ROWS = [
    {"query": "a fine film", "candidates": ["it is a fine film", "no", "so it goes, and goes, and goes on"]},
    {"query": "nothing to rank", "candidates": []},
    {"query": "one", "candidates": ["the only one"]},
    {"query": "two of a kind", "candidates": ["the same", "the same"]},
]


def pair_scores(folder, pairs) -> list[float]:
    """Return the sigmoid of each pair's logit, alone in its batch, by transformers: the reference."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for query, text in pairs:
        with torch.inference_mode():
            logits = model(**tokenizer(query, text, truncation="longest_first", return_tensors="pt")).logits
        assert logits.shape == (1, 1)
        found.append(float(torch.sigmoid(logits[0, 0])))
    return found


def ranks_by_hand(scores: list[float]) -> list[int]:
    best_first = sorted(range(len(scores)), key=lambda place: -scores[place])
    return [best_first.index(place) + 1 for place in range(len(scores))]


@examples(200)
@given(rows=st.lists(st.lists(st.integers(-3, 3).map(float), max_size=6), max_size=8))
def test_ranks_are_those_of_a_stable_sort(rows):
    """The highest score of a row has rank 1; equal ones keep their order."""
    scores = np.array([score for row in rows for score in row], dtype=np.float32)
    offsets = np.cumsum([0, *map(len, rows)])
    assert ranks_of(scores, offsets).tolist() == [rank for row in rows for rank in ranks_by_hand(row)]


@pytest.fixture
def source(tmp_path):
    return write_jsonl(tmp_path / "in.jsonl", ROWS)


@pytest.mark.parametrize("options", [{}, {"strategy": "unpadded"}, {"batch_size": 1}])
def test_a_reranker_scores_each_candidate_with_its_query(options, grouped_run, source, tmp_path):
    run = grouped_run("ranking") / "run"
    predict(run, source, columns="query,candidates", out=tmp_path / "out.jsonl", precision="fp32", **options)
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert [row["source_row"] for row in rows] == list(range(len(ROWS)))
    for row, given_row in zip(rows, ROWS, strict=True):
        pairs = [(given_row["query"], text) for text in given_row["candidates"]]
        assert row["scores"] == pytest.approx(pair_scores(run / "model", pairs), abs=1e-5)
        assert row["ranks"] == ranks_by_hand(row["scores"])


def test_pairs_have_the_scores_of_a_cross_encoder(grouped_run, tmp_path):
    """A run, and its model as a folder of its own: both say what sentence-transformers says of it."""
    run = grouped_run("ranking") / "run"
    pairs = [(row["query"], text) for row in ROWS for text in row["candidates"]]
    pairs.append(("what is it? " * 30, "it is a film of some length " * 30))
    source = write_csv(tmp_path / "in.csv", ["query", "passage"], [list(pair) for pair in pairs])
    for model in (run, run / "model"):
        out = tmp_path / f"{model.name}.parquet"
        predict(model, source, pair="passage", out=out, precision="fp32")
        found = pq.read_table(out)
        assert found.column_names == ["source_row", "score"]
        assert found["score"].to_pylist() == pytest.approx(pair_scores(run / "model", pairs), abs=1e-5)
    theirs = pytest.importorskip("sentence_transformers").CrossEncoder(str(run / "model"), device="cpu")
    assert found["score"].to_pylist() == pytest.approx(theirs.predict(pairs), abs=1e-5)


def test_embeddings_rank_by_cosine(grouped_run, source, tmp_path):
    """The cosines of the embeddings that the same run writes, whole and cut."""
    run = grouped_run("embedding", pooling="mean", normalize=False) / "run"
    for dimensions in (None, 16):
        embed = Predictor(run, precision="fp32", dimensions=dimensions)
        out = tmp_path / f"{dimensions}.jsonl"
        predict(run, source, columns="query,candidates", out=out, precision="fp32", dimensions=dimensions)
        for row, given_row in zip(read_jsonl(out), ROWS, strict=True):
            query = torch.tensor(embed(given_row["query"]).embedding)
            texts = [torch.tensor(embed(text).embedding) for text in given_row["candidates"]]
            cosines = [float(functional.cosine_similarity(query, text, dim=0)) for text in texts]
            assert row["scores"] == pytest.approx(cosines, abs=1e-5)
            assert sorted(row["ranks"]) == list(range(1, len(texts) + 1))


def test_a_text_of_many_queries_is_embedded_once(grouped_run, tmp_path):
    """Their scores are those of each row alone; the model gets each distinct text of a block once."""
    run = grouped_run("embedding", pooling="mean", normalize=False) / "run"
    texts = ["it is a fine film", "so it goes, and goes, and goes on", "no"]
    rows = [{"query": query, "candidates": texts} for query in ("a fine film", "no", "what is it?")]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    together = predict(run, source, columns="query,candidates", out=tmp_path / "a.jsonl", precision="fp32")
    alone = predict(run, source, columns="query,candidates", out=tmp_path / "b.jsonl", precision="fp32", batch_size=1)
    for one, other in zip(read_jsonl(tmp_path / "a.jsonl"), read_jsonl(tmp_path / "b.jsonl"), strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
        assert one["ranks"] == other["ranks"]
    distinct = write_jsonl(
        tmp_path / "texts.jsonl", [{"query": text} for text in [*texts, "a fine film", "what is it?"]]
    )
    once = predict(run, distinct, out=tmp_path / "c.parquet", precision="fp32")
    assert together.tokens == once.tokens < alone.tokens


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_a_prepared_split_is_ranked_as_its_file(task, grouped_run, tmp_path):
    """The positive, then the negatives; also with words dropped by each row's own draws."""
    place = grouped_run(task)
    for name, options in {"whole": {}, "dropped": {"drop_rate": 0.5}}.items():
        ours, files = tmp_path / f"{name}-prepared.jsonl", tmp_path / f"{name}-file.jsonl"
        predict(place / "run", place / "data/prepared", out=ours, precision="fp32", **options)
        file = place / "data/validation.jsonl"
        predict(place / "run", file, columns="query,positive,negatives", out=files, precision="fp32", **options)
        assert ours.read_text() == files.read_text()
        assert ours.read_text().count("\n") == 24
    assert (tmp_path / "whole-file.jsonl").read_text() != files.read_text()


@pytest.mark.parametrize("task", ["embedding", "ranking"])
def test_queries_without_any_candidate(task, grouped_run, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"query": "a", "candidates": []}, {"query": "b", "candidates": []}])
    predict(grouped_run(task) / "run", source, columns="query,candidates", out=tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"source_row": 0, "scores": [], "ranks": []},
        {"source_row": 1, "scores": [], "ranks": []},
    ]


def test_candidates_in_several_columns_and_bad_rows(grouped_run, tmp_path):
    run = grouped_run("ranking") / "run"
    rows = [["a fine film", "it is", "no"], ["what", "", "no"], ["so", "it is", "goes"]]
    source = write_csv(tmp_path / "in.csv", ["q", "first", "second"], rows)
    assert refused(run, source, columns="q,first,second")[0] == "Row 2 of in.csv has no 'first'."
    found = predict(run, source, columns="q,first,second", out=tmp_path / "out.jsonl", skip_bad_rows=True)
    assert found.skipped == [2]
    assert [len(row["ranks"]) for row in read_jsonl(tmp_path / "out.jsonl")] == [2, 2]


@pytest.mark.parametrize("task", ["embedding", "ranking"])
@pytest.mark.parametrize("empty", ["", "[]"])
def test_lists_in_the_cells_of_a_table_are_candidates(task, empty, grouped_run, source, tmp_path):
    """As JSON they give what the lists of a JSONL file give; one among texts is refused."""
    run = grouped_run(task) / "run"
    cells = [json.dumps(row["candidates"]) if row["candidates"] else empty for row in ROWS]
    rows = [[row["query"], cell] for row, cell in zip(ROWS, cells, strict=True)]
    table = write_csv(tmp_path / "in.csv", ["query", "candidates"], rows)
    for file in (source, table):
        predict(run, file, columns="query,candidates", out=tmp_path / f"{file.suffix[1:]}.out.jsonl", precision="fp32")
    assert (tmp_path / "csv.out.jsonl").read_text() == (tmp_path / "jsonl.out.jsonl").read_text()
    table = write_csv(tmp_path / "mixed.csv", ["query", "candidates"], [["a", "it is"], ["b", "[]"]])
    assert refused(run, table, columns="query,candidates") == (
        "Row 2 of mixed.csv has [] in 'candidates', a list, but row 1 of mixed.csv has a text.",
        'Write a text in every row, or a list in every row, such as ["a text"]: [] has none.',
    )


def test_a_model_in_memory_ranks(grouped_run, source, tmp_path):
    for task in ("embedding", "ranking"):
        run = grouped_run(task) / "run"
        predict(run, source, columns="query,candidates", out=tmp_path / f"{task}.jsonl", precision="fp32")
        predictor = Predictor(run, precision="fp32")
        found = predictor([(row["query"], row["candidates"]) for row in ROWS])
        for row, each in zip(read_jsonl(tmp_path / f"{task}.jsonl"), found, strict=True):
            assert each.scores == pytest.approx(row["scores"], abs=1e-5)
            assert len(each.ranks) == len(row["ranks"])
        assert predictor((ROWS[0]["query"], ROWS[0]["candidates"])).ranks == found[0].ranks
    text = ROWS[2]["candidates"][0]
    assert predictor((ROWS[2]["query"], text)).score == pytest.approx(found[2].scores[0], abs=1e-5)


TAKES = {
    "embedding": (
        "one text, or a query and a list of texts",
        'Pass "a text" or ("query", ["a text", "another"]), or a list of either.',
        ("a", "b"),
        "a pair of strings",
    ),
    "ranking": (
        "a query and a text, or a list of texts",
        'Pass ("query", "a text") or ("query", ["a text", "another"]), or a list of such tuples.',
        "a",
        "one string",
    ),
}


@pytest.mark.parametrize("task", TAKES)
def test_a_model_in_memory_says_what_it_takes(task, grouped_run):
    takes, passed, other, described = TAKES[task]
    predictor = Predictor(grouped_run(task) / "run", precision="fp32")
    for text, name in ((other, described), (("a", [1]), "a tuple of str and list"), (None, "None")):
        with pytest.raises(TdbsError) as error:
            predictor(text)
        assert error.value.message == f"The text is {name}; this model takes {takes}."
        assert error.value.next_step == passed
    with pytest.raises(TdbsError) as error:
        predictor(("a", ["b", "\ud800"]))
    assert "half of a surrogate pair" in error.value.message


def refused(*arguments, **options) -> tuple[str, str]:
    with pytest.raises(TdbsError) as found:
        predict(*arguments, **options)
    return found.value.message, found.value.next_step


def test_what_is_refused(grouped_run, checkpoint_of, source, tmp_path):
    place = grouped_run("ranking")
    run, embedder = place / "run", grouped_run("embedding")
    both = "query,candidates"
    cases = {
        (checkpoint_of("classification"), source, ("columns", both)): (
            "--columns is for embeddings and rerankers; this model is for classification.",
            "Leave it out.",
        ),
        (run, source, ("columns", both), ("pair", "candidates")): (
            "--columns and --pair exclude each other.",
            "Leave one of them out.",
        ),
        (run, source, ("columns", "query")): (
            "--columns names one column, 'query'.",
            "Pass two or more: --columns QUERY,CANDIDATES.",
        ),
        (run, source, ("columns", "query,query")): ("'query' is named twice.", "Name each column once."),
        (run, source, ("columns", "query,texts")): (
            "in.jsonl has no column 'texts'; it has: 'query', 'candidates'.",
            "Name the column with --columns.",
        ),
        (run, "-", ("columns", both)): ("--columns only applies to files.", "Leave it out."),
        (run, place / "data/prepared", ("columns", both)): ("--columns only applies to files.", "Leave it out."),
        (run, "-"): (
            "A line of stdin is one text; this model takes two.",
            "Pass a file, with --text and --pair.",
        ),
        (run, embedder / "data/prepared"): (
            f"{embedder / 'data/prepared'} was prepared for embedding; the model does ranking.",
            "Pass the texts themselves, or another model.",
        ),
        (embedder / "run", source, ("columns", both), ("float16", True)): (
            "--float16 only applies to embeddings, not to ranks.",
            "Leave it out.",
        ),
    }
    for (model, file, *options), expected in cases.items():
        assert refused(model, file, **dict(options)) == expected
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.real_data
def test_scored_pairs_of_regression_open_as_a_cross_encoder(shared, tmp_path, monkeypatch):
    """STS-B as pairs with numbers: the run's own prediction is the number, and so is a CrossEncoder's of its model."""
    peers = pytest.importorskip("sentence_transformers")
    table = pq.read_table(shared / "datasets/glue/stsb/train.parquet").slice(0, 120)
    pq.write_table(table, tmp_path / "pairs.parquet")
    monkeypatch.chdir(tmp_path)
    dataset = prepare(
        "pairs.parquet",
        text="sentence1",
        pair="sentence2",
        label="label",
        validation=0.25,
        tokenizer=str(shared / "tokenizers/bert-base-uncased"),
        out=tmp_path / "data",
    ).dataset
    train(dataset, out=tmp_path / "run", model="tiny", epochs=1, lr=3e-3, precision="fp32")
    predict(tmp_path / "run", "pairs.parquet", out=tmp_path / "out.jsonl", precision="fp32")
    found = [row["prediction"] for row in read_jsonl(tmp_path / "out.jsonl")]
    theirs = peers.CrossEncoder(str(tmp_path / "run/model"), device="cpu")
    pairs = list(zip(table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), strict=True))
    assert found == pytest.approx(theirs.predict(pairs), abs=1e-5)
    notes = []
    texts = {"text": "sentence1", "pair": "sentence2"}
    predict(tmp_path / "run/model", "pairs.parquet", out="of_model.jsonl", note=notes.append, **texts)
    assert notes == []
