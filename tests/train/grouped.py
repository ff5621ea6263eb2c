"""A small dataset of queries with positives and negatives, made of the built-in sample's phrases."""

import json
from pathlib import Path

import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare
from tests.built_in import sample_tables


def grouped_dataset(folder: Path, *, task: str = "embedding", negatives: int = 1, rows: int = 96) -> PreparedDataset:
    """Prepare queries, the phrases that begin like them, and other phrases; row i has i mod 3 negatives more."""
    phrases = sample_tables()["train"]["text"].to_pylist()
    folder.mkdir(parents=True)
    for split, first in (("train", 0), ("validation", 10_000)):
        lines = []
        for row in range(rows if split == "train" else 24):
            positive, *others = phrases[first + 5 * row : first + 5 * row + 1 + negatives + row % 3]
            found = {"query": " ".join(positive.split()[:3]), "positive": positive, "negatives": others}
            lines.append(json.dumps(found if negatives else {**found, "negatives": []}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = "query,positive,negatives" if negatives else "query,positive"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return prepare(
            str(folder / "train.jsonl"),
            validation=str(folder / "validation.jsonl"),
            columns=columns,
            task=task,
            tokenizer=str(TOKENIZER_FOLDER),
            out=folder / "prepared",
        ).dataset
