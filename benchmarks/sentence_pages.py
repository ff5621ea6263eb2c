"""What `bench_sentence_transformers` found, as tables: one for each study, a row for each arm."""

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.common import markdown_table, provenance
from benchmarks.sentence_studies import OURS, STUDIES

Found = dict[str, Any]


def print_page(records: list[Found], *, facts: list[Found], as_json: bool, page: Path | None) -> None:
    """Print the tables of records, or the records as JSON; write the tables to a file, if one is named."""
    text = page_of(records, facts)
    if page is not None:
        page.write_text(text, encoding="utf-8")
    print(json.dumps({**provenance(), "studies": facts, "runs": records}) if as_json else text)


def page_of(records: list[Found], facts: list[Found]) -> str:
    """Return the page: where the figures come from, and a table for each study that has runs.

    Args:
        records: what runs found.
        facts: what each study was asked for, its name and its sizes among it.
    """
    origin = "; ".join(f"{name} {value}" for name, value in provenance().items())
    parts = ["# Embeddings and rerankers beside sentence-transformers", f"{origin}."]
    for asked in facts:
        own = [record for record in records if record["study"] == asked["study"]]
        if own:
            study = STUDIES[asked["study"]]
            sizes = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
            rule = (
                f"{sizes}; {study.epochs} epochs, {study.batch} rows an update, rate {study.rate:g}, "
                f"{study.max_length} tokens at most. The score is {study.score} x 100."
            )
            parts += [f"## {study.title}", rule, markdown_table(rows_of_study(own))]
    return "\n\n".join(parts) + "\n"


def rows_of_study(records: list[Found]) -> list[dict[str, str]]:
    """Return a row for each arm, ours first: medians of seconds, mean and deviation of scores."""
    names = [OURS, *dict.fromkeys(record["arm"] for record in records if record["arm"] != OURS)]
    runs = {name: [record for record in records if record["arm"] == name] for name in names}
    ours = [record["seconds"] for record in runs[OURS]]
    return [_row(name, own, statistics.median(ours) if ours else None) for name, own in runs.items() if own]


def _row(name: str, runs: list[Found], ours: float | None) -> dict[str, str]:
    seconds = statistics.median(record["seconds"] for record in runs)
    with_prepare = statistics.median(record["seconds"] + record.get("prepare", 0.0) for record in runs)
    scores = [100 * record["score"] for record in runs]
    spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
    return {
        "": name,
        "seconds": f"{seconds:,.1f}",
        "with prepare": f"{with_prepare:,.1f}",
        "tokens/s": f"{runs[0]['tokens'] / seconds:,.0f}",
        "score": f"{statistics.mean(scores):.2f}{spread}",
        "of it ours takes": "" if ours is None else f"{ours / seconds:.2f}",
        "runs": str(len(runs)),
    }
