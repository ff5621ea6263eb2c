"""Rows for embeddings and rerankers, made of STS-B and SQuAD: JSONL files that two libraries read alike.

A folder has train.jsonl and validation.jsonl. Scored pairs have query, positive, score; pairs have query, positive;
groups have query, positive, and a list of negatives. Same arguments, same files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from transformers import AutoTokenizer

from tdbs.arrays import IntArray

GREATEST_SCORE = 5.0  # of STS-B; a cosine fits scores of 0 to 1

Row = dict[str, Any]


def rows_of(file: Path) -> list[Row]:
    """Return the rows of a file of this module."""
    return pl.read_ndjson(file).to_dicts()


def write_scored_pairs(mirror: Path, folder: Path, *, rows: int | None) -> None:
    """Write the pairs of STS-B with scores of 0 to 1; of the train split the first rows, or all."""
    for split, count in (("train", rows), ("validation", None)):
        table = pl.read_parquet(mirror / "glue" / "stsb" / f"{split}.parquet")[:count]
        score = (pl.col("label").cast(pl.Float64) / GREATEST_SCORE).round(5).alias("score")
        named = [pl.col("sentence1").alias("query"), pl.col("sentence2").alias("positive"), score]
        _write(table.select(named), folder / f"{split}.jsonl")


def write_pairs(mirror: Path, folder: Path, *, rows: int, held_out: int, seed: int) -> None:
    """Write questions of SQuAD with their paragraphs; beside the folder, every paragraph of the held-out split."""
    for split, count in (("train", rows), ("validation", held_out)):
        _write(_questions(mirror, split, count=count, seed=seed).select("query", "positive"), folder / f"{split}.jsonl")
    _write(_paragraphs(mirror, "validation").select("positive"), paragraphs_file(folder))


def paragraphs_file(folder: Path) -> Path:
    """Return the file of what questions of a folder are ranked against."""
    return folder.with_name(f"{folder.name}_paragraphs.jsonl")


def write_groups(
    mirror: Path, folder: Path, *, rows: int, held_out: int, negatives: int, candidates: int, seed: int
) -> None:
    """Write questions with their paragraph and others: some negatives to train on, more candidates to rank."""
    for split, count, others in (("train", rows, negatives), ("validation", held_out, candidates - 1)):
        questions = _questions(mirror, split, count=count, seed=seed)
        paragraphs = _paragraphs(mirror, split)
        ids_N = questions.join(paragraphs, on="positive", how="left", maintain_order="left")["id"].to_numpy()
        rng = np.random.default_rng([seed, others])
        others_N = negatives_of(ids_N, paragraphs["article"].to_numpy(), count=others, rng=rng)
        texts = paragraphs["positive"]
        lists = pl.Series("negatives", [texts[ids].to_list() for ids in others_N])
        _write(questions.select("query", "positive").with_columns(lists), folder / f"{split}.jsonl")


def negatives_of(ids_N: IntArray, articles_P: IntArray, *, count: int, rng: np.random.Generator) -> list[IntArray]:
    """Return other paragraphs for each paragraph, all different: about half are of its article, if it has enough.

    Args:
        ids_N: the paragraph of each row.
        articles_P: the article of each paragraph.
        count: paragraphs for a row.
        rng: where the choice comes from.
    """
    everything = np.arange(len(articles_P))
    found = []
    for own in ids_N:
        hard = np.flatnonzero((articles_P == articles_P[own]) & (everything != own))
        chosen = rng.choice(hard, size=min(rng.binomial(count, 0.5), len(hard)), replace=False)
        rest = np.setdiff1d(everything, [*chosen, own])
        found.append(np.concatenate([chosen, rng.choice(rest, size=count - len(chosen), replace=False)]))
    return found


def count_tokens(rows: Sequence[Row], model: str, *, max_length: int, pairs: bool) -> int:
    """Return how many tokens a model reads of rows, padding aside: text by text, or in pairs with the query."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    others = [[row["positive"], *row.get("negatives", ())] for row in rows]
    if pairs:
        queries = [row["query"] for row, texts in zip(rows, others, strict=True) for _ in texts]
        read = tokenizer(queries, [text for texts in others for text in texts], truncation=True, max_length=max_length)
    else:
        texts = [text for row, own in zip(rows, others, strict=True) for text in (row["query"], *own)]
        read = tokenizer(texts, truncation=True, max_length=max_length)
    return sum(map(len, read["input_ids"]))


def _questions(mirror: Path, split: str, *, count: int, seed: int) -> pl.DataFrame:
    """Return some questions with their paragraphs, no two rows alike."""
    table = pl.read_parquet(mirror / "squad" / f"{split}.parquet", columns=["question", "context"])
    pairs = table.rename({"question": "query", "context": "positive"}).unique(maintain_order=True)
    return pairs[np.random.default_rng(seed).permutation(len(pairs))[:count].tolist()]


def _paragraphs(mirror: Path, split: str) -> pl.DataFrame:
    """Return each paragraph once, with its number and the number of its article."""
    table = pl.read_parquet(mirror / "squad" / f"{split}.parquet", columns=["context", "title"])
    once = table.rename({"context": "positive"}).unique("positive", maintain_order=True, keep="first")
    return once.with_row_index("id").with_columns(article=pl.col("title").rank("dense").cast(pl.Int64))


def _write(table: pl.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    table.write_ndjson(file)
