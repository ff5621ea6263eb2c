"""`prepare` with --drop-duplicates and --keep-out against `prepare` without: what leaving out repeats costs.

    python -m benchmarks.bench_drop_duplicates glue/sst2 glue/qqp --mirror MIRROR --tokenizer TOKENIZER
    python -m benchmarks.bench_drop_duplicates --rows 1000000 --words TEXTS.parquet --tokenizer TOKENIZER

Each run is a process of its own and reports seconds without imports, by the clock and of the CPU, and the most resident
memory. The options alternate, so that a busy machine slows all of them. Median of the repeats. Synthetic rows are those
of bench_prepare_rows, which have no validation rows to keep out.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.bench_audit import peak_gib
from benchmarks.bench_prepare_rows import made_source, parser_of_sources
from benchmarks.common import print_rows
from tdbs.pipeline.prepare import prepare

OPTIONS: dict[str, dict[str, str]] = {
    "none": {},
    "--drop-duplicates exact": {"drop_duplicates": "exact"},
    "--keep-out validation": {"keep_out": "validation"},
    "--drop-duplicates near": {"drop_duplicates": "near"},
}


def main() -> None:
    """Measure and print."""
    arguments = parser_of_sources(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [row for source in arguments.sources for row in measured(source, [*OPTIONS], arguments)]
        for rows in arguments.rows:
            path = made_source(rows, arguments, Path(folder))
            found += measured(str(path), [name for name in OPTIONS if "keep_out" not in OPTIONS[name]], arguments)
    print_rows(found, as_json=arguments.json)


def measured(source: str, names: list[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the medians of a source with each of the options."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(arguments.repeats):
        for name in names:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                asked = (source, arguments.mirror, arguments.tokenizer, OPTIONS[name])
                runs[name].append(pool.submit(one_run, *asked).result())
    medians = {name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]} for name in runs}
    plain = medians["none"]["CPU (s)"]
    return [
        {"source": Path(source).name, "options": name, **median, "CPU / without": median["CPU (s)"] / plain}
        for name, median in medians.items()
    ]


def one_run(source: str, mirror: Path | None, tokenizer: str, options: dict[str, str]) -> dict[str, float]:
    """Prepare a source once."""
    with tempfile.TemporaryDirectory() as folder:
        started = (time.perf_counter(), time.process_time())
        out = Path(folder) / "dataset"
        manifest = prepare(source, mirror=mirror, tokenizer=tokenizer, out=out, **options).dataset.manifest
        return {
            "rows": manifest.splits["train"].rows,
            "left out": 0 if manifest.duplicates is None else manifest.duplicates.rows,
            "prepare (s)": time.perf_counter() - started[0],
            "CPU (s)": time.process_time() - started[1],
            "peak (GiB)": peak_gib(),
        }


if __name__ == "__main__":
    main()
