"""Recognize a folder of BEIR's form: texts and queries in files of their own, and a table of which answers which."""

from pathlib import Path

from tdbs.errors import SourceError
from tdbs.shown import fitted

_FILES = ("corpus.jsonl", "queries.jsonl")
_RELEVANCE = "qrels"


def refuse_beir(folder: Path) -> None:
    """Raise SourceError for a folder of BEIR's form, with the rows to make of it."""
    if not (all((folder / name).is_file() for name in _FILES) and (folder / _RELEVANCE).is_dir()):
        return
    raise SourceError(
        fitted("{folder} has corpus, queries and qrels (BEIR) in files of their own.", folder=folder),
        next_step='Join them by id: train.jsonl with {"query": "…", "positive": "…"} for each line of qrels/train.tsv.',
    )
