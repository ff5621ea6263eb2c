"""Text as it comes: whatever Unicode and files hold is prepared and trained on, or refused with its row."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import TOKENIZER, Command

HARD = {
    "one letter": "a",
    "one mark": ".",
    "spaces": " \t ",
    "emoji": "\U0001f600 it is \U0001f468\u200d\U0001f469\u200d\U0001f467 of \U0001f1eb\U0001f1f7",
    "other astral letters": "\U0001d518\U0001d52b the \U00020000\U0002a6d6",
    "right to left": "\u05e9\u05dc\u05d5\u05dd of \u0645\u0631\u062d\u0628\u0627 \u202e the",
    "no spaces": "\u6211\u4eec\u559c\u6b22\u8fd9\u90e8\u7535\u5f71",
    "control characters": "the\x00 film\x07 is\x1b good\x7f",
    "other line ends": "the\u2028film\u2029is\x0b\x0cgood\x85",
    "marks alone": "\u0301\u0302 the \u0301",
    "byte order mark": "\ufeffthe film",
    "line ends": "the film\r\nis\rof\nit",
    "private and unassigned": "\ue000 the \U000e0001 of \ufffe",
    "longer than a sample": "the film of it is good . " * 200,
    "one long word": "x" * 5000,
}
MEGABYTE = "the film of the year, \U0001f600 and it’s good. " * 25_000  # over 1 MB


def rows_of(kind: str, texts: list[str]) -> list[dict[str, Any]]:
    """Return rows of a kind of task; where a text cannot be what is asked, it stands beside one that can."""
    if kind == "single":
        return [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    if kind == "pair":
        return [{"text": text, "pair": other, "label": "ab"[i % 2]} for i, (text, other) in
                enumerate(zip(texts, texts[::-1], strict=True))]  # fmt: skip
    if kind == "words":
        tagged = [["the", text, *text.split()[:50]] for text in texts]
        return [{"tokens": words, "ner_tags": ["O", "B-X"] + ["O"] * (len(words) - 2)} for words in tagged]
    if kind == "answers":
        return [
            {"question": text[:40], "context": f"{text} Ann is {text}",
             "answers": {"text": ["Ann is"], "answer_start": [len(text) + 1]}}
            for text in texts
        ]  # fmt: skip
    return [{"document": text, "summary": other} for text, other in zip(texts, texts[::-1], strict=True)]


TOKENIZERS = {  # a kind's everyday one
    "single": "roberta-base",
    "pair": "t5-small",
    "words": "bert-base-uncased",
    "answers": "roberta-base",
    "summaries": "t5-small",
}
KINDS = {"single": (), "pair": ("--pair", "pair"), "words": (), "answers": (), "summaries": ()}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8",
                        newline="")  # fmt: skip
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return path


def prepare_and_train(tdbs: Command, path: Path, *options: object, tokenizer: object = TOKENIZER) -> dict[str, Any]:
    """Return what training said; every sample went through the model, and no loss was off."""
    prepared = tdbs("prepare", path, "--tokenizer", tokenizer, "--out", "d", "--json", *options).json
    trained = tdbs("train", "d", "--model", "tiny", "--epochs", 1, "--base-batch-size", 4, "--out", "r", "--json").json
    assert trained["samples"] == prepared["splits"]["train"]["rows"]
    assert all(epoch["loss"] is not None for epoch in trained["epochs"])
    return prepared


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        pytest.param(kind, ending, marks=() if ending == "jsonl" or kind == "words" else pytest.mark.slow)
        for kind in KINDS
        for ending in ("jsonl", "parquet")
    ],
)
def test_hard_texts_of_every_kind_of_task(tdbs, workplace, kind, ending):
    path = write(workplace / f"hard.{ending}", rows_of(kind, list(HARD.values())))
    prepared = prepare_and_train(tdbs, path, *KINDS[kind])
    assert prepared["splits"]["train"]["source_rows"] == len(HARD)
    tdbs("inspect", "d", "--drop", "--samples", len(HARD))
    tdbs("inspect", "d", "--samples", len(HARD), "--json")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("kind", "tokenizer"),
    [
        pytest.param(kind, tokenizer, marks=() if tokenizer == every_day else pytest.mark.slow)
        for kind, every_day in TOKENIZERS.items()
        for tokenizer in ("roberta-base", "bert-base-uncased", "t5-small")
    ],
)
def test_hard_texts_with_real_tokenizers(tdbs, shared, workplace, kind, tokenizer):
    path = write(workplace / "hard.jsonl", rows_of(kind, list(HARD.values())))
    options = ("--tokenizer", shared / "tokenizers" / tokenizer, "--out", "d", "--json")
    prepared = tdbs("prepare", path, *options, *KINDS[kind]).json
    assert prepared["splits"]["train"]["source_rows"] == len(HARD)
    shown = tdbs("inspect", "d", "--drop", "--samples", 3 * len(HARD), "--json").json["drops"]
    assert all(drop["before"]["label"] == drop["after"]["label"] for drop in shown)


def test_hard_texts_of_csv(tdbs, workplace):
    """An empty field of CSV is missing, which is told by its row; all else is text."""
    texts = [text for text in HARD.values() if text]
    path = write(workplace / "hard.csv", rows_of("single", texts))
    assert prepare_and_train(tdbs, path)["splits"]["train"]["rows"] == len(texts)


def test_an_empty_field_of_csv_is_named(refused, workplace):
    path = write(workplace / "hard.csv", rows_of("single", ["a", "", "b"]))
    assert refused("prepare", path, "--tokenizer", TOKENIZER) == (
        "Row 2 of hard.csv has no 'text'.",
        "Fill the row or delete it; or pass --skip-bad-rows.",
    )


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in ("answers", "summaries") else kind for kind in KINDS]
)
def test_a_line_of_a_megabyte(tdbs, workplace, kind):
    assert len(MEGABYTE.encode()) > 1_000_000
    path = write(workplace / "long.jsonl", rows_of(kind, [MEGABYTE, "short", "of it", "the film"]))
    options = ("--max-length", 64) if kind != "answers" else ("--max-length", 384, "--stride", 0)
    prepared = tdbs("prepare", path, "--tokenizer", TOKENIZER, "--out", "d", "--json", *options, *KINDS[kind]).json
    assert prepared["splits"]["train"]["source_rows"] == 4


def test_files_with_line_ends_of_windows(tdbs, workplace):
    (workplace / "w.csv").write_bytes(b'\xef\xbb\xbftext,label\r\nit is good,a\r\n"two\r\nlines",b\r\n')
    (workplace / "w.jsonl").write_bytes(b'{"text": "it is good", "label": "a"}\r\n{"text": "b", "label": "b"}\r\n')
    for name in ("w.csv", "w.jsonl"):
        found = tdbs("prepare", name, "--tokenizer", TOKENIZER, "--json").json
        assert found["splits"]["train"]["rows"] == 2


def test_half_a_surrogate_pair_is_named(refused, workplace):
    (workplace / "s.jsonl").write_text('{"tokens": ["a", "b"], "ner_tags": ["O", "X"]}\n'
                                       '{"tokens": ["\\ud800"], "ner_tags": ["O"]}\n')  # fmt: skip
    assert refused("prepare", "s.jsonl", "--tokenizer", TOKENIZER) == (
        "'tokens' in row 2 of s.jsonl contains half of a surrogate pair.",
        "Fix the row; or pass --skip-bad-rows.",
    )
