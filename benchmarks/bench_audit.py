"""`tdbs audit` against `prepare` of the same rows: is knowing the data as cheap as preparing it, within a bound?

    python -m benchmarks.bench_audit glue/sst2 glue/qqp --mirror MIRROR --tokenizer TOKENIZER
    python -m benchmarks.bench_audit --rows 1000000 --words TEXTS.parquet --tokenizer TOKENIZER --memory 2GiB

`prepare` and `audit` are a process of their own each. A process reports its seconds without imports, by the clock and
of the CPU, and its most resident memory (ru_maxrss), imports included. Median of the repeats. Both have the memory.
Synthetic rows are those of bench_prepare_rows.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.bench_prepare_rows import made_source, parser_of_sources
from benchmarks.common import print_rows
from tdbs.analysis.audit.audit import audit
from tdbs.pipeline.dataset import load
from tdbs.pipeline.prepare import prepare


def main() -> None:
    """Measure and print."""
    parser = parser_of_sources(__doc__)
    parser.add_argument("--memory", default="2GiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = (str(made_source(rows, arguments, Path(folder))) for rows in arguments.rows)
        found = [measured(source, arguments) for source in (*arguments.sources, *made)]
    print_rows(found, as_json=arguments.json, memory=arguments.memory)


def measured(source: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of a source."""
    runs = [one_run(source, arguments) for _ in range(arguments.repeats)]
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {"source": Path(source).name, **median, "audit / prepare": median["audit (s)"] / median["prepare (s)"]}


def one_run(source: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Prepare a source and audit it, once."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "dataset"
        prepared = alone(run_prepare, source, arguments.mirror, arguments.tokenizer, arguments.memory, place)
        audited = alone(run_audit, place, arguments.memory)
        return {
            "rows": len(load(place)),
            **{f"prepare ({unit})": value for unit, value in prepared.items()},
            **{f"audit ({unit})": value for unit, value in audited.items()},
        }


def alone(function: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """Return what a function measures in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def run_prepare(source: str, mirror: Path | None, tokenizer: str, memory: str, place: Path) -> dict[str, float]:
    """Measure `prepare`; it works on threads."""
    return spent(lambda: prepare(source, mirror=mirror, tokenizer=tokenizer, out=place, memory=memory, progress=False))


def run_audit(place: Path, memory: str) -> dict[str, float]:
    """Measure `audit`."""
    return spent(lambda: audit(place, memory=memory))


def spent(run: Callable[[], object]) -> dict[str, float]:
    """Return the seconds of a call by the clock and of the CPU, and the most memory of the process, in GiB."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    run()
    seconds, of_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    return {"s": seconds, "CPU s": of_cpu, "GiB": peak_gib()}


def peak_gib() -> float:
    """Return the most resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
