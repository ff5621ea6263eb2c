"""`tdbs audit` against `prepare` of the same rows: is knowing the data as cheap as preparing it?

    python -m benchmarks.bench_audit glue/sst2 glue/qqp --mirror MIRROR --tokenizer TOKENIZER
    python -m benchmarks.bench_audit --rows 1000000 --words TEXTS.parquet --tokenizer TOKENIZER

Each run is a process of its own: it prepares, then audits, and reports seconds without imports, by the clock and of the
CPU, and the most resident memory after each. Median of the repeats. Synthetic rows are those of bench_prepare_rows.
"""

import argparse
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.bench_prepare_rows import made_source, parser_of_sources
from benchmarks.common import print_rows
from tdbs.analysis.audit.audit import audit
from tdbs.pipeline.prepare import prepare


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
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {"source": Path(source).name, **median, "audit / prepare": median["audit (s)"] / median["prepare (s)"]}


def one_run(source: str, mirror: Path | None, tokenizer: str) -> dict[str, float]:
    """Prepare a source and audit it, once."""
    with tempfile.TemporaryDirectory() as folder:
        started = (time.perf_counter(), time.process_time())
        dataset = prepare(source, mirror=mirror, tokenizer=tokenizer, out=Path(folder) / "dataset").dataset
        prepared = (time.perf_counter(), time.process_time())
        before = peak_gib()
        audit(dataset)
        audited = (time.perf_counter(), time.process_time())
        return {
            "rows": len(dataset),
            "prepare (s)": prepared[0] - started[0],
            "audit (s)": audited[0] - prepared[0],
            "prepare (CPU s)": prepared[1] - started[1],
            "audit (CPU s)": audited[1] - prepared[1],
            "peak of prepare (GiB)": before,
            "peak of both (GiB)": peak_gib(),
        }


def peak_gib() -> float:
    """Return the most resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
