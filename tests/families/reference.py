"""What transformers itself computes with a folder: nothing of tdbs is asked."""

import csv
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tests.families.table import ROOM, WORDS

Row = tuple[str, ...]  # a text, or a pair
SHORT, LONG = (3, 5, 8, 9), (2, 3, 7, 12, 20, 31, 40, 60)  # words of a text; windows are 16 tokens


def rows_of(number: int, *, pairs: bool, sizes: Sequence[int] = LONG, seed: int = 1) -> list[Row]:
    """Return random texts of many lengths, the first ones of one length: batches with padding and without."""
    chance = np.random.default_rng(seed)
    words = [[sizes[-1] // 2, sizes[0]]] * 3 + [list(chance.choice(sizes, 2)) for _ in range(number - 3)]
    rows = [tuple(" ".join(chance.choice(WORDS, size)) for size in each) for each in words]
    return rows if pairs else [row[:1] for row in rows]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as CSV, with labels by turns."""
    names = ["text", "pair"][: len(rows[0])]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label"])
        writer.writerows([*row, f"class {number % 2}"] for number, row in enumerate(rows))
    return path


def opened(folder: Path) -> tuple[Any, Any]:
    """Return model and tokenizer as transformers opens them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return model.float(), tokenizer


def encoded(tokenizer: Any, rows: Sequence[Row], **more: Any) -> Any:
    """Return what the tokenizer makes of rows."""
    texts = [list(texts) for texts in zip(*rows, strict=True)]
    return tokenizer(*texts, truncation=True, max_length=ROOM, return_tensors="pt", **more)


def spread_of(rows: Sequence[Row]) -> Any:
    """Return a function that says how far P(class 1) spreads over rows."""

    def spread(model: Any, tokenizer: Any) -> float:
        found = [_alone(model, tokenizer, row)[1] for row in rows]
        return float(np.ptp(found))

    return spread


def probabilities(folder: Path, rows: Sequence[Row]) -> np.ndarray:
    """Return the probabilities of each row, alone in its batch (rows x classes)."""
    model, tokenizer = opened(folder)
    return np.array([_alone(model, tokenizer, row) for row in rows])


def _alone(model: Any, tokenizer: Any, row: Row) -> np.ndarray:
    with torch.inference_mode():
        return model(**encoded(tokenizer, [row])).logits[0].softmax(-1).numpy()


def pipeline_scores(folder: Path, rows: Sequence[Row]) -> np.ndarray:
    """Return the same by transformers' pipeline on a folder."""
    pipe = transformers.pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    given = [{"text": row[0], **({"text_pair": row[1]} if len(row) > 1 else {})} for row in rows]
    found = [pipe(each) for each in given]
    return np.array([[score["score"] for score in sorted(each, key=lambda score: score["label"])] for each in found])


def losses_of_updates(
    folder: Path, updates: Sequence[tuple[Sequence[Row], Sequence[int], float]], *, pad_id: int
) -> list[float]:
    """Return the loss of each update (rows, labels, rate) of a plain loop over padded batches."""
    model, tokenizer = opened(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = pad_id
        model.config.pad_token_id = pad_id

    def loss_of(rows: Sequence[Row], labels: Sequence[int]) -> torch.Tensor:
        return model(**encoded(tokenizer, rows, padding=True), labels=torch.tensor(labels)).loss

    return updated(model, ((partial(loss_of, rows, labels), rate) for rows, labels, rate in updates))


def updated(model: Any, updates: Iterable[tuple[Callable[[], torch.Tensor], float]]) -> list[float]:
    """Update a model by each loss, which a function computes, at its rate; return the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    found = []
    for loss_of, rate in updates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found
