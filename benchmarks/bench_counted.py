"""What counting rows that repeat others adds to `prepare`: seconds of CPU, and memory for many rows.

    python -m benchmarks.bench_counted glue/sst2 --mirror MIRROR --tokenizer TOKENIZER
    python -m benchmarks.bench_counted --rows 1000000 --words TEXTS.parquet --tokenizer TOKENIZER

Each run is a process of its own. Seconds of CPU are taken around what makes, stores and compares digests, in the
threads that do it, and around the whole of `prepare` without imports. So both are of one run, and a busy machine slows
both. Median of the repeats. Synthetic rows are those of bench_prepare_rows.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.bench_audit import peak_gib
from benchmarks.bench_prepare_rows import made_source, parser_of_sources
from benchmarks.common import print_rows
from tdbs.pipeline import blocks, make_shards
from tdbs.pipeline.prepare import prepare

PARTS = ((blocks, "digests_of"), (blocks, "keep_digests"), (make_shards, "count_repeats"))


def main() -> None:
    """Measure and print."""
    arguments = parser_of_sources(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = (str(made_source(rows, arguments, Path(folder))) for rows in arguments.rows)
        found = [measured(source, arguments) for source in (*arguments.sources, *made)]
    print_rows(found, as_json=arguments.json)


def measured(source: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of a source."""
    runs = []
    for _ in range(arguments.repeats):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            runs.append(pool.submit(one_run, source, arguments.mirror, arguments.tokenizer).result())
    return {"source": Path(source).name} | {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def one_run(source: str, mirror: Path | None, tokenizer: str) -> dict[str, float]:
    """Prepare a source once."""
    spent = dict.fromkeys((name for _, name in PARTS), 0.0)
    for module, name in PARTS:
        setattr(module, name, timed(getattr(module, name), name, spent))
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        dataset = prepare(source, mirror=mirror, tokenizer=tokenizer, out=Path(folder) / "dataset").dataset
        whole = time.process_time() - started
    counting = sum(spent.values())
    return {
        "rows": len(dataset),
        "prepare (CPU s)": whole,
        **{f"{name} (CPU s)": spent[name] for _, name in PARTS},
        "added": counting / (whole - counting),
        "peak (GiB)": peak_gib(),
    }


def timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Return the function, which adds the CPU seconds of its thread to those of a name."""

    def run(*arguments: Any, **options: Any) -> Any:
        started = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.thread_time() - started

    return run


if __name__ == "__main__":
    main()
