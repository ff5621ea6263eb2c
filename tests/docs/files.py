"""Files that pages take for the reader's own, small and seeded."""

import csv
import gzip
import json
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.built_in import sample_tables

ROWS = 300


def write_files(folder: Path) -> None:
    """Write every file that a page names."""
    texts, labels = sample_tables()["train"].slice(0, ROWS).to_pydict().values()
    _csv(
        folder / "reviews.csv",
        ["review", "stars"],
        [[t, 4 * label + 1] for t, label in zip(texts, labels, strict=True)],
    )
    numbers = [[t, len(t) % 7 + 0.5, len(t.split()) % 5] for t in texts]
    _csv(folder / "ratings.csv", ["text", "clarity", "depth"], numbers)
    flags = [[t, label, int(" it " in t)] for t, label in zip(texts, labels, strict=True)]
    _csv(folder / "emotions.csv", ["text", "joy", "anger"], flags)
    words = [t.split() for t in texts]
    tagged = [{"tokens": row, "ner_tags": ["B-X" if len(word) > 7 else "O" for word in row]} for row in words]
    _jsonl(folder / "names.jsonl", tagged)
    contexts = [" ".join(texts[i : i + 10]) for i in range(0, ROWS, 3)]
    _jsonl(folder / "questions.jsonl", [_asked(context) for context in contexts])
    _jsonl(folder / "unsure.jsonl", [_asked(context, answered=i % 3 > 0) for i, context in enumerate(contexts)])
    _jsonl(folder / "news.jsonl", [{"document": c, "summary": c[:60].strip()} for c in contexts])
    searched = [{"query": t[:20], "positive": t, "negative": other} for t, other in pairwise(texts)]
    _jsonl(folder / "pairs.jsonl", searched)
    _jsonl(
        folder / "ranked.jsonl",
        [{**row, "negatives": [row["negative"]] * (i % 3 + 1)} for i, row in enumerate(searched)],
    )
    _write_labels(folder, texts)
    _write_answers(folder, contexts)
    _write_queries(folder, texts, contexts)
    _write_beir(folder / "beir", searched)
    _write_conll(folder / "names.conll", [(row["tokens"], row["ner_tags"]) for row in tagged])
    rated = list(zip(texts, (4 * label + 1 for label in labels), strict=True))
    _write_forms(folder, rated)
    _write_folders(folder, rated)
    (folder / "slips.tsv").write_text("(?i)\\bfilm\\b\tflim\n(\\w)\\1\t\\1\n", encoding="utf-8")
    (folder / "words.txt").write_text("# articles, and a negation\nthe\na\nan\nnot\n", encoding="utf-8")


def _write_beir(folder: Path, searched: Sequence[dict[str, str]]) -> None:
    """Write queries, the texts that answer them, and which answers which, as BEIR has them."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    _jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": row["query"]} for i, row in enumerate(searched)])
    corpus = [{"_id": f"d{i}", "title": "", "text": row["positive"]} for i, row in enumerate(searched)]
    _jsonl(folder / "corpus.jsonl", corpus)
    lines = [f"q{i}\td{i}\t1\n" for i in range(len(searched))]
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")


def _write_labels(folder: Path, texts: Sequence[str]) -> None:
    """Write labels in the shapes that docs/data.md lists, and rows that cannot be used."""
    flags = [[len(text) % 2, int(" it " in text), int(" a " in text)] for text in texts]
    names = ("joy", "anger", "fear")
    held = [[name for name, flag in zip(names, row, strict=True) if flag] for row in flags]
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    _csv(folder / "moods.csv", ["text", "label"], [[t, ", ".join(row)] for t, row in zip(texts, held, strict=True)])
    _csv(folder / "lists.csv", ["text", "label"], [[t, str(row)] for t, row in zip(texts, held, strict=True)])
    _jsonl(folder / "moods.jsonl", [{"text": t, "label": row} for t, row in zip(texts, held, strict=True)])
    _jsonl(folder / "hot.jsonl", [{"text": t, "label": row} for t, row in zip(texts, flags, strict=True)])
    _csv(folder / "ids.csv", ["text", "label"], [[t, len(t) % 3] for t in texts])
    words = [t.split() for t in texts]
    tags = [["B-X" if len(word) > 7 else "O" for word in row] for row in words]
    _csv(folder / "names.csv", ["tokens", "ner_tags"], [[str(a), str(b)] for a, b in zip(words, tags, strict=True)])
    broken = [[t if row % 7 else "", len(t) % 2 if row % 5 else ""] for row, t in enumerate(texts)]
    _csv(folder / "broken.csv", ["text", "label"], broken)


def _write_forms(folder: Path, rows: list[tuple[str, int]]) -> None:
    """Write the same rows in the forms that docs/data.md lists."""
    packed = (folder / "reviews.csv").read_bytes()
    (folder / "reviews.csv.gz").write_bytes(gzip.compress(packed))
    with zipfile.ZipFile(folder / "reviews.zip", "w") as archive:
        archive.writestr("reviews.csv", packed)
    plain = "".join(f"{text}\t{stars}\n" for text, stars in [("review", "stars"), *rows])
    (folder / "reviews.tsv").write_text(plain, encoding="utf-8")
    names, stars = zip(*rows, strict=True)
    pq.write_table(pa.table({"review": names, "stars": stars}), folder / "reviews.parquet")
    sections = [["Sport" if stars > 1 else "Web", text] for text, stars in rows]
    for name in ("articles.csv", "articles.txt"):
        _csv(folder / name, ["section", "text"], sections, delimiter=";")
    _csv(folder / "plain.csv", None, sections, delimiter=";", quotechar="'", quoting=csv.QUOTE_ALL)
    latin = "text,label\n" + "".join(f"Glück {number},{number % 2}\n" for number in range(9))
    (folder / "latin.csv").write_text(latin, encoding="latin-1")

    objects = [{"review": text, "stars": stars} for text, stars in rows]
    (folder / "reviews.json").write_text(json.dumps(objects), encoding="utf-8")
    (folder / "export.json").write_text(json.dumps({"count": len(rows), "data": objects}, indent=1), encoding="utf-8")


def _write_answers(folder: Path, contexts: Sequence[str]) -> None:
    """Write questions as SQuAD does, and with answers in the other shapes that docs/data.md lists."""
    articles, rows = [], []
    for number, context in enumerate(contexts):
        text = context.split()[number % 5]
        answer = {"text": text, "answer_start": context.index(text)}
        question = {"id": str(number), "question": f"which word is at {number}?", "answers": [answer]}
        articles.append({"title": str(number), "paragraphs": [{"context": context, "qas": [question]}]})
        rows.append({"q": question["question"], "context": context, "a": answer})
    (folder / "squad.json").write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    (folder / "asked.json").write_text(json.dumps(rows), encoding="utf-8")
    listed = [{**row, "a": [row["a"]]} for row in rows]
    pq.write_table(pa.Table.from_pylist(listed), folder / "asked.parquet")
    fields = [[row["q"], row["context"], row["a"]["text"], row["a"]["answer_start"]] for row in rows]
    _csv(folder / "asked.csv", ["q", "context", "answer", "start"], fields)


def _write_queries(folder: Path, texts: Sequence[str], contexts: Sequence[str]) -> None:
    """Write queries with texts that answer them and texts that do not, and scored pairs."""
    rows = [
        [text, context, contexts[number - 9]]
        for number, (text, context) in enumerate(zip(texts[: len(contexts)], contexts, strict=True))
    ]
    _csv(folder / "pairs.csv", ["query", "positive"], [row[:2] for row in rows])
    _csv(folder / "triples.csv", ["query", "positive", "negative"], rows)
    lists = [[contexts[number - k] for k in range(2, 2 + number % 4)] for number in range(len(rows))]
    found = zip(rows, lists, strict=True)
    _jsonl(folder / "hard.jsonl", [{"query": q, "positive": p, "negatives": n} for (q, p, _), n in found])
    scored = [[one, other, len(one) % 6] for one, other in zip(texts[::2], texts[1::2], strict=True)]
    _csv(folder / "scored.csv", ["first", "second", "score"], scored)


def _write_conll(path: Path, sentences: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
    lines = ["-DOCSTART- O\n\n"]
    for words, tags in sentences:
        lines += [f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)] + ["\n"]
    path.write_text("".join(lines), encoding="utf-8")


def _write_folders(folder: Path, rows: list[tuple[str, int]]) -> None:
    """Write the same rows in the folders that docs/data.md lists."""
    header, half = ["review", "stars"], len(rows) // 2
    for name in ("splits", "shards/data", "converted/train", "films"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev", "test"):
        _csv(folder / f"splits/{split}.csv", header, rows)
    for number, part in enumerate((rows[:half], rows[half:])):
        table = pa.table(dict(zip(header, map(list, zip(*part, strict=True)), strict=True)))
        pq.write_table(table, folder / f"shards/data/train-0000{number}-of-00002.parquet")
        pq.write_table(table, folder / f"converted/train/000{number}.parquet")
        _save_to_disk(folder / "saved", table, number)
    for number, (text, stars) in enumerate(rows):
        path = folder / f"films/train/{'pos' if stars > 1 else 'neg'}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _save_to_disk(folder: Path, table: pa.Table, number: int) -> None:
    """Write a part of what `save_to_disk` of the datasets library writes."""
    folder.mkdir(exist_ok=True)
    names = [{"filename": f"data-0000{shard}-of-00002.arrow"} for shard in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": names}), encoding="utf-8")
    with pa.ipc.new_stream(str(folder / names[number]["filename"]), table.schema) as writer:
        writer.write_table(table)


def _asked(context: str, *, answered: bool = True) -> dict[str, object]:
    answer = context.split()[len(context.split()) // 2]
    place = (
        {"text": [answer], "answer_start": [context.index(answer)]} if answered else {"text": [], "answer_start": []}
    )
    return {"question": "what is in the middle of it?", "context": context, "answers": place}


def _csv(path: Path, header: list[str] | None, rows: Sequence[Sequence[object]], **dialect: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **dialect).writerows([*([] if header is None else [header]), *rows])


def _jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
