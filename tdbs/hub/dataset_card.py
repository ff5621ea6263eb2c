"""The card of a prepared dataset: what it contains, its license, and how to read it with other tools."""

from huggingface_hub import DatasetCardData

from tdbs.analysis.statistics import split_statistics
from tdbs.hub.card_text import TDBS_LINK, card, facts, fenced, table
from tdbs.hub.task_names import category, known_task
from tdbs.pipeline.manifest import Manifest
from tdbs.shown import shown

_SHOWN_CLASSES = 50
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_FORMAT = "https://github.com/tdbs/tdbs/blob/main/docs/format.md#columns"


def dataset_card(manifest: Manifest, repo: str, license_id: str) -> str:
    """Return the README.md of a prepared dataset in a repository of the hub."""
    task = manifest.task
    known = known_task(manifest.source, task.kind)
    kind = category(task.kind, known)
    data = DatasetCardData(
        license=license_id,
        task_categories=None if kind is None else [kind],
        size_categories=[_size(sum(info.rows for info in manifest.splits.values()))],
        source_datasets=None if known is None else [known.hub_id],
        pretty_name=f"{shown(manifest.source)}, prepared",
        tags=["tdbs", "tokenized"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"{name}/*/*.parquet"} for name in manifest.splits],
            }
        ],
    )
    return card(
        data,
        repo.partition("/")[2],
        f"A text dataset that {TDBS_LINK} prepared for fine-tuning: token ids, lengths and labels in Parquet files, by "
        f"length. It has no texts, but the tokens can be decoded. The license of the texts is `{license_id}`, as the "
        "owner of this repository says.",
        _statistics(manifest),
        "Lengths are in tokens, special tokens included. Padding is that of random batches of 64.",
        fenced(_facts(manifest)),
        "## How to read it",
        "To train without padding, with every file checked against the hashes of `manifest.json`:",
        fenced(f"pip install tdbs\ntdbs prepare hub:{repo}\ntdbs train", "sh"),
        "With datasets, polars or duckdb:",
        fenced(_snippet(repo, next(iter(manifest.splits))), "python"),
        f"The columns are [explained here]({_FORMAT}). `tokenizer.json` turns `input_ids` into texts.",
    )


def _size(rows: int) -> str:
    """Return the hub's name for a number of rows."""
    return next((name for power, name in enumerate(_SIZES, start=3) if rows < 10**power), "n>1T")


def _statistics(manifest: Manifest) -> str:
    head = ("split", "samples", "tokens", "mean length", "87.5 % up to", "padding", "droppable", "labels")
    rows = []
    for name, info in manifest.splits.items():
        found = split_statistics(info)
        rows.append(
            (
                f"`{name}`",
                f"{found.rows:,}",
                f"{found.tokens:,}",
                f"{found.average_length:.2f}",
                str(found.percentile_length),
                f"{found.expected_random_padding:.1%}",
                f"{found.droppable_fraction:.1%}",
                "yes" if info.labelled else "no",
            )
        )
    return table(head, rows)


def _facts(manifest: Manifest) -> str:
    task, classes = manifest.task, manifest.task.classes
    more = f", … ({len(classes):,} in all)" if len(classes) > _SHOWN_CLASSES else ""
    return facts(
        {
            "source": manifest.source,
            "task": task.kind.replace("_", " "),
            "text": task.columns.text,
            "second text": task.columns.pair,
            "negatives": ", ".join(task.columns.negatives) or None,
            "labels": ", ".join(task.columns.labels) or None,
            "classes": ", ".join(classes[:_SHOWN_CLASSES]) + more if classes else None,
            "prefix": task.prefix or None,
            "tokenizer": manifest.tokenizer.name,
            "maximum length": manifest.longest_input,
            "droppable words": manifest.words.source,
            "key": manifest.key,
        }
    )


def _snippet(repo: str, split: str) -> str:
    place = f"hf://datasets/{repo}/{split}"
    return f"""import datasets

{split} = datasets.load_dataset("{repo}", split="{split}")

import polars as pl

{split} = pl.scan_parquet("{place}/**/*.parquet", hive_partitioning=True)

import duckdb

{split} = duckdb.read_parquet("{place}/*/*.parquet", hive_partitioning=True)"""
